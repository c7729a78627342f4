/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_MEMORY_OFFLINE_H
#define TIER_OS_MEMORY_OFFLINE_H

#include "memory-apply.h"
#include "tier-offline.h"

/* tier_offline() below a root. @dax: NULL if the plan binds no device. */
int memory_offline(const struct sysfs *sysfs, const struct tier_plan *plan,
		   const struct tier_offline_options *options, struct tier_offline_result *result,
		   struct tier_problem *problem);

/*
 * offline-own.c: a process that is bound to nodes which would lose all their memory (numactl
 * --membind) would be killed as soon as it needs a page. 0; TIER_E_REFUSED.
 */
int offline_check_own(const struct sysfs *sysfs, const struct tier_plan *plan,
		      struct tier_problem *problem);

/*
 * offline-block.c: one memory block. An offline of several has one job, which keeps what they have in
 * common.
 */
struct offline_job {
	const struct sysfs *sysfs;
	const char *region;
	const struct tier_offline_options *options;
	struct tier_offline_result *result;
	struct tier_problem *problem;
	uint64_t begun_usec, deadline_usec; /* as if others had had no time in between */
	uint64_t done_bytes;		    /* of blocks that went */
	bool cancelled;
	bool hung; /* the kernel has a process of ours that it does not let go of */
};

/*
 * Evacuates and offlines. *ret_zone: where it was; NONE: it was offline. 0, also if the job was
 * cancelled just too late; TIER_E_BUSY, TIER_E_TIMEOUT, TIER_E_CANCELLED, negative errno, with the
 * problem, and the block in the result's list of those that stay.
 */
int offline_block(struct offline_job *job, uint64_t block, enum tier_zone *ret_zone);
/* Others may change memory for a moment, which counts as none; it may be cancelled then. How long it was. */
uint64_t offline_between(struct offline_job *job);
void offline_tell(const struct offline_job *job, enum tier_offline_phase phase, uint64_t block,
		  uint64_t part_bytes);

#endif
