/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "online-plan.h"

struct tier_plan *tier_plan_free(struct tier_plan *plan)
{
	if (!plan)
		return NULL;
	free(plan->decisions);
	free(plan->steps);
	free(plan);
	return NULL;
}

int online_add_step(struct tier_plan *plan, enum tier_step_action action, const char *region,
		    const char *dax, uint64_t block)
{
	struct tier_step *step = array_grow(&plan->steps, &plan->step_count, sizeof(*step));

	if (!step)
		return -ENOMEM;
	step->action = action;
	step->block = block;
	copy_string(step->region, sizeof(step->region), region);
	copy_string(step->dax, sizeof(step->dax), dax);
	return 0;
}

struct tier_decision *online_add_decision(struct tier_plan *plan, const char *region)
{
	struct tier_decision *decision =
		array_grow(&plan->decisions, &plan->decision_count, sizeof(*decision));

	if (decision)
		copy_string(decision->region, sizeof(decision->region), region);
	return decision;
}
