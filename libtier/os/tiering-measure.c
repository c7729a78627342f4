// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <poll.h>

#include "clock.h"
#include "node-ranges.h"
#include "tiering-carry.h"
#include "util.h"

struct ranges {
	struct node_ranges fast, slow, all;
};

/* So many pages are looked at, each for a part of memory of the same size. */
#define REGIONS 2000
/* When it is but asked whether all is as it was. */
#define REGIONS_AT_REST 1000

/* So much later the halves begin; twice as much if that was not enough, and so on for a few times. */
#define LATER_LEAST_USEC UINT64_C(10000)
#define LATER_MOST_USEC	 UINT64_C(60000)
#define TIMES		 4
/* A kdamond takes a while for its regions, too. */
#define LATE_USEC 20000

/* They divide memory into about so many pieces, none smaller than a huge page. */
#define PIECES	   256
#define HUGE_BYTES (UINT64_C(2) << 20)

/*
 * One kdamond's part of a measurement: of each part of memory, a page is looked at so often in the window, each time
 * another one.
 */
struct look {
	struct damon *damon;
	const struct ranges *ranges; /* of the nodes */
	struct node_ranges part;     /* that is looked at */
	uint64_t window_usec, regions;
	unsigned times;
	uint64_t fast_bytes, slow_bytes; /* what was touched, the mean of these times */
	struct tier_problem problem;
};

/* What was touched so many times, in the ranges alone. */
static int add_scheme(struct damon *damon, const struct look *look, unsigned index,
		      const struct node_ranges *ranges, unsigned times,
		      struct tier_problem *problem)
{
	int r = damon_scheme(damon, index, "stat", look->window_usec, problem);

	r = r
		    ?: damon_scheme_set(damon, index, problem, "access_pattern/nr_accesses/min",
					"%u", times);
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

static int set_up(struct look *look)
{
	const struct ranges *ranges = look->ranges;
	struct tier_problem *problem = &look->problem;
	struct damon *damon = look->damon;
	int r = damon_begin(damon, "paddr", look->window_usec / look->times, look->regions,
			    problem);

	r = r ?: damon_targets(damon, 1, problem);
	r = r ?: damon_target(damon, 0, 0, look->part.ranges, look->part.count, problem);
	r = r ?: damon_schemes(damon, 2 * look->times, problem);
	for (unsigned i = 0; i < look->times && r == 0; i++) {
		r = add_scheme(damon, look, 2 * i, &ranges->fast, i + 1, problem);
		r = r ?: add_scheme(damon, look, 2 * i + 1, &ranges->slow, i + 1, problem);
	}
	return r;
}

/* Of what was looked at as much as of all of it. */
static uint64_t scale(uint64_t bytes, const struct node_ranges *node, const struct look *look)
{
	uint64_t seen = node_ranges_common(node, &look->part);

	return seen ? (uint64_t)((double)bytes / (double)seen * (double)node_ranges_bytes(node))
		    : 0;
}

/* What was touched twice is counted by both schemes. */
static int collect(struct look *look)
{
	uint64_t fast = 0, slow = 0;
	int r = 0;

	for (unsigned i = 0; i < 2 * look->times && r == 0; i++) {
		uint64_t bytes = 0;

		r = damon_scheme_get(look->damon, i, "tried_regions/total_bytes", &bytes,
				     &look->problem);
		*(i % 2 ? &slow : &fast) += bytes / look->times;
	}
	look->fast_bytes = scale(fast, &look->ranges->fast, look);
	look->slow_bytes = scale(slow, &look->ranges->slow, look);
	return r;
}

/* Was it carried out when its window ended? If not, it was in the next one. */
static bool in_time(const struct look *look, uint64_t begun_usec)
{
	return now_usec() - begun_usec < look->window_usec / 2 * 3 + LATE_USEC;
}

/*
 * Both at nearly the same time, so that a load that stutters is the same to them. Whoever waits for the one's end keeps
 * the kernel from taking any word for the other, which so begins, and ends, a little later.
 */
static int run_both(struct look *whole, struct look *halves, uint64_t later_usec, bool *ret_good)
{
	uint64_t begun = now_usec(), begun_halves;
	int r = damon_start(whole->damon, &whole->problem);

	(void)poll(NULL, 0, (int)(later_usec / 1000));
	begun_halves = now_usec();
	if (r == 0 && (r = damon_start(halves->damon, &halves->problem)) != 0)
		whole->problem = halves->problem;
	r = r ?: damon_await(whole->damon, &whole->problem);
	*ret_good = in_time(whole, begun);
	if (r == 0 && (r = damon_await(halves->damon, &halves->problem)) != 0)
		whole->problem = halves->problem;
	*ret_good &= in_time(halves, begun_halves);
	return r;
}

/*
 * Each looks at every second piece of memory, since a look clears the accessed bit: all of a huge page's, which the
 * other one may be waiting for. Which has which is chance.
 */
static int share_out(struct look *whole, struct look *halves)
{
	const struct node_ranges *all = &whole->ranges->all;
	uint64_t piece = (node_ranges_bytes(all) / PIECES / HUGE_BYTES + 1) * HUGE_BYTES;
	bool odd = now_usec() & 1;
	int r = node_ranges_cut(all, piece, odd, &whole->part);

	r = r ?: node_ranges_cut(all, piece, !odd, &halves->part);
	if (r)
		return tier_problem_set(&whole->problem, r, "tiering", NULL,
					"cannot divide the nodes' memory");
	return 0;
}

static int look_at_both(struct look *whole, struct look *halves)
{
	uint64_t later = MAX(whole->window_usec / 8, LATER_LEAST_USEC);
	bool good = false;
	int r = share_out(whole, halves);

	r = r ?: set_up(whole);
	if (r == 0 && (r = set_up(halves)) != 0)
		whole->problem = halves->problem;
	for (int i = 0; i < TIMES && r == 0 && !good; i++, later *= 2) {
		if (i > 0) {
			damon_stop(halves->damon);
			damon_stop(whole->damon);
		}
		later = MIN(MIN(later, LATER_MOST_USEC << i), whole->window_usec / 2);
		r = run_both(whole, halves, later, &good);
	}
	if (r == 0 && !good)
		return tier_problem_set(&whole->problem, -EAGAIN, "tiering", NULL,
					"this machine is too busy to look at half a window");
	r = r ?: collect(whole);
	if (r == 0 && (r = collect(halves)) != 0)
		whole->problem = halves->problem;
	return r;
}

static int look_once(struct look *whole)
{
	int r = node_ranges_cut(&whole->ranges->all, UINT64_C(1) << 62, false, &whole->part);

	if (r)
		return tier_problem_set(&whole->problem, r, "tiering", NULL, "out of memory");
	r = set_up(whole);
	r = r ?: damon_run(whole->damon, &whole->problem);
	return r ?: collect(whole);
}

static void ranges_done(struct ranges *ranges)
{
	node_ranges_done(&ranges->fast);
	node_ranges_done(&ranges->slow);
	node_ranges_done(&ranges->all);
}

static int ranges_read(const struct sysfs *sysfs, const struct tier_tiering_nodes *nodes,
		       struct ranges *ret, struct tier_problem *problem)
{
	int r = node_ranges_read(sysfs, nodes->fast, false, &ret->fast);

	r = r ?: node_ranges_read(sysfs, nodes->slow, false, &ret->slow);
	r = r ?: node_ranges_read(sysfs, nodes->fast | nodes->slow, false, &ret->all);
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -ENODEV, "tiering", NULL,
					"cannot see where the nodes' memory is");
	return 0;
}

int tiering_measure(const struct tier_tiering_nodes *nodes, const struct tier_tiering_step *step,
		    struct tier_tiering_result *ret, struct tier_problem *problem)
{
	__attribute__((cleanup(ranges_done))) struct ranges ranges = {};
	_cleanup_damon_ struct damon damon = DAMON_CLOSED;
	struct damon second = DAMON_CLOSED;
	uint64_t regions = step->halves ? REGIONS : REGIONS_AT_REST;
	struct look whole = {
		.damon = &damon,
		.ranges = &ranges,
		.window_usec = step->window_usec,
		.regions = regions,
		.times = 1,
	};
	struct look halves = {
		.damon = &second,
		.ranges = &ranges,
		.window_usec = step->window_usec,
		.regions = regions,
		.times = 2,
	};
	struct tier_tiering_result result = {.act = step->act};
	uint64_t begin = now_usec(), worked = process_cpu_usec();
	int r = step->halves ? damon_claim_pair(&damon, &second, problem)
			     : damon_claim(&damon, problem);

	r = r ?: ranges_read(&damon.sysfs, nodes, &ranges, problem);
	if (r)
		return r;
	r = step->halves ? look_at_both(&whole, &halves) : look_once(&whole);
	node_ranges_done(&whole.part);
	node_ranges_done(&halves.part);
	if (r) {
		if (problem)
			*problem = whole.problem;
		return r;
	}
	result.unit_bytes = node_ranges_bytes(&ranges.all) / regions;
	result.touched_fast_bytes = whole.fast_bytes;
	result.touched_slow_bytes = whole.slow_bytes;
	result.half_fast_bytes = halves.fast_bytes;
	result.half_slow_bytes = halves.slow_bytes;
	/* It has prepared, checked and prepared again; and checks again when it is ended. */
	result.cpu_usec = damon_rest(&damon) / 3 * 4;
	if (step->halves)
		result.cpu_usec += damon_rest(&second) / 5 * 6;
	damon_done(&damon);
	result.cpu_usec += process_cpu_usec() - worked;
	result.elapsed_usec = now_usec() - begin;
	*ret = result;
	return 0;
}
