/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock.h"
#include "heat-run.h"

static int set_target(struct heat_run *run, size_t index, struct tier_problem *problem)
{
	const struct heat_watch *watch = &run->watches.list[index];
	_cleanup_free_ struct damon_range *ranges = calloc(watch->ranges.count, sizeof(*ranges));

	if (!ranges)
		return tier_problem_set(problem, -ENOMEM, "DAMON", NULL, "cannot be set up");
	for (size_t i = 0; i < watch->ranges.count; i++)
		ranges[i] = (struct damon_range){watch->ranges.list[i].start,
						 watch->ranges.list[i].end};
	return damon_target(&run->damon, index, watch->pid, ranges, watch->ranges.count, problem);
}

static int set_targets(struct heat_run *run, struct tier_problem *problem)
{
	int r = 0;

	if (heat_run_is_host(run))
		return damon_target(&run->damon, 0, 0, run->ranges.ranges, run->ranges.count,
				    problem);
	for (size_t i = 0; i < run->watches.count && r == 0; i++)
		r = set_target(run, i, problem);
	return r;
}

/* One for each target: DAMON's regions do not say whose they are. Applied when a snapshot is whole. */
static int set_scheme(struct heat_run *run, unsigned index, struct tier_problem *problem)
{
	struct damon *damon = &run->damon;
	int r = damon_scheme(damon, index, "stat", 0, problem);

	if (heat_run_is_host(run))
		return r;
	r = r ?: damon_scheme_set(damon, index, problem, "core_filters/nr_filters", "1");
	r = r ?: damon_scheme_set(damon, index, problem, "core_filters/0/type", "target");
	r = r
		    ?: damon_scheme_set(damon, index, problem, "core_filters/0/damon_target_idx",
					"%u", index);
	r = r ?: damon_scheme_set(damon, index, problem, "core_filters/0/matching", "Y");
	return r ?: damon_scheme_set(damon, index, problem, "core_filters/0/allow", "Y");
}

static uint64_t bytes_watched(const struct heat_run *run)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < run->watches.count; i++)
		bytes += heat_ranges_bytes(&run->watches.list[i].ranges);
	for (size_t i = 0; i < run->ranges.count; i++)
		bytes += run->ranges.ranges[i].end - run->ranges.ranges[i].start;
	return bytes;
}

int heat_run_start(struct heat_run *run, struct tier_problem *problem)
{
	size_t targets = heat_run_is_host(run) ? 1 : run->watches.count;
	struct heat_pace pace;
	struct damon_pace damon_pace;
	int r;

	heat_choose_pace(run->request, bytes_watched(run), &pace);
	damon_pace = (struct damon_pace){pace.sample_usec, pace.aggregate_usec, pace.min_regions,
					 pace.max_regions};
	run->record.sample_usec = pace.sample_usec;
	run->record.aggregate_usec = pace.aggregate_usec;
	r = damon_begin_pace(&run->damon, heat_run_is_host(run) ? "paddr" : "fvaddr", &damon_pace,
			     problem);
	r = r ?: damon_targets(&run->damon, targets, problem);
	r = r ?: set_targets(run, problem);
	r = r ?: damon_schemes(&run->damon, (unsigned)targets, problem);
	for (unsigned i = 0; i < targets && r == 0; i++)
		r = set_scheme(run, i, problem);
	return r ?: damon_start(&run->damon, problem);
}

int heat_run_change(struct heat_run *run, struct tier_problem *problem)
{
	int r = set_targets(run, problem);

	return r ?: damon_commit(&run->damon, problem);
}

struct snapshot {
	struct heat_run *run;
	uint32_t space;
};

static int add_region(struct heat_run *run, uint32_t space, uint64_t first, uint64_t end,
		      uint64_t accesses)
{
	struct heat_region *region =
		array_grow(&run->record.regions, &run->record.region_count, sizeof(*region));

	if (!region)
		return -ENOMEM;
	*region = (struct heat_region){first, end, space, (uint32_t)MIN(accesses, UINT32_MAX)};
	return 0;
}

/* Physical regions go across nodes. */
static int each_region(void *userdata, const struct damon_region *region)
{
	const struct snapshot *snapshot = userdata;
	struct heat_run *run = snapshot->run;
	int r = 0;

	if (!heat_run_is_host(run))
		return add_region(run, snapshot->space, region->start, region->end, region->number);
	for (size_t i = 0; i < run->record.space_count; i++) {
		const struct heat_ranges *ranges = &run->record.spaces[i].ranges;

		for (size_t n = 0; n < ranges->count && r == 0; n++) {
			uint64_t first = MAX(region->start, ranges->list[n].start);
			uint64_t end = MIN(region->end, ranges->list[n].end);

			if (first < end)
				r = add_region(run, (uint32_t)i, first, end, region->number);
		}
	}
	return r;
}

int heat_run_snapshot(struct heat_run *run, struct tier_problem *problem)
{
	struct heat_record *record = &run->record;
	size_t targets = heat_run_is_host(run) ? 1 : run->watches.count;
	struct heat_snapshot *place, taken = {.first = record->region_count};
	int r = damon_look(&run->damon, problem);

	if (r)
		return r;
	taken.end_usec = now_usec() - run->begin_usec;
	for (size_t i = 0; i < targets && r == 0; i++) {
		struct snapshot snapshot = {run, heat_run_is_host(run) ? 0 : run->spaces[i]};

		r = damon_regions(&run->damon, i, "nr_accesses", each_region, &snapshot);
	}
	if (r)
		return tier_problem_set(problem, r, "DAMON", NULL, "its regions cannot be read");
	taken.count = record->region_count - taken.first;
	place = array_grow(&record->snapshots, &record->snapshot_count, sizeof(*place));
	if (!place)
		return tier_problem_set(problem, -ENOMEM, "heat", NULL, "cannot keep it");
	*place = taken;
	return 0;
}
