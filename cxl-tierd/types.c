/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/*
 * Types of memory: on a kernel that has them, a region is typed before any of its memory is online.
 * On others the configuration alone says what a region is, and nothing keeps pages from it.
 */

/* A portal is memory that other hosts see, whatever the kernel or the configuration take it for. */
static enum tier_memory_type wanted(struct manager *manager, const struct tier_topology *topology,
				    const struct tier_region *region, bool portal)
{
	enum tier_memory_type type = tier_config_region_type(manager->config, topology, region);

	if (type == TIER_MEMORY_UNKNOWN)
		type = region->type;
	if (!portal || type == TIER_MEMORY_SHARED || type == TIER_MEMORY_SWITCHED)
		return type;
	for (size_t i = 0; i < region->memdev_count; i++) {
		const struct tier_memdev *memdev =
			tier_topology_memdev(topology, region->memdevs[i]);

		if (memdev && memdev->behind_switch)
			return TIER_MEMORY_SWITCHED;
	}
	return TIER_MEMORY_SHARED;
}

int region_set_type(struct manager *manager, const struct tier_topology *topology,
		    const struct tier_region *region, bool portal, struct tier_problem *problem)
{
	enum tier_memory_type type = wanted(manager, topology, region, portal);
	int r;

	if (!region->type_by_kernel || type == TIER_MEMORY_UNKNOWN || type == region->type)
		return 0;
	if (manager_dry_run(manager)) {
		log_decision(LOG_NOTICE, region->name, "would-type",
			     "dry run: would be typed %s instead of %s",
			     tier_memory_type_name(type), tier_memory_type_name(region->type));
		return 0;
	}
	r = tier_memory_type_set(region->name, type, problem);
	if (r == 0)
		log_decision(LOG_NOTICE, region->name, "typed", "its memory is %s, was %s",
			     tier_memory_type_name(type), tier_memory_type_name(region->type));
	return r;
}
