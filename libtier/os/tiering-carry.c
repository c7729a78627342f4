// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tiering-carry.h"

int tier_tiering_carry_out(enum tier_mechanism by, const struct tier_tiering_nodes *nodes,
			   struct tier_tiering_targets *targets,
			   const struct tier_share_groups *groups,
			   const struct tier_share_turn *turn, const struct tier_tiering_step *step,
			   struct tier_tiering_result *ret, struct tier_problem *problem)
{
	struct tiering_pick pick = {targets, groups, turn, step->act};
	bool measure = step->act == TIER_TIERING_MEASURE;

	if (by == TIER_MECHANISM_IDLE)
		return measure ? tiering_idle_measure(nodes, step, ret, problem)
			       : tiering_idle_pass(nodes, &pick, step, ret, problem);
	return measure ? tiering_measure(nodes, step, ret, problem)
		       : tiering_pass(nodes, &pick, step, ret, problem);
}
