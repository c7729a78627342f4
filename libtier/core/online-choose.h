/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_ONLINE_CHOOSE_H
#define TIER_CORE_ONLINE_CHOOSE_H

#include "tier-topology.h"
#include "util.h"

/* What the machine has in its zones, in bytes. */
struct online_sum {
	uint64_t kernel, movable;
};

/* One device that waits for a zone. It may go to at least one of the two. */
struct online_candidate {
	uint64_t bytes; /* of whole memory blocks */
	unsigned weight;
	bool may_movable, may_kernel;
	enum tier_zone zone; /* the answer: MOVABLE, NORMAL, or NONE: only Movable, and no room */
	uint64_t value;	     /* used inside */
};

/*
 * Chooses a zone for each candidate, so that movable * 100 <= kernel * ratio_percent holds if those
 * for a kernel zone go online first. What can only be Movable comes first, since it is of no use
 * otherwise; of the rest as much as possible becomes Movable. "As much as possible" is the largest sum
 * of weight * bytes; of several such sets, the one that has the earlier candidates.
 *
 * @block_bytes: what every size is a multiple of
 * @ret_best: the kernel and Movable memory against which what is refused was judged
 *
 * The sizes are added up exactly while there are fewer than some thousand devices or some hundred
 * thousand blocks (see CELLS_MAX); beyond that, sizes are rounded up to larger units, and the answer
 * may miss the optimum by a unit for each device. It never exceeds the ratio. 0 or -ENOMEM.
 */
int online_choose(const struct online_sum *before, unsigned ratio_percent, uint64_t block_bytes,
		  struct online_candidate *candidates, size_t count, struct online_sum *ret_best);

/* Does the ratio hold? */
static inline bool online_fits(const struct online_sum *sum, unsigned ratio_percent)
{
	return (__uint128_t)sum->movable * 100 <= (__uint128_t)sum->kernel * ratio_percent;
}

#endif
