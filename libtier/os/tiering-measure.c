// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>

#include "clock.h"
#include "node-ranges.h"
#include "tiering-carry.h"
#include "util.h"

/* So many pages are looked at, each for a part of memory of the same size. */
#define REGIONS 2000

/* What was touched, in the ranges alone. */
static int add_scheme(struct damon *damon, unsigned index, const struct node_ranges *ranges,
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
	_cleanup_node_ranges_ struct node_ranges fast = {}, slow = {}, all = {};
	_cleanup_damon_ struct damon damon = DAMON_CLOSED;
	struct tier_tiering_result result = {.act = step->act};
	uint64_t begin = now_usec(), worked = process_cpu_usec(), bytes = 0;
	int r = damon_claim(&damon, problem);

	if (r)
		return r;
	r = node_ranges_read(&damon.sysfs, nodes->fast, false, &fast);
	r = r ?: node_ranges_read(&damon.sysfs, nodes->slow, false, &slow);
	r = r ?: node_ranges_read(&damon.sysfs, nodes->fast | nodes->slow, false, &all);
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -ENODEV, "tiering", NULL,
					"cannot see where the nodes' memory is");
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
	/* It has prepared, checked and prepared again; and checks again when it is ended. */
	result.cpu_usec = damon_rest(&damon) / 3 * 4;
	damon_done(&damon);
	result.cpu_usec += process_cpu_usec() - worked;
	result.elapsed_usec = now_usec() - begin;
	*ret = result;
	return 0;
}
