/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/tiering-kernel.c, tiering-knobs.c, tiering-mechanism.c */
#include "test.h"
#include "tier-tiering-kernel.h"
#include "util.h"

#define PROMOTES(mbps) (&(struct tier_knobs_wish){.promotes = true, .limit_mbps = (mbps)})
#define DEMOTES	       (&(struct tier_knobs_wish){})

#define SECOND UINT64_C(1000000)
#define LOOK   (10 * SECOND)

static struct tier_problem problem;

/* A kernel that promotes what is hot on slow nodes, as fast as it may, and demotes as much when DRAM is full. */
struct machine {
	struct tier_traffic traffic;
	struct tier_limit_state state;
	struct tier_limit_step step;
	struct tier_limit_policy policy;
	uint64_t hot_mib;    /* in all */
	uint64_t placed_mib; /* in DRAM */
	uint64_t free_mib;
	unsigned pace_mbps; /* of the processors */
	uint64_t moved_mib;
	unsigned lowered, raised;
};

static void look(struct machine *m)
{
	uint64_t room = m->policy.fast_bytes >> 20;
	uint64_t can = (uint64_t)MIN(m->step.limit_mbps, m->pace_mbps) * (LOOK / SECOND);
	uint64_t fits = MIN(m->hot_mib, room);
	/* With more that is hot than there is room, what has gone is wanted again at once. */
	uint64_t promoted = m->hot_mib > room ? can : MIN(can, fits - m->placed_mib);
	uint64_t demoted = promoted > m->free_mib ? promoted - m->free_mib : 0;

	m->free_mib -= promoted - demoted;
	m->placed_mib = MIN(m->placed_mib + promoted, fits);
	m->moved_mib += promoted;
	m->traffic.now_usec += LOOK;
	m->traffic.promoted_bytes += promoted * MIB;
	m->traffic.demoted_bytes += demoted * MIB;
	tier_limit_next(&m->policy, &m->traffic, &m->state, &m->step);
	m->lowered += m->step.reason == TIER_LIMIT_LOWERED;
	m->raised += m->step.reason == TIER_LIMIT_RAISED;
	CHECK(m->step.limit_mbps >= 1 && m->step.limit_mbps <= m->policy.max_mbps);
}

static struct machine machine_new(uint64_t fast_mib, uint64_t hot_mib)
{
	struct machine m = {
		.policy = {65536, fast_mib * MIB},
		.hot_mib = hot_mib,
		.pace_mbps = 400,
		.traffic.now_usec = 77,
	};

	tier_limit_next(&m.policy, &m.traffic, &m.state, &m.step);
	CHECK_EQ(m.step.reason, TIER_LIMIT_FIRST);
	CHECK_EQ(m.step.limit_mbps, 65536);
	return m;
}

/* As long as it takes, and with as much demoted: it ends by itself. */
TEST(a_hot_set_that_fits_is_fetched)
{
	struct machine m = machine_new(65536, 12000);

	for (int i = 0; i < 60; i++)
		look(&m);
	CHECK_EQ(m.placed_mib, 12000);
	CHECK_EQ(m.lowered, 0);
	CHECK_EQ(m.step.limit_mbps, 65536);
	CHECK_EQ(m.step.reason, TIER_LIMIT_QUIET);
}

TEST(more_is_hot_than_there_is_room_for)
{
	struct machine m = machine_new(4096, 16384);
	uint64_t before;

	for (int i = 0; i < 12; i++)
		look(&m);
	CHECK(m.lowered >= 1);
	CHECK(m.step.limit_mbps <= 200);
	for (int i = 0; i < 360; i++)
		look(&m);
	/* In the long run what moves is a trifle, but for a try now and then. */
	before = m.moved_mib;
	for (int i = 0; i < 360; i++)
		look(&m);
	if (m.moved_mib - before > 3600 * 40)
		FAIL("%" PRIu64 " MiB in an hour", m.moved_mib - before);
	CHECK(m.raised >= 1);
	CHECK(m.lowered >= 2);
}

/* The room, or what is hot, has changed. */
TEST(the_limit_rises_again)
{
	struct machine m = machine_new(4096, 16384);
	unsigned changes = 0, last;

	for (int i = 0; i < 60; i++)
		look(&m);
	CHECK(m.step.limit_mbps < 400);
	m.hot_mib = 1500;
	m.placed_mib = 0;
	m.lowered = 0;
	last = m.step.limit_mbps;
	for (int i = 0; i < 3000; i++) {
		look(&m);
		/* What had bounced until then may still count, once. */
		CHECK(m.step.limit_mbps >= last || m.lowered == 1);
		/* By steps, each for at least a minute. */
		changes += m.step.limit_mbps != last;
		CHECK(m.step.limit_mbps <= 2 * last || m.step.limit_mbps == 65536);
		last = m.step.limit_mbps;
	}
	CHECK_EQ(m.step.limit_mbps, 65536);
	CHECK(changes >= 7);
	CHECK_EQ(m.placed_mib, 1500);
}

/* Each try that fails makes the next one later. */
TEST(tries_become_rare)
{
	struct machine m = machine_new(1024, 16384);
	unsigned early, late;

	for (int i = 0; i < 180; i++)
		look(&m);
	early = m.raised;
	for (int i = 0; i < 1800; i++)
		look(&m);
	m.raised = 0;
	for (int i = 0; i < 180; i++)
		look(&m);
	late = m.raised;
	if (late >= early)
		FAIL("%u tries, then %u", early, late);
}

TEST(what_is_demoted_for_others_is_no_bouncing)
{
	struct machine m = machine_new(1024, 0);

	/* Programs allocate, and the cold makes room. */
	for (int i = 0; i < 60; i++) {
		m.traffic.now_usec += LOOK;
		m.traffic.demoted_bytes += 500 * MIB * 10;
		m.traffic.promoted_bytes += MIB;
		tier_limit_next(&m.policy, &m.traffic, &m.state, &m.step);
		CHECK_EQ(m.step.limit_mbps, 65536);
	}
	/* And with free memory nothing needs to go. */
	m = machine_new(65536, 4096);
	for (int i = 0; i < 60; i++) {
		m.traffic.now_usec += LOOK;
		m.traffic.promoted_bytes += 500 * MIB * 10;
		tier_limit_next(&m.policy, &m.traffic, &m.state, &m.step);
		CHECK_EQ(m.step.limit_mbps, 65536);
	}
}

TEST(what_becomes_less_is_no_bouncing)
{
	struct machine m = machine_new(512, 0);

	for (uint64_t mbps = 800; mbps >= 16; mbps /= 2) {
		m.traffic.now_usec += LOOK;
		m.traffic.demoted_bytes += mbps * 10 * MIB;
		m.traffic.promoted_bytes += mbps * 10 * MIB;
		tier_limit_next(&m.policy, &m.traffic, &m.state, &m.step);
		CHECK_EQ(m.step.limit_mbps, 65536);
	}
}

TEST(another_greatest_limit_begins_anew)
{
	struct machine m = machine_new(4096, 16384);

	for (int i = 0; i < 60; i++)
		look(&m);
	CHECK(m.step.limit_mbps < 400);
	m.policy.max_mbps = 64;
	look(&m);
	CHECK_EQ(m.step.limit_mbps, 64);
	/* A clock and counters that go backwards. */
	m.traffic.now_usec = 5;
	tier_limit_next(&m.policy, &m.traffic, &m.state, &m.step);
	CHECK_EQ(m.step.reason, TIER_LIMIT_FIRST);
	m.traffic = (struct tier_traffic){.now_usec = 5 + LOOK};
	tier_limit_next(&m.policy, &m.traffic, &m.state, &m.step);
	CHECK_EQ(m.step.promoted_mbps, 0);
	m.traffic = (struct tier_traffic){6 + LOOK, UINT64_MAX, UINT64_MAX};
	tier_limit_next(&m.policy, &m.traffic, &m.state, &m.step);
	CHECK_EQ(m.step.limit_mbps, 64);
	/* Hardly any time has passed. */
	CHECK_EQ(m.step.promoted_mbps, 0);
}

TEST(names_of_reasons)
{
	for (int i = 0; i <= TIER_LIMIT_RAISED; i++)
		CHECK(strcmp(tier_limit_reason_name((enum tier_limit_reason)i), "unknown") != 0);
	CHECK_STR(tier_limit_reason_name(99), "unknown");
	CHECK_STR(tier_mechanism_name(TIER_MECHANISM_KERNEL), "kernel");
	CHECK_STR(tier_mechanism_name(99), "unknown");
	CHECK_STR(tier_knob_name(99), "unknown");
}

TEST(what_the_kernel_counts)
{
	static const char text[] = "nr_free_pages 7\npgpromote_success 10\npgpromote_candidate 99\n"
				   "pgdemote_kswapd 1\npgdemote_direct 2\npgdemote_khugepaged 3\n"
				   "pgdemote_proactive 4\nlast 5";
	struct tier_traffic traffic = {.now_usec = 3};

	CHECK_EQ(tier_traffic_parse(text, 4096, &traffic), 0);
	CHECK_EQ(traffic.now_usec, 3);
	CHECK_EQ(traffic.promoted_bytes, 10 * 4096);
	CHECK_EQ(traffic.demoted_bytes, 10 * 4096);
	CHECK_EQ(tier_traffic_parse("pgpromote_success 1\n", 4096, &traffic), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_traffic_parse("pgdemote_direct 1\npgdemote_", 4096, &traffic),
		 TIER_E_NOT_FOUND);
	CHECK_EQ(tier_traffic_parse("", 4096, &traffic), TIER_E_NOT_FOUND);
	CHECK_EQ(traffic.promoted_bytes, 10 * 4096);
}

TEST(settings_are_switched_on_and_followed)
{
	unsigned present[TIER_KNOBS] = {65536, 0, 1};
	struct tier_knobs_saved saved = {};
	bool writes[TIER_KNOBS];

	tier_knobs_plan(present, PROMOTES(0), &saved, writes);
	CHECK(!writes[TIER_KNOB_LIMIT] && writes[TIER_KNOB_DEMOTION] &&
	      writes[TIER_KNOB_BALANCING]);
	/* Balancing among nodes of a kind stays on. */
	CHECK_EQ(saved.knobs[TIER_KNOB_BALANCING].next, 3);
	CHECK_EQ(saved.knobs[TIER_KNOB_BALANCING].before, 1);
	CHECK(!saved.knobs[TIER_KNOB_LIMIT].ours);
	present[TIER_KNOB_DEMOTION] = 1;
	present[TIER_KNOB_BALANCING] = 3;
	tier_knobs_plan(present, PROMOTES(100), &saved, writes);
	CHECK(writes[TIER_KNOB_LIMIT] && !writes[TIER_KNOB_DEMOTION]);
	present[TIER_KNOB_LIMIT] = 100;
	tier_knobs_plan(present, PROMOTES(50), &saved, writes);
	CHECK_EQ(saved.knobs[TIER_KNOB_LIMIT].before, 65536);
	CHECK_EQ(saved.knobs[TIER_KNOB_LIMIT].written, 100);
	CHECK_EQ(saved.knobs[TIER_KNOB_LIMIT].next, 50);
	/* That one was not written: it is still ours. */
	tier_knobs_plan(present, PROMOTES(0), &saved, writes);
	CHECK(!saved.knobs[TIER_KNOB_LIMIT].foreign);
	CHECK_EQ(saved.knobs[TIER_KNOB_LIMIT].next, 65536);
	CHECK(writes[TIER_KNOB_LIMIT]);
}

TEST(demotion_alone)
{
	unsigned present[TIER_KNOBS] = {65536, 0, 1};
	struct tier_knobs_saved saved = {};
	bool writes[TIER_KNOBS];

	tier_knobs_plan(present, DEMOTES, &saved, writes);
	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++) {
		CHECK_EQ(writes[knob], knob == TIER_KNOB_DEMOTION);
		CHECK_EQ(saved.knobs[knob].seen, knob == TIER_KNOB_DEMOTION);
	}
	present[TIER_KNOB_DEMOTION] = 1;
	/* Nobody has asked about that. */
	present[TIER_KNOB_BALANCING] = 2;
	tier_knobs_plan(present, DEMOTES, &saved, writes);
	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++)
		CHECK(!writes[knob] && !saved.knobs[knob].foreign);
}

TEST(what_somebody_else_has_written_stays)
{
	unsigned present[TIER_KNOBS] = {65536, 1, 2};
	struct tier_knobs_saved saved = {};
	bool writes[TIER_KNOBS];

	/* It is on already: nothing is ours. */
	tier_knobs_plan(present, PROMOTES(0), &saved, writes);
	for (int i = 0; i < TIER_KNOBS; i++)
		CHECK(!writes[i] && !saved.knobs[i].ours && saved.knobs[i].seen);
	/* Whoever has switched it on may switch it off. */
	present[TIER_KNOB_BALANCING] = 0;
	tier_knobs_plan(present, PROMOTES(0), &saved, writes);
	CHECK(!writes[TIER_KNOB_BALANCING] && saved.knobs[TIER_KNOB_BALANCING].foreign);

	saved = (struct tier_knobs_saved){};
	present[TIER_KNOB_DEMOTION] = 0;
	tier_knobs_plan(present, PROMOTES(64), &saved, writes);
	present[TIER_KNOB_DEMOTION] = 1;
	present[TIER_KNOB_LIMIT] = 64;
	present[TIER_KNOB_BALANCING] = 2;
	tier_knobs_plan(present, PROMOTES(64), &saved, writes);
	CHECK(saved.knobs[TIER_KNOB_DEMOTION].ours);
	/* Off again, as it was before us, but not by us. */
	present[TIER_KNOB_DEMOTION] = 0;
	present[TIER_KNOB_LIMIT] = 4000;
	for (int i = 0; i < 3; i++) {
		tier_knobs_plan(present, PROMOTES(32), &saved, writes);
		CHECK(!writes[TIER_KNOB_DEMOTION] && !writes[TIER_KNOB_LIMIT] &&
		      !writes[TIER_KNOB_BALANCING]);
		CHECK(saved.knobs[TIER_KNOB_DEMOTION].foreign &&
		      saved.knobs[TIER_KNOB_LIMIT].foreign);
		CHECK(!saved.knobs[TIER_KNOB_DEMOTION].ours && !saved.knobs[TIER_KNOB_LIMIT].ours);
	}
}

TEST(notes_are_read_as_they_were_written)
{
	static const char *const damaged[] = {
		"",
		"numa_balancing 0 2 2",
		"numa_balancing 0 2\n",
		"numa_balancing 0 2 2 2\n",
		"numa_balancing 0 2 2\nnuma_balancing 0 2 2\n",
		"numa_balancing 0 2 -1\n",
		"numa_balancing 0 2 2147483648\n",
		"numa_balancing 0 2 x\n",
		"sched_latency 0 2 2\n",
		"\n",
		"numa_balancing 0 2 99999999999999999999999999999\n",
	};
	struct tier_knobs_saved saved = {.knobs = {{true, false, true, 65536, 64, 32},
						   {},
						   {true, false, true, 1, 1, 3}}},
				back;
	char *text = NULL;

	CHECK_EQ(tier_knobs_format(&saved, &text), 0);
	CHECK_STR(text,
		  "numa_balancing_promote_rate_limit_MBps 65536 64 32\nnuma_balancing 1 1 3\n");
	CHECK_EQ(tier_knobs_parse(text, &back), 0);
	free(text);
	for (int i = 0; i < TIER_KNOBS; i++) {
		CHECK_EQ(back.knobs[i].ours, saved.knobs[i].ours);
		CHECK_EQ(back.knobs[i].before, saved.knobs[i].before);
		CHECK_EQ(back.knobs[i].written, saved.knobs[i].written);
		CHECK_EQ(back.knobs[i].next, saved.knobs[i].next);
	}
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++)
		if (tier_knobs_parse(damaged[i], &back) != TIER_E_DAMAGED)
			FAIL("\"%s\" is taken", damaged[i]);
}

static struct tier_mechanism_state state;
static struct tier_mechanism_choice choice;
static struct tier_problem no_damon = {.text = "no damon"}, no_kernel = {.text = "no kernel"};

static int idle_code = TIER_E_NOT_FOUND;
static const struct tier_problem no_idle = {.text = "no idle"};

static enum tier_mechanism choose(enum tier_tiering_by wanted, uint64_t seconds, int damon,
				  int kernel)
{
	struct tier_mechanism_input input = {
		.wanted = wanted,
		.now_usec = seconds * SECOND,
		.damon = damon,
		.kernel = kernel,
		.damon_problem = damon ? &no_damon : NULL,
		.kernel_problem = kernel ? &no_kernel : NULL,
		.idle = idle_code,
		.idle_problem = idle_code ? &no_idle : NULL,
	};

	tier_mechanism_choose(&input, &state, &choice);
	return choice.mechanism;
}

#define AUTO TIER_TIERING_BY_AUTO

TEST(damon_where_it_can)
{
	state = (struct tier_mechanism_state){};
	CHECK_EQ(choose(AUTO, 0, 0, 0), TIER_MECHANISM_DAMON);
	CHECK_STR(choice.reason, "");
	/* Without the kernel's tiering, too, and through trouble. */
	CHECK_EQ(choose(AUTO, 1, 0, TIER_E_NOT_FOUND), TIER_MECHANISM_DAMON);
	CHECK_EQ(choose(AUTO, 9999, TIER_E_BUSY, TIER_E_NOT_FOUND), TIER_MECHANISM_DAMON);
	CHECK_EQ(choose(AUTO, 9999, TIER_E_NOT_FOUND, TIER_E_NOT_FOUND), TIER_MECHANISM_NONE);
	CHECK_STR(choice.reason,
		  "not by DAMON: no damon; nor by the kernel: no kernel; nor by idle page "
		  "tracking: no idle");
}

TEST(the_kernel_where_damon_cannot_at_all)
{
	static const int codes[] = {TIER_E_NOT_FOUND, TIER_E_REFUSED};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		state = (struct tier_mechanism_state){};
		CHECK_EQ(choose(AUTO, 5, codes[i], 0), TIER_MECHANISM_KERNEL);
		CHECK_STR(choice.reason, "not by DAMON: no damon");
		/* When a node has gone, say, after a minute. */
		CHECK_EQ(choose(AUTO, 1000, 0, 0), TIER_MECHANISM_KERNEL);
		CHECK_HAS(choice.reason, "a moment ago");
		CHECK_EQ(choose(AUTO, 1059, 0, 0), TIER_MECHANISM_KERNEL);
		CHECK_EQ(choose(AUTO, 1060, 0, 0), TIER_MECHANISM_DAMON);
		CHECK_EQ(choose(AUTO, 1061, codes[i], 0), TIER_MECHANISM_KERNEL);
	}
}

TEST(not_for_a_moments_trouble)
{
	state = (struct tier_mechanism_state){};
	CHECK_EQ(choose(AUTO, 0, TIER_E_BUSY, 0), TIER_MECHANISM_DAMON);
	CHECK_EQ(choose(AUTO, 200, TIER_E_BUSY, 0), TIER_MECHANISM_DAMON);
	CHECK_EQ(choose(AUTO, 250, 0, 0), TIER_MECHANISM_DAMON);
	CHECK_EQ(choose(AUTO, 280, -EINVAL, 0), TIER_MECHANISM_DAMON);
	CHECK_EQ(choose(AUTO, 579, TIER_E_BUSY, 0), TIER_MECHANISM_DAMON);
	CHECK_EQ(choose(AUTO, 580, TIER_E_BUSY, 0), TIER_MECHANISM_KERNEL);
	CHECK_STR(choice.reason, "not by DAMON: no damon");
	/* Free, busy, free. */
	CHECK_EQ(choose(AUTO, 600, 0, 0), TIER_MECHANISM_KERNEL);
	CHECK_EQ(choose(AUTO, 650, TIER_E_BUSY, 0), TIER_MECHANISM_KERNEL);
	CHECK_EQ(choose(AUTO, 700, 0, 0), TIER_MECHANISM_KERNEL);
	CHECK_EQ(choose(AUTO, 759, 0, 0), TIER_MECHANISM_KERNEL);
	CHECK_EQ(choose(AUTO, 760, 0, 0), TIER_MECHANISM_DAMON);
}

/* A map of an hour is no reason to begin something else. */
TEST(who_is_known_to_end_is_waited_for)
{
	struct tier_mechanism_input input = {
		.wanted = AUTO, .damon = TIER_E_BUSY, .damon_problem = &no_damon, .passing = true};

	state = (struct tier_mechanism_state){};
	CHECK_EQ(choose(AUTO, 0, 0, 0), TIER_MECHANISM_DAMON);
	for (uint64_t now = 1; now < 3600; now++) {
		input.now_usec = now * SECOND;
		tier_mechanism_choose(&input, &state, &choice);
		CHECK_EQ(choice.mechanism, TIER_MECHANISM_DAMON);
	}
	CHECK_EQ(choose(AUTO, 3600, TIER_E_BUSY, 0), TIER_MECHANISM_DAMON);
	CHECK_EQ(choose(AUTO, 3900, TIER_E_BUSY, 0), TIER_MECHANISM_KERNEL);
}

TEST(changing_over_becomes_rare)
{
	uint64_t now = 0, waited = 0;

	state = (struct tier_mechanism_state){};
	CHECK_EQ(choose(AUTO, now, 0, 0), TIER_MECHANISM_DAMON);
	for (int i = 0; i < 10; i++) {
		uint64_t begin = ++now;

		while (choose(AUTO, now, TIER_E_BUSY, 0) == TIER_MECHANISM_DAMON)
			now++;
		CHECK_EQ(now - begin, 300);
		begin = ++now;
		while (choose(AUTO, now, 0, 0) == TIER_MECHANISM_KERNEL)
			now++;
		CHECK_EQ(now - begin, i == 0 ? 60 : MIN(2 * waited, 3600));
		waited = now - begin;
	}
}

TEST(the_configuration_says_which)
{
	state = (struct tier_mechanism_state){};
	CHECK_EQ(choose(TIER_TIERING_BY_KERNEL, 0, 0, 0), TIER_MECHANISM_KERNEL);
	CHECK_STR(choice.reason, "Mechanism=kernel");
	CHECK_EQ(choose(TIER_TIERING_BY_KERNEL, 1000, 0, TIER_E_REFUSED), TIER_MECHANISM_NONE);
	CHECK_STR(choice.reason, "no kernel");
	CHECK_EQ(choose(TIER_TIERING_BY_DAMON, 1000, TIER_E_NOT_FOUND, 0), TIER_MECHANISM_DAMON);
}

TEST(idle_page_tracking_last)
{
	state = (struct tier_mechanism_state){};
	idle_code = 0;
	CHECK_EQ(choose(AUTO, 0, TIER_E_NOT_FOUND, 0), TIER_MECHANISM_KERNEL);
	CHECK_EQ(choose(AUTO, 1, TIER_E_NOT_FOUND, TIER_E_REFUSED), TIER_MECHANISM_IDLE);
	CHECK_HAS(choice.reason, "not by DAMON: ");
	CHECK_HAS(choice.reason, "; nor by the kernel: ");
	/* The kernel at once, DAMON when it can for a minute. */
	CHECK_EQ(choose(AUTO, 2, TIER_E_NOT_FOUND, 0), TIER_MECHANISM_KERNEL);
	CHECK_EQ(choose(AUTO, 3, TIER_E_BUSY, TIER_E_REFUSED), TIER_MECHANISM_IDLE);
	CHECK_EQ(choose(AUTO, 100, 0, TIER_E_REFUSED), TIER_MECHANISM_IDLE);
	CHECK_EQ(choose(AUTO, 160, 0, TIER_E_REFUSED), TIER_MECHANISM_DAMON);
	/* Trouble is waited for, as beside the kernel's. */
	CHECK_EQ(choose(AUTO, 200, TIER_E_BUSY, TIER_E_REFUSED), TIER_MECHANISM_DAMON);
	CHECK_EQ(choose(AUTO, 501, TIER_E_BUSY, TIER_E_REFUSED), TIER_MECHANISM_IDLE);
	state = (struct tier_mechanism_state){};
	CHECK_EQ(choose(TIER_TIERING_BY_IDLE, 0, 0, 0), TIER_MECHANISM_IDLE);
	CHECK_STR(choice.reason, "Mechanism=idle");
	CHECK_EQ(choose(TIER_TIERING_BY_KERNEL, 0, 0, TIER_E_REFUSED), TIER_MECHANISM_NONE);
	CHECK_STR(choice.reason, no_kernel.text);
	idle_code = TIER_E_NOT_FOUND;
	CHECK_EQ(choose(TIER_TIERING_BY_IDLE, 0, 0, 0), TIER_MECHANISM_NONE);
	CHECK_STR(choice.reason, "no idle");
	CHECK_STR(tier_mechanism_name(TIER_MECHANISM_IDLE), "idle");
}

TEST(nodes_for_the_kernel)
{
	struct tier_node array[] = {
		{.id = 0, .has_cpu = true, .has_memory = true, .total_bytes = GIB},
		{.id = 1, .has_cpu = true, .has_memory = true, .total_bytes = GIB},
		{.id = 2, .has_memory = true, .total_bytes = GIB, .type = TIER_MEMORY_LOCAL},
		{.id = 3, .has_memory = true, .total_bytes = GIB},
		{.id = 4, .has_memory = true, .total_bytes = GIB, .type = TIER_MEMORY_SWITCHED},
		{.id = 99, .has_memory = true, .total_bytes = GIB, .type = TIER_MEMORY_SHARED},
	};
	struct tier_topology topology = {.nodes = array, .node_count = 4};

	/* Several of each kind. */
	CHECK_EQ(tier_tiering_kernel_nodes(&topology, &problem), 0);
	topology.node_count = 2;
	CHECK_EQ(tier_tiering_kernel_nodes(&topology, &problem), TIER_E_NOT_FOUND);
	CHECK_HAS(problem.text, "without processors");
	array[2].total_bytes = array[3].total_bytes = 0;
	topology.node_count = 4;
	CHECK_EQ(tier_tiering_kernel_nodes(&topology, &problem), TIER_E_NOT_FOUND);
	array[2].total_bytes = GIB;
	/* What this kernel would demote to. */
	for (size_t count = 5; count <= 6; count++) {
		topology.node_count = count;
		array[count - 1].type_by_kernel = false;
		CHECK_EQ(tier_tiering_kernel_nodes(&topology, &problem), TIER_E_REFUSED);
		CHECK_HAS(problem.text, count == 5 ? "node4" : "node99");
		array[count - 1].type_by_kernel = true;
		CHECK_EQ(tier_tiering_kernel_nodes(&topology, &problem), 0);
	}
	/* Offline it is no danger. */
	array[4].type_by_kernel = false;
	array[4].total_bytes = 0;
	CHECK_EQ(tier_tiering_kernel_nodes(&topology, &problem), 0);
}
