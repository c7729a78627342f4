/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_PLACE_H
#define TIER_CORE_PLACE_H

#include "tier-place.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_place *, tier_place_free)
#define _cleanup_place_ _cleanup_(tier_place_freep)

/* Nobody's pages but those of who names it, on a kernel that knows types. */
static inline bool place_is_typed(const struct tier_node *node)
{
	return node->type == TIER_MEMORY_SHARED || node->type == TIER_MEMORY_SWITCHED;
}

/*
 * Adds the nodes of the regions that @names[which] stands for: a region's name or that of a [Region]
 * section. The others of @names tell which regions may share a node. Returns 0; TIER_E_NOT_FOUND;
 * TIER_E_REFUSED.
 */
int place_region_nodes(const char *const *names, size_t count, size_t which,
		       const struct tier_topology *topology, const struct tier_config *config,
		       struct tier_node_set *set, struct tier_problem *problem);

/* The regions whose memory goes to a node, with @between between them, cut to fit. Returns @text. */
const char *place_node_regions(const struct tier_topology *topology, int node, const char *between,
			       char text[static 128]);

#endif
