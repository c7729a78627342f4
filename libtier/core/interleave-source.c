/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "interleave-plan.h"

/* Whose figures the weights of weighted interleave come from. */

static const struct tier_weight_saved *find(const struct tier_weights_saved *saved, int node)
{
	for (size_t i = 0; saved && i < saved->node_count; i++)
		if (saved->nodes[i].node == node)
			return &saved->nodes[i];
	return NULL;
}

static bool all_are_one(const struct planner *p)
{
	for (size_t i = 0; i < p->plan->weight_count; i++)
		if (takes_part(p, &p->plan->weights[i]) && p->plan->weights[i].present != 1)
			return false;
	return true;
}

/* A mode that is put back one weight after the other was cxl-tierd's to put back. */
static bool is_half_restored(const struct tier_weights_saved *saved)
{
	for (size_t i = 0; i < saved->node_count; i++)
		if (saved->nodes[i].written != saved->nodes[i].before)
			return true;
	return false;
}

bool weights_are_foreign(const struct planner *p)
{
	const struct tier_weights_saved *saved = p->in->saved;
	const struct tier_weights_plan *plan = p->plan;

	if (plan->auto_weights == 1)
		return false;
	/* Without bandwidths nobody can go back to the kernel's mode, in which all are 1: then this is the same. */
	if (!saved && plan->auto_weights == 0)
		return weights_kernel_has(p) || !all_are_one(p);
	if (saved && saved->auto_written && !is_half_restored(saved))
		return true;
	for (size_t i = 0; i < plan->weight_count; i++) {
		const struct tier_weight *weight = &plan->weights[i];
		const struct tier_weight_saved *node = find(saved, weight->node);
		unsigned present = (unsigned)weight->present;

		if (!takes_part(p, weight))
			continue;
		if (node && present != node->before && present != node->written &&
		    present != node->next)
			return true;
		/*
		 * A kernel without a mode of its own begins with 1. With one, a node that comes again has what was
		 * computed when it was there last.
		 */
		if (!node && plan->auto_weights == TIER_UNKNOWN_INT && present != 1)
			return true;
	}
	return false;
}

bool weights_can_restore(const struct planner *p)
{
	const struct tier_weights_saved *saved = p->in->saved;

	return saved && !(saved->auto_refused && !weights_kernel_has(p));
}

bool weights_were_nobodys(const struct planner *p)
{
	const struct tier_weights_saved *saved = p->in->saved;

	if (saved->auto_weights != 0 || saved->auto_written || weights_kernel_has(p))
		return false;
	for (size_t i = 0; i < saved->node_count; i++)
		if (saved->nodes[i].before != 1)
			return false;
	return true;
}

/* What the configuration has for a node. Of two regions on one node the smaller counts. */
void weights_take_fixed(struct planner *p, struct tier_weight *weight)
{
	const struct tier_topology *topology = p->in->topology;
	const struct tier_config *config = p->in->config;
	const char *name = NULL;
	bool ordinary = true;
	unsigned wanted = 0;

	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_config_region *rule;

		if (topology->regions[i].target_node != weight->node)
			continue;
		ordinary = false;
		rule = tier_config_region_rule(config, &topology->regions[i]);
		if (!rule || !rule->interleave_weight ||
		    (wanted && wanted <= rule->interleave_weight))
			continue;
		wanted = rule->interleave_weight;
		name = rule->name;
	}
	if (ordinary && config->ordinary_interleave_weight)
		weight_decide(weight, TIER_WEIGHT_FIXED, config->ordinary_interleave_weight,
			      "OrdinaryInterleaveWeight= of [Tiering]");
	else if (wanted)
		weight_decide(weight, TIER_WEIGHT_FIXED, wanted, "InterleaveWeight= of [Region %s]",
			      name);
	else
		return;
	p->fixed = true;
}

/* Does the calibration hold for all of them? Figures of two sources cannot be compared. */
bool weights_take_calibration(struct planner *p, char why[static 200])
{
	const struct tier_calibration *calibration = p->in->calibration;
	struct tier_weights_plan *plan = p->plan;
	const struct tier_problem *unidentified = p->in->unidentified;
	char stale[160];

	why[0] = '\0';
	if (!calibration)
		return false;
	/* It may well hold. */
	if (!p->in->identity) {
		snprintf(why, 200, "; the calibration is not used: %.80s%s%.64s",
			 unidentified ? unidentified->text : "which machine this is, is not known",
			 unidentified && unidentified->next[0] ? "; " : "",
			 unidentified ? unidentified->next : "");
		return false;
	}
	for (size_t i = 0; i < plan->weight_count; i++) {
		struct tier_weight *weight = &plan->weights[i];

		if (!is_weighed(p, weight))
			continue;
		if (tier_calibration_stale(calibration, p->in->identity, p->in->topology,
					   weight->node, stale)) {
			snprintf(why, 200, "; the calibration is stale: %s", stale);
			return false;
		}
	}
	for (size_t i = 0; i < plan->weight_count; i++)
		plan->weights[i].mbps = tier_calibration_mbps(calibration, plan->weights[i].node);
	return true;
}

static uint64_t class_mbps(const struct tier_node *node, int class)
{
	return class == 1
		       ? slower_mbps(node->cpu_read_bandwidth_mbps, node->cpu_write_bandwidth_mbps)
		       : slower_mbps(node->read_bandwidth_mbps, node->write_bandwidth_mbps);
}

/* The first node without a figure of this class; TIER_ABSENT_NODE if there is none. */
static int without(const struct planner *p, int class)
{
	for (size_t i = 0; i < p->plan->weight_count; i++) {
		const struct tier_weight *weight = &p->plan->weights[i];

		if (is_weighed(p, weight) &&
		    class_mbps(node_of(p, weight), class) == TIER_UNKNOWN_U64)
			return weight->node;
	}
	return TIER_ABSENT_NODE;
}

/*
 * Tasks run on CPUs, so access class 1 counts. Class 0 may be that of a device which is nearer: it is compared with itself
 * only.
 */
int weights_take_firmware(struct planner *p)
{
	int missing = without(p, 1), class = missing >= 0 && without(p, 0) < 0 ? 0 : 1;

	for (size_t i = 0; i < p->plan->weight_count; i++) {
		struct tier_weight *weight = &p->plan->weights[i];

		weight->mbps = class_mbps(node_of(p, weight), class);
	}
	return class == 0 ? TIER_ABSENT_NODE : missing;
}
