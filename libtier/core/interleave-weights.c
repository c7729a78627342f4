/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "interleave-plan.h"

DEFINE_CLEANUP(struct tier_weights_plan *, tier_weights_plan_free)

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

const char *tier_weights_action_name(enum tier_weights_action action)
{
	static const char *const names[] = {
		[TIER_WEIGHTS_NOTHING] = "nothing",
		[TIER_WEIGHTS_WRITE] = "write",
		[TIER_WEIGHTS_RESTORE] = "restore",
		[TIER_WEIGHTS_REFRESH] = "refresh",
	};

	return names[action];
}

void weight_decide(struct tier_weight *weight, enum tier_weight_source source, unsigned wanted,
		   const char *format, ...)
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

/* Weights by another hand stay, but for those that the configuration fixes. */
static int plan_foreign(struct planner *p)
{
	struct tier_weights_plan *plan = p->plan;
	int r;

	for (size_t i = 0; i < plan->weight_count; i++)
		if (is_weighed(p, &plan->weights[i]))
			weight_decide(&plan->weights[i], TIER_WEIGHT_LEFT,
				      (unsigned)plan->weights[i].present,
				      "set by another hand than cxl-tierd's");
	r = add_steps(p, false);
	conclude(p, plan->step_count ? TIER_WEIGHTS_WRITE : TIER_WEIGHTS_NOTHING,
		 "set by another hand than cxl-tierd's: %s left as they are; to have them set, "
		 "%s",
		 p->fixed ? "but for the configuration's, they are" : "they are",
		 plan->auto_weights == 0 && weights_kernel_has(p)
			 ? "echo 1 > /sys/kernel/mm/mempolicy/weighted_interleave/auto"
			 : "echo 1 to each node's file in "
			   "/sys/kernel/mm/mempolicy/weighted_interleave");
	return r;
}

/* Are they to be as they were before the first write? Then what is there next is decided about anew. */
static bool is_over(struct planner *p, enum tier_weight_source source, bool kernel_right, bool kept,
		    const char *why)
{
	const struct tier_weights_saved *saved = p->in->saved;

	if (p->fixed || !weights_can_restore(p))
		return false;
	if (saved->auto_weights == 0 && !weights_were_nobodys(p)) {
		conclude(p, TIER_WEIGHTS_RESTORE, "the configuration asks for no others any more");
		return true;
	}
	if (saved->auto_weights != 1 || p->plan->auto_weights != 0)
		return false;
	/* They were there, and were wrong: the kernel knows something else than it tells. */
	if (saved->wrong_figures == p->plan->figures)
		return false;
	if (kernel_right)
		conclude(p, TIER_WEIGHTS_RESTORE, "the kernel's own weights are right%s", why);
	else if (source == TIER_WEIGHT_EQUAL && (!kept || weights_kernel_hides(p)))
		conclude(p, TIER_WEIGHTS_RESTORE, "bandwidths are not known any more%s", why);
	return p->plan->action == TIER_WEIGHTS_RESTORE;
}

static void explain(struct planner *p, enum tier_weight_source source, bool kept, int missing,
		    const char *why)
{
	const char *name = tier_weight_source_name(source);
	size_t weighed = 0;

	for (size_t i = 0; i < p->plan->weight_count; i++)
		weighed += is_weighed(p, &p->plan->weights[i]);
	if (weighed == 0)
		conclude(p, TIER_WEIGHTS_WRITE, "by the configuration, which fixes all of them");
	else if (weighed == 1 && !p->fixed)
		conclude(p, TIER_WEIGHTS_WRITE, "there is one node only");
	else if (source == TIER_WEIGHT_LEFT)
		conclude(p, TIER_WEIGHTS_WRITE,
			 "the kernel's own, which knows more of node %d than it tells%s", missing,
			 why);
	else if (source == TIER_WEIGHT_EQUAL)
		conclude(
			p, TIER_WEIGHTS_WRITE,
			"firmware does not say the bandwidth of node %d, so all are alike; tierctl "
			"calibrate measures it%s",
			missing, why);
	else if (kept && p->plan->auto_weights == 1)
		conclude(p, TIER_WEIGHTS_WRITE, "the kernel's own weights are right by %s%s", name,
			 why);
	else
		conclude(p, TIER_WEIGHTS_WRITE, "by %s%s", name, why);
	if (p->plan->step_count == 0)
		p->plan->action = TIER_WEIGHTS_NOTHING;
}

/* What was found before, or by the kernel, stays where nothing is known. */
static int leave_unknown(struct planner *p, enum tier_weight_source *source)
{
	bool knows, knew = p->fixed && p->in->saved && p->plan->auto_weights == 0;
	int r = weights_kernel_knows(p, &knows);

	if (r < 0 || !(knows || (knew && weights_kernel_hides(p))))
		return r;
	*source = TIER_WEIGHT_LEFT;
	for (size_t i = 0; i < p->plan->weight_count; i++)
		if (is_weighed(p, &p->plan->weights[i]))
			weight_decide(&p->plan->weights[i], TIER_WEIGHT_LEFT,
				      (unsigned)p->plan->weights[i].present,
				      "as the kernel has set it");
	return 0;
}

/* Would the kernel's own be right, or better, if it computed them now? */
static bool is_outdated(struct planner *p, enum tier_weight_source source, bool kernel_right,
			bool kept)
{
	if (p->plan->auto_weights != 1 || p->fixed || kept || p->in->refreshed ||
	    !weights_kernel_has(p))
		return false;
	if (source != TIER_WEIGHT_EQUAL && !kernel_right)
		return false;
	conclude(p, TIER_WEIGHTS_REFRESH,
		 "the kernel has not computed its own weights since a node came or went");
	return true;
}

static int plan_auto(struct planner *p)
{
	struct tier_weights_plan *plan = p->plan;
	enum tier_weight_source source = TIER_WEIGHT_CALIBRATION;
	int missing = TIER_ABSENT_NODE, r;
	bool kept = true, right = false;
	char why[200];

	for (size_t i = 0; i < plan->weight_count; i++)
		if (takes_part(p, &plan->weights[i]))
			weights_take_fixed(p, &plan->weights[i]);
	p->foreign = weights_are_foreign(p);
	if (p->foreign)
		return plan_foreign(p);
	if (!weights_take_calibration(p, why)) {
		missing = weights_take_firmware(p);
		source = missing < 0 ? TIER_WEIGHT_FIRMWARE : TIER_WEIGHT_EQUAL;
	}
	r = weights_weigh(p, source);
	/* What the kernel's own are beside fixed ones, nobody has seen. */
	if (r == 0 && !p->fixed)
		plan->figures = weights_figures(p, source);
	if (r == 0)
		r = weights_kernel_fits(p, source, &right);
	if (r == 0)
		r = weights_keep(p, source, &kept);
	if (r < 0)
		return r;
	if (is_over(p, source, right, kept, why))
		return 0;
	if (source == TIER_WEIGHT_EQUAL)
		r = leave_unknown(p, &source);
	if (r < 0 || is_outdated(p, source, right, kept))
		return r;
	r = add_steps(p, kept);
	if (r == 0)
		explain(p, source, kept, missing, why);
	return r;
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
		if (weights_can_restore(p))
			plan->action = TIER_WEIGHTS_RESTORE;
		else
			conclude(p, TIER_WEIGHTS_NOTHING,
				 "InterleaveWeights=kernel, and the kernel refuses its own mode: "
				 "firmware tells no bandwidths");
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
		weight_decide(
			weight, TIER_WEIGHT_LEFT,
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
		conclude(&p, weights_can_restore(&p) ? TIER_WEIGHTS_RESTORE : TIER_WEIGHTS_NOTHING,
			 "left to others by InterleaveWeights=no");
	else
		r = input->config->weights == TIER_WEIGHTS_KERNEL ? plan_kernel(&p) : plan_auto(&p);
	if (r < 0)
		return r;
	*ret = TAKE(plan);
	return 0;
}
