/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cxl-context.h"
#include "topology-read.h"

static int read_memdev(const struct sysfs *sysfs, struct tier_topology *topology,
		       struct cxl_memdev *from)
{
	struct tier_memdev *memdev = topology_add_memdev(topology, cxl_memdev_get_devname(from));

	if (!memdev)
		return -ENOMEM;
	copy_string(memdev->host, sizeof(memdev->host), cxl_memdev_get_host(from));
	memdev->serial = cxl_memdev_get_serial(from);
	memdev->ram_bytes = cxl_memdev_get_ram_size(from);
	memdev->pmem_bytes = cxl_memdev_get_pmem_size(from);
	memdev->node = cxl_memdev_get_numa_node(from);
	memdev->enabled = cxl_memdev_is_enabled(from);

	struct cxl_endpoint *endpoint = cxl_memdev_get_endpoint(from);
	/* Depth 0 is the root, 1 a host bridge (libcxl calls it a switch as well), 2 a switch. */
	memdev->behind_switch = endpoint ? cxl_port_get_depth(cxl_endpoint_get_parent(endpoint)) > 1
					 : topology_behind_switch(sysfs, memdev->name);
	return 0;
}

static void format_uuid(char text[static 37], const uuid_t uuid)
{
	static const uuid_t none;

	text[0] = '\0';
	if (memcmp(uuid, none, sizeof(none)) == 0)
		return;
	for (size_t i = 0; i < 16; i++) {
		bool dash = i == 4 || i == 6 || i == 8 || i == 10;

		text += sprintf(text, "%s%02x", dash ? "-" : "", uuid[i]);
	}
}

static int read_region_memdevs(struct tier_region *region, struct cxl_region *from)
{
	for (unsigned position = 0; position < region->interleave_ways; position++) {
		struct cxl_decoder *decoder = cxl_region_get_target_decoder(from, (int)position);
		struct cxl_memdev *memdev = decoder ? cxl_decoder_get_memdev(decoder) : NULL;

		if (memdev && topology_region_add_memdev(region, cxl_memdev_get_devname(memdev),
							 cxl_memdev_get_serial(memdev),
							 cxl_decoder_get_dpa_resource(decoder)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int read_region(struct tier_topology *topology, const char *window, struct cxl_region *from)
{
	struct tier_region *region = topology_add_region(topology, cxl_region_get_devname(from));
	uuid_t uuid = {};

	if (!region)
		return -ENOMEM;
	copy_string(region->window, sizeof(region->window), window);
	region->start = cxl_region_get_resource(from);
	region->bytes = cxl_region_get_size(from);
	region->committed = cxl_region_decode_is_committed(from) == 1;
	region->interleave_ways = cxl_region_get_interleave_ways(from);
	region->interleave_granularity_bytes = cxl_region_get_interleave_granularity(from);
	copy_string(region->mode, sizeof(region->mode),
		    cxl_decoder_mode_name(cxl_region_get_mode(from)));
	if (cxl_region_get_mode(from) == CXL_DECODER_MODE_PMEM)
		cxl_region_get_uuid(from, uuid);
	format_uuid(region->uuid, uuid);
	return read_region_memdevs(region, from);
}

static int read_window(struct tier_topology *topology, struct cxl_decoder *from)
{
	struct tier_window *window = topology_add_window(topology, cxl_decoder_get_devname(from));
	struct cxl_region *region;
	int r = 0;

	if (!window)
		return -ENOMEM;
	window->start = cxl_decoder_get_resource(from);
	window->bytes = cxl_decoder_get_size(from);
	/* Left for topology_window_available(): libcxl's own sum is taken when it is loaded. */
	window->volatile_capable = cxl_decoder_is_volatile_capable(from);
	window->pmem_capable = cxl_decoder_is_pmem_capable(from);
	window->interleave_ways = cxl_decoder_get_interleave_ways(from);
	cxl_region_foreach(from, region)
	{
		r = read_region(topology, cxl_decoder_get_devname(from), region);
		if (r < 0)
			return r;
	}
	return 0;
}

int topology_read_cxl(const struct sysfs *sysfs, struct tier_topology *topology)
{
	_cleanup_cxl_ struct cxl_ctx *ctx = NULL;
	struct cxl_memdev *memdev;
	struct cxl_bus *bus;
	int r;

	/* No module loaded, no hardware: an empty answer, and no reason to start udev. */
	if (!sysfs_exists(sysfs, "sys/bus/cxl"))
		return 0;
	r = cxl_open_quietly(&ctx);
	if (r < 0)
		return r;
	cxl_memdev_foreach(ctx, memdev)
	{
		r = read_memdev(sysfs, topology, memdev);
		if (r < 0)
			return r;
	}
	cxl_bus_foreach(ctx, bus)
	{
		struct cxl_decoder *decoder;

		cxl_decoder_foreach(cxl_bus_get_port(bus), decoder)
		{
			r = read_window(topology, decoder);
			if (r < 0)
				return r;
		}
	}
	return 0;
}
