/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "tier-portal.h"
#include "tier-ras.h"
#include "topology.h"
#include "util.h"

/*
 * The list of retired memory, a line for each entry between a heading and a checksum:
 *
 *	cxl-tier retired 1
 *	SERIAL DPA BYTES USEC REASON...
 *	crc32c 0x01234567
 *
 * Numbers other than USEC are hexadecimal. The checksum is over all lines before its own.
 */
static const char heading[] = "cxl-tier retired ";

#define VERSION 1

static void retired_freep(struct tier_retired **retired)
{
	tier_retired_free(*retired);
}
#define _cleanup_retired_ _cleanup_(retired_freep)

struct tier_retired *tier_retired_free(struct tier_retired *retired)
{
	if (!retired)
		return NULL;
	free(retired->entries);
	free(retired);
	return NULL;
}

static int compare(const struct tier_retirement *a, const struct tier_retirement *b)
{
	if (a->serial != b->serial)
		return a->serial < b->serial ? -1 : 1;
	return (a->dpa > b->dpa) - (a->dpa < b->dpa);
}

bool tier_retired_covers(const struct tier_retired *retired, uint64_t serial, uint64_t dpa,
			 uint64_t bytes)
{
	uint64_t at = dpa;

	/* By entries that overlap or touch each other; they are sorted. */
	for (size_t i = 0; i < retired->count; i++) {
		const struct tier_retirement *e = &retired->entries[i];

		if (e->serial == serial && e->dpa <= at && at - e->dpa < e->bytes)
			at = e->dpa + e->bytes;
	}
	return at - dpa >= bytes;
}

bool tier_retired_overlaps(const struct tier_retired *retired, const struct tier_topology *topology,
			   uint64_t start, uint64_t bytes)
{
	bool found = false;

	for (size_t i = 0; !found && i < retired->count; i++) {
		const struct tier_retirement *e = &retired->entries[i];
		_cleanup_free_ struct tier_ras_place *places = NULL;
		size_t count = 0;

		if (tier_ras_locate(topology, e->serial, e->dpa, e->bytes, &places, &count) != 0)
			continue;
		for (size_t p = 0; p < count; p++)
			found |= places[p].start < start + bytes &&
				 start < places[p].start + places[p].bytes;
	}
	return found;
}

int tier_retired_copy(const struct tier_retired *retired, struct tier_retired **ret)
{
	_cleanup_retired_ struct tier_retired *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (retired->count > 0) {
		copy->entries = reallocarray(NULL, retired->count, sizeof(*copy->entries));
		if (!copy->entries)
			return -ENOMEM;
		memcpy(copy->entries, retired->entries, retired->count * sizeof(*copy->entries));
	}
	copy->count = retired->count;
	*ret = TAKE(copy);
	return 0;
}

int tier_retired_add(struct tier_retired *retired, const struct tier_retirement *entry)
{
	struct tier_retirement *entries, copy = *entry;
	size_t at = 0;

	if (entry->bytes == 0 || entry->dpa > TIER_UNKNOWN_U64 - entry->bytes)
		return -EINVAL;
	if (tier_retired_covers(retired, entry->serial, entry->dpa, entry->bytes))
		return TIER_E_BUSY;
	for (char *c = copy.reason; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	while (at < retired->count && compare(&retired->entries[at], entry) < 0)
		at++;
	/* A longer range from the same address takes the place of the shorter one. */
	if (at < retired->count && compare(&retired->entries[at], entry) == 0) {
		retired->entries[at] = copy;
		return 0;
	}
	if (retired->count >= TIER_RETIRED_MAX)
		return TIER_E_NO_SPACE;
	entries = reallocarray(retired->entries, retired->count + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	memmove(&entries[at + 1], &entries[at], (retired->count - at) * sizeof(*entries));
	entries[at] = copy;
	retired->entries = entries;
	retired->count++;
	return 0;
}

int tier_retired_remove(struct tier_retired *retired, uint64_t serial, uint64_t dpa)
{
	for (size_t i = 0; i < retired->count; i++) {
		struct tier_retirement *entry = &retired->entries[i];

		if (entry->serial != serial || entry->dpa != dpa)
			continue;
		memmove(entry, entry + 1, (retired->count - i - 1) * sizeof(*entry));
		retired->count--;
		return 0;
	}
	return TIER_E_NOT_FOUND;
}

int tier_retired_format(const struct tier_retired *retired, char **ret)
{
	size_t size = 64 + retired->count * (4 * 20 + sizeof(retired->entries->reason)), used;
	char *text = malloc(size);

	if (!text)
		return -ENOMEM;
	used = (size_t)snprintf(text, size, "%s%d\n", heading, VERSION);
	for (size_t i = 0; i < retired->count; i++) {
		const struct tier_retirement *e = &retired->entries[i];

		used += (size_t)snprintf(text + used, size - used,
					 "0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64 " %" PRIu64
					 " %s\n",
					 e->serial, e->dpa, e->bytes, e->usec, e->reason);
	}
	snprintf(text + used, size - used, "crc32c 0x%08x\n", tier_crc32c(0, text, used));
	*ret = text;
	return 0;
}

static int damaged(struct tier_problem *problem, const char *name, const char *what, size_t line)
{
	return tier_problem_set(
		problem, TIER_E_DAMAGED, name,
		"put a good copy in its place, or move it away to begin a new list; "
		"then restart cxl-tierd",
		"cannot tell which memory is retired: %s in line %zu", what, line);
}

static int parse_entry(struct tier_retired *retired, char *line)
{
	struct tier_retirement entry = {};
	uint64_t *const numbers[] = {&entry.serial, &entry.dpa, &entry.bytes, &entry.usec};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char *word = strsep(&line, " ");

		if (!line || parse_u64(word, numbers[i]) < 0)
			return TIER_E_DAMAGED;
	}
	for (const char *c = line; *c; c++)
		if (*c < ' ' || *c > '~')
			return TIER_E_DAMAGED;
	if (!copy_string(entry.reason, sizeof(entry.reason), line))
		return TIER_E_DAMAGED;
	/* TIER_E_BUSY: two entries may say the same after a range has been extended. */
	int r = tier_retired_add(retired, &entry);
	return r == TIER_E_BUSY ? 0 : r == -ENOMEM ? r : r ? TIER_E_DAMAGED : 0;
}

static int parse_lines(struct tier_retired *retired, char *text, const char *name,
		       struct tier_problem *problem)
{
	uint32_t sum = 0;
	uint64_t number;
	char *start = text, *line;
	int r;

	for (size_t n = 1; (line = start); n++) {
		size_t length = strcspn(line, "\n");

		if (line[length] != '\n')
			return damaged(problem, name, "no end of the list", n);
		line[length] = '\0';
		start = line + length + 1;
		if (strncmp(line, "crc32c ", 7) == 0) {
			if (n == 1 || *start != '\0' || parse_u64(line + 7, &number) < 0 ||
			    number != sum)
				return damaged(problem, name, "a wrong checksum", n);
			return 0;
		}
		/* As it was, with its newline. */
		sum = tier_crc32c(sum, line, length);
		sum = tier_crc32c(sum, "\n", 1);
		if (n == 1) {
			size_t head = strlen(heading);

			if (strncmp(line, heading, head) != 0 ||
			    parse_u64(line + head, &number) < 0)
				return damaged(problem, name, "no heading", n);
			if (number != VERSION)
				return tier_problem_set(
					problem, TIER_E_INCOMPATIBLE, name, "update cxl-tier",
					"is a list of retired memory in version %" PRIu64
					", and this one reads version %d",
					number, VERSION);
			continue;
		}
		r = parse_entry(retired, line);
		if (r < 0)
			return tier_problem_set(problem, r, name, NULL, "cannot read it");
		if (r)
			return damaged(problem, name, "no entry", n);
	}
	return 0;
}

int tier_retired_parse(const char *text, size_t bytes, const char *name, struct tier_retired **ret,
		       struct tier_problem *problem)
{
	_cleanup_retired_ struct tier_retired *retired = calloc(1, sizeof(*retired));
	_cleanup_free_ char *copy = malloc(bytes + 1);
	int r;

	if (!retired || !copy)
		return tier_problem_set(problem, -ENOMEM, name, NULL, "cannot read it");
	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	/* A zero byte ends the text before its checksum. */
	r = parse_lines(retired, copy, name, problem);
	if (r)
		return r;
	*ret = TAKE(retired);
	return 0;
}

static int compare_blocks(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static int mark_place(struct tier_topology *topology, const struct tier_ras_place *place)
{
	uint64_t size = topology->block_bytes;

	for (uint64_t block = place->start / size; block * size < place->start + place->bytes;
	     block++) {
		uint64_t *added = array_grow(&topology->retired_blocks,
					     &topology->retired_block_count, sizeof(*added));

		if (!added)
			return -ENOMEM;
		*added = block;
	}
	return 0;
}

int tier_retired_mark(struct tier_topology *topology, const struct tier_retired *retired)
{
	size_t count = 0;

	free(topology->retired_blocks);
	topology->retired_blocks = NULL;
	topology->retired_block_count = 0;
	for (size_t i = 0; topology->block_bytes > 0 && i < retired->count; i++) {
		const struct tier_retirement *entry = &retired->entries[i];
		_cleanup_free_ struct tier_ras_place *places = NULL;
		size_t place_count = 0;
		int r = tier_ras_locate(topology, entry->serial, entry->dpa, entry->bytes, &places,
					&place_count);

		for (size_t p = 0; r == 0 && p < place_count; p++)
			r = mark_place(topology, &places[p]);
		if (r < 0)
			return r;
	}
	if (topology->retired_block_count == 0)
		return 0;
	qsort(topology->retired_blocks, topology->retired_block_count,
	      sizeof(*topology->retired_blocks), compare_blocks);
	for (size_t i = 0; i < topology->retired_block_count; i++)
		if (i == 0 || topology->retired_blocks[i] != topology->retired_blocks[i - 1])
			topology->retired_blocks[count++] = topology->retired_blocks[i];
	topology->retired_block_count = count;
	return 0;
}
