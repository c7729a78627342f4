/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "topology-read.h"

/*
 * From the files alone, of this machine as of a dump. libcxl reads modprobe's configuration first, which
 * memory pressure may have thrown out, and waits until udev has nothing to do, which on a busy machine takes
 * seconds: while memory is short that cxl-tierd is to bring.
 */

static const char cxl_path[] = "sys/bus/cxl/devices";

/* Leaves *ret as it is when the file does not say. */
static void number(const struct sysfs *sysfs, uint64_t *ret, const char *bus, const char *device,
		   const char *attribute)
{
	(void)sysfs_read_u64(sysfs, ret, "%s/%s/%s", bus, device, attribute);
}

bool topology_behind_switch(const struct sysfs *sysfs, const char *memdev)
{
	char target[PATH_MAX];
	unsigned functions = 0;

	/* .../pci0000:0c/0000:0c:00.0/0000:0d:00.0/mem0: root port and device, or more between */
	if (sysfs_read_link(sysfs, target, sizeof(target), "%s/%s", cxl_path, memdev) != 0)
		return false;
	for (const char *p = target; (p = strchr(p, '/')); p++) {
		unsigned domain, bus, slot, function;

		if (sscanf(p, "/%x:%x:%x.%x/", &domain, &bus, &slot, &function) == 4)
			functions++;
	}
	return functions > 2;
}

static int read_memdevs(const struct sysfs *sysfs, struct tier_topology *topology)
{
	_cleanup_names_ struct sysfs_names names = {};
	int r = sysfs_list(sysfs, &names, "mem", "%s", cxl_path);

	if (r)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.names[i];
		struct tier_memdev *memdev = topology_add_memdev(topology, name);
		char target[PATH_MAX], *slash;

		if (!memdev)
			return -ENOMEM;
		number(sysfs, &memdev->serial, cxl_path, name, "serial");
		number(sysfs, &memdev->ram_bytes, cxl_path, name, "ram/size");
		number(sysfs, &memdev->pmem_bytes, cxl_path, name, "pmem/size");
		(void)sysfs_read_int(sysfs, &memdev->node, "%s/%s/numa_node", cxl_path, name);
		/* The link is enough: a dump does not have the driver that it points to. */
		memdev->enabled = sysfs_read_link(sysfs, target, sizeof(target), "%s/%s/driver",
						  cxl_path, name) == 0;
		memdev->behind_switch = topology_behind_switch(sysfs, name);
		if (sysfs_read_link(sysfs, target, sizeof(target), "%s/%s", cxl_path, name) != 0 ||
		    !(slash = strrchr(target, '/')))
			continue;
		*slash = '\0';
		slash = strrchr(target, '/');
		copy_string(memdev->host, sizeof(memdev->host), slash ? slash + 1 : target);
	}
	return 0;
}

/* An endpoint decoder belongs to the memdev that its port has as its upstream. */
static int read_target(const struct sysfs *sysfs, struct tier_topology *topology,
		       struct tier_region *region, unsigned position)
{
	char decoder[64], memdev[64];
	uint64_t dpa_start = TIER_UNKNOWN_U64;
	const struct tier_memdev *found;
	unsigned port;

	if (sysfs_read_string(sysfs, decoder, sizeof(decoder), "%s/%s/target%u", cxl_path,
			      region->name, position) != 0 ||
	    sscanf(decoder, "decoder%u.", &port) != 1 ||
	    sysfs_read_link_name(sysfs, memdev, sizeof(memdev), "%s/endpoint%u/uport", cxl_path,
				 port) != 0)
		return 0;
	found = tier_topology_memdev(topology, memdev);
	number(sysfs, &dpa_start, cxl_path, decoder, "dpa_resource");
	return topology_region_add_memdev(region, memdev, found ? found->serial : TIER_UNKNOWN_U64,
					  dpa_start);
}

static int read_regions(const struct sysfs *sysfs, struct tier_topology *topology)
{
	_cleanup_names_ struct sysfs_names names = {};
	int r = sysfs_list(sysfs, &names, "region", "%s", cxl_path);

	if (r)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.names[i];
		struct tier_region *region = topology_add_region(topology, name);
		char target[PATH_MAX], *slash;
		uint64_t ways = 0, granularity = 0;

		if (!region)
			return -ENOMEM;
		number(sysfs, &region->start, cxl_path, name, "resource");
		number(sysfs, &region->bytes, cxl_path, name, "size");
		number(sysfs, &ways, cxl_path, name, "interleave_ways");
		number(sysfs, &granularity, cxl_path, name, "interleave_granularity");
		region->interleave_ways = (unsigned)ways;
		region->interleave_granularity_bytes = (unsigned)granularity;
		(void)sysfs_read_bool(sysfs, &region->committed, "%s/%s/commit", cxl_path, name);
		(void)sysfs_read_string(sysfs, region->uuid, sizeof(region->uuid), "%s/%s/uuid",
					cxl_path, name);
		(void)sysfs_read_string(sysfs, region->mode, sizeof(region->mode), "%s/%s/mode",
					cxl_path, name);
		/* .../root0/decoder0.0/region0 */
		if (sysfs_read_link(sysfs, target, sizeof(target), "%s/%s", cxl_path, name) == 0 &&
		    (slash = strrchr(target, '/'))) {
			*slash = '\0';
			slash = strrchr(target, '/');
			copy_string(region->window, sizeof(region->window),
				    slash ? slash + 1 : target);
		}
		/* The specification knows no more than 16 ways; a dump may say anything. */
		for (unsigned p = 0; r == 0 && p < MIN(region->interleave_ways, 16u); p++)
			r = read_target(sysfs, topology, region, p);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Only the decoders of a root have the cap_ attributes: those are the windows. */
static int read_windows(const struct sysfs *sysfs, struct tier_topology *topology)
{
	_cleanup_names_ struct sysfs_names names = {};
	int r = sysfs_list(sysfs, &names, "decoder", "%s", cxl_path);

	if (r)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.names[i];
		bool volatile_capable, pmem_capable;
		uint64_t ways = 0;

		if (sysfs_read_bool(sysfs, &volatile_capable, "%s/%s/cap_ram", cxl_path, name) ||
		    sysfs_read_bool(sysfs, &pmem_capable, "%s/%s/cap_pmem", cxl_path, name))
			continue;
		struct tier_window *window = topology_add_window(topology, name);
		if (!window)
			return -ENOMEM;
		number(sysfs, &window->start, cxl_path, name, "start");
		number(sysfs, &window->bytes, cxl_path, name, "size");
		number(sysfs, &ways, cxl_path, name, "interleave_ways");
		window->interleave_ways = (unsigned)ways;
		window->volatile_capable = volatile_capable;
		window->pmem_capable = pmem_capable;
	}
	return 0;
}

int topology_read_cxl(const struct sysfs *sysfs, struct tier_topology *topology)
{
	int r = read_memdevs(sysfs, topology);

	if (r == 0)
		r = read_regions(sysfs, topology);
	return r < 0 ? r : read_windows(sysfs, topology);
}
