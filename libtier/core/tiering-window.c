/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tiering-window.h"

#include "tiering-common.h"

#define WINDOW_FIRST_USEC UINT64_C(2000000)
#define WINDOW_MIN_USEC	  UINT64_C(20000)
#define WINDOW_MAX_USEC	  UINT64_C(2000000)
/* So long, a page is taken to stay where it was moved to, when it is asked whether that pays. */
#define HORIZON_NSEC	  (UINT64_C(600) * 1000000000)
#define LATENCY_GAIN_NSEC 100
/* A window that shows less than that of what is hot, and of nothing else, shows chance. */
#define LEAST_PERCENT 30
#define LEAST_HITS    50
/* A window is tried for so long, all its measurements together, but at least and at most so many times. */
#define TRY_USEC  UINT64_C(1500000)
#define TRY_LEAST 2
#define TRY_MOST  4

uint64_t tiering_window_min(const struct tier_tiering_policy *policy)
{
	return policy->window_min_usec ?: WINDOW_MIN_USEC;
}

uint64_t tiering_window_first(const struct tier_tiering_policy *policy)
{
	return clamp(WINDOW_FIRST_USEC, tiering_window_min(policy),
		     policy->window_max_usec ?: WINDOW_MAX_USEC);
}

/*
 * A page that is touched once in a window saves that often what an access gains. Two moves (it, and what
 * makes room for it) must have paid off within the horizon.
 */
static uint64_t window_max(const struct tier_tiering_policy *policy,
			   const struct tier_tiering_sample *sample,
			   const struct tier_tiering_state *state)
{
	uint64_t max = policy->window_max_usec ?: WINDOW_MAX_USEC;
	uint64_t gain = sample->latency_gain_nsec ?: LATENCY_GAIN_NSEC;

	if (state->page_cost_nsec)
		max = MIN(max, HORIZON_NSEC / (2 * state->page_cost_nsec) * gain / 1000);
	return MAX(max, tiering_window_min(policy));
}

void tiering_window_search(const struct tier_tiering_policy *policy,
			   const struct tier_tiering_sample *sample,
			   struct tier_tiering_state *state)
{
	state->window_usec = MIN(WINDOW_FIRST_USEC, window_max(policy, sample, state));
	state->searching = true;
	state->tried = 0;
	memset(state->tried_bytes, 0, sizeof(state->tried_bytes));
	memset(state->tried_half_bytes, 0, sizeof(state->tried_half_bytes));
	memset(state->tried_times, 0, sizeof(state->tried_times));
	state->evidence = (struct tier_tiering_evidence){};
	state->quiet_bytes = 0;
	state->usual_bytes = 0;
	state->moved_bytes = 0;
	/* What was learned of other pages. */
	state->aim_bytes = state->aimed_bytes = 0;
	state->judge = state->confirmed = state->changed = false;
	state->budget_bytes = MAX(state->budget_bytes, first_budget(policy, sample));
}

static unsigned times_of(uint64_t window_usec)
{
	return (unsigned)clamp(TRY_USEC / MAX(window_usec, 1), TRY_LEAST, TRY_MOST);
}

uint64_t tiering_if_alike(uint64_t touched_bytes, uint64_t all_bytes)
{
	uint64_t part = MIN(touched_bytes / MAX(all_bytes / 1024, 1), 1024);
	uint64_t half = 1024 - square_root(1024 * (1024 - part));

	return half * half / 1024;
}

/*
 * Of the windows that were tried, the half of that in which the largest part is of pages that are touched more often
 * than the rest; in doubt the longer one.
 */
static void choose(struct tier_tiering_state *state, uint64_t all_bytes, uint64_t unit_bytes,
		   uint64_t shortest_usec)
{
	uint64_t best_percent = LEAST_PERCENT;
	unsigned best = 0;
	bool found = false;

	for (unsigned i = 0; i < state->tried; i++) {
		uint64_t times = state->tried_times[i];
		uint64_t whole = state->tried_bytes[i] / times;
		uint64_t half = state->tried_half_bytes[i] / times;
		uint64_t alike = all_bytes / 1024 * tiering_if_alike(whole, all_bytes);
		uint64_t percent = saturating_sub(2 * half, whole + alike) / MAX(whole / 100, 1);
		/* About its standard deviation. */
		uint64_t hits = MAX(whole / unit_bytes * times, 1);
		uint64_t error = found ? 200 / square_root(hits) : 0;

		/* Of few pages there is no telling; of more, it may be off by so much. */
		if (state->first_usec >> (i + 1) < shortest_usec ||
		    half < LEAST_HITS * unit_bytes || percent <= best_percent + error)
			continue;
		best_percent = percent;
		best = i;
		found = true;
	}
	state->evidence = (struct tier_tiering_evidence){};
	state->window_usec = state->first_usec >> (found ? best + 1 : 0);
	state->usual_touched_bytes = (found ? state->tried_half_bytes : state->tried_bytes)[best] /
				     state->tried_times[best];
	state->searching = false;
	state->tried = 0;
}

/*
 * In a window that is long enough everything is touched, and in one that is too short not even what is hot.
 * Between the two, half the window shows half as much, unless there are pages that are touched far more
 * often than the rest: then there are windows which show these, and little else. First a window is sought in
 * which not much more is touched than there is room for; then it is halved a few times. Each of these is
 * measured several times, the shorter ones more often.
 */
void tiering_window_try(const struct tier_tiering_policy *policy,
			const struct tier_tiering_sample *sample,
			const struct tier_tiering_result *result, struct tier_tiering_state *state)
{
	uint64_t group = sample->group_fast_bytes + sample->group_slow_bytes;
	uint64_t fits = MAX(MIN(fast_share(policy, sample) / 2 * 3, group / 2), MIB);
	uint64_t shortest = tiering_window_min(policy), unit = MAX(result->unit_bytes, PAGE_BYTES);
	uint64_t touched_bytes = result->touched_fast_bytes + result->touched_slow_bytes;
	unsigned i;

	if (state->tried == 0 && touched_bytes > fits + fits / 4 && state->window_usec > shortest) {
		uint64_t window = state->window_usec * (fits / KIB) / (touched_bytes / KIB);

		/* At once at most by a factor of 8: the pages are no linear function of the time. */
		state->window_usec = MAX(MAX(window, state->window_usec / 8), shortest);
		return;
	}
	if (state->tried == 0) {
		state->first_usec = state->window_usec;
		state->tried = 1;
	}
	i = state->tried - 1;
	state->tried_bytes[i] += touched_bytes;
	state->tried_half_bytes[i] += result->half_fast_bytes + result->half_slow_bytes;
	if (++state->tried_times[i] < times_of(state->window_usec))
		return;
	if (state->tried < TIER_TIERING_TRIES && state->window_usec / 2 >= shortest) {
		state->window_usec /= 2;
		state->tried++;
		return;
	}
	choose(state, group, unit, shortest);
}

bool tiering_window_is_off(const struct tier_tiering_state *state, uint64_t touched_bytes,
			   uint64_t little)
{
	return touched_bytes > 2 * state->usual_touched_bytes + little ||
	       touched_bytes + little < state->usual_touched_bytes / 2;
}
