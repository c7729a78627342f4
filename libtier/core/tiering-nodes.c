// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tier-tiering.h"
#include "util.h"

int tier_tiering_nodes(const struct tier_topology *topology, enum tier_mechanism by,
		       struct tier_tiering_nodes *ret, struct tier_problem *problem)
{
	struct tier_tiering_nodes nodes = {};
	int open_node = -1;

	for (size_t i = 0; i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];
		bool typed = node->type == TIER_MEMORY_SHARED || node->type == TIER_MEMORY_SWITCHED;

		if (!node->has_memory || node->total_bytes == 0)
			continue;
		if (node->id > 63 || typed) {
			if (!node->type_by_kernel)
				open_node = node->id;
			continue;
		}
		if (node->has_cpu)
			nodes.fast |= UINT64_C(1) << node->id;
		else
			nodes.slow |= UINT64_C(1) << node->id;
	}
	if (!nodes.fast || !nodes.slow)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "tiering",
					"online a private region: tierctl list",
					"there is no node %s to tier with",
					nodes.fast ? "without processors that has ordinary memory"
						   : "with processors and memory");
	if (nodes.fast & (nodes.fast - 1) || nodes.slow & (nodes.slow - 1))
		return tier_problem_set(
			problem, TIER_E_REFUSED, "tiering", NULL,
			"more than one node has processors, or more than one has none, "
			"and DAMON cannot tell from which of them a page is moved");
	/* DAMON's moves fall back to other nodes when theirs is full; move_pages() does not. */
	if (open_node >= 0 && by != TIER_MECHANISM_IDLE)
		return tier_problem_set(problem, TIER_E_REFUSED, "tiering",
					"boot a kernel with the patches of kernel/series, or take "
					"that memory offline",
					"node%d is shared, and this kernel does not keep ordinary "
					"memory off it",
					open_node);
	*ret = nodes;
	return 0;
}
