/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "interleave-plan.h"

/* From bandwidths to weights, and whether weights are near them. */

/* A share of pages may be off by so much before weights are written again: measurements differ from run to run. */
#define TOLERANCE_PERCENT 10

/* Are the shares that those weights give near those of the bandwidths? @weights: as long as the plan's. */
static bool fits(const struct planner *p, const unsigned *weights)
{
	const struct tier_weights_plan *plan = p->plan;
	uint64_t all_weights = 0, all_mbps = 0;

	for (size_t i = 0; i < plan->weight_count; i++) {
		if (!is_weighed(p, &plan->weights[i]))
			continue;
		all_weights += weights[i];
		all_mbps += plan->weights[i].mbps;
	}
	for (size_t i = 0; i < plan->weight_count; i++) {
		uint64_t have = weights[i] * all_mbps, right = plan->weights[i].mbps * all_weights;

		if (is_weighed(p, &plan->weights[i]) &&
		    (have > right ? have - right : right - have) * 100 > right * TOLERANCE_PERCENT)
			return false;
	}
	return true;
}

/* Bandwidths of those that are weighed to weights. */
int weights_weigh(struct planner *p, enum tier_weight_source source)
{
	struct tier_weights_plan *plan = p->plan;
	_cleanup_free_ uint64_t *mbps = calloc(plan->weight_count, sizeof(*mbps));
	_cleanup_free_ unsigned *reduced = calloc(plan->weight_count, sizeof(*reduced));
	size_t count = 0;

	if (!mbps || !reduced)
		return -ENOMEM;
	for (size_t i = 0; i < plan->weight_count; i++)
		if (is_weighed(p, &plan->weights[i]))
			mbps[count++] = source == TIER_WEIGHT_EQUAL ? 1 : plan->weights[i].mbps;
	tier_weights_reduce(mbps, count, reduced);
	count = 0;
	for (size_t i = 0; i < plan->weight_count; i++) {
		struct tier_weight *weight = &plan->weights[i];

		if (!is_weighed(p, weight))
			continue;
		if (source == TIER_WEIGHT_EQUAL) {
			weight->mbps = TIER_UNKNOWN_U64;
			weight_decide(weight, source, reduced[count], "bandwidths are not known");
		} else {
			weight_decide(weight, source, reduced[count], "%" PRIu64 " MB/s by %s",
				      weight->mbps, tier_weight_source_name(source));
		}
		count++;
	}
	return 0;
}

/* Weights that are near enough stay; equal ones if they are equal. */
int weights_keep(const struct planner *p, enum tier_weight_source source, bool *ret)
{
	const struct tier_weights_plan *plan = p->plan;
	_cleanup_free_ unsigned *present = calloc(plan->weight_count, sizeof(*present));
	bool same = true, equal = true;
	int first = -1;

	if (!present)
		return -ENOMEM;
	for (size_t i = 0; i < plan->weight_count; i++) {
		const struct tier_weight *weight = &plan->weights[i];

		present[i] = weight->present < 0 ? 0 : (unsigned)weight->present;
		if (!is_weighed(p, weight))
			continue;
		first = first < 0 ? weight->present : first;
		equal &= weight->present == first;
		same &= present[i] == weight->wanted;
	}
	*ret = same || (source == TIER_WEIGHT_EQUAL ? equal : fits(p, present));
	return 0;
}

/* As mempolicy_set_node_perf() takes it: of class 1, and 0 if one of the two is not told. */
static uint64_t kernel_mbps(const struct tier_node *node)
{
	if (node->cpu_read_bandwidth_mbps == TIER_UNKNOWN_U64 ||
	    node->cpu_write_bandwidth_mbps == TIER_UNKNOWN_U64)
		return 0;
	return slower_mbps(node->cpu_read_bandwidth_mbps, node->cpu_write_bandwidth_mbps);
}

/* What the kernel would set by itself: all nodes with memory, typed ones as well. @ret: as long as the plan's weights */
static int kernel_weights(const struct planner *p, unsigned *ret)
{
	const struct tier_weights_plan *plan = p->plan;
	_cleanup_free_ uint64_t *mbps = calloc(plan->weight_count, sizeof(*mbps));

	if (!mbps)
		return -ENOMEM;
	for (size_t i = 0; i < plan->weight_count; i++)
		mbps[i] = kernel_mbps(node_of(p, &plan->weights[i]));
	tier_weights_reduce(mbps, plan->weight_count, ret);
	return 0;
}

int weights_kernel_fits(const struct planner *p, enum tier_weight_source source, bool *ret)
{
	const struct tier_weights_plan *plan = p->plan;
	_cleanup_free_ unsigned *weights = calloc(plan->weight_count, sizeof(*weights));
	bool same = true;
	int r = weights ? kernel_weights(p, weights) : -ENOMEM;

	if (r < 0)
		return r;
	for (size_t i = 0; i < plan->weight_count; i++)
		same &= !is_weighed(p, &plan->weights[i]) || weights[i] == plan->weights[i].wanted;
	*ret = same || (source != TIER_WEIGHT_EQUAL && fits(p, weights));
	return 0;
}

static bool is_regions(const struct planner *p, int node)
{
	const struct tier_topology *topology = p->in->topology;

	for (size_t i = 0; i < topology->region_count; i++)
		if (topology->regions[i].target_node == node)
			return true;
	return false;
}

/*
 * Without the series of kernel/, Linux takes the bandwidth of a CXL region's node into account and does not tell it: the
 * node has no access class by then (node_update_perf_attrs()). Of other nodes it has nothing else than what it tells.
 */
bool weights_kernel_hides(const struct planner *p)
{
	bool hides = false;

	for (size_t i = 0; i < p->plan->weight_count; i++) {
		const struct tier_weight *weight = &p->plan->weights[i];

		if (kernel_mbps(node_of(p, weight)) > 0)
			continue;
		if (!is_regions(p, weight->node))
			return false;
		hides = true;
	}
	return hides;
}

int weights_kernel_knows(const struct planner *p, bool *ret)
{
	const struct tier_weights_plan *plan = p->plan;
	_cleanup_free_ unsigned *weights = calloc(plan->weight_count, sizeof(*weights));
	bool same = true;
	int r = weights ? kernel_weights(p, weights) : -ENOMEM;

	if (r < 0)
		return r;
	for (size_t i = 0; i < plan->weight_count; i++)
		same &= plan->weights[i].present < 0 || plan->weights[i].present == (int)weights[i];
	*ret = plan->auto_weights == 1 && !same && weights_kernel_hides(p);
	return 0;
}

/* FNV-1a. */
static uint32_t mix(uint32_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		hash = (hash ^ (uint8_t)(value >> (8 * i))) * UINT32_C(16777619);
	return hash;
}

uint32_t weights_figures(const struct planner *p, enum tier_weight_source source)
{
	uint32_t hash = mix(UINT32_C(2166136261), source);

	for (size_t i = 0; i < p->plan->weight_count; i++) {
		const struct tier_weight *weight = &p->plan->weights[i];

		hash = mix(hash, (uint64_t)weight->node);
		hash = mix(hash, kernel_mbps(node_of(p, weight)));
		hash = mix(hash, is_weighed(p, weight) ? weight->mbps : 0);
	}
	return hash ?: 1;
}

bool weights_kernel_has(const struct planner *p)
{
	for (size_t i = 0; i < p->plan->weight_count; i++)
		if (kernel_mbps(node_of(p, &p->plan->weights[i])) > 0)
			return true;
	return false;
}
