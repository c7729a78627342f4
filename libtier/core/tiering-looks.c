/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tiering-looks.h"

#include "util.h"

int tiering_looks_add(struct tiering_looks *looks, int pid, uint64_t start, uint64_t end,
		      uint64_t touched_bytes)
{
	struct tiering_look *look = array_grow(&looks->looks, &looks->count, sizeof(*look));

	if (!look)
		return -ENOMEM;
	*look = (struct tiering_look){pid, start, end, touched_bytes};
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct tiering_look *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

void tiering_looks_sort(struct tiering_looks *looks)
{
	if (looks->count)
		qsort(looks->looks, looks->count, sizeof(*looks->looks), by_address);
}

/* The first that does not end before @start. */
static size_t first_of(const struct tiering_looks *looks, int pid, uint64_t start)
{
	size_t low = 0, high = looks->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct tiering_look *look = &looks->looks[middle];

		if (look->pid < pid || (look->pid == pid && look->end <= start))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

unsigned tiering_looks_density(const struct tiering_looks *looks, int pid, uint64_t start,
			       uint64_t end)
{
	double touched = 0, seen = 0;

	for (size_t i = first_of(looks, pid, start); i < looks->count; i++) {
		const struct tiering_look *look = &looks->looks[i];
		uint64_t from = MAX(look->start, start), to = MIN(look->end, end);

		if (look->pid != pid || look->start >= end)
			break;
		if (to <= from)
			continue;
		seen += (double)(to - from);
		touched += (double)look->touched_bytes * (double)(to - from) /
			   (double)(look->end - look->start);
	}
	if (seen <= 0)
		return TIERING_DENSITY_MAX / 2;
	return (unsigned)MIN(touched / seen * TIERING_DENSITY_MAX, (double)TIERING_DENSITY_MAX);
}

void tiering_looks_done(struct tiering_looks *looks)
{
	free(looks->looks);
	*looks = (struct tiering_looks){};
}
