/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_TIERING_CARRY_H
#define TIER_OS_TIERING_CARRY_H

#include "tiering-chunks.h"

/* See tier_tiering_carry_out(): by DAMON, and by idle page tracking. */
int tiering_measure(const struct tier_tiering_nodes *nodes, const struct tier_tiering_step *step,
		    struct tier_tiering_result *ret, struct tier_problem *problem);
int tiering_pass(const struct tier_tiering_nodes *nodes, const struct tiering_pick *pick,
		 const struct tier_tiering_step *step, struct tier_tiering_result *ret,
		 struct tier_problem *problem);
int tiering_idle_measure(const struct tier_tiering_nodes *nodes,
			 const struct tier_tiering_step *step, struct tier_tiering_result *ret,
			 struct tier_problem *problem);
int tiering_idle_pass(const struct tier_tiering_nodes *nodes, const struct tiering_pick *pick,
		      const struct tier_tiering_step *step, struct tier_tiering_result *ret,
		      struct tier_problem *problem);

#endif
