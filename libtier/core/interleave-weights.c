/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>

#include "tier-weights.h"
#include "util.h"

/* A share of pages may be off by so much before weights are written again: measurements differ from run to run. */
#define TOLERANCE_PERCENT 10

DEFINE_CLEANUP(struct tier_weights_plan *, tier_weights_plan_free)

struct planner {
	const struct tier_weights_input *in;
	struct tier_weights_plan *plan;
	bool foreign; /* somebody else has written weights */
	bool fixed;   /* the configuration has a weight for a node */
};

struct tier_weights_plan *tier_weights_plan_free(struct tier_weights_plan *plan)
{
	if (!plan)
		return NULL;
	free(plan->weights);
	free(plan->steps);
	free(plan);
	return NULL;
}

const char *tier_weight_source_name(enum tier_weight_source source)
{
	static const char *const names[] = {
		[TIER_WEIGHT_LEFT] = "left",
		[TIER_WEIGHT_FIXED] = "configuration",
		[TIER_WEIGHT_CALIBRATION] = "calibration",
		[TIER_WEIGHT_FIRMWARE] = "firmware",
		[TIER_WEIGHT_EQUAL] = "equal",
	};

	return names[source];
}

static const struct tier_node *node_of(const struct planner *p, const struct tier_weight *weight)
{
	return tier_topology_node(p->in->topology, weight->node);
}

static bool is_typed(const struct planner *p, const struct tier_weight *weight)
{
	return node_of(p, weight)->type > TIER_MEMORY_LOCAL;
}

/* Nodes that are weighed against each other. */
static bool takes_part(const struct planner *p, const struct tier_weight *weight)
{
	return weight->present >= 0 && !is_typed(p, weight);
}

__attribute__((format(printf, 4, 5))) static void decide(struct tier_weight *weight,
							 enum tier_weight_source source,
							 unsigned wanted, const char *format, ...)
{
	va_list arguments;

	weight->source = source;
	weight->wanted = wanted;
	va_start(arguments, format);
	vsnprintf(weight->reason, sizeof(weight->reason), format, arguments);
	va_end(arguments);
}

__attribute__((format(printf, 3, 4))) static void conclude(struct planner *p,
							   enum tier_weights_action action,
							   const char *format, ...)
{
	va_list arguments;

	p->plan->action = action;
	va_start(arguments, format);
	vsnprintf(p->plan->reason, sizeof(p->plan->reason), format, arguments);
	va_end(arguments);
}

static uint64_t smaller(uint64_t read, uint64_t write)
{
	/* UNKNOWN is the largest number. */
	uint64_t mbps = MIN(read, write);

	return mbps == TIER_UNKNOWN_U64 ? mbps : MIN(mbps, TIER_CALIBRATION_MBPS_MAX);
}

/* Tasks run on CPUs, so access class 1 counts; class 0 may be that of a device which is nearer. */
static uint64_t firmware_mbps(const struct tier_node *node)
{
	uint64_t mbps = smaller(node->cpu_read_bandwidth_mbps, node->cpu_write_bandwidth_mbps);

	return mbps != TIER_UNKNOWN_U64
		       ? mbps
		       : smaller(node->read_bandwidth_mbps, node->write_bandwidth_mbps);
}

/* As mempolicy_set_node_perf() takes it: of class 1, and 0 if one of the two is not told. */
static uint64_t kernel_mbps(const struct tier_node *node)
{
	if (node->cpu_read_bandwidth_mbps == TIER_UNKNOWN_U64 ||
	    node->cpu_write_bandwidth_mbps == TIER_UNKNOWN_U64)
		return 0;
	return smaller(node->cpu_read_bandwidth_mbps, node->cpu_write_bandwidth_mbps);
}

/* Is what the kernel has what was there before, or what cxl-tierd has written? */
static bool find_foreign(const struct planner *p)
{
	const struct tier_weights_saved *saved = p->in->saved;
	const struct tier_weights_plan *plan = p->plan;

	if (plan->auto_weights == 1)
		return false;
	if (!saved && plan->auto_weights == 0)
		return true;
	if (saved && saved->auto_written)
		return true;
	for (size_t i = 0; i < plan->weight_count; i++) {
		const struct tier_weight *weight = &plan->weights[i];
		bool known = false;

		if (!takes_part(p, weight))
			continue;
		/* A kernel without a mode of its own begins with 1. */
		if (!saved && weight->present != 1)
			return true;
		for (size_t j = 0; saved && j < saved->node_count; j++) {
			const struct tier_weight_saved *s = &saved->nodes[j];

			known |= s->node == weight->node;
			if (s->node == weight->node && weight->present != (int)s->written &&
			    weight->present != (int)s->before)
				return true;
		}
		if (saved && !known && plan->auto_weights == TIER_UNKNOWN_INT &&
		    weight->present != 1)
			return true;
	}
	return false;
}

/* What the configuration has for a node. Of two regions on one node the smaller counts. */
static void take_fixed(struct planner *p, struct tier_weight *weight)
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
		decide(weight, TIER_WEIGHT_FIXED, config->ordinary_interleave_weight,
		       "OrdinaryInterleaveWeight= of [Tiering]");
	else if (wanted)
		decide(weight, TIER_WEIGHT_FIXED, wanted, "InterleaveWeight= of [Region %s]", name);
	else
		return;
	p->fixed = true;
}

static bool is_weighed(const struct planner *p, const struct tier_weight *weight)
{
	return takes_part(p, weight) && weight->source != TIER_WEIGHT_FIXED;
}

/* Does the calibration hold for all of them? Figures of two sources cannot be compared. */
static bool take_calibration(struct planner *p, char why[static 200])
{
	const struct tier_calibration *calibration = p->in->calibration;
	struct tier_weights_plan *plan = p->plan;
	char stale[160] = "which machine this is, is not known";

	why[0] = '\0';
	if (!calibration)
		return false;
	for (size_t i = 0; i < plan->weight_count; i++) {
		struct tier_weight *weight = &plan->weights[i];

		if (!is_weighed(p, weight))
			continue;
		if (!p->in->identity ||
		    tier_calibration_stale(calibration, p->in->identity, p->in->topology,
					   weight->node, stale)) {
			snprintf(why, 200, "; the calibration is stale: %s", stale);
			return false;
		}
	}
	for (size_t i = 0; i < plan->weight_count; i++)
		plan->weights[i].mbps = tier_calibration_mbps(calibration, plan->weights[i].node);
	return true;
}

/* The first node of which firmware says nothing; TIER_ABSENT_NODE if there is none. */
static int take_firmware(struct planner *p)
{
	int missing = TIER_ABSENT_NODE;

	for (size_t i = 0; i < p->plan->weight_count; i++) {
		struct tier_weight *weight = &p->plan->weights[i];

		weight->mbps = firmware_mbps(node_of(p, weight));
		if (is_weighed(p, weight) && weight->mbps == TIER_UNKNOWN_U64 && missing < 0)
			missing = weight->node;
	}
	return missing;
}

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
static int weigh(struct planner *p, enum tier_weight_source source)
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
			decide(weight, source, reduced[count], "bandwidths are not known");
		} else {
			decide(weight, source, reduced[count], "%" PRIu64 " MB/s by %s",
			       weight->mbps, tier_weight_source_name(source));
		}
		count++;
	}
	return 0;
}

/* Weights that are near enough stay; equal ones if they are equal. */
static int keeps(const struct planner *p, enum tier_weight_source source, bool *ret)
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

/* What the kernel would set by itself: all nodes with memory, typed ones as well. */
static int kernel_fits(const struct planner *p, bool *ret)
{
	const struct tier_weights_plan *plan = p->plan;
	_cleanup_free_ uint64_t *mbps = calloc(plan->weight_count, sizeof(*mbps));
	_cleanup_free_ unsigned *weights = calloc(plan->weight_count, sizeof(*weights));
	bool same = true;

	if (!mbps || !weights)
		return -ENOMEM;
	for (size_t i = 0; i < plan->weight_count; i++)
		mbps[i] = kernel_mbps(node_of(p, &plan->weights[i]));
	tier_weights_reduce(mbps, plan->weight_count, weights);
	for (size_t i = 0; i < plan->weight_count; i++)
		same &= !is_weighed(p, &plan->weights[i]) || weights[i] == plan->weights[i].wanted;
	*ret = same || fits(p, weights);
	return 0;
}

static int add_steps(struct planner *p, bool kept)
{
	struct tier_weights_plan *plan = p->plan;

	for (size_t i = 0; i < plan->weight_count; i++) {
		struct tier_weight *weight = &plan->weights[i];
		struct tier_weight_step *step;

		if (kept && is_weighed(p, weight))
			weight->wanted = (unsigned)weight->present;
		if (!takes_part(p, weight) || weight->source == TIER_WEIGHT_LEFT ||
		    (int)weight->wanted == weight->present)
			continue;
		step = array_grow(&plan->steps, &plan->step_count, sizeof(*step));
		if (!step)
			return -ENOMEM;
		*step = (struct tier_weight_step){weight->node, (unsigned)weight->present,
						  weight->wanted};
	}
	return 0;
}

static int plan_auto(struct planner *p)
{
	struct tier_weights_plan *plan = p->plan;
	const struct tier_weights_saved *saved = p->in->saved;
	enum tier_weight_source source = TIER_WEIGHT_CALIBRATION;
	int missing = TIER_ABSENT_NODE, r;
	bool kept, right = false;
	char why[200];

	for (size_t i = 0; i < plan->weight_count; i++)
		if (takes_part(p, &plan->weights[i]))
			take_fixed(p, &plan->weights[i]);
	p->foreign = find_foreign(p);
	if (p->foreign) {
		for (size_t i = 0; i < plan->weight_count; i++)
			if (is_weighed(p, &plan->weights[i]))
				decide(&plan->weights[i], TIER_WEIGHT_LEFT,
				       (unsigned)plan->weights[i].present,
				       "set by another hand than cxl-tierd's");
		r = add_steps(p, false);
		conclude(p, plan->step_count ? TIER_WEIGHTS_WRITE : TIER_WEIGHTS_NOTHING,
			 "set by another hand than cxl-tierd's: %s left as they are; to have them "
			 "set, echo 1 > /sys/kernel/mm/mempolicy/weighted_interleave/auto",
			 p->fixed ? "but for the configuration's, they are" : "they are");
		return r;
	}
	if (!take_calibration(p, why)) {
		missing = take_firmware(p);
		source = missing < 0 ? TIER_WEIGHT_FIRMWARE : TIER_WEIGHT_EQUAL;
	}
	r = weigh(p, source);
	if (r == 0)
		r = kernel_fits(p, &right);
	if (r < 0)
		return r;
	/* A weight that the configuration had is given back to whoever set the others. */
	if (saved && !p->fixed && plan->auto_weights == 0 &&
	    (saved->auto_weights == 0 || (saved->auto_weights == 1 && right))) {
		conclude(p, TIER_WEIGHTS_RESTORE, "%s%s",
			 saved->auto_weights == 1 ? "the kernel's own weights are right"
						  : "the configuration fixes no weight any more",
			 why);
		return 0;
	}
	r = keeps(p, source, &kept);
	if (r == 0)
		r = add_steps(p, kept);
	if (r < 0)
		return r;
	if (source == TIER_WEIGHT_EQUAL)
		conclude(
			p, TIER_WEIGHTS_WRITE,
			"firmware does not say the bandwidth of node %d, so all are alike; tierctl "
			"calibrate measures it%s",
			missing, why);
	else if (kept && plan->auto_weights == 1)
		conclude(p, TIER_WEIGHTS_WRITE, "the kernel's own weights are right by %s%s",
			 tier_weight_source_name(source), why);
	else
		conclude(p, TIER_WEIGHTS_WRITE, "by %s%s", tier_weight_source_name(source), why);
	if (plan->step_count == 0)
		plan->action = TIER_WEIGHTS_NOTHING;
	return 0;
}

static int plan_kernel(struct planner *p)
{
	struct tier_weights_plan *plan = p->plan;
	struct tier_weight_step *step;

	if (plan->auto_weights == TIER_UNKNOWN_INT) {
		conclude(
			p, p->in->saved ? TIER_WEIGHTS_RESTORE : TIER_WEIGHTS_NOTHING,
			"InterleaveWeights=kernel, and this kernel does not set weights by itself; "
			"Linux does from 6.16 on");
		return 0;
	}
	conclude(p, TIER_WEIGHTS_NOTHING, "left to the kernel by InterleaveWeights=kernel");
	if (plan->auto_weights == 1)
		return 0;
	if (p->in->saved && p->in->saved->auto_weights == 1) {
		plan->action = TIER_WEIGHTS_RESTORE;
		return 0;
	}
	step = array_grow(&plan->steps, &plan->step_count, sizeof(*step));
	if (!step)
		return -ENOMEM;
	*step = (struct tier_weight_step){TIER_ABSENT_NODE, 0, 1};
	plan->action = TIER_WEIGHTS_WRITE;
	return 0;
}

int tier_plan_weights(const struct tier_weights_input *input, struct tier_weights_plan **ret)
{
	const struct tier_topology *topology = input->topology;
	_cleanup_(tier_weights_plan_freep) struct tier_weights_plan *plan =
		calloc(1, sizeof(*plan));
	struct planner p = {.in = input, .plan = plan};
	bool supported = false;
	int r = 0;

	if (!plan)
		return -ENOMEM;
	plan->auto_weights = topology->hotplug.auto_weights;
	for (size_t i = 0; i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];
		struct tier_weight *weight;

		if (!node->has_memory)
			continue;
		weight = array_grow(&plan->weights, &plan->weight_count, sizeof(*weight));
		if (!weight)
			return -ENOMEM;
		weight->node = node->id;
		weight->present = node->interleave_weight;
		weight->mbps = TIER_UNKNOWN_U64;
		supported |= weight->present >= 0;
		decide(weight, TIER_WEIGHT_LEFT,
		       weight->present < 0 ? 1 : (unsigned)weight->present,
		       node->type > TIER_MEMORY_LOCAL
			       ? "%s: left as the kernel has it, nobody's pages are spread over it"
			       : "left to whoever sets it%.0s",
		       tier_memory_type_name(node->type));
	}
	if (!supported)
		conclude(&p, TIER_WEIGHTS_NOTHING,
			 "this kernel has no weighted interleave; Linux has it from 6.9 on");
	else if (input->config->weights == TIER_WEIGHTS_NO)
		conclude(&p, input->saved ? TIER_WEIGHTS_RESTORE : TIER_WEIGHTS_NOTHING,
			 "left to others by InterleaveWeights=no");
	else
		r = input->config->weights == TIER_WEIGHTS_KERNEL ? plan_kernel(&p) : plan_auto(&p);
	if (r < 0)
		return r;
	*ret = TAKE(plan);
	return 0;
}
