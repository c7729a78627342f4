/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_TIERING_PROCESS_H
#define TIER_OS_TIERING_PROCESS_H

#include <sys/types.h>

#include "mover-process.h"
#include "tiering-mapping.h"

struct tiering_range {
	struct tiering_mapping mapping;
	uint64_t end;
};

struct tiering_process {
	enum tier_tiering_stay stay; /* of the process as a whole */
	struct process_identity identity;
	struct tiering_range *ranges; /* in ascending order */
	size_t count;
};

/*
 * What a process has, and what of it may be moved. Of one that stays as a whole there are no ranges, unless @all.
 * 0; SYSFS_ABSENT, SYSFS_DENIED, negative errno.
 */
int tiering_process_read(const struct sysfs *sysfs, pid_t pid,
			 const struct tier_tiering_nodes *nodes, uint64_t least_bytes, bool all,
			 struct tiering_process *ret);
void tiering_process_done(struct tiering_process *process);
#define _cleanup_process_ __attribute__((cleanup(tiering_process_done)))

/* Of the cgroups and processes that have a policy, the one that counts for it; -1: none. */
int tiering_process_group(const struct sysfs *sysfs, pid_t pid,
			  const struct tier_share_groups *groups);

#endif
