/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_ONLINE_RUN_H
#define TIER_CORE_ONLINE_RUN_H

#include "online-survey.h"
#include "tier-online.h"

/* As online_survey(), of the blocks that @name says; TIER_E_NOT_FOUND if it is no run of any. */
int online_survey_run(const struct tier_topology *topology, const char *name, bool resume,
		      struct online_memory *ret, struct tier_problem *problem);

#endif
