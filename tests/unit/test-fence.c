/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os/fence.c, os/fence-watch.c: A, in its boot 2, fences B, which is in its boot 5. */
#include <sys/wait.h>

#include "clock.h"
#include "portal-three.h"
#include "tier-handoff.h"

static struct tier_problem problem;
static struct tier_portal *portal;
static struct tier_fence_record result;
static struct tier_fencing fencing;
static unsigned agents;
static char steps[256];
/* What happens when */
static int agent_code;
static void (*at_intent)(void), (*at_agent)(void);

static struct tier_fence_record stored(uint32_t host, uint32_t target)
{
	struct tier_fence_record record = {};
	int r = tier_portal_read_fence(portal, host, target, &record);

	if (r != 0 && r != TIER_E_NOT_FOUND)
		FAIL("fence of %u by %u: %s", target, host, tier_strerror(r));
	return record;
}

static void step(void *userdata, enum tier_handoff_step number, bool done, const char *record)
{
	if (!done)
		return;
	snprintf(steps + strlen(steps), sizeof(steps) - strlen(steps), "%s ",
		 tier_handoff_step_name(number));
	if (number == TIER_STEP_STORE_INTENT && at_intent)
		at_intent();
}

static int agent(void *userdata, const struct tier_fence_record *intent,
		 struct tier_problem *ret_problem)
{
	agents++;
	/* Nobody is shot before it is in the portal, flushed. */
	if (!at_agent) {
		CHECK_EQ(stored(A, B).state, TIER_FENCE_INTENT);
		CHECK_EQ(stored(A, B).upto, intent->upto);
	}
	if (at_agent)
		at_agent();
	if (agent_code)
		tier_problem_set(ret_problem, agent_code, "B", NULL, "the agent says no");
	return agent_code;
}

static void begin(const char *name)
{
	portal = tier_portal_close(portal);
	portal = three_portal(name);
	three_host(portal, A, 2, 10);
	three_host(portal, B, 5, 10);
	three_host(portal, C, 7, 10);
	at_intent = at_agent = NULL;
	agents = 0;
	agent_code = 0;
	steps[0] = '\0';
	problem = (struct tier_problem){};
	fencing = (struct tier_fencing){
		.host = A,
		.incarnation = 2,
		.target = B,
		.heir = TIER_PORTAL_NO_HOST,
		.method = TIER_FENCE_METHOD_AGENT,
		.end = agent,
		.step = step,
	};
}

static int run(void)
{
	return tier_portal_fence(portal, &fencing, &result, &problem);
}

static void store(struct tier_fence_record record)
{
	CHECK_EQ(tier_portal_write_fence(portal, &record), 0);
}

TEST(intent_then_agent_then_fenced)
{
	begin("good");
	CHECK_EQ(run(), 0);
	CHECK_STR(steps, "STORE_INTENT RUN_AGENT STORE_FENCED ");
	CHECK_EQ(result.state, TIER_FENCE_FENCED);
	CHECK_EQ(stored(A, B).state, TIER_FENCE_FENCED);
	CHECK_EQ(stored(A, B).upto, 5);
	CHECK_EQ(stored(A, B).heir, A);
	CHECK_EQ(stored(A, B).method, TIER_FENCE_METHOD_AGENT);
	CHECK_EQ(stored(A, B).stamp.incarnation, 2);
	CHECK_EQ(stored(A, B).stamp.generation, 1);
	/* Once is enough. */
	CHECK_EQ(run(), 0);
	CHECK_EQ(agents, 1);
	/* A later boot is another matter. */
	three_host(portal, B, 6, 0);
	fencing.heir = C;
	CHECK_EQ(run(), 0);
	CHECK_EQ(agents, 2);
	CHECK_EQ(stored(A, B).upto, 6);
	CHECK_EQ(stored(A, B).heir, C);
	CHECK_EQ(stored(A, B).stamp.generation, 2);
}

TEST(agent_that_fails)
{
	begin("fails");
	agent_code = TIER_E_TIMEOUT;
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_STR(problem.text, "the agent says no");
	CHECK_STR(steps, "STORE_INTENT RUN_AGENT STORE_RETRACTED ");
	CHECK_EQ(stored(A, B).state, TIER_FENCE_RETRACTED);
	agent_code = 0;
	CHECK_EQ(run(), 0);
	CHECK_EQ(stored(A, B).state, TIER_FENCE_FENCED);
	CHECK_EQ(stored(A, B).stamp.generation, 2);
}

TEST(refused_at_once)
{
	struct tier_portal *empty;
	uint32_t sum;

	begin("refused");
	sum = three_sum(portal);
	fencing.target = A;
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "cannot fence itself");
	fencing.target = fencing.heir = B;
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "its own heir");
	fencing.target = 3;
	CHECK_EQ(run(), -EINVAL);
	fencing.target = B;
	fencing.heir = TIER_PORTAL_NO_HOST;
	fencing.incarnation = 0;
	CHECK_EQ(run(), -EINVAL);
	CHECK_EQ(three_sum(portal), sum);
	CHECK_EQ(agents, 0);
	begin("never");
	empty = three_portal("empty");
	tier_portal_close(portal);
	portal = empty;
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "has never taken part");
	CHECK_EQ(agents, 0);
}

static void boot_target(void)
{
	struct tier_host_record record;

	CHECK_EQ(tier_portal_read_host(portal, B, &record), 0);
	if (record.stamp.incarnation < 7)
		three_host(portal, B, record.stamp.incarnation + 1, 0);
}

static void boot_target_again(void)
{
	struct tier_host_record record;

	CHECK_EQ(tier_portal_read_host(portal, B, &record), 0);
	three_host(portal, B, record.stamp.incarnation + 1, 0);
}

TEST(target_boots_meanwhile)
{
	begin("boots");
	at_intent = boot_target;
	CHECK_EQ(run(), 0);
	CHECK_STR(steps, "STORE_INTENT STORE_INTENT STORE_INTENT RUN_AGENT STORE_FENCED ");
	CHECK_EQ(stored(A, B).upto, 7);
	CHECK_EQ(stored(A, B).stamp.generation, 1);
	/* A host record that never rests. */
	begin("boots-on");
	at_intent = boot_target_again;
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "again and again");
	CHECK_EQ(agents, 0);
	CHECK_EQ(stored(A, B).state, TIER_FENCE_RETRACTED);
}

/* The agent has reset it: what boots afterwards is not fenced. */
TEST(target_boots_after_the_agent)
{
	begin("reset");
	at_agent = boot_target;
	CHECK_EQ(run(), 0);
	CHECK_EQ(stored(A, B).state, TIER_FENCE_FENCED);
	CHECK_EQ(stored(A, B).upto, 5);
	CHECK_EQ(agents, 1);
}

static void other_intends(void)
{
	store(three_fence(C, 7, B, 5, TIER_FENCE_INTENT, C));
}

TEST(another_fencer)
{
	begin("other");
	other_intends();
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "C is fencing it already");
	CHECK_EQ(stored(A, B).state, TIER_FENCE_NONE);
	/* Also about another boot: there would be two heirs. */
	store(three_fence(C, 7, B, 4, TIER_FENCE_INTENT, C));
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_EQ(stored(A, B).state, TIER_FENCE_NONE);
	store(three_fence(C, 7, B, 5, TIER_FENCE_FENCED, C));
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "C has fenced boot 5 of it already, heir is C");
	CHECK_EQ(agents, 0);
	/* Of an earlier boot, or not at all. */
	store(three_fence(C, 7, B, 4, TIER_FENCE_FENCED, C));
	CHECK_EQ(run(), 0);
	begin("other-retracted");
	store(three_fence(C, 7, B, 5, TIER_FENCE_RETRACTED, C));
	CHECK_EQ(run(), 0);
}

TEST(another_fencer_at_the_same_time)
{
	begin("race");
	at_intent = other_intends;
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "C is fencing it already");
	CHECK_STR(steps, "STORE_INTENT STORE_RETRACTED ");
	CHECK_EQ(stored(A, B).state, TIER_FENCE_RETRACTED);
	CHECK_EQ(agents, 0);
}

/* C's boot is over: nobody goes on with what it began. */
TEST(dead_fencer)
{
	begin("dead");
	store(three_fence(C, 6, B, 5, TIER_FENCE_INTENT, C));
	CHECK_EQ(run(), 0);
	begin("dead-fenced");
	other_intends();
	store(three_fence(A, 2, C, 7, TIER_FENCE_FENCED, A));
	CHECK_EQ(run(), 0);
	CHECK_EQ(stored(A, B).state, TIER_FENCE_FENCED);
}

static void die(void)
{
	_exit(0);
}

/* In a process of its own, which shares the portal with this one. */
static void run_and_die(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(1);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	at_intent = at_agent = NULL;
}

TEST(tool_dies)
{
	begin("crash");
	at_intent = die;
	run_and_die();
	CHECK_EQ(stored(A, B).state, TIER_FENCE_INTENT);
	CHECK_EQ(run(), 0);
	CHECK_STR(steps, "RUN_AGENT STORE_FENCED ");
	begin("crash-agent");
	at_agent = die;
	run_and_die();
	CHECK_EQ(stored(A, B).state, TIER_FENCE_INTENT);
	CHECK_EQ(run(), 0);
	CHECK_STR(steps, "RUN_AGENT STORE_FENCED ");
	/* In a later boot of the fencer others do not count its INTENT, so it is stored again first. */
	begin("crash-boot");
	at_intent = die;
	run_and_die();
	three_host(portal, A, 3, 0);
	fencing.incarnation = 3;
	CHECK_EQ(run(), 0);
	CHECK_STR(steps, "STORE_INTENT RUN_AGENT STORE_FENCED ");
	CHECK_EQ(stored(A, B).stamp.incarnation, 3);
	/* Somebody else has begun meanwhile. */
	begin("crash-other");
	at_intent = die;
	run_and_die();
	other_intends();
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_STR(steps, "STORE_RETRACTED ");
	CHECK_EQ(agents, 0);
}

TEST(fenced_itself)
{
	uint32_t sum;

	begin("self");
	store(three_fence(B, 5, A, 2, TIER_FENCE_FENCED, B));
	sum = three_sum(portal);
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "over itself");
	CHECK_EQ(three_sum(portal), sum);
	CHECK_EQ(agents, 0);
	/* An earlier boot of it. */
	store(three_fence(B, 5, A, 1, TIER_FENCE_FENCED, B));
	CHECK_EQ(run(), 0);
}

static void store_flight(uint64_t source_incarnation, enum tier_flight_state state)
{
	const struct tier_super *super = tier_portal_super(portal);
	struct tier_offer offer = three_offer(super, B, source_incarnation, A, 2, state);

	CHECK_EQ(tier_portal_write_offer(portal, 0, &offer), 0);
}

/* Who has been named may have begun to take the VM. */
TEST(heir_stays)
{
	begin("heir");
	store(three_fence(C, 7, B, 4, TIER_FENCE_FENCED, C));
	store_flight(4, TIER_FLIGHT_COMMITTED);
	fencing.heir = A;
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "C is its heir since boot 4");
	CHECK_EQ(stored(A, B).state, TIER_FENCE_NONE);
	fencing.heir = TIER_PORTAL_NO_HOST;
	CHECK_EQ(run(), 0);
	CHECK_EQ(stored(A, B).heir, C);
	begin("heir-over");
	store(three_fence(C, 7, B, 4, TIER_FENCE_FENCED, C));
	store_flight(4, TIER_FLIGHT_CLOSED);
	CHECK_EQ(run(), 0);
	CHECK_EQ(stored(A, B).heir, A);
	begin("heir-later-flight");
	store(three_fence(C, 7, B, 4, TIER_FENCE_FENCED, C));
	store_flight(5, TIER_FLIGHT_COMMITTED);
	CHECK_EQ(run(), 0);
	CHECK_EQ(stored(A, B).heir, A);
}

static void boot_4_stays_fenced(void)
{
	struct tier_fence_record record = stored(A, B);

	CHECK_EQ(record.state, TIER_FENCE_INTENT);
	CHECK_EQ(record.upto, 5);
	CHECK_EQ(record.fenced_upto, 4);
	CHECK_EQ(record.fenced_heir, C);
}

/* INTENT about boot 5 does not take back what is said about boot 4. */
TEST(earlier_fence_is_not_forgotten)
{
	begin("forget");
	store(three_fence(A, 2, B, 4, TIER_FENCE_FENCED, C));
	store_flight(4, TIER_FLIGHT_PUBLISHED);
	at_agent = boot_4_stays_fenced;
	agent_code = TIER_E_TIMEOUT;
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_EQ(stored(A, B).state, TIER_FENCE_RETRACTED);
	CHECK_EQ(stored(A, B).fenced_upto, 4);
	CHECK_EQ(stored(A, B).fenced_heir, C);
	agent_code = 0;
	CHECK_EQ(run(), 0);
	CHECK_EQ(agents, 2);
	CHECK_EQ(stored(A, B).upto, 5);
	CHECK_EQ(stored(A, B).fenced_upto, 5);
	CHECK_EQ(stored(A, B).fenced_heir, C);
}

static void still_damaged(void)
{
	struct tier_fence_record record;

	CHECK_EQ(tier_portal_read_fence(portal, A, B, &record), TIER_E_DAMAGED);
}

/* It may have said FENCED: nothing but FENCED is written over it. */
TEST(own_record_is_damaged)
{
	uint32_t sum;

	begin("damaged");
	store(three_fence(A, 2, B, 5, TIER_FENCE_FENCED, A));
	three_damage(portal, TIER_RECORD_FENCE, A, B, 3);
	sum = three_sum(portal);
	at_agent = still_damaged;
	agent_code = TIER_E_REFUSED;
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_STR(problem.text, "the agent says no");
	CHECK_EQ(three_sum(portal), sum);
	agent_code = 0;
	CHECK_EQ(run(), 0);
	CHECK_EQ(agents, 2);
	CHECK_EQ(stored(A, B).state, TIER_FENCE_FENCED);
	CHECK_EQ(stored(A, B).upto, 5);
	/* Whose VM it is hangs on the heir, too. */
	store_flight(5, TIER_FLIGHT_COMMITTED);
	three_damage(portal, TIER_RECORD_FENCE, A, B, 3);
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.next, "--heir");
	fencing.heir = A;
	CHECK_EQ(run(), 0);
}

TEST(other_records_are_damaged)
{
	uint32_t sum;

	begin("damaged-other");
	other_intends();
	three_damage(portal, TIER_RECORD_FENCE, C, B, 3);
	sum = three_sum(portal);
	CHECK_EQ(run(), TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "whether C has fenced B");
	CHECK_EQ(three_sum(portal), sum);
	CHECK_EQ(agents, 0);
	/* The target's own record: as far as others know it. */
	begin("damaged-host");
	store_flight(4, TIER_FLIGHT_COMMITTED);
	three_damage(portal, TIER_RECORD_HOST, B, 0, 3);
	CHECK_EQ(run(), 0);
	CHECK_EQ(stored(A, B).upto, 4);
}

TEST(dry_run)
{
	uint32_t sum;

	begin("dry");
	sum = three_sum(portal);
	fencing.end = NULL;
	CHECK_EQ(run(), 0);
	CHECK_EQ(result.state, TIER_FENCE_FENCED);
	CHECK_EQ(result.upto, 5);
	CHECK_EQ(result.heir, A);
	CHECK_EQ(three_sum(portal), sum);
	CHECK_STR(steps, "");
	other_intends();
	CHECK_EQ(run(), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "C is fencing it already");
}

/* ---- the beat ---------------------------------------------------------------------------------- */

static unsigned asked, beat_at, cancel_at;

static bool meanwhile(void *userdata)
{
	struct tier_host_record record;

	if (++asked == beat_at) {
		CHECK_EQ(tier_portal_read_host(portal, B, &record), 0);
		three_host(portal, B, record.stamp.incarnation, record.stamp.generation + 1);
	}
	return asked == cancel_at;
}

static int watch(unsigned beat, unsigned cancel)
{
	asked = 0;
	beat_at = beat;
	cancel_at = cancel;
	return tier_portal_silent(portal, B, meanwhile, NULL, &problem);
}

TEST(silence)
{
	uint64_t usec, start = now_usec();

	begin("silence");
	/* Three of its intervals are less than the least. */
	CHECK_EQ(tier_portal_silence_usec(portal, B, &usec), 0);
	CHECK_EQ(usec, 2000000);
	CHECK_EQ(watch(0, 0), 0);
	CHECK(now_usec() - start >= 2000000);
	CHECK_EQ(watch(4, 0), TIER_E_BUSY);
	CHECK_HAS(problem.text, "it is not powered off");
	CHECK_EQ(watch(0, 3), TIER_E_CANCELLED);
	CHECK_EQ(tier_portal_silent(portal, 3, NULL, NULL, &problem), -EINVAL);
	three_damage(portal, TIER_RECORD_HOST, B, 0, 3);
	CHECK_EQ(tier_portal_silence_usec(portal, B, &usec), 0);
	CHECK(usec > 9000000);
	portal = tier_portal_close(portal);
}
