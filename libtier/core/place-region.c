/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of regions, and the nodes that they stand for. */
#include "place.h"
#include "topology.h"

/* A region's own name goes before that of a section, which may have several regions. */
static bool stands_for(const char *name, const struct tier_region *region,
		       const struct tier_topology *topology, const struct tier_config *config)
{
	const struct tier_config_region *rule;

	if (tier_topology_region(topology, name))
		return streq(region->name, name);
	rule = config ? tier_config_region_rule(config, region) : NULL;
	return rule && streq(rule->name, name);
}

static bool is_named(const char *const *names, size_t count, const struct tier_region *region,
		     const struct tier_topology *topology, const struct tier_config *config)
{
	for (size_t i = 0; i < count; i++)
		if (stands_for(names[i], region, topology, config))
			return true;
	return false;
}

static bool is_range_online(const struct tier_topology *topology, uint64_t start, uint64_t bytes)
{
	size_t count;
	const struct tier_block *block = tier_topology_range_blocks(topology, start, bytes, &count);

	for (size_t i = 0; i < count; i++)
		if (block[i].state != TIER_BLOCK_OFFLINE)
			return true;
	return false;
}

/* Is any of its memory online? If addresses are hidden, what its node has is all that can be told. */
static bool is_online(const struct tier_topology *topology, const struct tier_region *region)
{
	const struct tier_node *node = tier_topology_node(topology, region->target_node);
	const struct tier_dax *dax = NULL;

	if (!node || !node->has_memory)
		return false;
	/* The firmware's: without a device, and online since boot. */
	if (!tier_topology_region_dax(topology, region->name, NULL))
		return is_range_online(topology, region->start, region->bytes);
	while ((dax = tier_topology_region_dax(topology, region->name, dax))) {
		if (!tier_dax_has_blocks(dax))
			continue;
		if (dax->start == TIER_UNKNOWN_U64)
			return true;
		if (is_range_online(topology, dax->start, dax->bytes))
			return true;
	}
	return false;
}

static int check_region(const struct tier_region *region, const char *const *names, size_t count,
			const struct tier_topology *topology, const struct tier_config *config,
			struct tier_problem *problem)
{
	const struct tier_node *node = tier_topology_node(topology, region->target_node);
	char next[64];

	if (!is_online(topology, region)) {
		snprintf(next, sizeof(next), "tierctl online %s", region->name);
		return tier_problem_set(
			problem, TIER_E_REFUSED, region->name, next,
			"none of its memory is online, so that no page can be there");
	}
	if (node->has_cpu)
		return tier_problem_set(problem, TIER_E_REFUSED, region->name, "tierctl list",
					"its memory is on node %d, together with this host's own",
					node->id);
	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *other = &topology->regions[i];

		if (other == region || other->target_node != region->target_node ||
		    is_named(names, count, other, topology, config))
			continue;
		return tier_problem_set(problem, TIER_E_REFUSED, region->name,
					"name both, or the node's number where one is taken; see "
					"\"nodes of regions\" in tierctl doctor",
					"shares node %d with %s, where its pages could be as well",
					node->id, other->name);
	}
	return 0;
}

int place_region_nodes(const char *const *names, size_t count, size_t which,
		       const struct tier_topology *topology, const struct tier_config *config,
		       struct tier_node_set *set, struct tier_problem *problem)
{
	bool any = false;

	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];
		int r;

		if (!stands_for(names[which], region, topology, config))
			continue;
		any = true;
		r = check_region(region, names, count, topology, config, problem);
		if (r)
			return r;
		tier_node_set_add(set, region->target_node);
	}
	if (!any)
		return tier_problem_set(
			problem, TIER_E_NOT_FOUND, names[which],
			"the regions: tierctl list regions",
			"no region has this name, nor a [Region] section that has one");
	return 0;
}

const char *place_node_regions(const struct tier_topology *topology, int node, const char *between,
			       char text[static 128])
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < topology->region_count && used < 128; i++)
		if (topology->regions[i].target_node == node)
			used += (size_t)snprintf(text + used, 128 - used, "%s%s",
						 used ? between : "", topology->regions[i].name);
	return text;
}

static bool only_node(const struct tier_node_set *set, int *ret)
{
	int count = 0;

	for (int i = 0; i < TIER_NODES_MAX; i++)
		if (tier_node_set_has(set, i)) {
			*ret = i;
			count++;
		}
	return count == 1;
}

int tier_place_destination(const char *name, bool typed, const struct tier_topology *topology,
			   const struct tier_config *config, int *ret_node,
			   struct tier_problem *problem)
{
	struct tier_node_set set = {};
	const struct tier_node *node;
	char object[32], next[192], regions[128];
	uint64_t number;
	int found = 0, r;

	if (name[0] >= '0' && name[0] <= '9') {
		r = parse_u64(name, &number);
		/* A section may be called so. */
		if (r < 0 || number > INT32_MAX)
			return tier_problem_set(problem, -EINVAL, name, NULL,
						"no node and no region");
		node = tier_topology_node(topology, (int)number);
		if (!node || typed || !place_is_typed(node)) {
			*ret_node = (int)number;
			return 0;
		}
		snprintf(object, sizeof(object), "node%d", node->id);
		place_node_regions(topology, node->id, " or ", regions);
		snprintf(next, sizeof(next), "give %s%s--typed", regions,
			 regions[0] ? " instead, or " : "");
		return tier_problem_set(problem, TIER_E_REFUSED, object, next,
					"is %s memory, which a number alone does not name",
					tier_memory_type_name(node->type));
	}
	if (name[0] == '\0' || name[0] == '-' || name[0] == '.')
		return tier_problem_set(problem, -EINVAL, name, NULL, "no node and no region");
	r = place_region_nodes(&name, 1, 0, topology, config, &set, problem);
	if (r)
		return r;
	if (!only_node(&set, &found))
		return tier_problem_set(problem, TIER_E_REFUSED, name, "name one of the regions",
					"its regions are on several nodes, and pages go to one");
	*ret_node = found;
	return 0;
}
