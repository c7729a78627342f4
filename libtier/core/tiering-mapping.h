/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_TIERING_MAPPING_H
#define TIER_CORE_TIERING_MAPPING_H

#include "tier-tiering.h"

/* Is the node one of the mask's? */
static inline bool tiering_mask_has(uint64_t mask, int node)
{
	return node >= 0 && node < 64 && (mask >> node & 1);
}

/* What /proc/PID/numa_maps says of a mapping. */
struct tiering_mapping {
	uint64_t start;
	uint64_t fast_bytes, slow_bytes, other_bytes;
	unsigned long mapped_by; /* at most so many processes have a page of it; 0: not told, one */
	enum tier_tiering_stay stay; /* TIER_STAY_NOT: it may be moved */
};

/* "7f0000000000 default anon=512 dirty=512 N0=512 kernelpagesize_kB=4": false if it is no such line. */
bool tiering_mapping_parse(const char *line, const struct tier_tiering_nodes *nodes,
			   struct tiering_mapping *ret);

/* Is too little of it there? @end: of its addresses */
bool tiering_mapping_is_sparse(const struct tiering_mapping *mapping, uint64_t end);

#endif
