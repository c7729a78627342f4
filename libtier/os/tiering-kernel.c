// SPDX-License-Identifier: LGPL-2.1-or-later
#include <limits.h>
#include <unistd.h>

#include "clock.h"
#include "file-replace.h"
#include "sysfs.h"
#include "tier-tiering-kernel.h"
#include "util.h"

/* What was there is in a file before anything is written, so that whoever comes after a kill knows. */

static const char *const paths[TIER_KNOBS] = {
	[TIER_KNOB_LIMIT] = "proc/sys/kernel/numa_balancing_promote_rate_limit_MBps",
	[TIER_KNOB_DEMOTION] = "sys/kernel/mm/numa/demotion_enabled",
	[TIER_KNOB_BALANCING] = "proc/sys/kernel/numa_balancing",
};

static int read_knob(const struct sysfs *sysfs, enum tier_knob knob, unsigned *ret)
{
	uint64_t value = 0;
	bool on = false;
	int r;

	if (knob == TIER_KNOB_DEMOTION)
		r = sysfs_read_bool(sysfs, &on, "%s", paths[knob]);
	else
		r = sysfs_read_u64(sysfs, &value, "%s", paths[knob]);
	if (r == 0 && value > TIER_KNOB_MAX)
		r = -ERANGE;
	if (r == 0)
		*ret = on ? 1 : (unsigned)value;
	return r;
}

static int write_knob(const struct sysfs *sysfs, enum tier_knob knob, unsigned value)
{
	char text[16];

	if (knob == TIER_KNOB_DEMOTION)
		return sysfs_write(sysfs, value ? "true" : "false", "%s", paths[knob]);
	snprintf(text, sizeof(text), "%u", value);
	return sysfs_write(sysfs, text, "%s", paths[knob]);
}

static int read_wished(const struct sysfs *sysfs, const struct tier_knobs_wish *wish,
		       unsigned ret[TIER_KNOBS], struct tier_problem *problem)
{
	unsigned values[TIER_KNOBS] = {};
	char path[80];
	int r;

	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++) {
		if (!tier_knobs_wished(wish, knob))
			continue;
		r = read_knob(sysfs, knob, &values[knob]);
		snprintf(path, sizeof(path), "/%s", paths[knob]);
		if (r == SYSFS_ABSENT)
			return tier_problem_set(problem, TIER_E_NOT_FOUND, "tiering",
						"boot a kernel with CONFIG_NUMA_BALANCING, of "
						"Linux 6.1 or later",
						"this kernel has no %s", path);
		if (r)
			return tier_problem_set(problem, r < 0 ? r : -EACCES, path, NULL,
						"cannot be read");
	}
	memcpy(ret, values, sizeof(values));
	return 0;
}

int tier_knobs_read(const char *sysroot, unsigned ret[TIER_KNOBS], struct tier_problem *problem)
{
	static const struct tier_knobs_wish all = {.promotes = true};
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, sysroot);

	if (r < 0)
		return tier_problem_set(problem, r, "/", NULL, "cannot be read");
	return read_wished(&sysfs, &all, ret, problem);
}

static bool any_ours(const struct tier_knobs_saved *saved)
{
	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++)
		if (saved->knobs[knob].ours)
			return true;
	return false;
}

/* Without anything of ours the file goes. */
static int store(const char *sysroot, const struct tier_knobs_saved *saved,
		 struct tier_problem *problem)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	int r = 0;

	snprintf(path, sizeof(path), "%s%s", sysroot ?: "", TIER_TIERING_KERNEL_PATH);
	if (!any_ours(saved))
		r = unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	else
		r = tier_knobs_format(saved, &text);
	if (r == 0 && text)
		r = file_replace(path, text, strlen(text));
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL,
					"cannot note how the kernel's own tiering was set before");
	return 0;
}

static int refuse(struct tier_problem *problem, enum tier_knob knob, unsigned value, int r,
		  const char *next)
{
	char path[80];

	snprintf(path, sizeof(path), "/%s", paths[knob]);
	return tier_problem_set(problem, r, path, next, "cannot be set to %u", value);
}

/* "numa_balancing is 0 by another hand, demotion_enabled is 1" */
static void add_foreign(char text[static 160], enum tier_knob knob, unsigned present)
{
	size_t used = strlen(text);

	snprintf(text + used, 160 - used, "%s%s is %u%s", used ? ", " : "", tier_knob_name(knob),
		 present, used ? "" : " by another hand");
}

static void tell_foreign(const unsigned present[TIER_KNOBS], const struct tier_knobs_saved *before,
			 const struct tier_knobs_saved *now, char ret[static 160])
{
	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++)
		if (now->knobs[knob].foreign && !before->knobs[knob].foreign)
			add_foreign(ret, knob, present[knob]);
}

int tier_knobs_apply(const char *sysroot, const struct tier_knobs_wish *wish,
		     struct tier_knobs_saved *saved, char ret_foreign[static 160],
		     struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	struct tier_knobs_saved next = *saved;
	unsigned present[TIER_KNOBS];
	bool writes[TIER_KNOBS], changes = false;
	char left[160];
	int r = sysfs_open(&sysfs, sysroot);

	ret_foreign[0] = '\0';
	if (r < 0)
		return tier_problem_set(problem, r, "/", NULL, "cannot be read");
	r = read_wished(&sysfs, wish, present, problem);
	if (r)
		return r;
	tier_knobs_plan(present, wish, &next, writes);
	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++)
		changes |= writes[knob] || next.knobs[knob].ours != saved->knobs[knob].ours;
	if (changes)
		r = store(sysroot, &next, problem);
	if (r)
		return r;
	tell_foreign(present, saved, &next, ret_foreign);
	*saved = next;
	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++) {
		if (!writes[knob])
			continue;
		r = write_knob(&sysfs, knob, saved->knobs[knob].next);
		if (r == 0)
			continue;
		refuse(problem, knob, saved->knobs[knob].next, r, "see tierctl doctor");
		(void)tier_knobs_restore(sysroot, saved, left, NULL);
		return r;
	}
	return 0;
}

int tier_knobs_restore(const char *sysroot, struct tier_knobs_saved *saved,
		       char ret_left[static 160], struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	struct tier_knobs_saved rest = *saved;
	bool any = any_ours(saved);
	int r = sysfs_open(&sysfs, sysroot), failed = 0;

	ret_left[0] = '\0';
	if (r < 0)
		return tier_problem_set(problem, r, "/", NULL, "cannot be read");
	/* Demotion and promotion end before the limit goes. */
	for (int knob = TIER_KNOBS - 1; knob >= 0; knob--) {
		struct tier_knob_saved *it = &rest.knobs[knob];
		unsigned present = it->before;
		bool left = it->foreign;

		if (it->ours) {
			r = read_knob(&sysfs, (enum tier_knob)knob, &present);
			if (r == 0 && present != it->before && present != it->written &&
			    present != it->next) {
				add_foreign(ret_left, (enum tier_knob)knob, present);
				left = true;
			} else if (r == 0 && present != it->before)
				r = write_knob(&sysfs, (enum tier_knob)knob, it->before);
			/* What is not there any more need not be put back. */
			if (r && r != SYSFS_ABSENT) {
				failed = refuse(problem, (enum tier_knob)knob, it->before,
						r < 0 ? r : -EACCES,
						"write it, and remove " TIER_TIERING_KERNEL_PATH);
				continue;
			}
		}
		*it = (struct tier_knob_saved){.foreign = left};
	}
	*saved = rest;
	r = any ? store(sysroot, saved, failed ? NULL : problem) : 0;
	return failed ?: r;
}

int tier_knobs_load(const char *sysroot, struct tier_knobs_saved *ret, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_free_ char *text = NULL;
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = sysfs_read_text(&sysfs, &text, "%s", TIER_TIERING_KERNEL_PATH + 1);
	if (r == SYSFS_ABSENT)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, TIER_TIERING_KERNEL_PATH, NULL,
					"nothing has been written");
	if (r == SYSFS_DENIED)
		r = -EACCES;
	if (r == 0)
		r = tier_knobs_parse(text, ret);
	if (r)
		return tier_problem_set(problem, r, TIER_TIERING_KERNEL_PATH,
					"sysctl kernel.numa_balancing=0, echo false > "
					"/sys/kernel/mm/numa/demotion_enabled, and remove the file",
					"cannot tell how the kernel's own tiering was set before%s",
					r == TIER_E_DAMAGED ? ": the file is damaged" : "");
	return 0;
}

int tier_traffic_read(const char *sysroot, struct tier_traffic *ret, struct tier_problem *problem)
{
	struct tier_traffic traffic = {.now_usec = now_usec()};
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_free_ char *text = NULL;
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = sysfs_read_text(&sysfs, &text, "proc/vmstat");
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -EACCES, "/proc/vmstat", NULL,
					"cannot be read");
	r = tier_traffic_parse(text, (uint64_t)sysconf(_SC_PAGESIZE), &traffic);
	if (r)
		return tier_problem_set(problem, r, "/proc/vmstat", NULL,
					"this kernel does not count what it promotes and demotes");
	*ret = traffic;
	return 0;
}
