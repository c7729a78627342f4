/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include <daxctl/libdaxctl.h>

#include "topology-read.h"

static void unref_daxctl(struct daxctl_ctx **ctx)
{
	if (*ctx)
		daxctl_unref(*ctx);
}

static void no_log(struct daxctl_ctx *ctx, int priority, const char *file, int line, const char *fn,
		   const char *format, va_list arguments)
{
}

/* ".../decoder0.0/region0/dax_region0/dax0.0": the CXL region is a directory on the way. */
static void owning_region(const char *path, char region[static 32])
{
	for (const char *p = path; (p = strstr(p, "/region")); p++) {
		size_t length = strcspn(p + 1, "/");

		if (p[strlen("/region")] < '0' || p[strlen("/region")] > '9' || length >= 32 ||
		    strncmp(p + 1 + length, "/dax_region", strlen("/dax_region")) != 0)
			continue;
		memcpy(region, p + 1, length);
		region[length] = '\0';
	}
}

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
	if (sysfs_read_link(sysfs, text, sizeof(text), "%s/%s", path, dax->name) == 0)
		owning_region(text, dax->region);
}

static int read_device(const struct sysfs *sysfs, struct tier_topology *topology,
		       struct daxctl_dev *from)
{
	struct tier_dax *dax = topology_add_dax(topology, daxctl_dev_get_devname(from));
	uint64_t start = daxctl_dev_get_resource(from);

	if (!dax)
		return -ENOMEM;
	/* Without privilege the library falls back to /proc/iomem, which says 0 then. */
	dax->start = start == 0 ? TIER_UNKNOWN_U64 : start;
	dax->bytes = daxctl_dev_get_size(from);
	dax->align_bytes = daxctl_dev_get_align(from);
	dax->target_node = daxctl_dev_get_target_node(from);
	read_sysfs(sysfs, dax);
	return 0;
}

static bool is_known(const struct tier_topology *topology, const char *name)
{
	for (size_t i = 0; i < topology->dax_count; i++)
		if (streq(topology->daxs[i].name, name))
			return true;
	return false;
}

int topology_read_dax_files(const struct sysfs *sysfs, struct tier_topology *topology)
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
		if (bytes == 0 || is_known(topology, name))
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

int topology_read_dax(const struct sysfs *sysfs, struct tier_topology *topology)
{
	_cleanup_(unref_daxctl) struct daxctl_ctx *ctx = NULL;
	struct daxctl_region *region;
	int r;

	if (!sysfs_exists(sysfs, "sys/bus/dax"))
		return 0;
	r = daxctl_new(&ctx);
	if (r < 0)
		return r;
	daxctl_set_log_fn(ctx, no_log);
	daxctl_region_foreach(ctx, region)
	{
		struct daxctl_dev *device;

		daxctl_dev_foreach(region, device)
		{
			/* A region's seed: a device of no size that waits to be given one. */
			if (daxctl_dev_get_size(device) == 0)
				continue;
			r = read_device(sysfs, topology, device);
			if (r < 0)
				return r;
		}
	}
	/* It passes over a device without a node in /dev, as in a service with a private /dev. */
	return topology_read_dax_files(sysfs, topology);
}
