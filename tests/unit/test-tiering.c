/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tiering-model.h"
#include "tiering-mapping.h"

#define PAGES 20000
#define FAST  5000

/* Hot pages in a row have one rate, all others another. */
static void contiguous(struct model *m, size_t from, size_t hot, double hot_rate, double cold_rate)
{
	for (size_t i = 0; i < m->count; i++)
		m->pages[i].rate = i >= from && i < from + hot ? hot_rate : cold_rate;
}

/* How many of the pages with the greatest rate are not on the fast node. */
static uint64_t misplaced(const struct model *m, double least_rate)
{
	uint64_t count = 0;

	for (size_t i = 0; i < m->count; i++)
		count += m->pages[i].rate >= least_rate && !m->pages[i].fast;
	return count;
}

/* Something else becomes hot, twice. */
struct changes {
	unsigned seeds;
	size_t hot;
	double hot_rate, cold_rate;
	uint64_t stutter_usec;
};

struct changed {
	unsigned good, phases; /* with 90 % of the ideal in the end */
	double worst;	       /* of the ideal, in the end */
	double moves;	       /* for one that was necessary, at most */
	double mean_sec,
		max_sec; /* until 90 % of the ideal are there again; what never is takes 120 s */
};

static struct changed change(const struct changes *changes)
{
	struct changed ret = {.worst = 1};

	for (uint64_t seed = 1; seed <= changes->seeds; seed++) {
		struct model m;
		uint64_t necessary = 0;

		model_init(&m, PAGES, FAST, seed);
		m.stutter_usec = changes->stutter_usec;
		for (size_t phase = 0; phase < 3; phase++) {
			double took, share;

			contiguous(&m, 15000 - phase * 6000, changes->hot, changes->hot_rate,
				   changes->cold_rate);
			necessary += 2 * misplaced(&m, changes->hot_rate);
			took = model_run(&m, 120, 0.9, false);
			took = took < 0 ? 120 : took;
			share = model_share(&m) / model_ideal(&m);
			ret.phases++;
			ret.good += share >= 0.9;
			ret.worst = MIN(ret.worst, share);
			/* In the first one it does not know its window yet. */
			ret.mean_sec += phase ? took / (2 * changes->seeds) : 0;
			ret.max_sec = MAX(ret.max_sec, phase ? took : 0);
		}
		ret.moves = MAX(ret.moves, (double)m.moves / (double)necessary);
		model_done(&m);
	}
	return ret;
}

TEST(what_is_hot_is_fetched_and_then_what_becomes_hot)
{
	struct changed changed = change(&(struct changes){10, 4000, 10, 0.025, 0});

	printf("# %u of %u phases reach 90 %% of the ideal, at most %.2f moves for one that was "
	       "necessary\n",
	       changed.good, changed.phases, changed.moves);
	CHECK(changed.good >= 28);
	CHECK(changed.moves < 1.3);
}

struct recovery {
	struct changes changes;
	double mean_limit, moves_limit, least;
};

static void recover(const struct recovery *recovery)
{
	const struct changes *changes = &recovery->changes;
	struct changed changed = change(changes);

	printf("# hot pages touched %.1f times a second, others %.2f, in fits of %.1f s: recovered "
	       "after %.0f s on average, %.0f s at most; at least %.0f %% in the end, at most %.2f "
	       "moves for one\n",
	       changes->hot_rate, changes->cold_rate, (double)changes->stutter_usec / 1e6,
	       changed.mean_sec, changed.max_sec, changed.worst * 100, changed.moves);
	CHECK(changed.mean_sec <= recovery->mean_limit);
	CHECK(changed.worst >= recovery->least);
	CHECK(changed.moves <= recovery->moves_limit);
}

TEST(what_becomes_hot_is_there_soon)
{
	recover(&(struct recovery){{4, 3500, 5.5, 0.13, 0}, 15, 1.6, 0.9});
	recover(&(struct recovery){{4, 3500, 2, 0.02, 0}, 32, 1.2, 0.88});
	recover(&(struct recovery){{4, 3500, 50, 0.1, 0}, 6, 1.2, 0.93});
	recover(&(struct recovery){{4, 3500, 176, 3, 0}, 6, 1.2, 0.93});
}

/* A load that waits for requests, or for a processor. */
TEST(what_becomes_hot_by_fits_and_starts)
{
	recover(&(struct recovery){{4, 3500, 5.5, 0.13, 100000}, 28, 1.5, 0.9});
	recover(&(struct recovery){{4, 3500, 5.5, 0.13, 400000}, 45, 1.6, 0.85});
	recover(&(struct recovery){{4, 3500, 5.5, 0.13, 1500000}, 45, 1.5, 0.85});
	recover(&(struct recovery){{4, 3500, 2, 0.02, 400000}, 90, 1.2, 0.6});
	recover(&(struct recovery){{4, 3500, 50, 0.1, 400000}, 12, 1.3, 0.93});
	recover(&(struct recovery){{4, 3500, 176, 3, 400000}, 12, 1.4, 0.93});
}

/* Of pages that are touched by turns as often and @factor times as often; which are hot stays. */
static void alternate(double factor, double seconds, double moves_limit)
{
	double most = 0, late = 0;

	for (uint64_t seed = 1; seed <= 3; seed++) {
		double reached = -1;
		struct model m;

		model_init(&m, PAGES, FAST, seed);
		for (int turn = 0; turn * seconds < 240; turn++) {
			double rate = turn % 2 ? factor : 1, took;

			contiguous(&m, 15000, 3500, 5 * rate, 0.05 * rate);
			took = model_run(&m, seconds, 0.9, false);
			if (took >= 0 && reached < 0)
				reached = turn * seconds + took;
		}
		late = MAX(late, reached < 0 ? 240 : reached);
		most = MAX(most, (double)m.moves / (2 * 3500));
		model_done(&m);
	}
	printf("# touched %.0f times as often every %.0f s: 90 %% of the ideal after %.0f s at "
	       "most, "
	       "at most %.2f moves for one that was necessary\n",
	       factor, seconds, late, most);
	CHECK(late <= 60);
	CHECK(most <= moves_limit);
}

TEST(rates_that_change_again_and_again)
{
	alternate(3, 3, 3);
	alternate(3, 15, 2);
	alternate(10, 8, 1.5);
	alternate(10, 30, 1.8);
}

/* Without a gap between hot and cold: it is never worse than what first touch has made of it. */
TEST(what_is_scattered)
{
	double worst = 1, best = 0, most_moves = 0;

	for (uint64_t seed = 1; seed <= 10; seed++) {
		double sum = 0, before, share;
		struct model m;

		model_init(&m, PAGES, FAST, seed);
		/* Zipf, in an order that has no regard to addresses. */
		for (size_t i = 0; i < PAGES; i++)
			sum += 1.0 / (double)(i + 1);
		for (size_t i = 0; i < PAGES; i++)
			m.pages[i * 7919 % PAGES].rate = 40000 / sum / (double)(i + 1);
		before = model_share(&m);
		model_run(&m, 240, 2, false);
		share = model_share(&m) / model_ideal(&m);
		worst = MIN(worst, share);
		best = MAX(best, share);
		most_moves = MAX(most_moves, (double)m.moves / (2 * FAST));
		CHECK(model_share(&m) >= before);
		model_done(&m);
	}
	printf("# %.0f to %.0f %% of the ideal, at most %.2f moves for each page of fast memory "
	       "and "
	       "back\n",
	       worst * 100, best * 100, most_moves);
	CHECK(worst > 0.85);
	CHECK(most_moves < 3);
}

/* Also when there is more that is hot than there is room for. */
TEST(as_much_is_fetched_as_there_is_room_for)
{
	struct model m;

	model_init(&m, PAGES, FAST, 3);
	contiguous(&m, 8000, 7000, 6, 0.025);
	model_run(&m, 120, 0.95, false);
	CHECK(model_share(&m) >= 0.95 * model_ideal(&m));
	CHECK(m.moves < 4 * FAST);
	model_done(&m);
}

/* A window of seconds touches all there is: that it touches no less than a longer one says nothing. */
TEST(a_window_that_shows_everything_is_not_taken)
{
	struct model m;

	model_init(&m, 90000, 66000, 9);
	contiguous(&m, 77000, 13000, 176, 3);
	model_run(&m, 60, 2, false);
	CHECK(model_share(&m) >= 0.85 * model_ideal(&m));
	model_done(&m);
}

/* How many rounds begin if so much is touched on the slow node, in a window and in half of it. */
static unsigned rounds(uint64_t whole_bytes, uint64_t half_bytes)
{
	struct tier_tiering_policy policy = {.max_fast_bytes = UINT64_MAX};
	struct tier_tiering_sample sample = {
		.now_usec = 1,
		.fast_total_bytes = GIB,
		.fast_free_bytes = GIB / 2,
		.slow_free_bytes = GIB,
		.group_fast_bytes = GIB / 2,
		.group_slow_bytes = GIB,
	};
	struct tier_tiering_state state = {};
	struct tier_tiering_result result;
	struct tier_tiering_step step;
	unsigned count = 0;

	tier_tiering_next(&policy, &sample, NULL, &state, &step);
	for (int i = 0; i < 50; i++) {
		count += step.act == TIER_TIERING_FORGET;
		result = (struct tier_tiering_result){
			.act = step.act,
			.touched_slow_bytes = whole_bytes,
			.half_slow_bytes = half_bytes,
			.unit_bytes = MIB,
		};
		sample.now_usec = step.at_usec + step.window_usec;
		tier_tiering_next(&policy, &sample, &result, &state, &step);
	}
	return count;
}

/* Half as many in half the window: chance. As many: hot. A few more than half: chance as well. */
TEST(what_is_touched_by_chance_is_not_hot)
{
	CHECK_EQ(rounds(400 * MIB, 200 * MIB), 0);
	CHECK_EQ(rounds(400 * MIB, 215 * MIB), 0);
	CHECK(rounds(400 * MIB, 390 * MIB) > 0);
}

/* Returns the pages moved for one that fast memory has room for, at most, in five minutes. */
static double moves_if_alike(double rate, uint64_t stutter_usec)
{
	double most = 0;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct model m;

		model_init(&m, PAGES, FAST, seed);
		m.stutter_usec = stutter_usec;
		contiguous(&m, 0, 0, 0, rate);
		model_run(&m, 300, 2, false);
		most = MAX(most, (double)m.moves / FAST);
		model_done(&m);
	}
	printf("# all pages touched %.0f times a second, in fits of %.1f s: %.1f moves for each "
	       "page of "
	       "fast memory\n",
	       rate, (double)stutter_usec / 1e6, most);
	return most;
}

TEST(where_all_pages_are_alike_little_is_moved)
{
	CHECK(moves_if_alike(2, 0) < 1);
	CHECK(moves_if_alike(20, 0) < 1);
	CHECK(moves_if_alike(2, 100000) < 1);
	CHECK(moves_if_alike(2, 400000) < 1);
	CHECK(moves_if_alike(20, 400000) < 1);
}

/* The longest time that is allowed, and no passes. */
TEST(when_nothing_changes_it_rests)
{
	uint64_t before;
	struct model m;

	model_init(&m, PAGES, FAST, 5);
	m.policy.gap_max_usec = 20000000;
	contiguous(&m, 0, 3000, 10, 0.001);
	model_run(&m, 120, 2, false);
	before = m.passes;
	CHECK_EQ(m.state.gap_usec, 20000000);
	model_run(&m, 300, 2, false);
	CHECK_EQ(m.passes, before);
	model_done(&m);
}

TEST(shares_are_kept)
{
	struct model m;

	model_init(&m, PAGES, FAST, 7);
	for (size_t i = 2000; i < PAGES; i++)
		m.pages[i].fast = false;
	m.policy.max_fast_bytes = 3000 * MODEL_PAGE;
	contiguous(&m, 9000, 2500, 10, 0.025);
	model_run(&m, 120, 2, false);
	CHECK(model_fast_used(&m) <= 3000);
	CHECK(model_share(&m) > 0.8);
	model_done(&m);

	model_init(&m, PAGES, FAST, 7);
	m.policy.min_fast_bytes = 4500 * MODEL_PAGE;
	contiguous(&m, 9000, 4000, 10, 0.025);
	for (int i = 0; i < 120; i++) {
		model_run(&m, 1, 2, false);
		CHECK(model_fast_used(&m) >= 4500);
	}
	model_done(&m);
}

/* Pages that are hot and that nothing moves: bound ones, say. It does not try again and again. */
TEST(what_cannot_be_moved_is_left)
{
	struct tier_tiering_policy policy = {.max_fast_bytes = UINT64_MAX};
	struct tier_tiering_sample sample = {
		.now_usec = 1,
		.fast_total_bytes = GIB,
		.fast_free_bytes = GIB / 2,
		.slow_free_bytes = GIB,
		.group_fast_bytes = GIB / 2,
		.group_slow_bytes = GIB,
	};
	struct tier_tiering_state state = {};
	struct tier_tiering_result result = {};
	struct tier_tiering_step step;
	unsigned passes = 0;

	tier_tiering_next(&policy, &sample, NULL, &state, &step);
	for (int i = 0; i < 200; i++) {
		passes += step.act != TIER_TIERING_MEASURE;
		result = (struct tier_tiering_result){
			.act = step.act,
			.touched_slow_bytes = 200 * MIB,
			.half_slow_bytes = 200 * MIB,
			.unit_bytes = MIB / 4,
		};
		sample.now_usec = step.at_usec + step.window_usec;
		tier_tiering_next(&policy, &sample, &result, &state, &step);
	}
	CHECK(passes > 0 && passes < 20);
}

TEST(what_is_forbidden_is_not_done)
{
	for (int which = 0; which < 3; which++) {
		struct model m;
		uint64_t fast;

		model_init(&m, PAGES, FAST, 11);
		m.policy.never_demote = which != 0;
		m.policy.never_promote = which != 1;
		fast = model_fast_used(&m);
		contiguous(&m, 9000, 4000, 10, 0.025);
		model_run(&m, 60, 2, false);
		if (m.policy.never_demote)
			CHECK(model_fast_used(&m) >= fast);
		if (m.policy.never_promote)
			CHECK(model_fast_used(&m) <= fast);
		if (m.policy.never_demote && m.policy.never_promote)
			CHECK_EQ(m.passes, 0);
		model_done(&m);
	}
}

static const struct tier_tiering_policy no_bounds = {.max_fast_bytes = UINT64_MAX};
static const struct tier_tiering_sample no_room = {
	.now_usec = 1,
	.fast_total_bytes = GIB,
	.group_fast_bytes = GIB,
	.group_slow_bytes = GIB,
};

/* A slow node without room is as good as no permission. */
TEST(a_full_slow_node_is_not_filled)
{
	struct tier_tiering_sample sample = no_room;
	struct tier_tiering_state state = {};
	struct tier_tiering_result result = {};
	struct tier_tiering_step step;

	tier_tiering_next(&no_bounds, &sample, NULL, &state, &step);
	for (int i = 0; i < 200; i++) {
		CHECK(step.act != TIER_TIERING_DEMOTE && step.act != TIER_TIERING_PROMOTE);
		result = (struct tier_tiering_result){
			.act = step.act,
			.touched_fast_bytes = 100 * MIB,
			.touched_slow_bytes = 400 * MIB,
			.half_slow_bytes = 400 * MIB,
			.unit_bytes = MIB,
		};
		sample.now_usec = step.at_usec + step.window_usec;
		tier_tiering_next(&no_bounds, &sample, &result, &state, &step);
	}
}

/* Whatever it is told: no step before now, none far beyond the bounds, no more moved than there is room for. */
TEST(numbers_of_any_size)
{
	uint64_t random = 0x9e3779b97f4a7c15;
	struct tier_tiering_state state = {};

	for (int i = 0; i < 200000; i++) {
		struct tier_tiering_policy policy = {};
		struct tier_tiering_sample sample;
		struct tier_tiering_result result;
		struct tier_tiering_step step;
		uint64_t numbers[16];

		for (size_t n = 0; n < ARRAY_SIZE(numbers); n++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			numbers[n] = random >> (random & 63);
		}
		sample = (struct tier_tiering_sample){
			.now_usec = numbers[0] >> 2,
			.fast_total_bytes = numbers[1] >> 8,
			.fast_free_bytes = numbers[2] >> 8,
			.slow_free_bytes = numbers[3] >> 8,
			.group_fast_bytes = numbers[4] >> 8,
			.group_slow_bytes = numbers[5] >> 8,
			.latency_gain_nsec = numbers[6] >> 44,
		};
		policy.max_fast_bytes = numbers[7];
		policy.min_fast_bytes = numbers[8] >> 16;
		policy.gap_max_usec = numbers[9] >> 32;
		policy.never_demote = numbers[10] & 1;
		policy.never_promote = numbers[10] & 2;
		result = (struct tier_tiering_result){
			.act = numbers[11] & 3,
			.touched_fast_bytes = numbers[12] >> 8,
			.touched_slow_bytes = numbers[13] >> 8,
			.half_fast_bytes = numbers[15] >> 9,
			.half_slow_bytes = numbers[12] >> 9,
			.unit_bytes = numbers[14] >> 32,
			.quota_bytes = numbers[14] >> 8,
			.moved_bytes = numbers[15] >> 8,
			.elapsed_usec = numbers[6] >> 24,
			.cpu_usec = numbers[13],
		};
		if (i % 1000 == 0)
			state = (struct tier_tiering_state){};
		tier_tiering_next(&policy, &sample, numbers[10] & 4 ? NULL : &result, &state,
				  &step);
		CHECK(step.at_usec >= sample.now_usec);
		CHECK(step.act <= TIER_TIERING_PROMOTE && step.reason <= TIER_TIERING_FORBIDDEN);
		if (step.act == TIER_TIERING_PROMOTE)
			CHECK(step.quota_bytes <= sample.fast_free_bytes && !policy.never_promote);
		if (step.act == TIER_TIERING_DEMOTE)
			CHECK(step.quota_bytes <= sample.slow_free_bytes && !policy.never_demote);
		if (step.act == TIER_TIERING_MEASURE)
			CHECK(step.window_usec >= 1000 && step.window_usec <= 2000000);
	}
}

TEST(everything_has_a_name)
{
	for (int i = 0; i <= TIER_TIERING_PROMOTE; i++)
		CHECK(tier_tiering_act_name(i) && strcmp(tier_tiering_act_name(i), "unknown") != 0);
	for (int i = 0; i <= TIER_TIERING_FORBIDDEN; i++)
		CHECK(tier_tiering_reason_name(i) &&
		      strcmp(tier_tiering_reason_name(i), "unknown") != 0);
}

/* It begins anew, and does not count what it does not know. */
TEST(a_step_that_failed)
{
	struct model m;

	model_init(&m, PAGES, FAST, 13);
	contiguous(&m, 9000, 4000, 10, 0.025);
	for (int i = 0; i < 60; i++) {
		struct tier_tiering_sample sample;

		model_run(&m, 2, 2, false);
		model_sample(&m, &sample);
		if (i % 10 == 9) {
			tier_tiering_next(&m.policy, &sample, NULL, &m.state, &m.step);
			CHECK(m.step.act == TIER_TIERING_MEASURE);
		}
	}
	CHECK(model_share(&m) >= 0.9 * model_ideal(&m));
	model_done(&m);
}

TEST(mappings_that_may_be_moved)
{
	static const struct {
		const char *line;
		bool taken;
	} lines[] = {
		{"7f0000000000 default anon=512 dirty=512 N0=256 N2=256 kernelpagesize_kB=4", true},
		{"7f0000000000 local anon=64 N0=64 kernelpagesize_kB=4", true},
		{"7f0000000000 default file=/usr/lib/N1=9.so mapped=70 N0=70 kernelpagesize_kB=4",
		 true},
		{"7f0000000000 default anon=63 N0=63 kernelpagesize_kB=4", false},
		{"7f0000000000 default", false},
		{"7f0000000000 bind:2 anon=512 N2=512 kernelpagesize_kB=4", false},
		{"7f0000000000 prefer (many):0 anon=512 N0=512", false},
		{"7f0000000000 weighted interleave:0,2 anon=512 N0=512", false},
		/* Somebody else has it mapped, too. */
		{"7f0000000000 default anon=512 mapmax=2 N0=512 kernelpagesize_kB=4", false},
		{"7f0000000000 default file=/dev/zero mapped=512 mapmax=1 N0=512", true},
		{"7f0000000000 default huge anon=2 N0=200 kernelpagesize_kB=2048", false},
		/* Node 1 is typed, say. */
		{"7f0000000000 default anon=512 N0=511 N1=1 kernelpagesize_kB=4", false},
		{"7f0000000000 default anon=512 N0=511 N64=1", false},
		{"default anon=512", false},
		{"", false},
	};
	const struct tier_tiering_nodes nodes = {.fast = 1, .slow = 4};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct tiering_mapping mapping = {};
		bool taken = tiering_mapping_parse(lines[i].line, &nodes, &mapping) &&
			     mapping.stay == TIER_STAY_NOT;

		if (taken != lines[i].taken)
			FAIL("\"%s\" is %staken", lines[i].line, lines[i].taken ? "not " : "");
		if (taken)
			CHECK_EQ(mapping.start, 0x7f0000000000);
	}
}

TEST(what_is_beyond_a_bound_goes)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct model m;

		model_init(&m, PAGES, FAST, seed);
		contiguous(&m, 0, 2000, 10, 0.01);
		m.max_pages = 3000;
		model_run(&m, 60, 2, false);
		/* Less than what is worth a round. */
		CHECK(model_fast_used(&m) <= 3000 + 256);
		CHECK(misplaced(&m, 1) < 200);
		model_done(&m);
	}
}

/* While nothing changes it looks less closely, but a bound that is new counts at the next look. */
TEST(a_bound_that_is_set_in_quiet_times)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct model m;

		model_init(&m, PAGES, FAST, seed);
		contiguous(&m, 15000, 2000, 10, 0.01);
		model_run(&m, 120 + 5 * (double)seed, 2, false);
		m.max_pages = 3000;
		model_run(&m, 14, 2, false);
		CHECK(model_fast_used(&m) <= 3000 + 256);
		model_done(&m);
	}
}

/* What a round before it has left unsaid is of other pages. */
TEST(a_search_begins_anew)
{
	struct tier_tiering_sample sample = no_room;
	struct tier_tiering_result result = {.act = TIER_TIERING_MEASURE, .unit_bytes = MIB};
	struct tier_tiering_state state = {
		.begun = true,
		.window_usec = 100000,
		.usual_touched_bytes = GIB,
		.budget_bytes = 1,
		.quiet_bytes = GIB,
		.judge = true,
		.confirmed = true,
	};
	struct tier_tiering_step step;

	tier_tiering_next(&no_bounds, &sample, &result, &state, &step);
	CHECK_EQ(step.reason, TIER_TIERING_FITTING);
	CHECK(state.searching && !state.judge && !state.confirmed);
	CHECK_EQ(state.quiet_bytes, 0);
	CHECK_EQ(state.budget_bytes, GIB / 4);
}

/* The hot pages come to where cold ones of the same group have been, and not more than its bound. */
TEST(what_is_hot_within_a_bound)
{
	double worst = 1, most = 0;

	for (uint64_t seed = 1; seed <= 10; seed++) {
		uint64_t necessary;
		struct model m;

		model_init(&m, PAGES, FAST, seed);
		m.max_pages = 2500;
		contiguous(&m, 15000, 2000, 10, 0.025);
		necessary = 2 * misplaced(&m, 1) + FAST - m.max_pages;
		model_run(&m, 240, 2, false);
		CHECK(model_fast_used(&m) <= m.max_pages + 256);
		worst = MIN(worst, 1 - (double)misplaced(&m, 1) / 2000);
		most = MAX(most, (double)m.moves / (double)necessary);
		model_done(&m);
	}
	printf("# at least %.0f %% of the hot pages are there, at most %.2f moves for one that was "
	       "necessary\n",
	       worst * 100, most);
	CHECK(worst > 0.8);
	CHECK(most < 4);
}

TEST(what_is_in_use_beyond_a_bound_is_tried_rarely)
{
	uint64_t early, late, moves;
	struct model m;

	model_init(&m, PAGES, FAST, 1);
	/* In any window, every page is touched. */
	contiguous(&m, 0, PAGES, 1000, 1000);
	m.max_pages = 3000;
	model_run(&m, 100, 2, false);
	early = m.passes;
	moves = m.moves;
	model_run(&m, 1000, 2, false);
	late = m.passes - early;
	printf("# %" PRIu64 " passes in the first 100 s, %" PRIu64 " in the next 1000, %" PRIu64
	       " moves\n",
	       early, late, m.moves - moves);
	CHECK(early > 0);
	CHECK(late <= 40);
	CHECK(m.moves - moves < 500);
	model_done(&m);
}

TEST(nodes_that_take_part)
{
	static const struct {
		bool cpu;
		uint64_t bytes;
		enum tier_memory_type type;
	} kinds[] = {
		{true, GIB, TIER_MEMORY_LOCAL},	    {false, GIB, TIER_MEMORY_SHARED},
		{false, GIB, TIER_MEMORY_SWITCHED}, {false, 0, TIER_MEMORY_LOCAL},
		{false, GIB, TIER_MEMORY_LOCAL},    {false, GIB, TIER_MEMORY_UNKNOWN},
		{true, GIB, TIER_MEMORY_LOCAL},
	};
	struct tier_node array[ARRAY_SIZE(kinds)] = {};
	struct tier_topology topology = {.nodes = array, .node_count = ARRAY_SIZE(kinds)};
	struct tier_tiering_nodes nodes;
	struct tier_problem problem;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		array[i] = (struct tier_node){
			.id = (int)i,
			.has_cpu = kinds[i].cpu,
			.has_memory = kinds[i].bytes > 0,
			.total_bytes = kinds[i].bytes,
			.type = kinds[i].type,
			.type_by_kernel = true,
		};
	topology.node_count = 5;
	CHECK_EQ(tier_tiering_nodes(&topology, TIER_MECHANISM_DAMON, &nodes, &problem), 0);
	CHECK_EQ(nodes.fast, 1);
	CHECK_EQ(nodes.slow, 1U << 4);
	topology.node_count = 4;
	CHECK_EQ(tier_tiering_nodes(&topology, TIER_MECHANISM_DAMON, &nodes, &problem),
		 TIER_E_NOT_FOUND);
	/* Two of a kind. */
	topology.node_count = 6;
	CHECK_EQ(tier_tiering_nodes(&topology, TIER_MECHANISM_DAMON, &nodes, &problem),
		 TIER_E_REFUSED);
	array[5].has_memory = false;
	topology.node_count = 7;
	CHECK_EQ(tier_tiering_nodes(&topology, TIER_MECHANISM_DAMON, &nodes, &problem),
		 TIER_E_REFUSED);
	/* What the kernel does not keep ordinary memory off. */
	topology.node_count = 5;
	array[2].type_by_kernel = false;
	CHECK_EQ(tier_tiering_nodes(&topology, TIER_MECHANISM_DAMON, &nodes, &problem),
		 TIER_E_REFUSED);
	CHECK(strstr(problem.text, "node2"));
	/* Nothing goes there unless it is named. */
	CHECK_EQ(tier_tiering_nodes(&topology, TIER_MECHANISM_IDLE, &nodes, &problem), 0);
	CHECK_EQ(nodes.slow, 1U << 4);
}
