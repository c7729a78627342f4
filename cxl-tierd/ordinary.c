/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/*
 * Hot-added memory without a dax device: DIMMs, virtio-mem, balloons. Adjacent blocks of a node that have
 * arrived together are one device, and are noted as a region is.
 */

static void note_run(struct manager *manager, const struct tier_topology *topology, uint64_t first,
		     uint64_t last)
{
	const struct onlining *state = &manager->onlining;
	uint64_t begun, end;
	struct region *noted;
	char name[32];

	/* The rest of a run that was being onlined: it is finished as the one that it was. */
	if (tier_run_parse(state->name, &begun, &end) == 0 && begun <= first && first <= end) {
		first = begun;
		last = end;
	}
	tier_run_name(name, first, last);
	noted = region_note(manager, name, first * topology->block_bytes,
			    (last - first + 1) * topology->block_bytes);
	if (!noted)
		return;
	noted->ordinary = true;
	noted->waits = !noted->settled;
}

/* Those that wait are not known yet: who is killed now has not decided about them. */
static void know_others(struct manager *manager, const struct tier_topology *topology,
			const bool *arrived)
{
	uint64_t *known = calloc(topology->block_count + 1, sizeof(*known));
	size_t count = 0;

	if (!known)
		return;
	for (size_t i = 0; i < topology->block_count; i++)
		if (!arrived[i] && tier_block_is_ordinary(topology, &topology->blocks[i]))
			known[count++] = topology->blocks[i].index;
	onlining_know(manager, known, count);
}

void ordinary_look(struct manager *manager, const struct tier_topology *topology)
{
	const struct tier_block *blocks = topology->blocks;
	bool *arrived;

	if (manager->options.sysroot)
		return;
	arrived = calloc(topology->block_count + 1, sizeof(*arrived));
	if (!arrived)
		return;
	for (size_t i = 0; i < topology->block_count; i++)
		arrived[i] = blocks[i].state == TIER_BLOCK_OFFLINE &&
			     !onlining_knows(manager, blocks[i].index) &&
			     tier_block_is_ordinary(topology, &blocks[i]);
	for (size_t i = 0, last; i < topology->block_count; i = last + 1) {
		last = i;
		if (!arrived[i])
			continue;
		while (last + 1 < topology->block_count && arrived[last + 1] &&
		       blocks[last + 1].index == blocks[last].index + 1 &&
		       blocks[last + 1].node == blocks[i].node)
			last++;
		note_run(manager, topology, blocks[i].index, blocks[last].index);
	}
	know_others(manager, topology, arrived);
	free(arrived);
}
