/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-apply.h"
#include "tier-portal.h"
#include "tier-topology.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_topology *, tier_topology_free)

static int find_region(const char *name, struct tier_topology **ret_topology,
		       const struct tier_region **ret, struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	const struct tier_region *region;
	const struct tier_dax *dax = NULL;
	int r;

	r = tier_topology_read(NULL, &topology, problem);
	if (r != 0)
		return r;
	region = tier_topology_region(topology, name);
	if (!region)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name, "tierctl list regions",
					"no such region");
	/* A region tells everybody its address, a dax device tells root. */
	if (region->start == TIER_UNKNOWN_U64)
		return tier_problem_set(problem, -EPERM, name, "run it as root",
					"cannot see its address");
	while ((dax = tier_topology_region_dax(topology, name, dax)))
		if (dax->start == TIER_UNKNOWN_U64 && dax->bytes > 0)
			return tier_problem_set(problem, -EPERM, name, "run it as root",
						"cannot see where %s begins", dax->name);
	*ret = region;
	*ret_topology = TAKE(topology);
	return 0;
}

int tier_portal_region_path(const char *region_name, char path[static 64],
			    struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	const struct tier_region *region;
	const struct tier_dax *dax = NULL;
	int r;

	r = find_region(region_name, &topology, &region, problem);
	if (r != 0)
		return r;
	while ((dax = tier_topology_region_dax(topology, region_name, dax)))
		if (dax->start == region->start && dax->bytes > 0)
			break;
	if (!dax)
		return tier_problem_set(problem, TIER_E_REFUSED, region_name,
					"daxctl create-device makes one",
					"no dax device begins at the region's start");
	if (dax->mode != TIER_DAX_DEVDAX) {
		char next[96];

		if (dax->mode == TIER_DAX_SYSTEM_RAM)
			snprintf(next, sizeof(next), "tierctl offline %s --to-devdax", region_name);
		else
			snprintf(next, sizeof(next),
				 "daxctl enable-device, or reconfigure-device "
				 "--mode=devdax");
		return tier_problem_set(problem, TIER_E_REFUSED, region_name, next,
					"%s is %s, not devdax", dax->name,
					tier_dax_mode_name(dax->mode));
	}
	snprintf(path, 64, "/dev/%s", dax->name);
	return 0;
}

static int refuse_online(const struct tier_topology *topology, const struct tier_region *region,
			 struct tier_problem *problem)
{
	const struct tier_block *blocks;
	char next[96];
	size_t count, online = 0;

	blocks = tier_topology_range_blocks(topology, region->start, region->bytes, &count);
	for (size_t i = 0; i < count; i++)
		online += blocks[i].state != TIER_BLOCK_OFFLINE;
	if (online == 0)
		return 0;
	snprintf(next, sizeof(next), "tierctl offline %s --to-devdax", region->name);
	return tier_problem_set(problem, TIER_E_BUSY, region->name, next,
				"%zu of its %zu memory blocks are online", online, count);
}

int tier_portal_region_to_devdax(const char *region_name, struct tier_problem *problem)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	const struct tier_region *region;
	const struct tier_dax *dax = NULL;
	bool any = false;
	int r;

	r = find_region(region_name, &topology, &region, problem);
	r = r ?: refuse_online(topology, region, problem);
	if (r != 0)
		return r;
	r = sysfs_open(&sysfs, NULL);
	if (r < 0)
		return tier_problem_set(problem, r, region_name, NULL, "cannot open sysfs");
	while ((dax = tier_topology_region_dax(topology, region_name, dax))) {
		any = true;
		if (dax->mode != TIER_DAX_SYSTEM_RAM)
			continue;
		r = memory_dax_bind(&sysfs, dax->name, TIER_DAX_DEVDAX, problem);
		if (r != 0)
			return r;
	}
	if (!any)
		return tier_problem_set(problem, TIER_E_REFUSED, region_name,
					"daxctl create-device makes one", "it has no dax device");
	return 0;
}
