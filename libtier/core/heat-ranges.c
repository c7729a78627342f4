/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heat.h"

/* Addresses of user space with five levels of page tables; of physical memory there are fewer. */
#define ADDRESS_MAX (UINT64_C(1) << 57)

int heat_ranges_append(struct heat_ranges *ranges, uint64_t start, uint64_t end, uint64_t gap_bytes)
{
	struct heat_range *last = ranges->count ? &ranges->list[ranges->count - 1] : NULL;

	if (start >= end || end > ADDRESS_MAX || (last && start < last->end))
		return -EINVAL;
	if (last && start - last->end < gap_bytes) {
		last->end = end;
		return 0;
	}
	last = array_grow(&ranges->list, &ranges->count, sizeof(*last));
	if (!last)
		return -ENOMEM;
	*last = (struct heat_range){start, end};
	return 0;
}

static void join(struct heat_ranges *ranges, uint64_t gap_bytes)
{
	size_t kept = 1;

	for (size_t i = 1; i < ranges->count; i++) {
		struct heat_range *last = &ranges->list[kept - 1];

		if (ranges->list[i].start - last->end <= gap_bytes)
			last->end = ranges->list[i].end;
		else
			ranges->list[kept++] = ranges->list[i];
	}
	ranges->count = kept;
}

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void heat_ranges_reduce(struct heat_ranges *ranges, size_t most)
{
	_cleanup_free_ uint64_t *gaps = NULL;
	size_t excess;

	if (most == 0 || ranges->count <= most)
		return;
	excess = ranges->count - most;
	gaps = calloc(ranges->count - 1, sizeof(*gaps));
	if (!gaps) {
		/* One gap is as good as none, and a range too large costs no more than detail. */
		join(ranges, UINT64_MAX);
		return;
	}
	for (size_t i = 1; i < ranges->count; i++)
		gaps[i - 1] = ranges->list[i].start - ranges->list[i - 1].end;
	qsort(gaps, ranges->count - 1, sizeof(*gaps), ascending);
	join(ranges, gaps[excess - 1]);
}

int heat_ranges_unite(struct heat_ranges *into, const struct heat_ranges *more)
{
	struct heat_ranges both = {};
	size_t a = 0, b = 0;

	while (a < into->count || b < more->count) {
		bool first = b == more->count ||
			     (a < into->count && into->list[a].start <= more->list[b].start);
		const struct heat_range *next = first ? &into->list[a++] : &more->list[b++];
		struct heat_range *last = both.count ? &both.list[both.count - 1] : NULL;

		if (last && next->start <= last->end) {
			last->end = MAX(last->end, next->end);
			continue;
		}
		last = array_grow(&both.list, &both.count, sizeof(*last));
		if (!last) {
			heat_ranges_done(&both);
			return -ENOMEM;
		}
		*last = *next;
	}
	heat_ranges_done(into);
	*into = both;
	return 0;
}

bool heat_ranges_equal(const struct heat_ranges *a, const struct heat_ranges *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->list[i].start != b->list[i].start || a->list[i].end != b->list[i].end)
			return false;
	return true;
}

uint64_t heat_ranges_bytes(const struct heat_ranges *ranges)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < ranges->count; i++)
		bytes += ranges->list[i].end - ranges->list[i].start;
	return bytes;
}

void heat_ranges_done(struct heat_ranges *ranges)
{
	free(ranges->list);
	*ranges = (struct heat_ranges){};
}

void heat_record_done(struct heat_record *record)
{
	for (size_t i = 0; i < record->space_count; i++)
		heat_ranges_done(&record->spaces[i].ranges);
	free(record->spaces);
	free(record->regions);
	free(record->snapshots);
	free(record->places);
	*record = (struct heat_record){};
}
