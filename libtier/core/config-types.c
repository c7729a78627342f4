/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the configuration says of the memory's type, for kernels that do not know it. */
#include "tier-config.h"
#include "topology.h"

static bool behind_switch(const struct tier_topology *topology, const struct tier_region *region)
{
	for (size_t i = 0; i < region->memdev_count; i++) {
		const struct tier_memdev *memdev =
			tier_topology_memdev(topology, region->memdevs[i]);

		if (memdev && memdev->behind_switch)
			return true;
	}
	return false;
}

enum tier_memory_type tier_config_region_type(const struct tier_config *config,
					      const struct tier_topology *topology,
					      const struct tier_region *region)
{
	const struct tier_config_portal *portal = tier_config_portal_rule(config, region);
	const struct tier_config_region *rule = tier_config_region_rule(config, region);

	if (portal && portal->type == TIER_MEMORY_UNKNOWN)
		return behind_switch(topology, region) ? TIER_MEMORY_SWITCHED : TIER_MEMORY_SHARED;
	if (portal)
		return portal->type;
	return rule ? rule->type : TIER_MEMORY_UNKNOWN;
}

/* Of the node's regions the one that most hosts may reach; UNKNOWN if one of them may be anything. */
static enum tier_memory_type node_type(const struct tier_topology *topology, int node)
{
	enum tier_memory_type type = TIER_MEMORY_LOCAL;
	bool unknown = false;

	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];

		if (region->target_node != node)
			continue;
		unknown |= region->type == TIER_MEMORY_UNKNOWN;
		type = region->type > type ? region->type : type;
	}
	return unknown && type == TIER_MEMORY_LOCAL ? TIER_MEMORY_UNKNOWN : type;
}

void tier_config_types(const struct tier_config *config, struct tier_topology *topology)
{
	for (size_t i = 0; i < topology->region_count; i++) {
		struct tier_region *region = &topology->regions[i];

		if (region->type_by_kernel)
			continue;
		region->type = tier_config_region_type(config, topology, region);
		if (region->type == TIER_MEMORY_UNKNOWN && tier_config_region_rule(config, region))
			region->type = TIER_MEMORY_LOCAL;
	}
	for (size_t i = 0; i < topology->node_count; i++) {
		struct tier_node *node = &topology->nodes[i];

		if (node->type_by_kernel)
			continue;
		node->type = node_type(topology, node->id);
	}
}
