/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which nodes somebody means by tier, type and region, and why the others are left out. */
#include "place.h"
#include "topology.h"

/* The fastest tier has the lowest number: it counts abstract distance. TIER_UNKNOWN_INT if none is told. */
static int top_tier(const struct tier_topology *topology)
{
	int top = TIER_UNKNOWN_INT;

	for (size_t i = 0; i < topology->node_count; i++) {
		int tier = topology->nodes[i].tier;

		if (tier >= 0 && (top < 0 || tier < top))
			top = tier;
	}
	return top;
}

static enum tier_place_class class_of(const struct tier_topology *topology,
				      const struct tier_node *node, int top)
{
	if (node->has_cpu)
		return TIER_PLACE_CLASS_DRAM;
	for (size_t i = 0; i < topology->region_count; i++)
		if (topology->regions[i].target_node == node->id)
			return TIER_PLACE_CLASS_CXL;
	return top >= 0 && node->tier == top ? TIER_PLACE_CLASS_DRAM : TIER_PLACE_CLASS_OTHER;
}

static bool fits_tier(const struct tier_place_request *request, const struct tier_place_node *node)
{
	switch (request->tier) {
	case TIER_PLACE_CXL:
		return node->class == TIER_PLACE_CLASS_CXL;
	case TIER_PLACE_DRAM:
		return node->class == TIER_PLACE_CLASS_DRAM;
	case TIER_PLACE_NUMBER:
		return node->node->tier == request->tier_number;
	default:
		return true;
	}
}

static enum tier_place_verdict verdict(const struct tier_place_request *request,
				       const struct tier_node_set *named,
				       const struct tier_place_node *place)
{
	const struct tier_node *node = place->node;
	/* Regions beside DRAM are what AUTO means with regions. */
	bool beside = request->tier == TIER_PLACE_AUTO && place->class == TIER_PLACE_CLASS_DRAM;

	if (!fits_tier(request, place))
		return TIER_PLACE_NOT_TIER;
	if (request->region_count > 0 && !tier_node_set_has(named, node->id) && !beside)
		return TIER_PLACE_NOT_REGION;
	if (request->types && !(request->types >> node->type & 1))
		return TIER_PLACE_NOT_TYPE;
	/* Before its memory: nobody shall be told to online what may be a portal. */
	if (place_is_typed(node) && !request->types && !tier_node_set_has(named, node->id))
		return TIER_PLACE_NOT_NAMED;
	if (place->class == TIER_PLACE_CLASS_CXL && node->type == TIER_MEMORY_UNKNOWN &&
	    !tier_node_set_has(named, node->id))
		return TIER_PLACE_NOT_TOLD;
	if (!node->has_memory)
		return TIER_PLACE_NO_MEMORY;
	if (request->allowed && !tier_node_set_has(request->allowed, node->id))
		return TIER_PLACE_NOT_ALLOWED;
	return TIER_PLACE_TAKEN;
}

static int read_regions(const struct tier_place_request *request,
			const struct tier_topology *topology, const struct tier_config *config,
			struct tier_node_set *named, struct tier_problem *problem)
{
	for (size_t i = 0; i < request->region_count; i++) {
		struct tier_node_set nodes = {};
		int r = place_region_nodes(request->regions, request->region_count, i, topology,
					   config, &nodes, problem);

		if (r)
			return r;
		for (int node = 0; node < TIER_NODES_MAX; node++) {
			if (!tier_node_set_has(&nodes, node))
				continue;
			if (request->allowed && !tier_node_set_has(request->allowed, node))
				return tier_problem_set(
					problem, TIER_E_REFUSED, request->regions[i],
					"see cpuset.mems of its cgroup",
					"the cpuset of this process does not allow node %d", node);
			tier_node_set_add(named, node);
		}
	}
	return 0;
}

static int nothing_of(const struct tier_place_request *request,
		      const struct tier_topology *topology, struct tier_problem *problem)
{
	char tiers[128] = "";
	size_t used = 0;

	if (request->tier != TIER_PLACE_NUMBER)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "nodes",
					"the nodes: tierctl nodes", "none fits what was asked for");
	for (int tier = 0, next; used < sizeof(tiers); tier = next + 1) {
		next = INT32_MAX;
		for (size_t i = 0; i < topology->node_count; i++)
			if (topology->nodes[i].tier >= tier && topology->nodes[i].tier < next)
				next = topology->nodes[i].tier;
		if (next == INT32_MAX)
			break;
		used += (size_t)snprintf(tiers + used, sizeof(tiers) - used, "%s%d",
					 used ? ", " : "", next);
	}
	return tier_problem_set(
		problem, TIER_E_NOT_FOUND, "nodes", "the nodes: tierctl nodes",
		used ? "none that fits is in memory tier %d; there are tiers %s"
		     : "none is in memory tier %d, and the kernel tells of no tier%s",
		request->tier_number, tiers);
}

/* How far a node came. To name one without memory gives nobody any. */
static int rank(const struct tier_place_node *place)
{
	bool unnamed =
		place->verdict == TIER_PLACE_NOT_NAMED || place->verdict == TIER_PLACE_NOT_TOLD;

	return unnamed && !place->node->has_memory ? 2 * TIER_PLACE_NO_MEMORY - 1
						   : 2 * (int)place->verdict;
}

/* Nothing was taken: what was in the way of the node that came furthest. */
static int explain(const struct tier_place_request *request, const struct tier_place *place,
		   struct tier_problem *problem)
{
	const struct tier_place_node *best = NULL;
	char object[32], regions[128], next[192];

	for (size_t i = 0; i < place->node_count; i++)
		if (!best || rank(&place->nodes[i]) > rank(best))
			best = &place->nodes[i];
	if (!best || best->verdict < TIER_PLACE_NO_MEMORY)
		return nothing_of(request, place->topology, problem);
	snprintf(object, sizeof(object), "node%d", best->node->id);
	place_node_regions(place->topology, best->node->id,
			   best->verdict == TIER_PLACE_NO_MEMORY ? " " : " --region ", regions);
	switch (best->verdict) {
	case TIER_PLACE_NO_MEMORY:
		snprintf(next, sizeof(next), "tierctl online %s", regions[0] ? regions : "REGION");
		return tier_problem_set(problem, TIER_E_REFUSED, object, next,
					"fits, but has no memory, and policies take no such node");
	case TIER_PLACE_NOT_TOLD:
		snprintf(next, sizeof(next),
			 "name it: --region %.100s; or give it a [Region] section", regions);
		return tier_problem_set(problem, TIER_E_REFUSED, object, next,
					"is of a region whose type nobody has told, which may be a "
					"portal");
	case TIER_PLACE_NOT_NAMED:
		if (regions[0])
			snprintf(next, sizeof(next), "name it: --region %.100s, or --type %s",
				 regions, tier_memory_type_name(best->node->type));
		else
			snprintf(next, sizeof(next), "name it: --type %s",
				 tier_memory_type_name(best->node->type));
		return tier_problem_set(problem, TIER_E_REFUSED, object, next,
					"is %s memory, which is for those who name it",
					tier_memory_type_name(best->node->type));
	default:
		return tier_problem_set(problem, TIER_E_REFUSED, object,
					"see cpuset.mems of its cgroup",
					"the cpuset of this process does not allow it");
	}
}

static int place_new(const struct tier_topology *topology, struct tier_place **ret)
{
	struct tier_place *place = calloc(1, sizeof(*place));

	if (!place)
		return -ENOMEM;
	place->topology = topology;
	place->nodes = calloc(topology->node_count ?: 1, sizeof(*place->nodes));
	if (!place->nodes) {
		free(place);
		return -ENOMEM;
	}
	place->node_count = topology->node_count;
	*ret = place;
	return 0;
}

struct tier_place *tier_place_free(struct tier_place *place)
{
	if (place)
		free(place->nodes);
	free(place);
	return NULL;
}

int tier_place_select(const struct tier_place_request *request,
		      const struct tier_topology *topology, const struct tier_config *config,
		      struct tier_place **ret, struct tier_problem *problem)
{
	_cleanup_place_ struct tier_place *place = NULL;
	struct tier_node_set named = {};
	int top = top_tier(topology), r;

	*ret = NULL;
	r = read_regions(request, topology, config, &named, problem);
	if (r)
		return r;
	r = place_new(topology, &place);
	if (r < 0)
		return tier_problem_set(problem, r, "nodes", NULL, "cannot look at them");
	place->tier = request->tier;
	for (size_t i = 0; i < place->node_count; i++) {
		struct tier_place_node *it = &place->nodes[i];

		it->node = &topology->nodes[i];
		it->class = class_of(topology, it->node, top);
		it->verdict = verdict(request, &named, it);
		if (it->verdict != TIER_PLACE_TAKEN)
			continue;
		place->taken_count++;
		tier_node_set_add(&place->taken, it->node->id);
		if (it->class == TIER_PLACE_CLASS_DRAM)
			tier_node_set_add(&place->dram, it->node->id);
	}
	r = place->taken_count ? 0 : explain(request, place, problem);
	*ret = TAKE(place);
	return r;
}

const char *tier_place_class_name(enum tier_place_class class)
{
	switch (class) {
	case TIER_PLACE_CLASS_DRAM:
		return "dram";
	case TIER_PLACE_CLASS_CXL:
		return "cxl";
	default:
		return "other";
	}
}

const char *tier_place_verdict_text(enum tier_place_verdict verdict)
{
	static const char *const texts[] = {
		[TIER_PLACE_NOT_TIER] = "another tier",
		[TIER_PLACE_NOT_REGION] = "no region of it is named",
		[TIER_PLACE_NOT_TYPE] = "another type",
		[TIER_PLACE_NO_MEMORY] = "has no memory",
		[TIER_PLACE_NOT_TOLD] = "is of unknown type, and nobody named it",
		[TIER_PLACE_NOT_NAMED] = "is typed, and nobody named it",
		[TIER_PLACE_NOT_ALLOWED] = "not allowed by the cpuset",
		[TIER_PLACE_TAKEN] = "",
	};

	return (size_t)verdict < ARRAY_SIZE(texts) ? texts[verdict] : "";
}
