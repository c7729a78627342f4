/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_TIERING_CARRY_H
#define TIER_OS_TIERING_CARRY_H

#include "damon.h"

/* See tier_tiering_carry_out(). */
int tiering_measure(const struct tier_tiering_nodes *nodes, const struct tier_tiering_step *step,
		    struct tier_tiering_result *ret, struct tier_problem *problem);

#endif
