/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "online-survey.h"

uint64_t online_usable_bytes(const struct tier_topology *topology, const struct tier_dax *dax)
{
	uint64_t size = topology->block_bytes;
	uint64_t start = ROUND_UP(dax->start, size);
	uint64_t end = (dax->start + dax->bytes) / size * size;

	return end > start ? end - start : 0;
}

size_t online_retired_blocks(const struct tier_topology *topology, const struct tier_dax *dax)
{
	uint64_t size = topology->block_bytes;
	uint64_t first = ROUND_UP(dax->start, size) / size;
	uint64_t end = first + online_usable_bytes(topology, dax) / size;
	size_t count = 0;

	for (size_t i = 0; i < topology->retired_block_count; i++)
		count += topology->retired_blocks[i] >= first && topology->retired_blocks[i] < end;
	return count;
}

bool online_left_out(const struct tier_topology *topology, const struct tier_block *block)
{
	return block->state == TIER_BLOCK_OFFLINE &&
	       tier_topology_block_retired(topology, block->index);
}

void online_survey_block(const struct tier_topology *topology, struct online_memory *memory,
			 const struct tier_block *block)
{
	if (online_left_out(topology, block)) {
		memory->retired++;
		memory->bytes -= topology->block_bytes;
		return;
	}
	memory->blocks++;
	if (block->state == TIER_BLOCK_OFFLINE) {
		memory->no_movable |= !block->can_movable;
		memory->no_kernel |= !block->can_kernel;
		return;
	}
	memory->zone =
		memory->online == 0 || memory->zone == block->zone ? block->zone : TIER_ZONE_MIXED;
	memory->online++;
}

static void survey(const struct tier_topology *topology, const struct tier_dax *dax,
		   struct online_memory *memory)
{
	const struct tier_block *block;
	size_t count, retired = 0;

	memory->daxs++;
	memory->bytes += online_usable_bytes(topology, dax);
	if (!tier_dax_has_blocks(dax)) {
		retired = online_retired_blocks(topology, dax);
		memory->retired += retired;
		memory->bytes -= retired * topology->block_bytes;
		return;
	}
	memory->bound++;
	block = tier_topology_range_blocks(topology, dax->start, dax->bytes, &count);
	memory->missing |= count * topology->block_bytes < online_usable_bytes(topology, dax);
	for (; count > 0; block++, count--)
		online_survey_block(topology, memory, block);
}

int online_sum(const struct tier_topology *topology, struct online_sum *ret)
{
	struct online_sum sum = {};

	for (size_t i = 0; i < topology->node_count; i++) {
		const struct tier_node *node = &topology->nodes[i];

		if (node->present_kernel_bytes == TIER_UNKNOWN_U64 ||
		    node->present_movable_bytes == TIER_UNKNOWN_U64)
			return TIER_E_REFUSED;
		sum.kernel += node->present_kernel_bytes - node->cma_bytes;
		sum.movable += node->present_movable_bytes + node->cma_bytes;
	}
	if (sum.kernel == 0)
		return TIER_E_REFUSED;
	*ret = sum;
	return 0;
}

const char *online_next_offline(char text[static 80], const char *region)
{
	snprintf(text, 80, "take it offline first: tierctl offline %s", region);
	return text;
}

int online_whole(const struct online_memory *memory, const char *name, uint64_t block_bytes,
		 bool resume, struct tier_problem *problem)
{
	char offline[80];

	if (memory->online == 0 ||
	    (memory->online == memory->blocks && memory->bound == memory->daxs))
		return 0;
	if (resume && (memory->zone == TIER_ZONE_MOVABLE || online_is_kernel_zone(memory->zone)))
		return 0;
	return tier_problem_set(problem, TIER_E_BUSY, name, online_next_offline(offline, name),
				"is partly online: %zu of its %" PRIu64
				" memory blocks, in zone %s; only a whole region is onlined",
				memory->online, memory->bytes / block_bytes,
				tier_zone_name(memory->zone));
}

int online_survey(const struct tier_topology *topology, const struct tier_region *region,
		  bool resume, struct online_memory *ret, struct tier_problem *problem)
{
	const struct tier_dax *dax = NULL;
	struct online_memory memory = {.type = region->type_by_kernel ? region->type
								      : TIER_MEMORY_LOCAL};
	int r;

	if (topology->block_bytes == 0)
		return tier_problem_set(problem, TIER_E_REFUSED, region->name,
					"boot a kernel with CONFIG_MEMORY_HOTPLUG",
					"cannot plan: this kernel has no memory blocks");
	while ((dax = tier_topology_region_dax(topology, region->name, dax))) {
		if (dax->start == TIER_UNKNOWN_U64)
			return tier_problem_set(
				problem, TIER_E_REFUSED, region->name, "try again as root",
				"cannot plan: the physical address of %s is not readable",
				dax->name);
		survey(topology, dax, &memory);
	}
	if (memory.daxs == 0)
		return tier_problem_set(
			problem, TIER_E_REFUSED, region->name,
			region->committed
				? "modprobe dax_cxl; for pmem: ndctl create-namespace -m devdax"
				: "commit it first: cxl enable-region",
			"cannot be onlined: it has no dax device");
	if (memory.bytes == 0 && memory.retired > 0)
		return tier_problem_set(problem, TIER_E_REFUSED, region->name, "tierctl retired",
					"cannot be onlined: all of its memory blocks are retired");
	if (memory.bytes == 0)
		return tier_problem_set(
			problem, TIER_E_REFUSED, region->name, NULL,
			"cannot be onlined: it holds no whole memory block of %" PRIu64 " MiB",
			topology->block_bytes / MIB);
	if (memory.missing)
		return tier_problem_set(
			problem, TIER_E_REFUSED, region->name,
			"take it back first: tierctl offline --to-devdax, then try again",
			"cannot be onlined: it is system RAM, but the kernel has made "
			"memory blocks of only a part of it");
	r = online_whole(&memory, region->name, topology->block_bytes, resume, problem);
	if (r)
		return r;
	/* What is in use already is no worse for it. */
	if (topology->retired_code && memory.online == 0)
		return tier_problem_set(
			problem, TIER_E_REFUSED, region->name, topology->retired_problem.next,
			"cannot be onlined: %.64s: %.240s", topology->retired_problem.object,
			topology->retired_problem.text);
	*ret = memory;
	return 0;
}
