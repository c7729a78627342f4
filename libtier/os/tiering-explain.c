// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tiering-process.h"
#include "util.h"

int tier_tiering_explain(pid_t pid, const struct tier_tiering_nodes *nodes, uint64_t least_bytes,
			 const struct tier_share_groups *groups, struct tier_tiering_outline *ret,
			 struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_process_ struct tiering_process process = {};
	struct tier_tiering_outline outline = {};
	char object[32];
	int r = sysfs_open(&sysfs, NULL);

	snprintf(object, sizeof(object), "process %d", pid);
	r = r ?: tiering_process_read(&sysfs, pid, nodes, least_bytes, true, &process);
	if (r == SYSFS_ABSENT || r == -ESRCH)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, object, NULL, "no such process");
	if (r)
		return tier_problem_set(problem, r == SYSFS_DENIED ? -EACCES : r, object,
					"do it as root", "its memory cannot be looked at");
	outline.whole = process.stay;
	outline.group = tiering_process_group(&sysfs, pid, groups);
	for (size_t i = 0; i < process.count; i++) {
		const struct tiering_mapping *mapping = &process.ranges[i].mapping;

		outline.bytes[mapping->stay] +=
			mapping->fast_bytes + mapping->slow_bytes + mapping->other_bytes;
		outline.fast_bytes += mapping->fast_bytes;
		outline.slow_bytes += mapping->slow_bytes;
		outline.other_bytes += mapping->other_bytes;
	}
	*ret = outline;
	return 0;
}
