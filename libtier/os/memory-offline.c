/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>

#include "clock.h"
#include "memory-offline.h"

/* A region: its blocks, then its devices, and the way back. */

struct taken {
	uint64_t block;
	enum tier_zone zone;
};

struct run {
	struct offline_job job;
	struct taken *taken; /* room for every step, before anything is taken */
	size_t taken_count;
	const struct tier_step **bound; /* as well */
	size_t bound_count;
};

static void run_done(struct run *run)
{
	free(run->taken);
	free(run->bound);
}

__attribute__((format(printf, 2, 3))) static void append(struct tier_problem *problem,
							 const char *format, ...)
{
	size_t length = problem ? strlen(problem->text) : 0;
	va_list arguments;

	if (!problem)
		return;
	va_start(arguments, format);
	vsnprintf(problem->text + length, sizeof(problem->text) - length, format, arguments);
	va_end(arguments);
}

static int note_lost(struct run *run, uint64_t block)
{
	struct tier_offline_result *result = run->job.result;
	uint64_t *place = array_grow(&result->lost, &result->lost_count, sizeof(*place));

	if (!place)
		return -ENOMEM;
	*place = block;
	return 0;
}

/* Into the zone that it had, and nowhere else. */
static int put_block_back(struct run *run, const struct taken *taken, struct tier_problem *problem)
{
	const struct sysfs *sysfs = run->job.sysfs;
	enum tier_zone zone = TIER_ZONE_NONE;
	bool changed;
	int r = memory_block_online(sysfs, run->job.region, taken->block,
				    taken->zone == TIER_ZONE_MOVABLE, &changed, problem);

	if (r < 0)
		return r;
	if (memory_block_zone(sysfs, taken->block, &zone) == 0 && zone != taken->zone)
		return tier_problem_set(
			problem, TIER_E_STALE, run->job.region, NULL,
			"memory block %" PRIu64 " came back in zone %s instead of %s", taken->block,
			tier_zone_name(zone), tier_zone_name(taken->zone));
	return 0;
}

static void put_back(struct run *run)
{
	struct tier_offline_result *result = run->job.result;
	struct tier_problem problem = {}, first = {};
	bool gone = run->job.hung; /* whatever is tried waits for the kernel's lock as well */

	/* A block exists only while its device is bound, so this shows there if it fails. */
	while (!gone && run->bound_count > 0)
		(void)memory_dax_bind(run->job.sysfs, run->bound[--run->bound_count]->dax,
				      TIER_DAX_SYSTEM_RAM, &problem);
	if (gone)
		copy_string(first.text, sizeof(first.text),
			    "the kernel is not done with the other");
	while (run->taken_count > 0) {
		const struct taken *taken = &run->taken[--run->taken_count];

		offline_tell(&run->job, TIER_OFFLINE_PUTTING_BACK, taken->block, 0);
		if (gone || put_block_back(run, taken, &problem) != 0) {
			if (!first.text[0])
				first = problem;
			(void)note_lost(run, taken->block);
			continue;
		}
		result->offline_count--;
		run->job.done_bytes -= result->block_bytes;
	}
	if (result->lost_count > 0 && run->job.problem) {
		append(run->job.problem, "; %zu memory block%s cannot be put back: %s",
		       result->lost_count, result->lost_count == 1 ? "" : "s", first.text);
		snprintf(run->job.problem->next, sizeof(run->job.problem->next),
			 "tierctl list blocks; online_movable or online_kernel in "
			 "/sys/devices/system/memory/memoryN/state");
	}
}

static int take_blocks(struct run *run, const struct tier_plan *plan)
{
	struct tier_problem problem, *whole = run->job.problem;
	struct tier_offline_result *result = run->job.result;
	int first = 0;

	for (size_t i = 0; i < plan->step_count; i++) {
		const struct tier_step *step = &plan->steps[i];
		struct taken *taken = &run->taken[run->taken_count];
		int r;

		if (step->action != TIER_STEP_OFFLINE)
			continue;
		(void)offline_between(&run->job);
		/* Of several blocks that stay, the first is told of. */
		run->job.problem = first ? &problem : whole;
		r = run->job.cancelled
			    ? tier_problem_set(whole, TIER_E_CANCELLED, step->region, NULL,
					       "cancelled before memory block %" PRIu64,
					       step->block)
			    : offline_block(&run->job, step->block, &taken->zone);
		run->job.problem = whole;
		if (r == 0 && taken->zone != TIER_ZONE_NONE) {
			taken->block = step->block;
			run->taken_count++;
			result->offline_count++;
			run->job.done_bytes += result->block_bytes;
		}
		if (r == 0)
			offline_tell(&run->job, TIER_OFFLINE_EVACUATING, step->block, 0);
		if (r == TIER_E_CANCELLED || (r != 0 && !result->keep_partial) || run->job.hung)
			return r;
		first = first ?: r;
	}
	return first;
}

static int bind_devices(struct run *run, const struct tier_plan *plan)
{
	for (size_t i = 0; i < plan->step_count; i++) {
		const struct tier_step *step = &plan->steps[i];
		int r;

		if (step->action != TIER_STEP_BIND_DEVDAX)
			continue;
		r = memory_dax_bind(run->job.sysfs, step->dax, TIER_DAX_DEVDAX, run->job.problem);
		if (r < 0)
			return r;
		run->bound[run->bound_count++] = step;
	}
	return 0;
}

/* How long an operation takes at the most, if nobody says. */
static uint64_t usual_deadline(const struct tier_offline_result *result)
{
	uint64_t bytes = result->block_count * result->block_bytes;

	return TIER_OFFLINE_DEADLINE_USEC + bytes / TIER_OFFLINE_BYTES_PER_SEC * 1000000;
}

static int prepare(struct run *run, const struct tier_plan *plan)
{
	struct tier_offline_result *result = run->job.result;
	struct tier_problem *problem = run->job.problem;
	char text[32];

	copy_string(result->region, sizeof(result->region), run->job.region);
	result->keep_partial = run->job.options->keep_partial;
	for (size_t i = 0; i < plan->step_count; i++)
		result->block_count += plan->steps[i].action == TIER_STEP_OFFLINE;
	if (sysfs_read_string(run->job.sysfs, text, sizeof(text),
			      "sys/devices/system/memory/block_size_bytes") != 0 ||
	    (result->block_bytes = strtoull(text, NULL, 16)) == 0)
		return tier_problem_set(problem, -ENOTSUP, run->job.region, NULL,
					"this kernel has no memory hotplug");
	run->taken = calloc(plan->step_count, sizeof(*run->taken));
	run->bound = calloc(plan->step_count, sizeof(*run->bound));
	if (!run->taken || !run->bound)
		return tier_problem_set(problem, -ENOMEM, run->job.region, NULL,
					"cannot prepare its steps");
	run->job.deadline_usec =
		run->job.begun_usec + (run->job.options->deadline_usec ?: usual_deadline(result));
	return offline_check_own(run->job.sysfs, plan, problem);
}

int memory_offline(const struct sysfs *sysfs, const struct tier_plan *plan,
		   const struct tier_offline_options *options, struct tier_offline_result *result,
		   struct tier_problem *problem)
{
	_cleanup_(run_done) struct run run = {
		.job = {.sysfs = sysfs,
			.options = options,
			.result = result,
			.problem = problem,
			.begun_usec = now_usec()},
	};
	int r;

	if (plan->step_count == 0)
		return 0;
	run.job.region = plan->steps[0].region;
	r = prepare(&run, plan);
	if (r == 0)
		r = take_blocks(&run, plan);
	if (r == 0 && run.job.cancelled)
		r = tier_problem_set(problem, TIER_E_CANCELLED, run.job.region, NULL,
				     "cancelled when all of it was offline");
	if (r == 0)
		r = bind_devices(&run, plan);
	if (r != 0 && !options->keep_partial)
		put_back(&run);
	if (r == TIER_E_CANCELLED && result->offline_count == 0)
		append(problem, "; all of it is as it was");
	if (r != 0 && options->keep_partial && result->offline_count > 0)
		append(problem, "; %zu of its %zu memory blocks went offline and stay so",
		       result->offline_count, result->block_count);
	result->elapsed_usec = now_usec() - run.job.begun_usec;
	return r;
}

int tier_offline(const struct tier_plan *plan, const struct tier_offline_options *options,
		 struct tier_offline_result *result, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	if (r < 0)
		return tier_problem_set(problem, r,
					plan->step_count ? plan->steps[0].region : "region", NULL,
					"cannot open sysfs");
	return memory_offline(&sysfs, plan, options, result, problem);
}
