/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sysfs.h"
#include "tier-online.h"
#include "topology-read.h"

int tier_memory_type_set(const char *region, enum tier_memory_type type,
			 struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	enum tier_memory_type before;
	int r = sysfs_open(&sysfs, NULL);

	if (r)
		return tier_problem_set(problem, r, "/sys", NULL, "cannot open");
	before = topology_read_type(&sysfs, "sys/bus/cxl/devices/%s/memory_type", region);
	if (before == TIER_MEMORY_UNKNOWN)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, region, "tierctl doctor",
					"cannot make its memory %s: this kernel has no types",
					tier_memory_type_name(type));
	if (before == type)
		return 0;
	r = sysfs_write(&sysfs, tier_memory_type_name(type), "sys/bus/cxl/devices/%s/memory_type",
			region);
	if (r == -EBUSY)
		return tier_problem_set(problem, TIER_E_BUSY, region, "tierctl offline",
					"cannot make its memory %s: it is online as %s",
					tier_memory_type_name(type), tier_memory_type_name(before));
	if (r == 0)
		return 0;
	return tier_problem_set(problem, r, region, NULL, "cannot make its memory %s",
				tier_memory_type_name(type));
}
