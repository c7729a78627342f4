/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of the machine, as metrics. */
#include "metrics.h"
#include "place.h"
#include "tier-place.h"

/* Who asked the kernel for the room, as its counters have it. */
static const char *const demoters[] = {
	[TIER_FLOW_DEMOTED_KSWAPD] = "kswapd",
	[TIER_FLOW_DEMOTED_DIRECT] = "direct",
	[TIER_FLOW_DEMOTED_KHUGEPAGED] = "khugepaged",
	[TIER_FLOW_DEMOTED_PROACTIVE] = "proactive",
};

struct source {
	struct tier_metrics *metrics;
	const struct tier_topology *topology;
	const struct tier_place *place;
	const struct tier_node_stat *stats;
	size_t count;
};

static void add_node(const struct source *source, const struct tier_place_node *it, uint64_t value)
{
	char id[16], regions[128];

	snprintf(id, sizeof(id), "%d", it->node->id);
	TIER_METRICS_ADD(
		source->metrics, value, {"node", id}, {"tier", tier_place_class_name(it->class)},
		{"type", tier_memory_type_name(it->node->type)},
		{"region", place_node_regions(source->topology, it->node->id, ",", regions)});
}

static bool has_memory(const struct tier_node_stat *stat)
{
	return stat && stat->total_bytes != TIER_UNKNOWN_U64 && stat->total_bytes != 0;
}

static void add_memory(const struct source *source, bool free_bytes)
{
	for (size_t i = 0; i < source->place->node_count; i++) {
		const struct tier_place_node *it = &source->place->nodes[i];
		const struct tier_node_stat *stat =
			tier_node_stat_find(source->stats, source->count, it->node->id);

		if (has_memory(stat) && stat->free_bytes != TIER_UNKNOWN_U64)
			add_node(source, it, free_bytes ? stat->free_bytes : stat->total_bytes);
	}
}

static void add_flow(const struct source *source, enum tier_flow flow, const char *by)
{
	for (size_t i = 0; i < source->place->node_count; i++) {
		const struct tier_place_node *it = &source->place->nodes[i];
		const struct tier_node_stat *stat =
			tier_node_stat_find(source->stats, source->count, it->node->id);
		const char *tier = tier_place_class_name(it->class);
		char id[16];

		snprintf(id, sizeof(id), "%d", it->node->id);
		if (!stat || stat->flow_bytes[flow] == TIER_UNKNOWN_U64)
			continue;
		if (by)
			TIER_METRICS_ADD(source->metrics, stat->flow_bytes[flow], {"node", id},
					 {"tier", tier}, {"by", by});
		else
			TIER_METRICS_ADD(source->metrics, stat->flow_bytes[flow], {"node", id},
					 {"tier", tier});
	}
}

static void add_flows(const struct source *source)
{
	tier_metrics_family(
		source->metrics,
		&(struct tier_metric){
			.kind = TIER_METRIC_COUNTER,
			.name = "cxltier_node_promoted_bytes",
			.unit = "bytes",
			.help = "Pages that the kernel has promoted to the node, since boot. What "
				"DAMON moves is not in it.",
		});
	add_flow(source, TIER_FLOW_PROMOTED, NULL);
	tier_metrics_family(
		source->metrics,
		&(struct tier_metric){
			.kind = TIER_METRIC_COUNTER,
			.name = "cxltier_node_promotion_candidate_bytes",
			.unit = "bytes",
			.help = "Pages that the kernel would have promoted to the node, before its "
				"rate limit, since boot.",
		});
	add_flow(source, TIER_FLOW_CANDIDATE, NULL);
	tier_metrics_family(source->metrics, &(struct tier_metric){
						     .kind = TIER_METRIC_COUNTER,
						     .name = "cxltier_node_demoted_bytes",
						     .unit = "bytes",
						     .help = "Pages that the kernel has demoted "
							     "from the node, since boot, by who "
							     "made room.",
					     });
	for (size_t i = TIER_FLOW_DEMOTED_KSWAPD; i < _TIER_FLOW_MAX; i++)
		add_flow(source, (enum tier_flow)i, demoters[i]);
}

static uint64_t tier_sum(const struct source *source, int tier, bool free_bytes)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < source->topology->node_count; i++) {
		const struct tier_node *node = &source->topology->nodes[i];
		const struct tier_node_stat *stat =
			tier_node_stat_find(source->stats, source->count, node->id);

		if (node->tier == tier && has_memory(stat) && stat->free_bytes != TIER_UNKNOWN_U64)
			sum += free_bytes ? stat->free_bytes : stat->total_bytes;
	}
	return sum;
}

static void add_tier_memory(const struct source *source, bool free_bytes)
{
	for (size_t i = 0; i < source->topology->node_count; i++) {
		int tier = source->topology->nodes[i].tier;
		char id[16];

		snprintf(id, sizeof(id), "%d", tier);
		/* Of the second node of a tier nothing is kept. */
		if (tier >= 0)
			TIER_METRICS_ADD(source->metrics, tier_sum(source, tier, free_bytes),
					 {"memory_tier", id});
	}
}

static void add_tiers(const struct source *source)
{
	tier_metrics_family(
		source->metrics,
		&(struct tier_metric){
			.name = "cxltier_memory_tier_size_bytes",
			.unit = "bytes",
			.help = "Memory of the kernel's memory tier; a lower number is faster.",
		});
	add_tier_memory(source, false);
	tier_metrics_family(source->metrics,
			    &(struct tier_metric){
				    .name = "cxltier_memory_tier_free_bytes",
				    .unit = "bytes",
				    .help = "Free memory of the kernel's memory tier.",
			    });
	add_tier_memory(source, true);
	tier_metrics_family(source->metrics, &(struct tier_metric){
						     .kind = TIER_METRIC_INFO,
						     .name = "cxltier_memory_tier_node",
						     .help = "Which memory tier a node is in.",
					     });
	for (size_t i = 0; i < source->topology->node_count; i++) {
		const struct tier_node *node = &source->topology->nodes[i];
		char id[16], tier[16];

		snprintf(id, sizeof(id), "%d", node->id);
		snprintf(tier, sizeof(tier), "%d", node->tier);
		if (node->tier >= 0)
			TIER_METRICS_ADD(source->metrics, 1, {"node", id}, {"memory_tier", tier});
	}
}

void tier_metrics_nodes(struct tier_metrics *metrics, const struct tier_topology *topology,
			const struct tier_node_stat *stats, size_t count)
{
	_cleanup_place_ struct tier_place *place = NULL;
	struct source source = {metrics, topology, NULL, stats, count};

	/* For the classes; which of them fit is nobody's question. */
	if (tier_place_select(&(struct tier_place_request){}, topology, NULL, &place, NULL) < 0 ||
	    !place) {
		metrics->failed |= topology->node_count > 0;
		return;
	}
	source.place = place;
	if (tier_metrics_wanted(metrics, "cxltier_node_")) {
		tier_metrics_family(metrics, &(struct tier_metric){
						     .name = "cxltier_node_size_bytes",
						     .unit = "bytes",
						     .help = "Memory of the node that is online.",
					     });
		add_memory(&source, false);
		tier_metrics_family(metrics, &(struct tier_metric){
						     .name = "cxltier_node_free_bytes",
						     .unit = "bytes",
						     .help = "Free memory of the node.",
					     });
		add_memory(&source, true);
		add_flows(&source);
	}
	if (tier_metrics_wanted(metrics, "cxltier_memory_tier_"))
		add_tiers(&source);
}
