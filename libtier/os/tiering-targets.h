/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_TIERING_TARGETS_H
#define TIER_OS_TIERING_TARGETS_H

#include "damon.h"
#include "mover-process.h"

/* Is the node one of the mask's? */
static inline bool tiering_mask_has(uint64_t mask, int node)
{
	return node >= 0 && node < 64 && (mask >> node & 1);
}

/* A part of a process' addresses. */
struct tiering_piece {
	int pid;
	struct process_identity identity; /* a number may be given again */
	struct damon_range range;
};

struct tier_tiering_targets {
	struct tiering_piece *pieces; /* by process, ascending; as the process has them mapped */
	size_t count;
	size_t processes;
	uint64_t bytes;
};

/*
 * "7f0000000000 default anon=512 dirty=512 N0=512 kernelpagesize_kB=4": does it belong to the targets?
 * *ret_start is its address, *ret_pages how much of it is there.
 */
bool tiering_takes_mapping(const char *numa_maps_line, const struct tier_tiering_nodes *nodes,
			   uint64_t *ret_start, uint64_t *ret_pages);

#endif
