/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <systemd/sd-json.h>

#include "tool.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A number that may be unknown, as text; NULL then, which a table shows as "-". */
static const char *size_text(char buffer[static 16], uint64_t bytes)
{
	return bytes == TIER_UNKNOWN_U64 ? NULL : tool_bytes(buffer, bytes);
}

static const char *node_text(char buffer[static 16], int node)
{
	if (node < 0)
		return NULL;
	snprintf(buffer, 16, "%d", node);
	return buffer;
}

static const char *type_text(enum tier_memory_type type)
{
	return type == TIER_MEMORY_UNKNOWN ? NULL : tier_memory_type_name(type);
}

/* "80 ns", or "80/120 ns" where reading and writing differ. */
static const char *pair_text(char *buffer, size_t size, uint64_t read, uint64_t write,
			     const char *unit)
{
	if (read == TIER_UNKNOWN_U64)
		return NULL;
	if (write == TIER_UNKNOWN_U64 || write == read)
		snprintf(buffer, size, "%" PRIu64 "%s", read, unit);
	else
		snprintf(buffer, size, "%" PRIu64 "/%" PRIu64 "%s", read, write, unit);
	return buffer;
}

struct region_view {
	const char *state;
	const char *zone;
	char state_text[64];
	char daxs[64];
	bool hidden; /* an address is not readable, so the blocks are not known */
};

/* What became of a region: the sum over its dax devices and their memory blocks. */
static void view_region(const struct tier_topology *topology, const struct tier_region *region,
			struct region_view *view)
{
	const struct tier_dax *dax = NULL;
	size_t blocks = 0, online = 0, ram = 0, unplugged = 0, devdax = 0, daxs = 0;

	*view = (struct region_view){};
	while ((dax = tier_topology_region_dax(topology, region->name, dax))) {
		const struct tier_block *block;
		size_t count, used = strlen(view->daxs);

		snprintf(view->daxs + used, sizeof(view->daxs) - used, "%s%s", used ? "," : "",
			 dax->name);
		daxs++;
		devdax += dax->mode == TIER_DAX_DEVDAX;
		ram += dax->mode == TIER_DAX_SYSTEM_RAM;
		unplugged += dax->mode == TIER_DAX_SYSTEM_RAM && !tier_dax_has_blocks(dax);
		view->hidden |= dax->start == TIER_UNKNOWN_U64;
		if (dax->mode != TIER_DAX_SYSTEM_RAM)
			continue;
		block = tier_topology_range_blocks(topology, dax->start, dax->bytes, &count);
		blocks += count;
		for (size_t i = 0; i < count; i++) {
			const char *zone = tier_zone_name(block[i].zone);

			if (block[i].state == TIER_BLOCK_OFFLINE)
				continue;
			view->zone = online == 0 || strcmp(view->zone, zone) == 0 ? zone : "mixed";
			online++;
		}
	}
	if (daxs == 0)
		view->state = region->committed ? "no dax" : "uncommitted";
	else if (ram == 0)
		view->state = devdax == daxs ? "devdax" : devdax == 0 ? "disabled" : "mixed";
	else if (view->hidden)
		view->state = "system-ram";
	else if (blocks == 0)
		view->state = unplugged == ram ? "unplugged" : "no blocks";
	else if (online == 0)
		view->state = "offline";
	else if (online == blocks && ram == daxs)
		view->state = "online";
	else {
		snprintf(view->state_text, sizeof(view->state_text), "%zu/%zu online", online,
			 blocks);
		view->state = view->state_text;
	}
}

static void memdevs_text(const struct tier_topology *topology, const struct tier_region *region,
			 char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < region->memdev_count && used < size; i++) {
		const struct tier_memdev *memdev =
			tier_topology_memdev(topology, region->memdevs[i]);

		used += (size_t)snprintf(text + used, size - used, "%s%s%s", i ? "," : "",
					 region->memdevs[i],
					 memdev && memdev->behind_switch ? " (switch)" : "");
	}
}

static int list_regions(const struct tier_topology *topology)
{
	static const char *const columns[] = {"REGION", "MODE", "SIZE", "TYPE",	 "STATE",
					      "ZONE",	"NODE", "DAX",	"MEMDEV"};
	struct tool_table *table;
	bool hidden = false, shares = false;

	if (topology->region_count == 0) {
		printf("No CXL regions: %zu memory devices, %zu windows.\n", topology->memdev_count,
		       topology->window_count);
		return 0;
	}
	if (tool_table_new(&table, columns, COUNT(columns), "llrlllrll") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];
		struct region_view view;
		char size[16], node[16], memdevs[128];

		view_region(topology, region, &view);
		memdevs_text(topology, region, memdevs, sizeof(memdevs));
		hidden |= view.hidden;
		shares |= region->shares_node;
		tool_table_row(table, region->name, region->mode, size_text(size, region->bytes),
			       type_text(region->type), view.state, view.zone,
			       node_text(node, region->target_node), view.daxs, memdevs);
	}
	tool_table_print(table);
	tool_table_free(table);
	if (hidden)
		printf("Which memory blocks are online is not known without physical addresses: "
		       "sudo tierctl list\n");
	if (shares)
		printf("Regions with the same node cannot be told apart by numactl, tiers or "
		       "types: "
		       "see \"nodes of regions\" in tierctl doctor\n");
	return 0;
}

static int list_nodes(const struct tier_topology *topology)
{
	static const char *const columns[] = {"NODE",	 "CPUS",      "TYPE",  "TOTAL",
					      "FREE",	 "MOVABLE",   "TIER",  "DISTANCE",
					      "LATENCY", "BANDWIDTH", "WEIGHT"};
	struct tool_table *table;

	if (tool_table_new(&table, columns, COUNT(columns), "rllrrrrlrrr") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];
		char id[16], total[16], free_text[16], movable[16], tier[16];
		char distances[64] = "", latency[64], bandwidth[64], weight[16];
		size_t used = 0;

		for (size_t d = 0; d < node->distance_count && used < sizeof(distances); d++)
			used += (size_t)snprintf(distances + used, sizeof(distances) - used, "%s%u",
						 d ? " " : "", node->distances[d].distance);
		tool_table_row(table, node_text(id, node->id), node->cpus, type_text(node->type),
			       node->has_memory || node->total_bytes
				       ? size_text(total, node->total_bytes)
				       : NULL,
			       node->total_bytes ? size_text(free_text, node->free_bytes) : NULL,
			       node->present_movable_bytes
				       ? size_text(movable, node->present_movable_bytes)
				       : NULL,
			       node_text(tier, node->tier), distances,
			       pair_text(latency, sizeof(latency), node->read_latency_nsec,
					 node->write_latency_nsec, " ns"),
			       pair_text(bandwidth, sizeof(bandwidth), node->read_bandwidth_mbps,
					 node->write_bandwidth_mbps, " MB/s"),
			       node_text(weight, node->interleave_weight));
	}
	tool_table_print(table);
	tool_table_free(table);
	return 0;
}

/* One line per run of blocks that differ in nothing. */
static int list_blocks(const struct tier_topology *topology)
{
	static const char *const columns[] = {"BLOCKS", "ADDRESS", "SIZE",     "STATE",
					      "ZONE",	"NODE",	   "MAY GO TO"};
	struct tool_table *table;
	size_t next;

	if (tool_table_new(&table, columns, COUNT(columns), "lrrllrl") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < topology->block_count; i = next) {
		const struct tier_block *first = &topology->blocks[i];
		char range[64], address[32], size[16], node[16];

		for (next = i + 1; next < topology->block_count; next++) {
			const struct tier_block *block = &topology->blocks[next];

			if (block->index != first->index + (next - i) ||
			    block->state != first->state || block->zone != first->zone ||
			    block->node != first->node ||
			    block->can_movable != first->can_movable ||
			    block->can_kernel != first->can_kernel)
				break;
		}
		snprintf(range, sizeof(range), next - i > 1 ? "%" PRIu64 "-%" PRIu64 : "%" PRIu64,
			 first->index, first->index + (next - i) - 1);
		snprintf(address, sizeof(address), "0x%" PRIx64,
			 first->index * topology->block_bytes);
		tool_table_row(table, range, address,
			       tool_bytes(size, (next - i) * topology->block_bytes),
			       tier_block_state_name(first->state),
			       first->zone == TIER_ZONE_NONE ? NULL : tier_zone_name(first->zone),
			       node_text(node, first->node),
			       first->can_movable && first->can_kernel ? "Normal, Movable"
			       : first->can_movable		       ? "Movable"
			       : first->can_kernel		       ? "Normal"
								       : NULL);
	}
	tool_table_print(table);
	tool_table_free(table);
	return 0;
}

static int list_memdevs(const struct tier_topology *topology)
{
	static const char *const columns[] = {"MEMDEV", "SERIAL", "RAM",  "PMEM",  "HOST",
					      "NODE",	"STATE",  "PATH", "REGION"};
	struct tool_table *table;

	if (tool_table_new(&table, columns, COUNT(columns), "lrrrlrlll") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < topology->memdev_count; i++) {
		const struct tier_memdev *memdev = &topology->memdevs[i];
		char serial[32], ram[16], pmem[16], node[16], regions[64] = "";

		for (size_t g = 0; g < topology->region_count; g++) {
			const struct tier_region *region = &topology->regions[g];

			for (size_t m = 0; m < region->memdev_count; m++) {
				size_t used = strlen(regions);

				if (strcmp(region->memdevs[m], memdev->name) == 0)
					snprintf(regions + used, sizeof(regions) - used, "%s%s",
						 used ? "," : "", region->name);
			}
		}
		snprintf(serial, sizeof(serial), "0x%" PRIx64, memdev->serial);
		tool_table_row(table, memdev->name,
			       memdev->serial == TIER_UNKNOWN_U64 ? NULL : serial,
			       memdev->ram_bytes ? size_text(ram, memdev->ram_bytes) : NULL,
			       memdev->pmem_bytes ? size_text(pmem, memdev->pmem_bytes) : NULL,
			       memdev->host, node_text(node, memdev->node),
			       memdev->enabled ? "enabled" : "disabled",
			       memdev->behind_switch ? "switch" : "direct", regions);
	}
	tool_table_print(table);
	tool_table_free(table);
	return 0;
}

static int list_windows(const struct tier_topology *topology)
{
	static const char *const columns[] = {"WINDOW",	      "START", "SIZE",
					      "LARGEST FREE", "TAKES", "WAYS"};
	struct tool_table *table;

	if (tool_table_new(&table, columns, COUNT(columns), "lrrrlr") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < topology->window_count; i++) {
		const struct tier_window *window = &topology->windows[i];
		char start[32], size[16], available[16], ways[16];

		snprintf(start, sizeof(start), "0x%" PRIx64, window->start);
		snprintf(ways, sizeof(ways), "%u", window->interleave_ways);
		tool_table_row(table, window->name,
			       window->start == TIER_UNKNOWN_U64 ? NULL : start,
			       size_text(size, window->bytes),
			       size_text(available, window->available_bytes),
			       window->volatile_capable && window->pmem_capable ? "ram, pmem"
			       : window->volatile_capable			? "ram"
			       : window->pmem_capable				? "pmem"
										: NULL,
			       ways);
	}
	tool_table_print(table);
	tool_table_free(table);
	return 0;
}

static int list_overview(const struct tier_topology *topology)
{
	const struct tier_hotplug *hotplug = &topology->hotplug;
	int r = list_regions(topology);

	if (r < 0)
		return r;
	list_absent(topology);
	putchar('\n');
	r = list_nodes(topology);
	if (r < 0)
		return r;
	printf("\nNew memory %s",
	       strcmp(hotplug->auto_online, "offline") == 0 ? "stays offline until it is asked for."
	       : hotplug->auto_online[0] ? "is onlined by the kernel at once: see tierctl doctor."
					 : "cannot be added to this kernel.");
	putchar('\n');
	return 0;
}

static const struct {
	const char *name;
	const char *json_key;
	int (*list)(const struct tier_topology *topology);
} objects[] = {
	{"nodes", "nodes", list_nodes},	      {"regions", "regions", list_regions},
	{"blocks", "blocks", list_blocks},    {"memdevs", "memdevs", list_memdevs},
	{"windows", "windows", list_windows}, {"overview", NULL, list_overview},
};

/* The whole snapshot, or one of its arrays. */
static int print_json(const struct tier_topology *topology, const char *key)
{
	sd_json_variant *whole = NULL;
	char *text = NULL;
	int r = tier_topology_to_json(topology, &text);

	if (r == 0 && !key)
		fputs(text, stdout);
	if (r == 0 && key)
		r = sd_json_parse(text, 0, &whole, NULL, NULL);
	if (r >= 0 && key)
		r = sd_json_variant_dump(sd_json_variant_by_key(whole, key),
					 SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE, stdout,
					 NULL);
	sd_json_variant_unref(whole);
	free(text);
	return r < 0 ? r : 0;
}

/* What the kernel does not tell of types, the configuration may. A list needs neither. */
static void add_types(struct tier_topology *topology)
{
	struct tier_config *config;
	struct tier_problem problem;

	if (tier_config_load(tool_common.sysroot, tool_common.config, &config, &problem) != 0) {
		fprintf(stderr, "tierctl: %s: %s; types are those of the kernel only\n",
			problem.object, problem.text);
		return;
	}
	tier_config_types(config, topology);
	tier_config_free(config);
}

int cmd_list(int argc, char **argv)
{
	struct tier_topology *topology;
	char **names;
	int count, r;
	size_t which = COUNT(objects) - 1;

	r = tool_parse(argc, argv, NULL, 0, 0, 1, &names, &count);
	if (r)
		return r;
	if (count == 1 && strcmp(names[0], "declared") == 0) {
		r = tool_topology(&topology);
		if (r == 0) {
			r = list_declared(topology);
			tier_topology_free(topology);
		}
		return r;
	}
	if (count == 1) {
		for (which = 0; which < COUNT(objects); which++)
			if (strcmp(objects[which].name, names[0]) == 0)
				break;
		if (which == COUNT(objects))
			return tool_usage("list: no such kind of object: \"%s\"; there are nodes, "
					  "regions, blocks, memdevs, windows and declared",
					  names[0]);
	}
	r = count == 0 || strcmp(names[0], "nodes") == 0 ? tool_topology_tiers(&topology)
							 : tool_topology(&topology);
	if (r)
		return r;
	add_types(topology);
	r = tool_common.json ? print_json(topology, objects[which].json_key)
			     : objects[which].list(topology);
	tier_topology_free(topology);
	if (r < 0)
		return tool_fail_text("list", NULL, "cannot print: %s", tier_strerror(r));
	return TOOL_OK;
}
