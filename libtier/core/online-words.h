/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_ONLINE_WORDS_H
#define TIER_CORE_ONLINE_WORDS_H

#include "online-choose.h"
#include "tier-online.h"

/* MOVABLE:KERNEL in percent, rounded down; at most UINT_MAX. */
unsigned online_percent(const struct online_sum *sum);

/* "1G movable after this against 2G kernel is 50 %, allowed 301 %" */
void online_sum_text(char text[static 160], const struct online_sum *sum, unsigned ratio_percent);

/*
 * Why a decision has the zone that it has. @after: the machine when it has been carried out; @final:
 * when the whole plan has been.
 */
void online_reason(struct tier_decision *decision, const struct online_sum *after,
		   const struct online_sum *final, unsigned ratio_percent, bool no_movable);

/* Appends to its reason how many blocks it leaves out. */
void online_tell_retired(struct tier_decision *decision, size_t blocks);

#endif
