/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "online-plan.h"
#include "online-survey.h"
#include "online-words.h"
#include "topology.h"

int tier_plan_offline(const struct tier_topology *topology, const char *name, bool to_devdax,
		      struct tier_plan **ret_plan, struct tier_problem *problem)
{
	_cleanup_plan_ struct tier_plan *plan = calloc(1, sizeof(*plan));
	const struct tier_region *region = tier_topology_region(topology, name);
	struct tier_decision *decision;
	size_t online = 0, bound = 0;
	struct online_sum sum = {};
	uint64_t bytes = 0;
	unsigned percent;
	int r = 0;

	if (!region)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name, "see tierctl list regions",
					"no such region");
	decision = plan ? online_add_decision(plan, name) : NULL;
	if (!decision)
		return tier_problem_set(problem, -ENOMEM, name, NULL, "cannot plan");
	decision->wanted = TIER_ONLINE_NO;
	if (online_sum(topology, &sum) == 0) {
		decision->kernel_bytes_before = sum.kernel;
		decision->movable_bytes_before = sum.movable;
	}
	percent = online_percent(&sum);
	/* Backwards over the devices, so that the highest block goes first. */
	for (size_t i = topology->dax_count; r == 0 && i-- > 0;) {
		const struct tier_dax *dax = &topology->daxs[i];
		const struct tier_block *block;
		size_t count;

		if (!streq(dax->region, name) || dax->mode != TIER_DAX_SYSTEM_RAM)
			continue;
		if (dax->start == TIER_UNKNOWN_U64)
			return tier_problem_set(
				problem, TIER_E_REFUSED, name, "try again as root",
				"cannot plan: the physical address of %s is not readable",
				dax->name);
		bound++;
		block = tier_topology_range_blocks(topology, dax->start, dax->bytes, &count);
		while (r == 0 && count-- > 0) {
			if (block[count].state == TIER_BLOCK_OFFLINE)
				continue;
			online++;
			bytes += topology->block_bytes;
			uint64_t *part =
				block[count].zone == TIER_ZONE_MOVABLE ? &sum.movable : &sum.kernel;
			*part -= MIN(*part, topology->block_bytes);
			r = online_add_step(plan, TIER_STEP_OFFLINE, name, dax->name,
					    block[count].index);
		}
		if (r == 0 && to_devdax)
			r = online_add_step(plan, TIER_STEP_BIND_DEVDAX, name, dax->name,
					    TIER_UNKNOWN_U64);
	}
	if (r < 0)
		return tier_problem_set(problem, r, name, NULL, "cannot plan");
	decision->bytes = bytes;
	decision->ratio_percent_after = sum.kernel ? online_percent(&sum) : 0;
	if (bound == 0)
		snprintf(decision->reason, sizeof(decision->reason), "not system RAM already");
	else if (online == 0)
		snprintf(decision->reason, sizeof(decision->reason),
			 "all of it is offline already");
	else if (decision->ratio_percent_after > percent)
		snprintf(decision->reason, sizeof(decision->reason),
			 "%zu memory blocks are evacuated and taken offline; with less kernel "
			 "memory, what is Movable is %u %% of it then",
			 online, decision->ratio_percent_after);
	else
		snprintf(decision->reason, sizeof(decision->reason),
			 "%zu memory blocks are evacuated and taken offline", online);
	*ret_plan = TAKE(plan);
	return 0;
}
