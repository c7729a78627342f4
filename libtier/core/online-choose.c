/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "online-choose.h"

/*
 * Which devices become Movable: a knapsack. Whatever goes to a kernel zone makes the limit larger, so
 * everything that could go there is counted there at first; then each device that becomes Movable costs
 * its own size and what it would have allowed as kernel memory.
 */

/* Of the table of sums: 16 MiB of it, and a fifth of a second. */
#define CELLS_MAX (UINT64_C(1) << 27)

struct item {
	struct online_candidate *candidate;
	uint64_t size; /* in units */
};

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b > 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static void take_in_order(struct item *items, size_t count, uint64_t capacity)
{
	for (size_t i = 0; i < count; i++) {
		if (items[i].candidate->zone == TIER_ZONE_MOVABLE || items[i].size > capacity)
			continue;
		items[i].candidate->zone = TIER_ZONE_MOVABLE;
		capacity -= items[i].size;
	}
}

/* Rounded up: more than there is room for must never seem to fit. */
static uint64_t coarse(uint64_t size, unsigned shift)
{
	return ((size - 1) >> shift) + 1;
}

/*
 * Sizes in units of a device whose sum is at most @capacity and whose value is the largest. From the
 * last to the first, so that reading the table from the first on prefers the earlier ones.
 */
static int table(struct item *items, size_t count, unsigned shift, uint64_t capacity)
{
	size_t width = (size_t)capacity + 1, words = (width + 63) / 64;
	_cleanup_free_ uint64_t *best = calloc(width, sizeof(*best));
	_cleanup_free_ uint64_t *taken = calloc(count * words, sizeof(*taken));

	if (!best || !taken)
		return -ENOMEM;
	for (size_t i = count; i-- > 0;) {
		uint64_t size = coarse(items[i].size, shift);
		uint64_t value = items[i].candidate->value;
		uint64_t *row = &taken[i * words];

		for (size_t at = width; at-- > size;) {
			uint64_t with = best[at - size] + value;

			if (with < best[at])
				continue;
			best[at] = with;
			row[at / 64] |= UINT64_C(1) << (at % 64);
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (!(taken[i * words + capacity / 64] >> (capacity % 64) & 1))
			continue;
		items[i].candidate->zone = TIER_ZONE_MOVABLE;
		capacity -= coarse(items[i].size, shift);
	}
	return 0;
}

static int knapsack(struct item *items, size_t count, uint64_t capacity)
{
	uint64_t total = 0, unit = 0, left;
	unsigned shift = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		total += items[i].size;
		unit = gcd(unit, items[i].size);
	}
	if (count == 0)
		return 0;
	if (total <= capacity) {
		take_in_order(items, count, capacity);
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		items[i].size /= unit;
	left = capacity /= unit;
	while (shift < 63 && (capacity >> shift) + 1 > CELLS_MAX / count)
		shift++;
	r = table(items, count, shift, capacity >> shift);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (items[i].candidate->zone == TIER_ZONE_MOVABLE)
			left -= items[i].size;
	/* What rounding has left over. */
	if (shift > 0)
		take_in_order(items, count, left);
	return 0;
}

/* How many blocks may become Movable, each of which costs @cost percent of itself. */
static uint64_t room(const struct online_sum *sum, unsigned ratio_percent, unsigned cost,
		     uint64_t block_bytes)
{
	__uint128_t limit = (__uint128_t)sum->kernel * ratio_percent;
	__uint128_t used = (__uint128_t)sum->movable * 100;
	__uint128_t blocks = limit > used ? (limit - used) / cost / block_bytes : 0;

	return blocks > UINT64_MAX / 2 ? UINT64_MAX / 2 : (uint64_t)blocks;
}

int online_choose(const struct online_sum *before, unsigned ratio_percent, uint64_t block_bytes,
		  struct online_candidate *candidates, size_t count, struct online_sum *ret_best)
{
	_cleanup_free_ struct item *items = calloc(count + 1, sizeof(*items));
	struct online_sum sum = *before;
	size_t only = 0, both = 0;
	int r;

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct online_candidate *candidate = &candidates[i];

		candidate->zone = candidate->may_kernel ? TIER_ZONE_NORMAL : TIER_ZONE_NONE;
		candidate->value = candidate->bytes / block_bytes * candidate->weight;
		if (candidate->may_kernel)
			sum.kernel += candidate->bytes;
		else
			items[only++] = (struct item){candidate, candidate->bytes / block_bytes};
	}
	r = knapsack(items, only, room(&sum, ratio_percent, 100, block_bytes));
	if (r < 0)
		return r;
	for (size_t i = 0; i < only; i++)
		if (items[i].candidate->zone == TIER_ZONE_MOVABLE)
			sum.movable += items[i].candidate->bytes;
	*ret_best = sum;
	if (ratio_percent == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (candidates[i].may_movable && candidates[i].may_kernel)
			items[both++] =
				(struct item){&candidates[i], candidates[i].bytes / block_bytes};
	return knapsack(items, both, room(&sum, ratio_percent, 100 + ratio_percent, block_bytes));
}
