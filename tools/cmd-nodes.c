/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl nodes: which nodes somebody means, for people, numactl, libvirt and QEMU */
#include "place-input.h"

struct output {
	bool numactl;
	bool qemu;
};

static void regions_text(const struct tier_topology *topology, int node, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < topology->region_count && used < size; i++)
		if (topology->regions[i].target_node == node)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? "," : "",
						 topology->regions[i].name);
}

static int print_table(const struct tier_place *place)
{
	static const char *const columns[] = {"NODE",	 "CLASS", "TIER", "TYPE",
					      "REGIONS", "TOTAL", "FREE", "TAKEN"};
	struct tool_table *table;

	if (tool_table_new(&table, columns, sizeof(columns) / sizeof(columns[0]), "rlrllrrl") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < place->node_count; i++) {
		const struct tier_place_node *it = &place->nodes[i];
		const struct tier_node *node = it->node;
		char id[16], tier[16], regions[64], total[16], free_text[16], taken[64];
		bool memory = node->has_memory && node->total_bytes != TIER_UNKNOWN_U64;

		snprintf(id, sizeof(id), "%d", node->id);
		snprintf(tier, sizeof(tier), "%d", node->tier);
		regions_text(place->topology, node->id, regions, sizeof(regions));
		snprintf(taken, sizeof(taken), "%s%s",
			 it->verdict == TIER_PLACE_TAKEN ? "yes" : "no: ",
			 tier_place_verdict_text(it->verdict));
		tool_table_row(
			table, id, tier_place_class_name(it->class), node->tier >= 0 ? tier : NULL,
			node->type == TIER_MEMORY_UNKNOWN ? NULL
							  : tier_memory_type_name(node->type),
			regions, memory ? tool_bytes(total, node->total_bytes) : NULL,
			memory ? tool_bytes(free_text, node->free_bytes) : NULL, taken);
	}
	tool_table_print(table);
	tool_table_free(table);
	return 0;
}

static int print(const struct tier_place *place, const struct output *output)
{
	char *text = NULL;
	int r;

	if (!output->numactl && !output->qemu && !tool_common.json)
		return print_table(place);
	if (tool_common.json)
		r = tier_place_to_json(place, &text);
	else if (output->qemu)
		r = tier_node_set_qemu(&place->taken, &text);
	else
		r = tier_node_set_list(&place->taken, &text);
	if (r < 0)
		return r;
	printf("%s%s", text, tool_common.json ? "" : "\n");
	free(text);
	return 0;
}

/* The tiers are for people to see; where they decide, they have been read. */
static int read_nodes(const struct tier_place_request *request, bool table,
		      struct place_machine *machine)
{
	int r = place_machine_read(machine);

	if (r)
		return r;
	if (table && request->tier != TIER_PLACE_NUMBER) {
		(void)tier_topology_read_tiers(tool_common.sysroot, machine->topology);
		return 0;
	}
	return place_read_tiers(request, machine->topology);
}

int cmd_nodes(int argc, char **argv)
{
	_cleanup_machine_ struct place_machine machine = {};
	struct place_input input = {};
	struct output output = {};
	const struct tool_option options[] = {
		PLACE_OPTIONS(&input),
		{"numactl", NULL, "print the list that numactl and libvirt's nodeset take",
		 TOOL_FLAG, &output.numactl},
		{"qemu", NULL, "print the properties of a memory backend of QEMU", TOOL_FLAG,
		 &output.qemu},
	};
	struct tier_policy_kernel kernel;
	struct tier_place_request request;
	struct tier_place *place;
	struct tier_problem problem = {};
	bool live, list;
	int r = tool_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), 0, 0, NULL,
			   NULL);

	if (r)
		return r;
	list = output.numactl || output.qemu;
	if (output.numactl + output.qemu + tool_common.json > 1)
		return tool_usage("nodes: --numactl, --qemu and --json exclude each other");
	live = place_is_live();
	r = place_request("nodes", &input, live ? &kernel.allowed : NULL, &request);
	if (r == 0 && live && tier_policy_read(&kernel, &problem) < 0)
		return tool_fail(&problem);
	if (r == 0)
		r = read_nodes(&request, !list, &machine);
	if (r)
		return r;
	r = tier_place_select(&request, machine.topology, machine.config, &place, &problem);
	/* An empty list would mean no limit to some, and all nodes to others. */
	if (place && (r == 0 || !list) && print(place, &output) < 0)
		r = tier_problem_set(&problem, -ENOMEM, "nodes", NULL, "cannot print them");
	tier_place_free(place);
	fflush(stdout);
	return r ? tool_fail(&problem) : TOOL_OK;
}
