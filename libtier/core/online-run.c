/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <inttypes.h>

#include "online-run.h"

/* Hot-added memory without a dax device, as runs of adjacent memory blocks on one node. */

static bool overlap(uint64_t start, uint64_t bytes, uint64_t other_start, uint64_t other_bytes)
{
	return other_start != TIER_UNKNOWN_U64 && start < other_start + other_bytes &&
	       other_start < start + bytes;
}

bool tier_block_is_ordinary(const struct tier_topology *topology, const struct tier_block *block)
{
	uint64_t bytes = topology->block_bytes, start = block->index * bytes;

	for (size_t i = 0; i < topology->window_count; i++)
		if (overlap(start, bytes, topology->windows[i].start, topology->windows[i].bytes))
			return false;
	for (size_t i = 0; i < topology->region_count; i++)
		if (overlap(start, bytes, topology->regions[i].start, topology->regions[i].bytes))
			return false;
	for (size_t i = 0; i < topology->dax_count; i++)
		/* One whose address is not told may be anywhere. */
		if (topology->daxs[i].bytes > 0 &&
		    (topology->daxs[i].start == TIER_UNKNOWN_U64 ||
		     overlap(start, bytes, topology->daxs[i].start, topology->daxs[i].bytes)))
			return false;
	return true;
}

void tier_run_name(char name[static 32], uint64_t first, uint64_t last)
{
	if (first == last)
		snprintf(name, 32, "memory%" PRIu64, first);
	else
		snprintf(name, 32, "memory%" PRIu64 "-%" PRIu64, first, last);
}

static bool parse_number(const char **text, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*ret = strtoull(*text, &end, 10);
	*text = end;
	return errno == 0;
}

int tier_run_parse(const char *name, uint64_t *ret_first, uint64_t *ret_last)
{
	static const char prefix[] = "memory";
	uint64_t first, last;

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return -EINVAL;
	name += strlen(prefix);
	if (!parse_number(&name, &first))
		return -EINVAL;
	last = first;
	if (*name == '-' && (name++, !parse_number(&name, &last)))
		return -EINVAL;
	if (*name || last < first)
		return -EINVAL;
	*ret_first = first;
	*ret_last = last;
	return 0;
}

const struct tier_block *tier_run_blocks(const struct tier_topology *topology, const char *name,
					 size_t *ret_count)
{
	uint64_t first, last, limit = UINT64_MAX / MAX(topology->block_bytes, UINT64_C(1));
	const struct tier_block *blocks;
	size_t count;

	if (topology->block_bytes == 0 || tier_run_parse(name, &first, &last) < 0 || last >= limit)
		return NULL;
	blocks = tier_topology_range_blocks(topology, first * topology->block_bytes,
					    (last - first + 1) * topology->block_bytes, &count);
	if (count != last - first + 1)
		return NULL;
	for (size_t i = 0; i < count; i++)
		if (blocks[i].node != blocks[0].node ||
		    !tier_block_is_ordinary(topology, &blocks[i]))
			return NULL;
	*ret_count = count;
	return blocks;
}

int online_survey_run(const struct tier_topology *topology, const char *name, bool resume,
		      struct online_memory *ret, struct tier_problem *problem)
{
	struct online_memory memory = {.type = TIER_MEMORY_LOCAL, .daxs = 1, .bound = 1};
	const struct tier_block *blocks;
	size_t count;

	blocks = tier_run_blocks(topology, name, &count);
	if (!blocks)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name, "see tierctl list blocks",
					"is neither a region nor memory blocks of one node without "
					"a dax device");
	memory.bytes = count * topology->block_bytes;
	for (size_t i = 0; i < count; i++)
		online_survey_block(topology, &memory, &blocks[i]);
	return online_whole(&memory, name, topology->block_bytes, resume, problem)
		       ?: (*ret = memory, 0);
}
