/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol's tables over every combination of what they look at: never does one set of records
 * allow two hosts to run the VM, and the host that may is the one that is named. Orders and crashes
 * are for the model and the simulation.
 */
#include "portal-fixture.h"
#include "tier-handoff.h"
#include "test.h"

enum { SOURCE, DESTINATION, THIRD, HOSTS };

#define S_BOOT 5
#define D_BOOT 7

/* Everything a record can say that a decision depends on. */
struct combination {
	enum tier_flight_state offer, destination, third;
	unsigned s_fence, d_fence; /* 0: none; 1: being fenced; 2: fenced */
	bool s_later, d_later;	   /* has booted again */
};

static struct tier_super super;

static struct tier_handoff_view view_of(const struct combination *c, uint32_t self)
{
	static const uint64_t boots[HOSTS] = {S_BOOT, D_BOOT, 3};
	struct tier_handoff_view view = {.self = self, .vm = TIER_VM_STOPPED};

	for (uint32_t host = 0; host < HOSTS; host++) {
		view.incarnations[host] = boots[host];
		view.fences[host].heir = TIER_PORTAL_NO_HOST;
	}
	view.incarnations[SOURCE] += c->s_later;
	view.incarnations[DESTINATION] += c->d_later;
	view.fences[SOURCE].intended = c->s_fence ? S_BOOT : 0;
	view.fences[SOURCE].fenced = c->s_fence == 2 ? S_BOOT : 0;
	view.fences[SOURCE].heir = c->s_fence == 2 ? THIRD : TIER_PORTAL_NO_HOST;
	view.fences[DESTINATION].intended = c->d_fence ? D_BOOT : 0;
	view.fences[DESTINATION].fenced = c->d_fence == 2 ? D_BOOT : 0;
	view.incarnation = view.incarnations[self];
	view.offer = (struct tier_offer){
		.stamp = {view.incarnations[SOURCE], 1, 1},
		.flight = fixture_flight,
		.source = SOURCE,
		.destination = DESTINATION,
		.state = c->offer,
		.source_incarnation = S_BOOT,
		.destination_incarnation = D_BOOT,
	};
	strcpy(view.offer.vm, "demo");
	view.answers[DESTINATION] =
		(struct tier_answer){.stamp = {D_BOOT, 1, 1}, .state = c->destination};
	view.answers[THIRD] = (struct tier_answer){.stamp = {3, 1, 1}, .state = c->third};
	if (c->destination == TIER_FLIGHT_NONE)
		view.answers[DESTINATION] = (struct tier_answer){};
	if (c->third == TIER_FLIGHT_NONE)
		view.answers[THIRD] = (struct tier_answer){};
	return view;
}

static bool has_step(const enum tier_handoff_step *plan, enum tier_handoff_step step)
{
	for (; *plan != TIER_STEP_END; plan++)
		if (*plan == step)
			return true;
	return false;
}

/* Would this side run the VM, with a process that has it and with none? */
static bool source_runs(const struct combination *c)
{
	struct tier_handoff_view view = view_of(c, SOURCE);
	bool runs =
		has_step(tier_handoff_source_plan(tier_handoff_source(&view)), TIER_STEP_RESUME_VM);

	view.vm = TIER_VM_NONE;
	view.recovering = true;
	return runs ||
	       has_step(tier_handoff_source_plan(tier_handoff_source(&view)), TIER_STEP_RESUME_VM);
}

static bool taker_runs(const struct combination *c, uint32_t self)
{
	struct tier_handoff_view view = view_of(c, self);
	enum tier_handoff_action action = tier_handoff_taker(&view);
	bool runs = has_step(tier_handoff_taker_plan(action), TIER_STEP_RESUME_VM);

	view.vm = TIER_VM_NONE;
	view.recovering = true;
	action = tier_handoff_taker(&view);
	return runs || action == TIER_HANDOFF_TAKE;
}

static void each(void (*visit)(const struct combination *c))
{
	static const enum tier_flight_state answers[] = {TIER_FLIGHT_NONE,     TIER_FLIGHT_READY,
							 TIER_FLIGHT_ACCEPTED, TIER_FLIGHT_RUNNING,
							 TIER_FLIGHT_DONE,     TIER_FLIGHT_REFUSED};
	struct combination c;

	for (c.offer = TIER_FLIGHT_NONE; c.offer <= TIER_FLIGHT_CLOSED; c.offer++)
		for (size_t d = 0; d < ARRAY_SIZE(answers); d++)
			for (size_t t = 0; t < ARRAY_SIZE(answers); t++)
				for (unsigned bits = 0; bits < 36; bits++) {
					c.destination = answers[d];
					c.third = answers[t];
					c.s_fence = bits % 3;
					c.d_fence = bits / 3 % 3;
					c.s_later = bits / 9 % 2;
					c.d_later = bits / 18;
					visit(&c);
				}
}

/* What hosts that keep to the rules can have stored, and a destination that runs too early. */
static bool possible(const struct combination *c)
{
	bool d_ran = c->destination == TIER_FLIGHT_RUNNING || c->destination == TIER_FLIGHT_DONE;
	bool whole = c->offer == TIER_FLIGHT_PUBLISHED || c->offer == TIER_FLIGHT_COMMITTED ||
		     c->offer == TIER_FLIGHT_CLOSED;

	if (d_ran && !whole && c->offer != TIER_FLIGHT_OFFERED)
		return false;
	return c->third == TIER_FLIGHT_NONE ||
	       (whole && c->s_fence == 2 &&
		(c->destination == TIER_FLIGHT_REFUSED || (c->d_fence == 2 && !d_ran)));
}

static unsigned combinations, running;

static void visit_runners(const struct combination *c)
{
	unsigned may = 0;

	if (!possible(c))
		return;
	may += source_runs(c);
	may += taker_runs(c, DESTINATION);
	may += taker_runs(c, THIRD);
	if (may > 1)
		FAIL("%s/%s/%s, fences %u %u, later %d %d: %u may run it",
		     tier_flight_state_name(c->offer), tier_flight_state_name(c->destination),
		     tier_flight_state_name(c->third), c->s_fence, c->d_fence, c->s_later,
		     c->d_later, may);
	combinations++;
	running += may;
}

TEST(never_two_may_run)
{
	each(visit_runners);
	CHECK(combinations > 1000);
	CHECK(running > 200);
}

/* Whoever may run it is the one that is named. */
static void visit_holders(const struct combination *c)
{
	struct tier_handoff_view view = view_of(c, SOURCE);
	struct tier_handoff_holder holder;
	char text[192];

	if (!possible(c))
		return;
	holder = tier_handoff_holder(&view);
	tier_handoff_advice(&super, &view, text);
	CHECK(text[0] && strlen(text) < sizeof(text));
	CHECK(holder.host < HOSTS || holder.host == TIER_PORTAL_NO_HOST);
	CHECK(holder.over == (c->offer == TIER_FLIGHT_NONE || c->offer == TIER_FLIGHT_ABORTED ||
			      c->offer == TIER_FLIGHT_CLOSED));
	if (holder.over || holder.conflict)
		return;
	if ((source_runs(c) && holder.host != SOURCE) ||
	    (taker_runs(c, DESTINATION) && holder.host != DESTINATION) ||
	    (taker_runs(c, THIRD) && holder.host != THIRD))
		FAIL("%s/%s/%s, fences %u %u, later %d %d: host %u is named",
		     tier_flight_state_name(c->offer), tier_flight_state_name(c->destination),
		     tier_flight_state_name(c->third), c->s_fence, c->d_fence, c->s_later,
		     c->d_later, holder.host);
}

TEST(whoever_may_run_it_is_named)
{
	static const char *const hosts[] = {"A", "B", "C"};

	CHECK_EQ(tier_super_plan("p", hosts, 3, 2 * GIB, 128 * MIB, &fixture_uuid, &super, NULL),
		 0);
	each(visit_holders);
}

TEST(a_fenced_host_only_ends_its_vm)
{
	struct combination c = {
		.offer = TIER_FLIGHT_COMMITTED, .destination = TIER_FLIGHT_ACCEPTED, .d_fence = 2};
	struct tier_handoff_view view = view_of(&c, DESTINATION);

	CHECK_EQ(tier_handoff_taker(&view), TIER_HANDOFF_DIE);
	c = (struct combination){.offer = TIER_FLIGHT_PUBLISHED, .s_fence = 2};
	view = view_of(&c, SOURCE);
	CHECK_EQ(tier_handoff_source(&view), TIER_HANDOFF_DIE);
	for (int action = 0; action < _TIER_HANDOFF_MAX; action++)
		if (action == TIER_HANDOFF_DIE) {
			CHECK_EQ(tier_handoff_source_plan(action)[0], TIER_STEP_END_VM);
			CHECK_EQ(tier_handoff_source_plan(action)[1], TIER_STEP_END);
		}
}

static int place(const enum tier_handoff_step *plan, enum tier_handoff_step step)
{
	for (int i = 0; i < TIER_HANDOFF_STEPS; i++)
		if (plan[i] == step)
			return i;
	return -1;
}

/* The orders that everything rests on. */
/* Whoever cancels a flight wants the VM; only settle is asked to give it up. */
static unsigned discarded;

static void visit_cancelled(const struct combination *c)
{
	struct tier_handoff_view view = view_of(c, SOURCE);

	for (unsigned bits = 0; bits < 4; bits++) {
		view.vm = bits & 1 ? TIER_VM_NONE : TIER_VM_STOPPED;
		view.failed = bits >> 1;
		for (unsigned how = 0; how < 4; how++) {
			view.cancelled = how & 1;
			view.recovering = how >> 1;
			if (tier_handoff_source(&view) != TIER_HANDOFF_DISCARD)
				continue;
			CHECK_EQ(how, 3);
			discarded++;
		}
	}
}

TEST(discarded_by_a_person_only)
{
	discarded = 0;
	each(visit_cancelled);
	CHECK(discarded > 0);
}

TEST(orders)
{
	const enum tier_handoff_step *plan = tier_handoff_source_plan(TIER_HANDOFF_WITHDRAW);

	CHECK(place(plan, TIER_STEP_STORE_WITHDRAWN) < place(plan, TIER_STEP_RESUME_VM));
	CHECK(place(plan, TIER_STEP_CLOSE_EXTENTS) < place(plan, TIER_STEP_STORE_ABORTED));
	plan = tier_handoff_source_plan(TIER_HANDOFF_PUBLISH);
	CHECK(place(plan, TIER_STEP_PAUSE_VM) < place(plan, TIER_STEP_PUT_VM));
	CHECK(place(plan, TIER_STEP_PUT_VM) < place(plan, TIER_STEP_STORE_PUBLISHED));
	plan = tier_handoff_source_plan(TIER_HANDOFF_COMMIT);
	CHECK(place(plan, TIER_STEP_CHECK_PLACEMENT) < place(plan, TIER_STEP_STORE_COMMITTED));
	plan = tier_handoff_taker_plan(TIER_HANDOFF_RUN);
	CHECK(place(plan, TIER_STEP_STORE_RUNNING) < place(plan, TIER_STEP_RESUME_VM));
	CHECK(place(plan, TIER_STEP_CLOSE_EXTENTS) < place(plan, TIER_STEP_STORE_DONE));
	plan = tier_handoff_taker_plan(TIER_HANDOFF_REFUSE);
	CHECK(place(plan, TIER_STEP_END_VM) < place(plan, TIER_STEP_STORE_REFUSED));
	plan = tier_handoff_home_plan(TIER_HANDOFF_RECLAIM);
	CHECK(place(plan, TIER_STEP_ZERO) < place(plan, TIER_STEP_STORE_FREE));
	CHECK(place(plan, TIER_STEP_STORE_SCRUB) < place(plan, TIER_STEP_ZERO));
}

TEST(homes)
{
	struct tier_handoff_extent extent = {.state = TIER_EXTENT_FREE};

	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_KEEP);
	extent.wanted = true;
	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_GRANT);
	extent = (struct tier_handoff_extent){
		.state = TIER_EXTENT_CLAIMED, .offer = TIER_FLIGHT_PUBLISHED, .listed = true};
	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_KEEP);
	extent.owner_dead = true;
	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_KEEP);
	extent.listed = false;
	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_RECLAIM);
	extent.unreadable = true;
	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_KEEP);
	extent = (struct tier_handoff_extent){.state = TIER_EXTENT_CLAIMED,
					      .offer = TIER_FLIGHT_REQUESTED};
	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_KEEP);
	extent.owner_dead = true;
	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_RECLAIM);
	extent.state = TIER_EXTENT_SCRUB;
	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_SCRUB);
	extent.state = TIER_EXTENT_RETIRED;
	extent.wanted = true;
	CHECK_EQ(tier_handoff_home(&extent), TIER_HANDOFF_KEEP);
}

TEST(fencers)
{
	struct tier_handoff_fencing f = {};

	CHECK_EQ(tier_handoff_fencer(&f), TIER_HANDOFF_INTEND);
	f.other = true;
	CHECK_EQ(tier_handoff_fencer(&f), TIER_HANDOFF_OVER);
	f = (struct tier_handoff_fencing){.state = TIER_FENCE_INTENT};
	CHECK_EQ(tier_handoff_fencer(&f), TIER_HANDOFF_ASK);
	f.other = true;
	CHECK_EQ(tier_handoff_fencer(&f), TIER_HANDOFF_RETRACT);
	f.other = false;
	f.target_newer = true;
	CHECK_EQ(tier_handoff_fencer(&f), TIER_HANDOFF_INTEND);
	f.agent_ok = true;
	CHECK_EQ(tier_handoff_fencer(&f), TIER_HANDOFF_CONFIRM);
	f.agent_ok = false;
	f.agent_failed = true;
	CHECK_EQ(tier_handoff_fencer(&f), TIER_HANDOFF_RETRACT);
	f.state = TIER_FENCE_RETRACTED;
	CHECK_EQ(tier_handoff_fencer(&f), TIER_HANDOFF_OVER);
	f.self_fenced = true;
	CHECK_EQ(tier_handoff_fencer(&f), TIER_HANDOFF_DIE);
}

TEST(names)
{
	CHECK_STR(tier_handoff_action_name(TIER_HANDOFF_BACK_OUT), "BACK_OUT");
	CHECK_STR(tier_handoff_action_name(99), "?");
	CHECK_STR(tier_handoff_step_name(TIER_STEP_STORE_COMMITTED), "STORE_COMMITTED");
	CHECK_STR(tier_handoff_step_name(99), "?");
	for (int i = 0; i < _TIER_HANDOFF_MAX; i++)
		CHECK(tier_handoff_action_name(i) && tier_handoff_action_name(i)[0] != '?');
	for (int i = 0; i < _TIER_STEP_MAX; i++)
		CHECK(tier_handoff_step_name(i) && tier_handoff_step_name(i)[0] != '?');
}
