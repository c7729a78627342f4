/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_CALIBRATION_H
#define TIER_CORE_CALIBRATION_H

#include "tier-calibration.h"

/* What stands behind a node of a snapshot. */
void calibration_describe(const struct tier_topology *topology, int node,
			  struct tier_calibration_node *ret);

/*
 * One cycle through all lines of a buffer, in an order that no prefetcher knows: next[i * stride] is the line after line i.
 * @lines: fewer than 2^32
 */
void chase_link(uint64_t *next, size_t lines, size_t stride, uint64_t seed);

/* Of @count values, which are sorted: the median, and (largest - smallest) / median in thousandths. */
uint64_t calibration_median(uint64_t *values, size_t count, unsigned *ret_spread_permille);

#endif
