/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_TIERING_WINDOW_H
#define TIER_CORE_TIERING_WINDOW_H

#include "tier-tiering.h"

/*
 * The window of time in which a page that is touched is hot: which one shows what is touched far more often than the
 * rest, and little else.
 */

/* Sought anew from here on: measurements go to tiering_window_try() while @state->searching. */
void tiering_window_search(const struct tier_tiering_policy *policy,
			   const struct tier_tiering_sample *sample,
			   struct tier_tiering_state *state);
/* @result: of @state->window_usec and its halves. Then that is the one to try next, or the one that was chosen. */
void tiering_window_try(const struct tier_tiering_policy *policy,
			const struct tier_tiering_sample *sample,
			const struct tier_tiering_result *result, struct tier_tiering_state *state);
/* The rates are no longer what they were when the window was chosen. */
bool tiering_window_is_off(const struct tier_tiering_state *state, uint64_t touched_bytes,
			   uint64_t little);

uint64_t tiering_window_first(const struct tier_tiering_policy *policy);
uint64_t tiering_window_min(const struct tier_tiering_policy *policy);

/*
 * What twice the half less the whole is if all pages are touched with the same rate: if p of them are in the whole,
 * 1 - sqrt(1 - p) are in the half, and the square of that is left. In parts of 1024 of all.
 */
uint64_t tiering_if_alike(uint64_t touched_bytes, uint64_t all_bytes);

#endif
