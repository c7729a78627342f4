/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "online-plan.h"
#include "online-survey.h"

/* What decisions come to, block by block, or device by device where the blocks are not there yet. */

/* The steps for blocks that are offline, if there is room for them; how many they are. */
static size_t block_steps(const struct tier_topology *topology, const struct tier_block *blocks,
			  size_t count, struct tier_step step, struct tier_step *steps)
{
	size_t offline = 0;

	for (size_t i = 0; i < count; i++) {
		if (blocks[i].state != TIER_BLOCK_OFFLINE || online_left_out(topology, &blocks[i]))
			continue;
		if (steps) {
			steps[offline] = step;
			steps[offline].block = blocks[i].index;
		}
		offline++;
	}
	return offline;
}

/* Bound anew, it has blocks, which are offline; one that is unplugged can be onlined as it is if none is left out. */
static size_t bind_steps(const struct tier_dax *dax, bool whole, struct tier_step step,
			 struct tier_step *steps)
{
	static const enum tier_step_action actions[] = {TIER_STEP_BIND_DEVDAX, TIER_STEP_BIND_RAM};
	bool bound = dax->mode == TIER_DAX_SYSTEM_RAM;
	size_t count = !bound ? 1 : whole ? 0 : 2;

	for (size_t i = 0; steps && i < count; i++) {
		steps[i] = step;
		steps[i].action = actions[ARRAY_SIZE(actions) - count + i];
	}
	return count;
}

/* All of a device that has no blocks yet, but for those that are retired. */
static size_t unbound_steps(const struct tier_topology *topology, const struct tier_dax *dax,
			    struct tier_step step, struct tier_step *steps)
{
	uint64_t size = topology->block_bytes;
	uint64_t first = ROUND_UP(dax->start, size) / size;
	size_t count = online_usable_bytes(topology, dax) / size;
	size_t retired = online_retired_blocks(topology, dax);
	size_t used = bind_steps(dax, retired == 0, step, steps);

	if (retired == 0) {
		if (steps)
			steps[used] = step;
		return used + 1;
	}
	if (!steps)
		return used + count - retired;
	for (uint64_t block = first; block < first + count; block++) {
		if (tier_topology_block_retired(topology, block))
			continue;
		steps[used] = step;
		steps[used++].block = block;
	}
	return used;
}

static size_t device_steps(const struct tier_topology *topology, const struct tier_dax *dax,
			   struct tier_step step, struct tier_step *steps)
{
	const struct tier_block *blocks;
	size_t count;

	if (online_usable_bytes(topology, dax) == 0)
		return 0;
	copy_string(step.dax, sizeof(step.dax), dax->name);
	if (!tier_dax_has_blocks(dax))
		return unbound_steps(topology, dax, step, steps);
	blocks = tier_topology_range_blocks(topology, dax->start, dax->bytes, &count);
	return block_steps(topology, blocks, count, step, steps);
}

static size_t region_steps(const struct tier_topology *topology,
			   const struct tier_decision *decision, struct tier_step *steps)
{
	struct tier_step step = {.block = TIER_UNKNOWN_U64};
	const struct tier_block *blocks;
	const struct tier_dax *dax = NULL;
	size_t count = 0;

	if (decision->zone == TIER_ZONE_NONE || decision->arrival)
		return 0;
	step.action = decision->zone == TIER_ZONE_MOVABLE ? TIER_STEP_ONLINE_MOVABLE
							  : TIER_STEP_ONLINE_KERNEL;
	copy_string(step.region, sizeof(step.region), decision->region);
	if (!tier_topology_region(topology, decision->region)) {
		blocks = tier_run_blocks(topology, decision->region, &count);
		return block_steps(topology, blocks, count, step, steps);
	}
	while ((dax = tier_topology_region_dax(topology, decision->region, dax)))
		count += device_steps(topology, dax, step, steps ? steps + count : NULL);
	return count;
}

/* Counted first: there may be millions. */
int online_add_steps(const struct tier_topology *topology, struct tier_plan *plan)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->decision_count; i++)
		count += region_steps(topology, &plan->decisions[i], NULL);
	if (count == 0)
		return 0;
	plan->steps = calloc(count, sizeof(*plan->steps));
	if (!plan->steps)
		return -ENOMEM;
	for (size_t i = 0; i < plan->decision_count; i++)
		plan->step_count +=
			region_steps(topology, &plan->decisions[i], plan->steps + plan->step_count);
	return 0;
}
