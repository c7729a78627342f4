// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tier-tiering-kernel.h"
#include "util.h"

/* So often in a row, and so much of fast memory; less may be a hot set that has moved, and is fetched. */
#define BOUNCES	     3
#define BOUNCED_PART 2
/* At 1.2 us a page, as move_pages() takes, a 200th of a processor's time. */
#define TRIFLE_MBPS   16
#define LEAST_MBPS    1
#define HOLD_USEC     (UINT64_C(60) * 1000000)
#define HOLD_MAX_USEC (UINT64_C(3600) * 1000000)
/* Rates of less are chance. */
#define LOOK_USEC UINT64_C(500000)

static uint64_t rate_mbps(uint64_t before_bytes, uint64_t now_bytes, uint64_t usec)
{
	uint64_t kib = now_bytes > before_bytes ? (now_bytes - before_bytes) / KIB : 0;

	/* So that nothing overflows, whatever the counters do. */
	return kib / MAX(usec * KIB / 1000000, 1);
}

static void begin(unsigned max_mbps, const struct tier_traffic *traffic,
		  struct tier_limit_state *state)
{
	*state = (struct tier_limit_state){
		.begun = true,
		.limit_mbps = MAX(max_mbps, LEAST_MBPS),
		.max_mbps = max_mbps,
		.hold_usec = HOLD_USEC,
		.changed_usec = traffic->now_usec,
		.last = *traffic,
	};
}

static bool bounces(const struct tier_limit_state *state, const struct tier_limit_step *step)
{
	uint64_t before = MIN(state->promoted_mbps, state->limit_mbps);

	return step->demoted_mbps * 4 >= step->promoted_mbps * 3 && before > 0 &&
	       step->promoted_mbps * 4 >= before * 3;
}

static void lower(const struct tier_limit_step *step, struct tier_limit_state *state)
{
	uint64_t half = MIN(step->promoted_mbps, state->limit_mbps) / 2;

	/* More was tried, in vain. */
	if (state->raised)
		state->hold_usec = MIN(2 * state->hold_usec, HOLD_MAX_USEC);
	state->raised = false;
	state->bouncing = 0;
	state->bounced_bytes = 0;
	state->limit_mbps = (unsigned)MAX(half, LEAST_MBPS);
	state->changed_usec = state->last.now_usec;
}

static bool may_rise(const struct tier_limit_state *state)
{
	return state->limit_mbps < state->max_mbps &&
	       state->last.now_usec - state->changed_usec >= state->hold_usec;
}

static void rise(struct tier_limit_state *state)
{
	state->raised = true;
	state->limit_mbps =
		state->limit_mbps > state->max_mbps / 2 ? state->max_mbps : 2 * state->limit_mbps;
	state->changed_usec = state->last.now_usec;
}

void tier_limit_next(const struct tier_limit_policy *policy, const struct tier_traffic *traffic,
		     struct tier_limit_state *state, struct tier_limit_step *ret)
{
	struct tier_limit_step step = {.reason = TIER_LIMIT_FIRST};
	uint64_t usec = traffic->now_usec - state->last.now_usec;

	if (!state->begun || policy->max_mbps != state->max_mbps ||
	    traffic->now_usec < state->last.now_usec) {
		begin(policy->max_mbps, traffic, state);
		step.limit_mbps = state->limit_mbps;
		*ret = step;
		return;
	}
	if (usec < LOOK_USEC) {
		step.limit_mbps = state->limit_mbps;
		*ret = step;
		return;
	}
	step.promoted_mbps = rate_mbps(state->last.promoted_bytes, traffic->promoted_bytes, usec);
	step.demoted_mbps = rate_mbps(state->last.demoted_bytes, traffic->demoted_bytes, usec);
	state->bounced_bytes += step.promoted_mbps * usec / 1000000 * MIB;
	state->last = *traffic;

	if (step.promoted_mbps + step.demoted_mbps < TRIFLE_MBPS) {
		step.reason = TIER_LIMIT_QUIET;
		state->bouncing = 0;
	} else if (!bounces(state, &step)) {
		step.reason = TIER_LIMIT_FRUITFUL;
		state->bouncing = 0;
	} else {
		step.reason = TIER_LIMIT_BOUNCING;
		state->bouncing++;
	}
	if (state->bouncing == 0)
		state->bounced_bytes = 0;
	if (state->bouncing >= BOUNCES &&
	    state->bounced_bytes >= policy->fast_bytes / BOUNCED_PART) {
		step.reason = TIER_LIMIT_LOWERED;
		lower(&step, state);
	} else if (state->bouncing == 0 && may_rise(state)) {
		step.reason = TIER_LIMIT_RAISED;
		rise(state);
	}
	state->promoted_mbps = step.promoted_mbps;
	step.limit_mbps = state->limit_mbps;
	*ret = step;
}

const char *tier_limit_reason_name(enum tier_limit_reason reason)
{
	static const char *const names[] = {
		[TIER_LIMIT_FIRST] = "first",	    [TIER_LIMIT_QUIET] = "quiet",
		[TIER_LIMIT_FRUITFUL] = "fruitful", [TIER_LIMIT_BOUNCING] = "bouncing",
		[TIER_LIMIT_LOWERED] = "lowered",   [TIER_LIMIT_RAISED] = "raised",
	};

	return reason < ARRAY_SIZE(names) ? names[reason] : "unknown";
}

int tier_traffic_parse(const char *vmstat, uint64_t page_bytes, struct tier_traffic *ret)
{
	static const char promoted[] = "pgpromote_success ", demoted[] = "pgdemote_";
	struct tier_traffic traffic = {.now_usec = ret->now_usec};
	bool promotes = false, demotes = false;

	for (const char *line = vmstat; *line;) {
		const char *value = strchr(line, ' '), *end = line + strcspn(line, "\n");

		if (strncmp(line, promoted, strlen(promoted)) == 0) {
			traffic.promoted_bytes = strtoull(value, NULL, 10) * page_bytes;
			promotes = true;
		} else if (strncmp(line, demoted, strlen(demoted)) == 0 && value && value < end) {
			/* By kswapd, direct reclaim, khugepaged, and whoever asks for it. */
			traffic.demoted_bytes += strtoull(value, NULL, 10) * page_bytes;
			demotes = true;
		}
		line = *end ? end + 1 : end;
	}
	if (!promotes || !demotes)
		return TIER_E_NOT_FOUND;
	*ret = traffic;
	return 0;
}
