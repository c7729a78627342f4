/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "topology-read.h"
#include "zoneinfo.h"

/*
 * Nodes come from sysfs on this machine as well: libnuma reads distances and the highest node when
 * it is loaded and never again, so a daemon would not see the node of a region that arrives later.
 */

static const char nodes_path[] = "sys/devices/system/node";

static void read_meminfo(const struct sysfs *sysfs, struct tier_node *node)
{
	_cleanup_free_ char *text = NULL;
	const char *p;

	if (sysfs_read_text(sysfs, &text, "%s/node%d/meminfo", nodes_path, node->id) != 0)
		return;
	if ((p = strstr(text, "MemTotal:")))
		node->total_bytes = strtoull(p + strlen("MemTotal:"), NULL, 10) * KIB;
	if ((p = strstr(text, "MemFree:")))
		node->free_bytes = strtoull(p + strlen("MemFree:"), NULL, 10) * KIB;
}

/* One number per online node, in the order of their ids; @names is in that order. */
static int read_distances(const struct sysfs *sysfs, const struct sysfs_names *names,
			  struct tier_node *node)
{
	char text[4096], *p = text, *end;

	if (sysfs_read_string(sysfs, text, sizeof(text), "%s/node%d/distance", nodes_path,
			      node->id) != 0)
		return 0;
	for (size_t i = 0; i < names->count; i++, p = end) {
		unsigned long distance = strtoul(p, &end, 10);

		if (end == p)
			break;
		struct tier_node_distance *d =
			array_grow(&node->distances, &node->distance_count, sizeof(*d));
		if (!d)
			return -ENOMEM;
		d->node = atoi(names->names[i] + strlen("node"));
		d->distance = (unsigned)distance;
	}
	return 0;
}

static void read_access(const struct sysfs *sysfs, struct tier_node *node)
{
	const struct {
		const char *name;
		uint64_t *value;
	} attributes[] = {
		{"access0/initiators/read_latency", &node->read_latency_nsec},
		{"access0/initiators/write_latency", &node->write_latency_nsec},
		{"access0/initiators/read_bandwidth", &node->read_bandwidth_mbps},
		{"access0/initiators/write_bandwidth", &node->write_bandwidth_mbps},
		{"access1/initiators/read_bandwidth", &node->cpu_read_bandwidth_mbps},
		{"access1/initiators/write_bandwidth", &node->cpu_write_bandwidth_mbps},
	};

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		uint64_t value;

		/* The kernel says 0 for what no table told it. */
		if (sysfs_read_u64(sysfs, &value, "%s/node%d/%s", nodes_path, node->id,
				   attributes[i].name) == 0 &&
		    value != 0)
			*attributes[i].value = value;
	}
}

static int read_zones(const struct sysfs *sysfs, struct tier_topology *topology)
{
	_cleanup_zoneinfo_ struct zoneinfo info = {};
	int r = zoneinfo_read(sysfs, &info);

	if (r)
		return r < 0 ? r : 0;
	for (size_t i = 0; i < topology->node_count; i++)
		topology->nodes[i].present_kernel_bytes = topology->nodes[i].present_movable_bytes =
			0;
	for (size_t i = 0; i < info.count; i++) {
		const struct zoneinfo_zone *zone = &info.zones[i];
		struct tier_node *node =
			(struct tier_node *)tier_topology_node(topology, zone->node);

		if (!node)
			continue;
		if (zone->id == TIER_ZONE_MOVABLE) {
			node->present_movable_bytes += zone->present_pages * topology->page_bytes;
			continue;
		}
		node->present_kernel_bytes += zone->present_pages * topology->page_bytes;
		node->cma_bytes += zone->cma_pages * topology->page_bytes;
	}
	return 0;
}

int topology_read_nodes(const struct sysfs *sysfs, struct tier_topology *topology)
{
	_cleanup_names_ struct sysfs_names names = {};
	int r = sysfs_list(sysfs, &names, "node", nodes_path);

	if (r < 0)
		return r;
	for (size_t i = 0; i < names.count; i++) {
		struct tier_node *node =
			topology_add_node(topology, atoi(names.names[i] + strlen("node")));

		if (!node)
			return -ENOMEM;
		unsigned id = (unsigned)node->id;
		node->online = sysfs_list_has(sysfs, id, "sys/devices/system/node/online");
		node->has_cpu = sysfs_list_has(sysfs, id, "sys/devices/system/node/has_cpu");
		node->has_memory = sysfs_list_has(sysfs, id, "sys/devices/system/node/has_memory");
		/* Hundreds of CPUs that are numbered in turns, node by node, make a long list. */
		if (sysfs_read_text(sysfs, &node->cpus, "%s/node%d/cpulist", nodes_path,
				    node->id) == 0)
			node->cpus[strcspn(node->cpus, "\n")] = '\0';
		read_meminfo(sysfs, node);
		read_access(sysfs, node);
		(void)sysfs_read_int(sysfs, &node->interleave_weight,
				     "sys/kernel/mm/mempolicy/weighted_interleave/node%u", id);
		node->type = topology_read_type(sysfs, "%s/node%u/memory_type", nodes_path, id);
		node->type_by_kernel = node->type != TIER_MEMORY_UNKNOWN;
		r = read_distances(sysfs, &names, node);
		if (r < 0)
			return r;
	}
	return read_zones(sysfs, topology);
}
