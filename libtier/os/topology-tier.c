/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "topology-read.h"

/*
 * Reading which nodes a memory tier has takes a lock that Linux (7.3 as well, mm/memory-tiers.c) holds
 * while it removes a tier whose last memory goes offline, and then it waits for whoever is reading: both
 * hang for good, and all memory hotplug with them. From kernel/series on it does not. So the tiers are not
 * a part of every snapshot, and are not read while a block goes offline, which takes longer than the read.
 */
static bool is_safe(const struct tier_topology *topology)
{
	for (size_t i = 0; i < topology->block_count; i++)
		if (topology->blocks[i].state == TIER_BLOCK_GOING_OFFLINE)
			return false;
	return true;
}

int tier_topology_read_tiers(const char *sysroot, struct tier_topology *topology)
{
	static const char path[] = "sys/devices/virtual/memory_tiering";
	bool live = !sysroot || streq(sysroot, "/");
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_names_ struct sysfs_names tiers = {};
	int r;

	if (live && !is_safe(topology))
		return TIER_E_BUSY;
	r = sysfs_open(&sysfs, sysroot);
	if (r == 0)
		r = sysfs_list(&sysfs, &tiers, "memory_tier", path);
	if (r != 0)
		return r < 0 ? r : 0;
	for (size_t t = 0; t < tiers.count; t++) {
		char list[512];

		if (sysfs_read_string(&sysfs, list, sizeof(list), "%s/%s/nodelist", path,
				      tiers.names[t]) != 0)
			continue;
		for (size_t i = 0; i < topology->node_count; i++)
			if (list_has(list, (unsigned)topology->nodes[i].id))
				topology->nodes[i].tier =
					atoi(tiers.names[t] + strlen("memory_tier"));
	}
	return 0;
}
