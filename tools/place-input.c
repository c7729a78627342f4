/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>

#include "place-input.h"

int place_machine_read(struct place_machine *ret)
{
	struct place_machine machine = {};
	int r = tool_topology(&machine.topology);

	if (r == 0)
		r = tool_config(&machine.config);
	if (r) {
		place_machine_done(&machine);
		return r;
	}
	tier_config_types(machine.config, machine.topology);
	*ret = machine;
	return 0;
}

void place_machine_done(struct place_machine *machine)
{
	machine->topology = tier_topology_free(machine->topology);
	machine->config = tier_config_free(machine->config);
}

static int parse_tier(const char *text, struct tier_place_request *request)
{
	static const struct {
		const char *name;
		enum tier_place_tier tier;
	} names[] = {
		{"cxl", TIER_PLACE_CXL},
		{"dram", TIER_PLACE_DRAM},
		{"auto", TIER_PLACE_AUTO},
	};
	uint64_t number;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i].name) == 0) {
			request->tier = names[i].tier;
			return 0;
		}
	if (tool_parse_number(text, false, &number) < 0 || number > INT_MAX)
		return -EINVAL;
	request->tier = TIER_PLACE_NUMBER;
	request->tier_number = (int)number;
	return 0;
}

int place_request(const char *verb, const struct place_input *input,
		  const struct tier_node_set *allowed, struct tier_place_request *ret)
{
	struct tier_place_request request = {
		.regions = input->regions.values,
		.region_count = input->regions.count,
		.allowed = allowed,
	};

	if (input->tier && parse_tier(input->tier, &request) < 0)
		return tool_usage("%s: --tier takes cxl, dram, auto or a number, not \"%s\"", verb,
				  input->tier);
	for (size_t i = 0; i < input->types.count; i++) {
		enum tier_memory_type type = tier_memory_type_parse(input->types.values[i]);

		if (type == TIER_MEMORY_UNKNOWN)
			return tool_usage("%s: --type takes Local, Shared or Switched, not \"%s\"",
					  verb, input->types.values[i]);
		request.types |= 1U << type;
	}
	*ret = request;
	return 0;
}

/* By CPUs and regions most nodes are told apart; see tier_topology_read_tiers() for why that is better. */
static bool needs_tiers(const struct tier_place_request *request,
			const struct tier_topology *topology)
{
	if (request->tier == TIER_PLACE_NUMBER)
		return true;
	if (request->tier != TIER_PLACE_DRAM && request->tier != TIER_PLACE_AUTO)
		return false;
	for (size_t i = 0; i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];
		bool region = false;

		for (size_t g = 0; g < topology->region_count; g++)
			region |= topology->regions[g].target_node == node->id;
		if (node->has_memory && !node->has_cpu && !region)
			return true;
	}
	return false;
}

int place_read_tiers(const struct tier_place_request *request, struct tier_topology *topology)
{
	int r;

	if (!needs_tiers(request, topology))
		return 0;
	r = tier_topology_read_tiers(tool_common.sysroot, topology);
	if (r == TIER_E_BUSY)
		return tool_fail_text("tiers", "try again when it is",
				      "cannot be read while a memory block is going offline");
	if (r < 0)
		return tool_fail_text("tiers", NULL, "cannot be read: %s", tier_strerror(r));
	return 0;
}

bool place_is_live(void)
{
	return !tool_common.sysroot || strcmp(tool_common.sysroot, "/") == 0;
}

int place_needs_machine(const char *verb)
{
	if (place_is_live())
		return 0;
	return tool_fail_text(tool_common.sysroot, "use --dry-run to see what it would do",
			      "is a dump, on which %s can run nothing", verb);
}
