// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tiering-common.h"
#include "tiering-window.h"

#define GAP_MAX_USEC UINT64_C(5000000)
/* What is not touched in so many windows is cold: between hot and cold there is room for doubt. */
#define COLD_FIRST 4
#define COLD_MAX   8
/* What is hot and not there is urgent beyond one part in so many of fast memory. */
#define URGENT		 8
#define PASS_NSEC	 UINT64_C(2000000000)
#define PASS_FIRST_BYTES (64 * MIB)
/* When nothing changes, each measurement takes one part in so many of a processor's time. */
#define MEASURE_SHARE 300
#define COST_MAX_USEC UINT64_C(60000000)
/* If doubt has taken more than so many of them, the next comes four times as late. */
#define SPENT	     6
#define LEAST_BUDGET 64
/* Rounds are in vain if so many times what was wanted has been moved, and half of that is still wanted. */
#define VAIN 2
/* A window in which nothing is hot though something has changed is sought anew, but not more often than that. */
#define SEARCH_USEC	UINT64_C(30000000)
#define SEARCH_MAX_USEC (32 * SEARCH_USEC)
/* When it has found nothing hot, it looks at the whole window alone for so many times, unless that shows otherwise. */
#define QUIET_TIMES 3
/* After a round, and when there is something hot, so many measurements follow at once while there is doubt. */
#define LOOKS 8
/* ... and if it is one part in so many of what is touched on slow nodes, all of that is fetched. */
#define MOSTLY 3
/* What is in use beyond a DramMax is looked at again after so many of the longest gaps, at most. */
#define OVER_GAPS 64

/* Less than that is not worth a round; and so much is kept free, for what is allocated meanwhile. */
static uint64_t trifle(const struct tier_tiering_policy *policy,
		       const struct tier_tiering_sample *sample)
{
	return MAX(MIB / 2, fast_share(policy, sample) / 64);
}

/* Less than that is not worth a round. */
static uint64_t little_demand(const struct tier_tiering_policy *policy,
			      const struct tier_tiering_sample *sample)
{
	return MAX(MIB / 4, fast_share(policy, sample) / 64);
}

/* What the group may still take of fast memory. */
static uint64_t room(const struct tier_tiering_policy *policy,
		     const struct tier_tiering_sample *sample)
{
	return MIN(sample->fast_free_bytes,
		   saturating_sub(policy->max_fast_bytes, sample->group_fast_bytes));
}

/* So much is moved in about two seconds: whoever wants it to end has to wait for a pass. */
static uint64_t pass_limit(const struct tier_tiering_state *state)
{
	if (!state->page_cost_nsec)
		return PASS_FIRST_BYTES;
	return MAX(PASS_NSEC / state->page_cost_nsec, 256) * PAGE_BYTES;
}

static uint64_t gap_max(const struct tier_tiering_policy *policy,
			const struct tier_tiering_state *state)
{
	uint64_t max = policy->gap_max_usec ?: GAP_MAX_USEC;

	return MAX(max, MEASURE_SHARE * state->measure_cost_usec);
}

/* A mean that follows the newest values. */
static uint64_t follow(uint64_t mean, uint64_t value)
{
	return mean ? (3 * mean + value) / 4 : value;
}

static void take_costs(const struct tier_tiering_result *result, struct tier_tiering_state *state)
{
	uint64_t pages = result->moved_bytes / PAGE_BYTES;

	if (result->act == TIER_TIERING_MEASURE && state->gap_usec)
		state->spent_usec += MIN(result->cpu_usec, COST_MAX_USEC);
	if (result->act == TIER_TIERING_MEASURE && !state->halved)
		state->measure_cost_usec =
			follow(state->measure_cost_usec, MIN(result->cpu_usec, COST_MAX_USEC));
	else if (result->act != TIER_TIERING_MEASURE && pages >= 256)
		state->page_cost_nsec =
			MAX(follow(state->page_cost_nsec, result->elapsed_usec * 1000 / pages), 1);
}

static void measure_at(const struct tier_tiering_state *state, uint64_t at_usec,
		       struct tier_tiering_step *step)
{
	step->act = TIER_TIERING_MEASURE;
	step->at_usec = at_usec;
	step->window_usec = state->window_usec;
	step->halves = state->halved;
}

static void measure_now(const struct tier_tiering_sample *sample, struct tier_tiering_state *state,
			struct tier_tiering_step *step)
{
	state->halved = true;
	measure_at(state, sample->now_usec, step);
}

static void rest(const struct tier_tiering_policy *policy, const struct tier_tiering_sample *sample,
		 struct tier_tiering_state *state, struct tier_tiering_step *step)
{
	uint64_t most = gap_max(policy, state);

	if (state->spent_usec > SPENT * state->measure_cost_usec)
		most = MAX(most, 4 * MEASURE_SHARE * state->measure_cost_usec);
	state->spent_usec = 0;
	state->gap_usec =
		clamp(2 * state->gap_usec, MIN(COLD_FIRST * state->window_usec, most), most);
	state->halved = false;
	measure_at(state, sample->now_usec + state->gap_usec, step);
}

/* Of slow memory, that on which it is alike there, or everywhere, whichever is less. */
static uint64_t if_all_were_alike(const struct tier_tiering_sample *sample,
				  const struct tier_tiering_state *state)
{
	uint64_t slow = sample->group_slow_bytes;
	uint64_t on_slow = tiering_if_alike(state->touched_bytes, slow);
	uint64_t on_all =
		tiering_if_alike(state->touched_all_bytes, slow + sample->group_fast_bytes);

	return slow / 1024 * MIN(on_slow, on_all);
}

/*
 * Of what was touched on slow nodes, that which is hot. Of pages that are touched now and then, half as many
 * are in each half of the window; those that are touched all the time are in both. So the two halves, less the whole,
 * have these alone: (1 - exp(-ra)) (1 - exp(-rb)) of the pages that are touched with rate r while the load runs, for a
 * seconds in the one half and for b in the other. For r(a + b) = 0.1 that is 0.002 at most, for 4 it is 0.75. 0 if it may
 * be chance.
 *
 * Measurements between which nothing was moved count together, the older ones less and less: what one cannot
 * tell from chance, four can.
 */
static uint64_t hot_of(const struct tier_tiering_sample *sample, struct tier_tiering_state *state,
		       uint64_t half_bytes, uint64_t unit_bytes)
{
	uint64_t unit = MAX(unit_bytes, PAGE_BYTES), whole_bytes = state->touched_bytes;
	uint64_t half = half_bytes / unit, whole = whole_bytes / unit;
	struct tier_tiering_evidence *e = &state->evidence;
	int64_t chance, most;

	e->hot_bytes = e->hot_bytes * 7 / 8 + 2 * (int64_t)half_bytes - (int64_t)whole_bytes -
		       (int64_t)if_all_were_alike(sample, state);
	/* The variance, in units. */
	e->hits = e->hits * 49 / 64 + 2 * half + whole;
	e->weight = e->weight * 7 / 8 + 1024;
	/* Two standard deviations. */
	chance = (int64_t)(2 * square_root(e->hits) * unit);
	most = (e->hot_bytes + chance) / (int64_t)e->weight * 1024;
	state->doubt_bytes = most > 0 ? (uint64_t)most : 0;
	if (e->hot_bytes <= chance)
		return 0;
	return (uint64_t)e->hot_bytes / e->weight * 1024;
}

/* By so much the difference of two demands may be off: two standard deviations. */
static uint64_t chance(const struct tier_tiering_state *state)
{
	uint64_t unit = MAX(state->unit_bytes, PAGE_BYTES);
	uint64_t seen = state->before_bytes + state->demand_bytes + 2 * state->touched_bytes;

	return 2 * square_root(2 * seen / unit) * unit;
}

/* One round tells little where what is hot is not much more than chance, but many do. */
static bool is_in_vain(struct tier_tiering_state *state)
{
	bool less, vain;

	/* Something else is hot since. */
	if (!state->aim_bytes || state->before_bytes > 2 * state->aim_bytes) {
		state->aim_bytes = state->before_bytes;
		state->aimed_bytes = 0;
	}
	state->aimed_bytes += state->moved_bytes;
	less = state->demand_bytes <= state->aim_bytes / 2;
	vain = state->aimed_bytes > VAIN * state->aim_bytes + chance(state);
	if (less || vain)
		state->aim_bytes = 0;
	return vain && !less;
}

/* Has the demand fallen by what was moved of it? */
static void judge(const struct tier_tiering_policy *policy,
		  const struct tier_tiering_sample *sample, struct tier_tiering_state *state)
{
	uint64_t share = fast_share(policy, sample);
	uint64_t fallen = saturating_sub(state->before_bytes, state->demand_bytes);

	if (!state->judge)
		return;
	state->judge = false;
	if (state->moved_bytes == 0) {
		/* Bound, locked, no process' at all: it stays where it is. */
		state->usual_bytes = state->demand_bytes;
		return;
	}
	if (fallen >= state->moved_bytes / 2)
		state->budget_bytes = MIN(4 * state->budget_bytes, share);
	if (is_in_vain(state))
		state->budget_bytes /= 4;
	if (state->budget_bytes < share / LEAST_BUDGET) {
		state->budget_bytes = share / LEAST_BUDGET;
		state->usual_bytes = state->demand_bytes;
	}
	state->moved_bytes = 0;
}

/* What is beyond a DramMax has to go. If it is all in use, that is tried again more and more rarely. */
static bool over_is_due(const struct tier_tiering_policy *policy,
			const struct tier_tiering_sample *sample,
			const struct tier_tiering_state *state)
{
	if (policy->never_demote || sample->over_bytes < PAGE_BYTES)
		return false;
	/* What is hot elsewhere waits for one round of it, not for all. */
	if (state->over_last && state->demand_bytes > little_demand(policy, sample))
		return false;
	return sample->now_usec >= state->over_at_usec ||
	       sample->over_bytes > state->over_seen_bytes / 4 * 5 + MIB;
}

static void demote_over(const struct tier_tiering_policy *policy,
			const struct tier_tiering_sample *sample, struct tier_tiering_state *state,
			struct tier_tiering_step *step)
{
	uint64_t quota = MIN(sample->over_bytes,
			     saturating_sub(sample->slow_free_bytes, trifle(policy, sample)));

	step->reason = TIER_TIERING_OVER;
	step->act = TIER_TIERING_DEMOTE;
	step->quota_bytes = MIN(quota, pass_limit(state));
	step->at_usec = sample->now_usec + state->cold_windows * state->window_usec;
}

static void after_over(const struct tier_tiering_policy *policy,
		       const struct tier_tiering_sample *sample,
		       const struct tier_tiering_result *result, struct tier_tiering_state *state,
		       struct tier_tiering_step *step)
{
	uint64_t gap = gap_max(policy, state);

	state->for_over = false;
	state->over_seen_bytes = sample->over_bytes;
	if (result->moved_bytes > result->quota_bytes / 8)
		state->over_gap_usec = 0;
	else
		state->over_gap_usec = clamp(2 * state->over_gap_usec, gap, OVER_GAPS * gap);
	state->over_at_usec = sample->now_usec + state->over_gap_usec;
	step->reason = TIER_TIERING_MOVED;
	measure_now(sample, state, step);
}

static bool is_urgent(const struct tier_tiering_policy *policy,
		      const struct tier_tiering_sample *sample,
		      const struct tier_tiering_state *state)
{
	return state->demand_bytes > fast_share(policy, sample) / URGENT;
}

/* What to fetch: what is hot, and what will be touched meanwhile by chance. */
static uint64_t to_fetch(const struct tier_tiering_policy *policy,
			 const struct tier_tiering_sample *sample,
			 const struct tier_tiering_state *state)
{
	if (is_urgent(policy, sample, state) && state->demand_bytes > state->touched_bytes / MOSTLY)
		return state->touched_bytes;
	return MIN(state->touched_bytes, state->demand_bytes / 2 * 3);
}

/* False: there is enough, or none is to be had. @since_usec: what was not touched since then can be told. */
static bool make_room(const struct tier_tiering_policy *policy,
		      const struct tier_tiering_sample *sample, struct tier_tiering_state *state,
		      uint64_t since_usec, struct tier_tiering_step *step)
{
	/* What is touched by chance is moved as well. */
	uint64_t fetched = to_fetch(policy, sample, state);
	uint64_t wanted = MIN(fetched, state->budget_bytes) + trifle(policy, sample);
	uint64_t can = MIN(saturating_sub(sample->group_fast_bytes, policy->min_fast_bytes),
			   saturating_sub(sample->slow_free_bytes, trifle(policy, sample)));
	uint64_t lacking = saturating_sub(wanted, room(policy, sample));
	unsigned windows = state->cold_windows;
	uint64_t quota = MIN(MAX(lacking, MIN(sample->tight_bytes, wanted)), can);

	quota = MIN(quota, pass_limit(state));
	if (policy->never_demote || quota < PAGE_BYTES)
		return false;
	step->act = TIER_TIERING_DEMOTE;
	step->quota_bytes = quota;
	step->room_bytes = MIN(lacking, quota);
	step->reason = TIER_TIERING_ROOM;
	/* When much is wanted, the coldest is not waited for. */
	if (is_urgent(policy, sample, state))
		windows = MIN(windows, COLD_FIRST);
	/* Measurements clear bits, too. */
	step->at_usec = MAX(sample->now_usec + state->window_usec,
			    since_usec + windows * state->window_usec);
	return true;
}

/* What was touched since the last pass, of what takes part, is known, and it has not been too long. */
static bool is_known(const struct tier_tiering_sample *sample,
		     const struct tier_tiering_state *state)
{
	return state->forgot_usec && sample->now_usec >= state->forgot_usec &&
	       sample->now_usec - state->forgot_usec <= state->cold_windows * state->window_usec;
}

/* A round, unless what is hot is where it is to be, or cannot be brought there. */
static void decide(const struct tier_tiering_policy *policy,
		   const struct tier_tiering_sample *sample, struct tier_tiering_state *state,
		   struct tier_tiering_step *step)
{
	uint64_t little = little_demand(policy, sample);

	judge(policy, sample, state);
	state->over_last &= state->demand_bytes > little;
	if (over_is_due(policy, sample, state)) {
		state->for_over = state->over_last = true;
		step->act = TIER_TIERING_FORGET;
		step->reason = TIER_TIERING_OVER;
		step->at_usec = sample->now_usec;
		return;
	}
	if (state->demand_bytes <= little && state->doubt_bytes > little && state->looks) {
		state->looks--;
		state->quiet_bytes = 0;
		step->reason = TIER_TIERING_DOUBT;
		measure_now(sample, state, step);
		return;
	}
	if (state->demand_bytes <= little && state->changed && state->halved &&
	    sample->now_usec >= state->search_usec) {
		/* Something has, and in this window nothing of it is hot: perhaps in another one. */
		state->search_gap_usec =
			clamp(2 * state->search_gap_usec, SEARCH_USEC, SEARCH_MAX_USEC);
		state->search_usec = sample->now_usec + state->search_gap_usec;
		state->looks = LOOKS;
		tiering_window_search(policy, sample, state);
		step->reason = TIER_TIERING_FITTING;
		measure_now(sample, state, step);
		return;
	}
	if (state->demand_bytes <= little) {
		state->changed = false;
		state->usual_bytes = 0;
		state->confirmed = false;
		state->quiet_bytes = state->doubt_bytes > 2 * little ? 0 : state->touched_bytes;
		state->quiet_times = 0;
		step->reason = TIER_TIERING_QUIET;
		rest(policy, sample, state, step);
		return;
	}
	state->quiet_bytes = 0;
	if (state->usual_bytes && state->demand_bytes <= 2 * state->usual_bytes + little) {
		/* Things change. In the long run it is worth another try. */
		state->usual_bytes -= state->usual_bytes / 32;
		state->confirmed = false;
		step->reason = TIER_TIERING_FRUITLESS;
		rest(policy, sample, state, step);
		return;
	}
	/* Of many measurements one will see by chance what is not there; and what is seen is too much. */
	if (!state->confirmed) {
		state->confirmed = true;
		state->looks = LOOKS;
		state->evidence = (struct tier_tiering_evidence){};
		step->reason = TIER_TIERING_WANTED;
		measure_now(sample, state, step);
		return;
	}
	if (state->usual_bytes)
		state->budget_bytes = MAX(state->budget_bytes, first_budget(policy, sample));
	state->over_last = false;
	state->usual_bytes = 0;
	state->gap_usec = 0;
	state->search_gap_usec = 0;
	state->before_bytes = state->demand_bytes;
	state->judge = true;
	if (is_known(sample, state) && make_room(policy, sample, state, state->forgot_usec, step))
		return;
	step->act = TIER_TIERING_FORGET;
	step->reason = TIER_TIERING_WANTED;
	step->at_usec = sample->now_usec;
}

/* Of what is touched as much as when nothing was hot, nothing is, most of the time. */
static bool is_as_it_was(const struct tier_tiering_state *state, uint64_t slow_bytes)
{
	uint64_t unit = MAX(state->unit_bytes, PAGE_BYTES);
	uint64_t before = state->quiet_bytes;
	uint64_t difference = slow_bytes > before ? slow_bytes - before : before - slow_bytes;

	return before && !state->judge &&
	       difference <= 2 * square_root((slow_bytes + before) / unit) * unit;
}

/* It was at rest, and is looked at closely now. What was seen before a change says nothing of what is now. */
static void wake(struct tier_tiering_state *state, bool changed)
{
	state->quiet_times = 0;
	if (!changed)
		return;
	state->changed = true;
	state->looks = LOOKS;
	state->evidence = (struct tier_tiering_evidence){};
}

static void after_measurement(const struct tier_tiering_policy *policy,
			      const struct tier_tiering_sample *sample,
			      const struct tier_tiering_result *result,
			      struct tier_tiering_state *state, struct tier_tiering_step *step)
{
	uint64_t slow = result->touched_slow_bytes, little = little_demand(policy, sample);
	uint64_t touched = result->touched_fast_bytes + slow;
	bool searching = state->searching, as_it_was;

	state->unit_bytes = result->unit_bytes;
	if (searching) {
		tiering_window_try(policy, sample, result, state);
	} else if (state->moved_bytes == 0 && tiering_window_is_off(state, touched, little)) {
		tiering_window_search(policy, sample, state);
		searching = true;
	}
	if (searching) {
		state->looks = LOOKS;
		step->reason = TIER_TIERING_FITTING;
		measure_now(sample, state, step);
		return;
	}
	state->touched_bytes = slow;
	state->touched_all_bytes = touched;
	as_it_was = is_as_it_was(state, slow);
	if (as_it_was && !state->halved && state->quiet_times < QUIET_TIMES &&
	    !over_is_due(policy, sample, state)) {
		state->quiet_times++;
		step->reason = TIER_TIERING_QUIET;
		rest(policy, sample, state, step);
		return;
	}
	if (slow <= little) {
		state->demand_bytes = slow;
		state->doubt_bytes = 0;
		decide(policy, sample, state, step);
		return;
	}
	if (!state->halved) {
		wake(state, state->quiet_bytes && !as_it_was);
		step->reason = TIER_TIERING_DOUBT;
		measure_now(sample, state, step);
		return;
	}
	state->demand_bytes = hot_of(sample, state, result->half_slow_bytes, result->unit_bytes);
	decide(policy, sample, state, step);
}

static void fetch(const struct tier_tiering_policy *policy,
		  const struct tier_tiering_sample *sample, struct tier_tiering_state *state,
		  struct tier_tiering_step *step)
{
	uint64_t may_come = saturating_sub(sample->group_slow_bytes, sample->blocked_bytes);
	uint64_t quota = MIN(MIN(room(policy, sample), may_come),
			     MIN(state->budget_bytes, to_fetch(policy, sample, state)));
	uint64_t window = state->window_usec;

	quota = MIN(quota, pass_limit(state));
	if (policy->never_promote || quota < trifle(policy, sample) / 8) {
		/* As much is warm as there is room for: in a shorter time, less is. */
		if (state->short_of_cold && !policy->never_promote) {
			state->short_of_cold = false;
			step->act = TIER_TIERING_FORGET;
			step->reason = TIER_TIERING_WANTED;
			step->at_usec = sample->now_usec;
			return;
		}
		state->usual_bytes = state->demand_bytes;
		state->judge = false;
		state->aim_bytes = 0;
		step->reason = TIER_TIERING_ALL_WARM;
		rest(policy, sample, state, step);
		return;
	}
	step->act = TIER_TIERING_PROMOTE;
	step->quota_bytes = quota;
	step->reason = TIER_TIERING_HOT;
	/* In a window that is shorter by as much as there is less room, it is the hottest that are seen. */
	if (quota < state->touched_bytes)
		window = window / 1024 * (quota / MAX(state->touched_bytes / 1024, 1));
	/* What the pass comes to last has had the time that it takes as well. */
	window -= MIN(window / 2, quota / PAGE_BYTES * state->page_cost_nsec / 1000 / 2);
	step->at_usec = sample->now_usec + MAX(window, tiering_window_min(policy));
}

static void after_forgetting(const struct tier_tiering_policy *policy,
			     const struct tier_tiering_sample *sample,
			     struct tier_tiering_state *state, struct tier_tiering_step *step)
{
	if (state->made_room) {
		state->made_room = false;
		fetch(policy, sample, state, step);
		return;
	}
	if (state->for_over) {
		demote_over(policy, sample, state, step);
		return;
	}
	if (!make_room(policy, sample, state, sample->now_usec, step))
		fetch(policy, sample, state, step);
}

static void after_demotion(const struct tier_tiering_policy *policy,
			   const struct tier_tiering_sample *sample,
			   const struct tier_tiering_result *result,
			   struct tier_tiering_state *state, struct tier_tiering_step *step)
{
	bool all = result->moved_bytes >= result->quota_bytes / 10 * 9;

	if (state->for_over) {
		after_over(policy, sample, result, state, step);
		return;
	}
	state->short_of_cold = false;
	if (all && result->quota_bytes) {
		state->cold_windows = MIN(state->cold_windows + 1, COLD_MAX);
	} else if (result->moved_bytes < result->quota_bytes / 2 && state->cold_windows > 1) {
		state->cold_windows /= 2;
		state->short_of_cold = true;
	}
	/* What it has not seen, since it ended at its quota, was touched since long ago; and the rest now and then. */
	state->made_room = true;
	step->act = TIER_TIERING_FORGET;
	step->reason = TIER_TIERING_ROOM;
	step->at_usec = sample->now_usec;
}

static void after_promotion(const struct tier_tiering_sample *sample,
			    const struct tier_tiering_result *result,
			    struct tier_tiering_state *state, struct tier_tiering_step *step)
{
	/* Of what was moved, only the hot part can be missing from the demand. */
	state->moved_bytes += result->moved_bytes / 1024 *
			      (state->demand_bytes / MAX(state->touched_bytes / 1024, 1));
	state->evidence = (struct tier_tiering_evidence){};
	state->looks = LOOKS;
	step->reason = TIER_TIERING_MOVED;
	measure_now(sample, state, step);
}

void tier_tiering_next(const struct tier_tiering_policy *policy,
		       const struct tier_tiering_sample *sample,
		       const struct tier_tiering_result *result, struct tier_tiering_state *state,
		       struct tier_tiering_step *ret)
{
	struct tier_tiering_step step = {};

	if (!state->begun) {
		*state = (struct tier_tiering_state){
			.begun = true,
			.searching = true,
			.cold_windows = COLD_FIRST,
			.budget_bytes = first_budget(policy, sample),
			.window_usec = tiering_window_first(policy),
		};
		result = NULL;
	}
	if (result)
		take_costs(result, state);
	/* Each pass clears the accessed bits of what it comes by. */
	if (result && result->act != TIER_TIERING_MEASURE)
		state->forgot_usec = sample->now_usec;
	if (policy->never_demote && policy->never_promote) {
		step.reason = TIER_TIERING_FORBIDDEN;
		state->halved = false;
		measure_at(state, sample->now_usec + gap_max(policy, state), &step);
	} else if (!result) {
		state->judge = false;
		state->for_over = state->made_room = false;
		state->forgot_usec = 0;
		state->moved_bytes = state->aim_bytes = 0;
		state->evidence = (struct tier_tiering_evidence){};
		step.reason = TIER_TIERING_FIRST;
		measure_now(sample, state, &step);
	} else if (result->act == TIER_TIERING_MEASURE) {
		after_measurement(policy, sample, result, state, &step);
	} else if (result->act == TIER_TIERING_FORGET) {
		after_forgetting(policy, sample, state, &step);
	} else if (result->act == TIER_TIERING_DEMOTE) {
		after_demotion(policy, sample, result, state, &step);
	} else {
		after_promotion(sample, result, state, &step);
	}
	*ret = step;
}

const char *tier_tiering_act_name(enum tier_tiering_act act)
{
	static const char *const names[] = {
		[TIER_TIERING_MEASURE] = "measure",
		[TIER_TIERING_FORGET] = "forget",
		[TIER_TIERING_DEMOTE] = "demote",
		[TIER_TIERING_PROMOTE] = "promote",
	};

	return act < ARRAY_SIZE(names) ? names[act] : "unknown";
}

const char *tier_tiering_reason_name(enum tier_tiering_reason reason)
{
	static const char *const names[] = {
		[TIER_TIERING_FIRST] = "first",		[TIER_TIERING_FITTING] = "fitting",
		[TIER_TIERING_QUIET] = "quiet",		[TIER_TIERING_WANTED] = "wanted",
		[TIER_TIERING_ROOM] = "room",		[TIER_TIERING_HOT] = "hot",
		[TIER_TIERING_MOVED] = "moved",		[TIER_TIERING_DOUBT] = "doubt",
		[TIER_TIERING_FRUITLESS] = "fruitless", [TIER_TIERING_ALL_WARM] = "all-warm",
		[TIER_TIERING_OVER] = "over",		[TIER_TIERING_FORBIDDEN] = "forbidden",
	};

	return reason < ARRAY_SIZE(names) ? names[reason] : "unknown";
}
