// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>

#include "clock.h"
#include "tiering-carry.h"
#include "util.h"

/* So many pages are looked at, each for a part of memory of the same size. */
#define REGIONS 2000

struct ranges {
	struct damon_range *ranges;
	size_t count;
};

static void ranges_done(struct ranges *ranges)
{
	free(ranges->ranges);
}
#define _cleanup_ranges_ __attribute__((cleanup(ranges_done)))

/* The physical addresses of a mask's nodes: their memory blocks, adjacent ones as one. */
static int read_ranges(const struct sysfs *sysfs, uint64_t mask, uint64_t block_bytes,
		       struct ranges *ret)
{
	for (int node = 0; node < 64; node++) {
		_cleanup_names_ struct sysfs_names blocks = {};
		int r;

		if (!(mask >> node & 1))
			continue;
		r = sysfs_list(sysfs, &blocks, "memory", "sys/devices/system/node/node%d", node);
		if (r)
			return r < 0 ? r : -ENODEV;
		for (size_t i = 0; i < blocks.count; i++) {
			uint64_t start = strtoull(blocks.names[i] + strlen("memory"), NULL, 10) *
					 block_bytes;
			struct damon_range *last = ret->count ? &ret->ranges[ret->count - 1] : NULL;

			if (last && last->end == start) {
				last->end += block_bytes;
				continue;
			}
			last = array_grow(&ret->ranges, &ret->count, sizeof(*last));
			if (!last)
				return -ENOMEM;
			*last = (struct damon_range){start, start + block_bytes};
		}
	}
	return ret->count ? 0 : -ENODEV;
}

static int by_start(const void *a, const void *b)
{
	const struct damon_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* What was touched, in the ranges alone. */
static int add_scheme(struct damon *damon, unsigned index, const struct ranges *ranges,
		      struct tier_problem *problem)
{
	int r = damon_scheme(damon, index, "stat", 1, problem);

	r = r ?: damon_scheme_set(damon, index, problem, "access_pattern/nr_accesses/min", "1");
	r = r
		    ?: damon_scheme_set(damon, index, problem, "core_filters/nr_filters", "%zu",
					ranges->count);
	for (size_t i = 0; i < ranges->count && r == 0; i++) {
		const struct {
			const char *name;
			uint64_t value;
		} ends[] = {{"addr_start", ranges->ranges[i].start},
			    {"addr_end", ranges->ranges[i].end}};
		char file[64];

		snprintf(file, sizeof(file), "core_filters/%zu/type", i);
		r = damon_scheme_set(damon, index, problem, file, "addr");
		for (size_t n = 0; n < ARRAY_SIZE(ends) && r == 0; n++) {
			snprintf(file, sizeof(file), "core_filters/%zu/%s", i, ends[n].name);
			r = damon_scheme_set(damon, index, problem, file, "%" PRIu64,
					     ends[n].value);
		}
		snprintf(file, sizeof(file), "core_filters/%zu/matching", i);
		r = r ?: damon_scheme_set(damon, index, problem, file, "Y");
		snprintf(file, sizeof(file), "core_filters/%zu/allow", i);
		r = r ?: damon_scheme_set(damon, index, problem, file, "Y");
	}
	return r;
}

int tiering_measure(const struct tier_tiering_nodes *nodes, const struct tier_tiering_step *step,
		    struct tier_tiering_result *ret, struct tier_problem *problem)
{
	_cleanup_ranges_ struct ranges fast = {}, slow = {}, all = {};
	_cleanup_damon_ struct damon damon = DAMON_CLOSED;
	struct tier_tiering_result result = {.act = step->act};
	uint64_t begin = now_usec(), block_bytes = 0, bytes = 0;
	char text[32];
	int r = damon_claim(&damon, problem);

	if (r)
		return r;
	r = sysfs_read_string(&damon.sysfs, text, sizeof(text),
			      "sys/devices/system/memory/block_size_bytes");
	block_bytes = r == 0 ? strtoull(text, NULL, 16) : 0;
	r = r ?: read_ranges(&damon.sysfs, nodes->fast, block_bytes, &fast);
	r = r ?: read_ranges(&damon.sysfs, nodes->slow, block_bytes, &slow);
	r = r ?: read_ranges(&damon.sysfs, nodes->fast | nodes->slow, block_bytes, &all);
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -ENODEV, "tiering", NULL,
					"cannot see where the nodes' memory is");
	qsort(all.ranges, all.count, sizeof(*all.ranges), by_start);
	for (size_t i = 0; i < all.count; i++)
		bytes += all.ranges[i].end - all.ranges[i].start;

	r = damon_begin(&damon, "paddr", step->window_usec, REGIONS, problem);
	r = r ?: damon_targets(&damon, 1, problem);
	r = r ?: damon_target(&damon, 0, 0, all.ranges, all.count, problem);
	r = r ?: damon_schemes(&damon, 2, problem);
	r = r ?: add_scheme(&damon, 0, &fast, problem);
	r = r ?: add_scheme(&damon, 1, &slow, problem);
	r = r ?: damon_run(&damon, problem);
	r = r
		    ?: damon_scheme_get(&damon, 0, "tried_regions/total_bytes",
					&result.touched_fast_bytes, problem);
	r = r
		    ?: damon_scheme_get(&damon, 1, "tried_regions/total_bytes",
					&result.touched_slow_bytes, problem);
	if (r)
		return r;
	result.unit_bytes = bytes / REGIONS;
	damon_done(&damon);
	result.elapsed_usec = now_usec() - begin;
	/* The window itself is waiting, not work. */
	result.elapsed_usec -= MIN(result.elapsed_usec, step->window_usec);
	*ret = result;
	return 0;
}
