/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every pair of records, and what may never be decided on it. The simulation plays their sequences. */
#include "test.h"
#include "tier-flight.h"
#include "util.h"

static const enum tier_flight_state offers[] = {
	TIER_FLIGHT_NONE,      TIER_FLIGHT_OFFERED, TIER_FLIGHT_PUBLISHED,
	TIER_FLIGHT_COMMITTED, TIER_FLIGHT_ABORTED, TIER_FLIGHT_CLOSED,
};
static const enum tier_flight_state answers[] = {
	TIER_FLIGHT_NONE,    TIER_FLIGHT_READY, TIER_FLIGHT_ACCEPTED,
	TIER_FLIGHT_RUNNING, TIER_FLIGHT_DONE,	TIER_FLIGHT_REFUSED,
};

struct pair {
	struct tier_offer offer;
	struct tier_answer answer;
};

static struct pair make_pair(enum tier_flight_state offer, enum tier_flight_state answer)
{
	return (struct pair){
		.offer = {.stamp = {.incarnation = 3, .generation = 5},
			  .flight = {.bytes = {1}},
			  .source = 0,
			  .destination = 1,
			  .destination_incarnation = 4,
			  .state = offer},
		.answer = {.stamp = {.incarnation = 4, .generation = 5},
			   .flight = {.bytes = {1}},
			   .source = 0,
			   .source_incarnation = 3,
			   .state = answer},
	};
}

#define FOR_EACH_PAIR(pair)                                                                        \
	for (size_t o_ = 0; o_ < ARRAY_SIZE(offers); o_++)                                         \
		for (size_t a_ = 0; a_ < ARRAY_SIZE(answers); a_++)                                \
			for (struct pair pair = make_pair(offers[o_], answers[a_]),                \
					 *once_ = &pair;                                           \
			     once_; once_ = NULL)

TEST(never_both_may_run)
{
	FOR_EACH_PAIR(pair)
	{
		CHECK(!(tier_handoff_source_may_run(&pair.offer, &pair.answer) &&
			tier_handoff_destination_may_run(&pair.offer, &pair.answer)));
	}
}

TEST(after_committed_only_refused_gives_the_vm_back)
{
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct pair pair = make_pair(TIER_FLIGHT_COMMITTED, answers[i]);
		struct tier_handoff_view view = {.offer = &pair.offer,
						 .answer = &pair.answer,
						 .cancelled = true,
						 .expired = true,
						 .vm_gone = true};
		enum tier_handoff_action action = tier_handoff_source(&view);

		CHECK(action != TIER_HANDOFF_ABORT);
		CHECK_EQ(action == TIER_HANDOFF_RESUME, answers[i] == TIER_FLIGHT_REFUSED);
		CHECK_EQ(tier_handoff_source_may_run(&pair.offer, &pair.answer),
			 answers[i] == TIER_FLIGHT_REFUSED);
	}
}

TEST(commits_only_on_accepted_by_the_one_addressed)
{
	FOR_EACH_PAIR(pair)
	{
		struct tier_handoff_view view = {.offer = &pair.offer, .answer = &pair.answer};
		bool commits = tier_handoff_source(&view) == TIER_HANDOFF_COMMIT;

		CHECK_EQ(commits, pair.offer.state == TIER_FLIGHT_PUBLISHED &&
					  pair.answer.state == TIER_FLIGHT_ACCEPTED);
		pair.answer.stamp.incarnation++;
		CHECK(tier_handoff_source(&view) != TIER_HANDOFF_COMMIT);
	}
}

TEST(runs_only_on_committed_after_accepted)
{
	FOR_EACH_PAIR(pair)
	{
		struct tier_handoff_view view = {.offer = &pair.offer, .answer = &pair.answer};

		CHECK_EQ(tier_handoff_destination(&view) == TIER_HANDOFF_RUN,
			 pair.offer.state == TIER_FLIGHT_COMMITTED &&
				 pair.answer.state == TIER_FLIGHT_ACCEPTED);
	}
}

/* Each field that ties an answer to its offer, changed alone, unties them. */
TEST(an_answer_to_something_else_counts_for_nothing)
{
	for (int field = 0; field < 4; field++) {
		struct pair pair = make_pair(TIER_FLIGHT_PUBLISHED, TIER_FLIGHT_ACCEPTED);
		struct tier_handoff_view view = {.offer = &pair.offer, .answer = &pair.answer};

		CHECK_EQ(tier_handoff_source(&view), TIER_HANDOFF_COMMIT);
		switch (field) {
		case 0:
			pair.answer.flight.bytes[15] ^= 1;
			break;
		case 1:
			pair.answer.stamp.generation--;
			break;
		case 2:
			pair.answer.source_incarnation++;
			break;
		case 3:
			pair.answer.source++;
			break;
		}
		CHECK_EQ(tier_handoff_source(&view), TIER_HANDOFF_WAIT);
		CHECK_EQ(tier_handoff_destination(&view), TIER_HANDOFF_REFUSE);
		pair.offer.state = TIER_FLIGHT_COMMITTED;
		CHECK(tier_handoff_destination(&view) != TIER_HANDOFF_RUN);
		pair.answer.state = TIER_FLIGHT_RUNNING;
		CHECK(!tier_handoff_destination_may_run(&pair.offer, &pair.answer));
	}
}

TEST(the_destination_gives_up_until_committed)
{
	for (size_t i = 0; i < 2; i++) {
		enum tier_flight_state state = i ? TIER_FLIGHT_ACCEPTED : TIER_FLIGHT_READY;
		struct pair pair = make_pair(TIER_FLIGHT_PUBLISHED, state);
		struct tier_handoff_view view = {
			.offer = &pair.offer, .answer = &pair.answer, .cancelled = true};

		CHECK_EQ(tier_handoff_destination(&view), TIER_HANDOFF_REFUSE);
		view.cancelled = false;
		view.expired = true;
		CHECK_EQ(tier_handoff_destination(&view), TIER_HANDOFF_REFUSE);
	}
	/* COMMITTED and a late cancellation: the VM is ours, so it runs. */
	struct pair pair = make_pair(TIER_FLIGHT_COMMITTED, TIER_FLIGHT_ACCEPTED);
	struct tier_handoff_view view = {
		.offer = &pair.offer, .answer = &pair.answer, .cancelled = true, .expired = true};

	CHECK_EQ(tier_handoff_destination(&view), TIER_HANDOFF_RUN);
	/* ... unless its process is gone: then the source may have it back. */
	view.vm_gone = true;
	CHECK_EQ(tier_handoff_destination(&view), TIER_HANDOFF_REFUSE);
}

TEST(a_destination_that_runs_early_is_never_run_beside)
{
	struct pair pair = make_pair(TIER_FLIGHT_PUBLISHED, TIER_FLIGHT_RUNNING);
	struct tier_handoff_view view = {
		.offer = &pair.offer, .answer = &pair.answer, .cancelled = true};

	CHECK_EQ(tier_handoff_source(&view), TIER_HANDOFF_HOLD);
	CHECK(!tier_handoff_source_may_run(&pair.offer, &pair.answer));
}

TEST(every_pair_has_advice)
{
	FOR_EACH_PAIR(pair)
	{
		CHECK(strlen(tier_handoff_advice(pair.offer.state, pair.answer.state)) > 5);
	}
}
