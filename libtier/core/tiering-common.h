/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_TIERING_COMMON_H
#define TIER_CORE_TIERING_COMMON_H

#include "tier-tiering.h"
#include "util.h"

/* What the parts of the tiering policy reckon with. */

#define PAGE_BYTES 4096

static inline uint64_t saturating_sub(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
	return value < low ? low : MIN(value, high);
}

static inline uint64_t square_root(uint64_t value)
{
	uint64_t root = 0;

	for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
		if ((root + bit) * (root + bit) <= value)
			root += bit;
	return root;
}

/* What may be the group's of fast memory at all. */
static inline uint64_t fast_share(const struct tier_tiering_policy *policy,
				  const struct tier_tiering_sample *sample)
{
	return MIN(policy->max_fast_bytes, sample->fast_total_bytes);
}

/* Until moves have proved fruitful, a round moves so much at most. */
static inline uint64_t first_budget(const struct tier_tiering_policy *policy,
				    const struct tier_tiering_sample *sample)
{
	return fast_share(policy, sample) / 4;
}

#endif
