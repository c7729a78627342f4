/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_NODE_RANGES_H
#define TIER_OS_NODE_RANGES_H

#include "damon.h"

/* Physical addresses, ascending. */
struct node_ranges {
	struct damon_range *ranges;
	size_t count;
};

/*
 * Those of a mask's nodes: their memory blocks, adjacent ones as one. @online: without blocks that are offline.
 * 0; -ENODEV if there are none; other negative errno.
 */
int node_ranges_read(const struct sysfs *sysfs, uint64_t mask, bool online,
		     struct node_ranges *ret);
void node_ranges_done(struct node_ranges *ranges);
uint64_t node_ranges_bytes(const struct node_ranges *ranges);
/* Of both, what they have in common. */
uint64_t node_ranges_common(const struct node_ranges *a, const struct node_ranges *b);
/* Every second piece of the address space, those with odd numbers or the others, as far as it is in the ranges. */
int node_ranges_cut(const struct node_ranges *ranges, uint64_t piece_bytes, bool odd,
		    struct node_ranges *ret);
#define _cleanup_node_ranges_ __attribute__((cleanup(node_ranges_done)))

#endif
