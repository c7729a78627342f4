/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <numaif.h>

#include "memory-offline.h"

#define MAX_NODES 1024
/* Flags are above. */
#define MODE	  0xff
#define LONG_BITS (8 * sizeof(unsigned long))

static bool in_plan(const struct tier_plan *plan, uint64_t block)
{
	for (size_t i = 0; i < plan->step_count; i++)
		if (plan->steps[i].action == TIER_STEP_OFFLINE && plan->steps[i].block == block)
			return true;
	return false;
}

static bool keeps_memory(const struct sysfs *sysfs, const struct tier_plan *plan, int node)
{
	_cleanup_names_ struct sysfs_names blocks = {};

	if (sysfs_list(sysfs, &blocks, "memory", "sys/devices/system/node/node%d", node) != 0)
		return false;
	for (size_t i = 0; i < blocks.count; i++) {
		uint64_t block = strtoull(blocks.names[i] + strlen("memory"), NULL, 10);
		enum tier_zone zone;

		if (!in_plan(plan, block) && memory_block_zone(sysfs, block, &zone) == 0 &&
		    zone != TIER_ZONE_NONE)
			return true;
	}
	return false;
}

int offline_check_own(const struct sysfs *sysfs, const struct tier_plan *plan,
		      struct tier_problem *problem)
{
	unsigned long nodes[MAX_NODES / LONG_BITS] = {};
	int mode = 0, last = TIER_ABSENT_NODE;

	/* Any other policy falls back to other nodes; a cpuset is widened by the kernel. */
	if (get_mempolicy(&mode, nodes, MAX_NODES, NULL, 0) < 0 || (mode & MODE) != MPOL_BIND)
		return 0;
	for (int node = 0; node < MAX_NODES; node++) {
		if (!(nodes[(size_t)node / LONG_BITS] >> ((size_t)node % LONG_BITS) & 1))
			continue;
		if (keeps_memory(sysfs, plan, node))
			return 0;
		last = node;
	}
	return tier_problem_set(
		problem, TIER_E_REFUSED, plan->steps[0].region,
		"restart it without numactl --membind or NUMAPolicy=bind",
		"cannot go offline: whoever does it (cxl-tierd) may use memory of node "
		"%d only, and none would be left there",
		last);
}
