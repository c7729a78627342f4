/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_MOVER_GROUP_H
#define TIER_MOVER_GROUP_H

#include "process-identity.h"
#include "tier-mover.h"
#include "util.h"

/*
 * How processes that come and go are moved, apart from the system calls: everything comes through
 * these, so that tests can put a model in their place.
 */

/* A process that runs one program. */
struct group_process {
	pid_t pid; /* 0: of another PID namespace */
	struct process_identity identity;
	bool done;
	uint64_t pages; /* of its address space, for the progress */
};

struct group_list {
	struct group_process *list;
	size_t count;
};

static inline void group_list_done(struct group_list *list)
{
	free(list->list);
}

struct group_ops {
	/* Appends the processes that are there now, also more than once. Returns 0; negative errno. */
	int (*list)(void *userdata, struct group_list *list);
	/* How many pages its address space has; 0 if it cannot be told. */
	uint64_t (*pages)(void *userdata, const struct group_process *process);
	/* As mover_process(): only what still is this one, -ESRCH if its number is another's. */
	int (*move)(void *userdata, const struct group_process *process,
		    tier_move_progress progress, void *progress_userdata,
		    struct tier_move_result *ret, struct tier_problem *problem);
};

struct group {
	const struct group_ops *ops;
	void *userdata;
	tier_move_progress progress; /* may be NULL */
	void *progress_userdata;
	struct tier_move_group_result *result;
};

/* Returns as tier_move_group() does; @problem's object is the process, or empty where that is the cgroup. */
int group_move(struct group *group, struct tier_problem *problem);

#endif
