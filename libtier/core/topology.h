/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_TOPOLOGY_H
#define TIER_CORE_TOPOLOGY_H

#include "tier-topology.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_topology *, tier_topology_free)
#define _cleanup_topology_ _cleanup_(tier_topology_freep)

/* Brings every array into the order that the lookups rely on; a reader calls it last. */
void topology_sort(struct tier_topology *topology);

/*
 * The largest part of a window that no region uses; TIER_UNKNOWN_U64 if an address is unknown.
 * Expects regions to be sorted.
 */
uint64_t topology_window_available(const struct tier_topology *topology,
				   const struct tier_window *window);

/* The one node that all memory blocks of a range are on; TIER_ABSENT_NODE without blocks, or if they are on several. */
int topology_range_node(const struct tier_topology *topology, uint64_t start, uint64_t bytes);

/* Appends an element with its unknown values set; NULL without memory. */
struct tier_node *topology_add_node(struct tier_topology *topology, int id);
struct tier_block *topology_add_block(struct tier_topology *topology, uint64_t index);
struct tier_memdev *topology_add_memdev(struct tier_topology *topology, const char *name);
struct tier_port *topology_add_port(struct tier_topology *topology, const char *name);
struct tier_window *topology_add_window(struct tier_topology *topology, const char *name);
struct tier_region *topology_add_region(struct tier_topology *topology, const char *name);
struct tier_dax *topology_add_dax(struct tier_topology *topology, const char *name);

/* Appends a memdev and its serial to a region; the order is the position in the interleave. */
int topology_region_add_memdev(struct tier_region *region, const char *name, uint64_t serial,
			       uint64_t dpa_start);

#endif
