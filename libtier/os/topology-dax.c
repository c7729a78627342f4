/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "dax.h"
#include "topology-read.h"

static void read_sysfs(const struct sysfs *sysfs, struct tier_dax *dax)
{
	static const char path[] = "sys/bus/dax/devices";
	char text[PATH_MAX];

	if (sysfs_read_link_name(sysfs, text, sizeof(text), "%s/%s/driver", path, dax->name) == 0)
		dax->mode = streq(text, "kmem")		? TIER_DAX_SYSTEM_RAM
			    : streq(text, "device_dax") ? TIER_DAX_DEVDAX
							: TIER_DAX_DISABLED;
	(void)sysfs_read_bool(sysfs, &dax->memmap_on_memory, "%s/%s/memmap_on_memory", path,
			      dax->name);
	if (dax->mode == TIER_DAX_SYSTEM_RAM)
		(void)sysfs_read_string(sysfs, dax->state, sizeof(dax->state), "%s/%s/state", path,
					dax->name);
	(void)dax_region_of(sysfs, dax->name, dax->region);
}

int topology_read_dax(const struct sysfs *sysfs, struct tier_topology *topology)
{
	static const char path[] = "sys/bus/dax/devices";
	_cleanup_names_ struct sysfs_names names = {};
	int r = sysfs_list(sysfs, &names, "dax", path);

	if (r)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.names[i];
		uint64_t bytes = 0;

		(void)sysfs_read_u64(sysfs, &bytes, "%s/%s/size", path, name);
		/* A region's seed: a device of no size that waits to be given one. */
		if (bytes == 0)
			continue;
		struct tier_dax *dax = topology_add_dax(topology, name);
		if (!dax)
			return -ENOMEM;
		dax->bytes = bytes;
		(void)sysfs_read_u64(sysfs, &dax->start, "%s/%s/resource", path, name);
		(void)sysfs_read_u64(sysfs, &dax->align_bytes, "%s/%s/align", path, name);
		(void)sysfs_read_int(sysfs, &dax->target_node, "%s/%s/target_node", path, name);
		read_sysfs(sysfs, dax);
	}
	return 0;
}
