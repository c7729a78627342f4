/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_TIERING_TARGETS_H
#define TIER_OS_TIERING_TARGETS_H

#include "damon.h"
#include "tiering-looks.h"
#include "tiering-process.h"

/* A part of a process' addresses. */
struct tiering_piece {
	int pid;
	struct process_identity identity; /* a number may be given again */
	struct damon_range range;
	int group; /* of those that have a policy; -1: none */
};

struct tier_tiering_targets {
	struct tiering_piece *pieces; /* by process, ascending; as the process has them mapped */
	size_t count;
	size_t processes;
	struct tiering_looks looks; /* by the last pass that moved nothing */
};

#endif
