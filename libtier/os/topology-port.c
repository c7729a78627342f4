/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "topology-read.h"

/*
 * What lies between a window and a memory device, and which decoders on the way are free. libcxl does not tell whether
 * the decoder of a switch is free, so all of it comes from the files.
 */

static const char cxl_path[] = "sys/bus/cxl/devices";

/* "port1" and "root0" of ".../root0/port1/port3/endpoint5"; the next component after @from; false at the end. */
static bool next_component(const char **from, char name[static 16])
{
	const char *start = *from + strspn(*from, "/");
	size_t length = strcspn(start, "/");

	if (length == 0)
		return false;
	*from = start + length;
	snprintf(name, 16, "%.*s", (int)MIN(length, 15u), start);
	return true;
}

static bool is_root(const char *name)
{
	return strncmp(name, "root", 4) == 0 && name[4] >= '0' && name[4] <= '9';
}

/* The root above a port, and the port right below the root that it is under or is. */
static bool find_root(const struct sysfs *sysfs, const char *port, char root[static 16],
		      const char **ret_rest, char target[static PATH_MAX])
{
	if (sysfs_read_link(sysfs, target, PATH_MAX, "%s/%s", cxl_path, port) != 0)
		return false;
	*ret_rest = target;
	while (next_component(ret_rest, root))
		if (is_root(root))
			return true;
	return false;
}

/* A root has a link dportN to the host bridge that is its target N, and the bridge's port one named uport. */
static int target_of(const struct sysfs *sysfs, const char *root, const char *port)
{
	_cleanup_names_ struct sysfs_names names = {};
	char bridge[64], other[64];
	int number;

	if (sysfs_read_link_name(sysfs, bridge, sizeof(bridge), "%s/%s/uport", cxl_path, port) ||
	    sysfs_list(sysfs, &names, "dport", "%s/%s", cxl_path, root))
		return TIER_UNKNOWN_INT;
	for (size_t i = 0; i < names.count; i++)
		if (sysfs_read_link_name(sysfs, other, sizeof(other), "%s/%s/%s", cxl_path, root,
					 names.names[i]) == 0 &&
		    streq(bridge, other) && sscanf(names.names[i], "dport%d", &number) == 1)
			return number;
	return TIER_UNKNOWN_INT;
}

/* 0, 1; negative if it cannot be told. */
static int decoder_free(const struct sysfs *sysfs, const char *decoder, bool endpoint)
{
	uint64_t bytes = 0;
	char region[64];

	/* One may have a part of the memory before it belongs to a region. */
	if (endpoint && sysfs_read_u64(sysfs, &bytes, "%s/%s/dpa_size", cxl_path, decoder))
		return -1;
	if (bytes > 0)
		return 0;
	if (sysfs_read_string(sysfs, region, sizeof(region), "%s/%s/region", cxl_path, decoder))
		return -1;
	return region[0] == '\0';
}

static void count_decoders(const struct sysfs *sysfs, struct tier_port *port, bool endpoint)
{
	_cleanup_names_ struct sysfs_names names = {};
	char prefix[32];
	int free_count = 0;

	snprintf(prefix, sizeof(prefix), "decoder%s.",
		 port->name + strcspn(port->name, "0123456789"));
	if (sysfs_list(sysfs, &names, prefix, "%s", cxl_path))
		return;
	for (size_t i = 0; i < names.count; i++) {
		int is_free = decoder_free(sysfs, names.names[i], endpoint);

		if (is_free < 0)
			return;
		free_count += is_free;
	}
	port->decoders = (int)names.count;
	port->free_decoders = free_count;
}

static int read_ports(const struct sysfs *sysfs, struct tier_topology *topology, bool endpoint)
{
	_cleanup_names_ struct sysfs_names names = {};
	int r = sysfs_list(sysfs, &names, endpoint ? "endpoint" : "port", "%s", cxl_path);

	if (r)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < names.count; i++) {
		struct tier_port *port = topology_add_port(topology, names.names[i]);
		char root[16], first[16], target[PATH_MAX];
		const char *rest;

		if (!port)
			return -ENOMEM;
		if (find_root(sysfs, port->name, root, &rest, target) &&
		    next_component(&rest, first) && streq(first, port->name))
			port->target = target_of(sysfs, root, port->name);
		count_decoders(sysfs, port, endpoint);
	}
	return 0;
}

static struct tier_memdev *memdev_of(const struct sysfs *sysfs, struct tier_topology *topology,
				     const char *endpoint)
{
	char name[64];

	if (sysfs_read_link_name(sysfs, name, sizeof(name), "%s/%s/uport", cxl_path, endpoint))
		return NULL;
	return (struct tier_memdev *)tier_topology_memdev(topology, name);
}

/* The kernel gives out a memory device's addresses in order, and does not look for holes. */
static void read_free(const struct sysfs *sysfs, struct tier_memdev *memdev, const char *endpoint)
{
	_cleanup_names_ struct sysfs_names names = {};
	uint64_t sum = 0, end = 0;
	char prefix[32];

	snprintf(prefix, sizeof(prefix), "decoder%s.", endpoint + strlen("endpoint"));
	if (sysfs_list(sysfs, &names, prefix, "%s", cxl_path) || names.count == 0)
		return;
	for (size_t i = 0; i < names.count; i++) {
		const char *name = names.names[i];
		uint64_t bytes, start;
		char mode[16];

		if (sysfs_read_u64(sysfs, &bytes, "%s/%s/dpa_size", cxl_path, name) ||
		    sysfs_read_string(sysfs, mode, sizeof(mode), "%s/%s/mode", cxl_path, name))
			return;
		if (bytes == 0 || !streq(mode, "ram"))
			continue;
		sum += bytes;
		/* For root only; others have to be content with the sum. */
		if (sysfs_read_u64(sysfs, &start, "%s/%s/dpa_resource", cxl_path, name) == 0 &&
		    start < memdev->ram_bytes)
			end = MAX(end, start + bytes);
	}
	memdev->ram_free_bytes = memdev->ram_bytes - MIN(memdev->ram_bytes, MAX(sum, end));
}

/* The ports on the way from the root; none is a memory device without a driver. */
static void read_path(const struct sysfs *sysfs, struct tier_topology *topology,
		      const char *endpoint)
{
	struct tier_memdev *memdev = memdev_of(sysfs, topology, endpoint);
	char root[16], target[PATH_MAX];
	const char *rest;

	if (!memdev)
		return;
	read_free(sysfs, memdev, endpoint);
	if (!find_root(sysfs, endpoint, root, &rest, target))
		return;
	for (memdev->port_count = 0; memdev->port_count < TIER_PORTS_MAX; memdev->port_count++)
		if (!next_component(&rest, memdev->ports[memdev->port_count]))
			return;
	/* Deeper than anything that exists. */
	memdev->port_count = 0;
}

static void read_targets(const struct sysfs *sysfs, struct tier_window *window)
{
	uint64_t granularity;
	char list[256];

	if (sysfs_read_u64(sysfs, &granularity, "%s/%s/interleave_granularity", cxl_path,
			   window->name) == 0)
		window->interleave_granularity_bytes = (unsigned)granularity;
	if (sysfs_read_string(sysfs, list, sizeof(list), "%s/%s/target_list", cxl_path,
			      window->name))
		return;
	for (char *p = list; *p && window->target_count < TIER_WAYS_MAX;) {
		char *end;
		long number = strtol(p, &end, 10);

		if (end == p || number < 0 || number > INT_MAX)
			break;
		window->targets[window->target_count++] = (int)number;
		p = end + (*end == ',');
	}
}

int topology_read_ports(const struct sysfs *sysfs, struct tier_topology *topology)
{
	int r = read_ports(sysfs, topology, false);

	if (r == 0)
		r = read_ports(sysfs, topology, true);
	if (r < 0)
		return r;
	for (size_t i = 0; i < topology->port_count; i++)
		if (strncmp(topology->ports[i].name, "endpoint", 8) == 0)
			read_path(sysfs, topology, topology->ports[i].name);
	for (size_t i = 0; i < topology->window_count; i++)
		read_targets(sysfs, &topology->windows[i]);
	return 0;
}
