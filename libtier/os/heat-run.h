/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_HEAT_RUN_H
#define TIER_OS_HEAT_RUN_H

#include "damon.h"
#include "heat-watch.h"
#include "node-ranges.h"

/* A map that is being taken. */
struct heat_run {
	const struct tier_heat_request *request;
	tier_heat_progress progress;
	void *userdata;
	struct sysfs root;
	int lock;
	struct damon damon;
	struct heat_record record;
	struct heat_watches watches;
	uint32_t *spaces;	   /* of each of these */
	struct node_ranges ranges; /* of the host */
	uint64_t begin_usec, renew_usec;
};

static inline bool heat_run_is_host(const struct heat_run *run)
{
	return run->request->pid == 0 && !run->request->cgroup;
}

/* heat-run.c: what DAMON is told, and what it says. */

/* Of what is watched now; the kdamond has been claimed, and does not run. */
int heat_run_start(struct heat_run *run, struct tier_problem *problem);
/* While it runs: of the same processes, other ranges. */
int heat_run_change(struct heat_run *run, struct tier_problem *problem);
/* Waits for a snapshot and adds it to the record. */
int heat_run_snapshot(struct heat_run *run, struct tier_problem *problem);

#endif
