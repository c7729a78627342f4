/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <strings.h>

#include "topology.h"

int tier_topology_new(struct tier_topology **ret)
{
	struct tier_topology *topology = calloc(1, sizeof(*topology));

	if (!topology)
		return -ENOMEM;
	topology->hotplug.numa_balancing = TIER_UNKNOWN_INT;
	topology->hotplug.auto_weights = TIER_UNKNOWN_INT;
	*ret = topology;
	return 0;
}

struct tier_topology *tier_topology_free(struct tier_topology *topology)
{
	if (!topology)
		return NULL;
	for (size_t i = 0; i < topology->node_count; i++) {
		free(topology->nodes[i].cpus);
		free(topology->nodes[i].distances);
	}
	for (size_t i = 0; i < topology->region_count; i++) {
		free(topology->regions[i].memdevs);
		free(topology->regions[i].serials);
		free(topology->regions[i].dpa_starts);
	}
	free(topology->nodes);
	free(topology->blocks);
	free(topology->memdevs);
	free(topology->ports);
	free(topology->windows);
	free(topology->regions);
	free(topology->daxs);
	free(topology->retired_blocks);
	free(topology);
	return NULL;
}

struct tier_node *topology_add_node(struct tier_topology *topology, int id)
{
	struct tier_node *node = array_grow(&topology->nodes, &topology->node_count, sizeof(*node));

	if (!node)
		return NULL;
	node->id = id;
	node->tier = TIER_UNKNOWN_INT;
	node->total_bytes = node->free_bytes = TIER_UNKNOWN_U64;
	node->present_kernel_bytes = node->present_movable_bytes = TIER_UNKNOWN_U64;
	node->read_latency_nsec = node->write_latency_nsec = TIER_UNKNOWN_U64;
	node->read_bandwidth_mbps = node->write_bandwidth_mbps = TIER_UNKNOWN_U64;
	node->cpu_read_bandwidth_mbps = node->cpu_write_bandwidth_mbps = TIER_UNKNOWN_U64;
	node->interleave_weight = TIER_UNKNOWN_INT;
	return node;
}

struct tier_block *topology_add_block(struct tier_topology *topology, uint64_t index)
{
	struct tier_block *block =
		array_grow(&topology->blocks, &topology->block_count, sizeof(*block));

	if (!block)
		return NULL;
	block->index = index;
	block->node = TIER_ABSENT_NODE;
	return block;
}

struct tier_memdev *topology_add_memdev(struct tier_topology *topology, const char *name)
{
	struct tier_memdev *memdev =
		array_grow(&topology->memdevs, &topology->memdev_count, sizeof(*memdev));

	if (!memdev)
		return NULL;
	copy_string(memdev->name, sizeof(memdev->name), name);
	memdev->serial = memdev->ram_free_bytes = TIER_UNKNOWN_U64;
	memdev->node = TIER_ABSENT_NODE;
	return memdev;
}

struct tier_port *topology_add_port(struct tier_topology *topology, const char *name)
{
	struct tier_port *port = array_grow(&topology->ports, &topology->port_count, sizeof(*port));

	if (!port)
		return NULL;
	copy_string(port->name, sizeof(port->name), name);
	port->target = port->decoders = port->free_decoders = TIER_UNKNOWN_INT;
	return port;
}

struct tier_window *topology_add_window(struct tier_topology *topology, const char *name)
{
	struct tier_window *window =
		array_grow(&topology->windows, &topology->window_count, sizeof(*window));

	if (!window)
		return NULL;
	copy_string(window->name, sizeof(window->name), name);
	window->start = window->bytes = window->available_bytes = TIER_UNKNOWN_U64;
	return window;
}

struct tier_region *topology_add_region(struct tier_topology *topology, const char *name)
{
	struct tier_region *region =
		array_grow(&topology->regions, &topology->region_count, sizeof(*region));

	if (!region)
		return NULL;
	copy_string(region->name, sizeof(region->name), name);
	region->start = region->bytes = TIER_UNKNOWN_U64;
	region->target_node = TIER_ABSENT_NODE;
	return region;
}

struct tier_dax *topology_add_dax(struct tier_topology *topology, const char *name)
{
	struct tier_dax *dax = array_grow(&topology->daxs, &topology->dax_count, sizeof(*dax));

	if (!dax)
		return NULL;
	copy_string(dax->name, sizeof(dax->name), name);
	dax->start = TIER_UNKNOWN_U64;
	dax->target_node = TIER_ABSENT_NODE;
	return dax;
}

int topology_region_add_memdev(struct tier_region *region, const char *name, uint64_t serial,
			       uint64_t dpa_start)
{
	size_t serial_count = region->memdev_count, start_count = region->memdev_count;
	uint64_t *place = array_grow(&region->serials, &serial_count, sizeof(*place));
	uint64_t *start = array_grow(&region->dpa_starts, &start_count, sizeof(*start));

	if (!place || !start)
		return -ENOMEM;
	char(*memdev)[32] =
		array_grow(&region->memdevs, &region->memdev_count, sizeof(region->memdevs[0]));
	if (!memdev)
		return -ENOMEM;
	*place = serial;
	*start = dpa_start;
	copy_string(*memdev, sizeof(*memdev), name);
	return 0;
}

static int compare_nodes(const void *a, const void *b)
{
	const struct tier_node *left = a, *right = b;

	return (left->id > right->id) - (left->id < right->id);
}

static int compare_blocks(const void *a, const void *b)
{
	const struct tier_block *left = a, *right = b;

	return (left->index > right->index) - (left->index < right->index);
}

/* For the elements that start with their name: "mem2" before "mem10". */
static int compare_names(const void *a, const void *b)
{
	return strverscmp(a, b);
}

static void sort(void *array, size_t count, size_t bytes,
		 int (*compare)(const void *, const void *))
{
	if (count)
		qsort(array, count, bytes, compare);
}

static_assert(offsetof(struct tier_memdev, name) == 0 && offsetof(struct tier_window, name) == 0 &&
		      offsetof(struct tier_region, name) == 0 &&
		      offsetof(struct tier_port, name) == 0 && offsetof(struct tier_dax, name) == 0,
	      "compare_names() reads the name at the start");

void topology_sort(struct tier_topology *t)
{
	sort(t->nodes, t->node_count, sizeof(*t->nodes), compare_nodes);
	sort(t->blocks, t->block_count, sizeof(*t->blocks), compare_blocks);
	sort(t->memdevs, t->memdev_count, sizeof(*t->memdevs), compare_names);
	sort(t->ports, t->port_count, sizeof(*t->ports), compare_names);
	sort(t->windows, t->window_count, sizeof(*t->windows), compare_names);
	sort(t->regions, t->region_count, sizeof(*t->regions), compare_names);
	sort(t->daxs, t->dax_count, sizeof(*t->daxs), compare_names);
}

uint64_t topology_window_available(const struct tier_topology *topology,
				   const struct tier_window *window)
{
	uint64_t largest = 0, at = window->start;

	if (window->start == TIER_UNKNOWN_U64 || window->bytes == TIER_UNKNOWN_U64)
		return TIER_UNKNOWN_U64;
	/* The regions of a window do not overlap, so walking them by address finds the gaps. */
	for (;;) {
		const struct tier_region *next = NULL;

		for (size_t i = 0; i < topology->region_count; i++) {
			const struct tier_region *region = &topology->regions[i];

			if (!streq(region->window, window->name) || region->bytes == 0)
				continue;
			if (region->start == TIER_UNKNOWN_U64 || region->bytes == TIER_UNKNOWN_U64)
				return TIER_UNKNOWN_U64;
			if (region->start >= at && (!next || region->start < next->start))
				next = region;
		}
		uint64_t end = next ? next->start : window->start + window->bytes;
		if (end > at)
			largest = MAX(largest, end - at);
		if (!next)
			return largest;
		/* Of a dump: it would begin again. */
		if (__builtin_add_overflow(next->start, next->bytes, &at))
			return largest;
	}
}

bool tier_topology_keep_tiers(struct tier_topology *topology, const struct tier_topology *earlier)
{
	bool all = true;

	for (size_t i = 0; i < topology->node_count; i++) {
		struct tier_node *node = &topology->nodes[i];
		const struct tier_node *before =
			earlier ? tier_topology_node(earlier, node->id) : NULL;

		if (!node->has_memory)
			continue;
		if (before && before->has_memory)
			node->tier = before->tier;
		all &= node->tier >= 0;
	}
	return all;
}

const struct tier_node *tier_topology_node(const struct tier_topology *topology, int id)
{
	for (size_t i = 0; i < topology->node_count; i++)
		if (topology->nodes[i].id == id)
			return &topology->nodes[i];
	return NULL;
}

const struct tier_region *tier_topology_region(const struct tier_topology *topology,
					       const char *name)
{
	for (size_t i = 0; i < topology->region_count; i++)
		if (streq(topology->regions[i].name, name))
			return &topology->regions[i];
	return NULL;
}

const struct tier_memdev *tier_topology_memdev(const struct tier_topology *topology,
					       const char *name)
{
	for (size_t i = 0; i < topology->memdev_count; i++)
		if (streq(topology->memdevs[i].name, name))
			return &topology->memdevs[i];
	return NULL;
}

const struct tier_port *tier_topology_port(const struct tier_topology *topology, const char *name)
{
	for (size_t i = 0; i < topology->port_count; i++)
		if (streq(topology->ports[i].name, name))
			return &topology->ports[i];
	return NULL;
}

const struct tier_dax *tier_topology_region_dax(const struct tier_topology *topology,
						const char *name, const struct tier_dax *after)
{
	for (size_t i = after ? (size_t)(after - topology->daxs) + 1 : 0; i < topology->dax_count;
	     i++)
		if (streq(topology->daxs[i].region, name))
			return &topology->daxs[i];
	return NULL;
}

const struct tier_block *tier_topology_range_blocks(const struct tier_topology *topology,
						    uint64_t start, uint64_t bytes,
						    size_t *ret_count)
{
	uint64_t size = topology->block_bytes, last;
	size_t low = 0, high = topology->block_count, end;

	*ret_count = 0;
	if (size == 0 || bytes == 0 || start == TIER_UNKNOWN_U64 ||
	    __builtin_add_overflow(start, bytes - 1, &last))
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (topology->blocks[middle].index < start / size)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < topology->block_count && topology->blocks[end].index <= last / size;)
		end++;
	*ret_count = end - low;
	return end > low ? &topology->blocks[low] : NULL;
}

int topology_range_node(const struct tier_topology *topology, uint64_t start, uint64_t bytes)
{
	size_t count;
	const struct tier_block *block = tier_topology_range_blocks(topology, start, bytes, &count);

	for (size_t i = 1; i < count; i++)
		if (block[i].node != block[0].node)
			return TIER_ABSENT_NODE;
	return count ? block[0].node : TIER_ABSENT_NODE;
}

bool tier_topology_block_retired(const struct tier_topology *topology, uint64_t index)
{
	size_t low = 0, high = topology->retired_block_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (topology->retired_blocks[middle] < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < topology->retired_block_count && topology->retired_blocks[low] == index;
}

const char *tier_zone_name(enum tier_zone zone)
{
	static const char *const names[] = {
		[TIER_ZONE_NONE] = "none",	 [TIER_ZONE_DMA] = "DMA",
		[TIER_ZONE_DMA32] = "DMA32",	 [TIER_ZONE_NORMAL] = "Normal",
		[TIER_ZONE_MOVABLE] = "Movable", [TIER_ZONE_DEVICE] = "Device",
		[TIER_ZONE_MIXED] = "mixed",
	};

	return (size_t)zone < ARRAY_SIZE(names) ? names[zone] : "unknown";
}

const char *tier_block_state_name(enum tier_block_state state)
{
	static const char *const names[] = {
		[TIER_BLOCK_OFFLINE] = "offline",
		[TIER_BLOCK_GOING_OFFLINE] = "going-offline",
		[TIER_BLOCK_ONLINE] = "online",
	};

	return (size_t)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

bool tier_dax_has_blocks(const struct tier_dax *dax)
{
	return dax->mode == TIER_DAX_SYSTEM_RAM && !streq(dax->state, "unplugged");
}

const char *tier_dax_mode_name(enum tier_dax_mode mode)
{
	static const char *const names[] = {
		[TIER_DAX_DISABLED] = "disabled",
		[TIER_DAX_DEVDAX] = "devdax",
		[TIER_DAX_SYSTEM_RAM] = "system-ram",
	};

	return (size_t)mode < ARRAY_SIZE(names) ? names[mode] : "unknown";
}

static const char *const memory_type_names[] = {
	[TIER_MEMORY_UNKNOWN] = "unknown",
	[TIER_MEMORY_LOCAL] = "Local",
	[TIER_MEMORY_SHARED] = "Shared",
	[TIER_MEMORY_SWITCHED] = "Switched",
};

const char *tier_memory_type_name(enum tier_memory_type type)
{
	return (size_t)type < ARRAY_SIZE(memory_type_names)
		       ? memory_type_names[type]
		       : memory_type_names[TIER_MEMORY_UNKNOWN];
}

enum tier_memory_type tier_memory_type_parse(const char *name)
{
	for (size_t i = TIER_MEMORY_LOCAL; i < ARRAY_SIZE(memory_type_names); i++)
		if (strcasecmp(name, memory_type_names[i]) == 0)
			return (enum tier_memory_type)i;
	return TIER_MEMORY_UNKNOWN;
}
