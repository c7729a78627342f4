/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_ONLINE_PLAN_H
#define TIER_CORE_ONLINE_PLAN_H

#include "tier-online.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_plan *, tier_plan_free)
#define _cleanup_plan_ _cleanup_(tier_plan_freep)

/*
 * tier_plan_online() in two: what does not depend on the ratio, and the rest, for as many ratios as one
 * likes; without steps, if only the decisions are wanted.
 */
struct online_planning;
int online_prepare(const struct tier_topology *topology, const struct tier_online_policy *policy,
		   struct online_planning **ret, struct tier_problem *problem);
int online_finish(struct online_planning *p, unsigned ratio_percent, bool steps,
		  struct tier_plan **ret_plan, struct tier_problem *problem);
struct online_planning *online_planning_free(struct online_planning *p);
DEFINE_CLEANUP(struct online_planning *, online_planning_free)
#define _cleanup_planning_ _cleanup_(online_planning_freep)

/* Append to a plan: online-list.c. -ENOMEM or NULL without memory. */
int online_add_step(struct tier_plan *plan, enum tier_step_action action, const char *region,
		    const char *dax, uint64_t block);
/* Those of all decisions: online-steps.c. */
int online_add_steps(const struct tier_topology *topology, struct tier_plan *plan);
struct tier_decision *online_add_decision(struct tier_plan *plan, const char *region);

#endif
