/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_MOVER_PROCESS_H
#define TIER_MOVER_PROCESS_H

#include "process-identity.h"
#include "sysfs.h"
#include "tier-mover.h"

/* Do the nodes exist, and has the destination memory? 0; negative errno and a problem. */
int mover_check_nodes(const struct tier_move_request *request, struct tier_problem *problem);

/* Who has a number now; @root is "/". 0; -ESRCH if nobody, or it cannot be told. */
int mover_identify(const struct sysfs *root, pid_t pid, struct process_identity *ret);

/*
 * tier_move() of one of several processes, after that check. @ready_usec is 0 at first, and carries the
 * rate from one to the next. @identity: who has to have the number; NULL: anybody.
 */
int mover_process(const struct tier_move_request *request, const struct process_identity *identity,
		  tier_move_progress progress, void *userdata, uint64_t *ready_usec,
		  struct tier_move_result *ret, struct tier_problem *problem);

#endif
