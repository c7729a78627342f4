/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dax.h"
#include "fd.h"
#include "tier-dax.h"
#include "util.h"

#define BUS	  "sys/bus/dax"
#define AUTOPROBE BUS "/drivers_autoprobe"

static int no_bus(struct tier_problem *problem)
{
	return tier_problem_set(problem, TIER_E_NOT_FOUND, "/" BUS, NULL,
				"this kernel has no dax devices");
}

int dax_is_held(const struct sysfs *sysfs, bool *ret)
{
	bool autoprobe;
	int r = sysfs_read_bool(sysfs, &autoprobe, AUTOPROBE);

	if (r == SYSFS_ABSENT)
		return TIER_E_NOT_FOUND;
	if (r)
		return r < 0 ? r : -EACCES;
	*ret = !autoprobe;
	return 0;
}

int dax_hold(const struct sysfs *sysfs, bool hold, struct tier_problem *problem)
{
	int r = sysfs_write(sysfs, hold ? "0" : "1", AUTOPROBE);

	if (r == -ENOENT)
		return no_bus(problem);
	return r == 0 ? 0
		      : tier_problem_set(problem, r, "/" AUTOPROBE,
					 r == -EACCES || r == -EPERM ? "try again as root" : NULL,
					 "cannot write %d", hold ? 0 : 1);
}

/* Whether it is one that waits: of no region, of some size, and without a driver. */
static int waits(const struct sysfs *sysfs, const char *name, bool *ret)
{
	uint64_t bytes = 0;
	char region[32];
	int r = dax_region_of(sysfs, name, region);

	*ret = false;
	/* It has gone. Which region it is of if it comes back, nobody knows. */
	if (r == SYSFS_ABSENT)
		return 0;
	if (r)
		return r < 0 ? r : -EACCES;
	if (region[0] || sysfs_read_u64(sysfs, &bytes, BUS "/devices/%s/size", name) != 0)
		return 0;
	*ret = bytes > 0 && !sysfs_exists(sysfs, BUS "/devices/%s/driver", name);
	return 0;
}

int dax_release(const struct sysfs *sysfs, const char *name, struct tier_problem *problem)
{
	bool still;
	int r = waits(sysfs, name, &still);

	if (r == 0 && !still)
		return 0;
	/* Its answer is 0 also if no driver wants it, or if that one fails. */
	r = r ?: sysfs_write(sysfs, name, BUS "/drivers_probe");
	if (r == -EACCES || r == -EPERM)
		return tier_problem_set(problem, r, name, "try again as root",
					"cannot give it to its driver");
	r = waits(sysfs, name, &still);
	if (r == 0 && still)
		r = -EAGAIN;
	return r == 0 ? 0
		      : tier_problem_set(
				problem, r, name,
				"is the module loaded? The kernel log says why a driver fails",
				"no driver has taken it");
}

int dax_waiting(const struct sysfs *sysfs, char (**ret)[32], size_t *ret_count,
		struct tier_problem *problem)
{
	_cleanup_names_ struct sysfs_names names = {};
	_cleanup_free_ char(*found)[32] = NULL;
	size_t count = 0;
	int r = sysfs_list(sysfs, &names, "dax", BUS "/devices");

	*ret = NULL;
	*ret_count = 0;
	if (r)
		return r < 0 ? tier_problem_set(problem, r, "/" BUS, NULL, "cannot list") : 0;
	for (size_t i = 0; i < names.count; i++) {
		bool still;

		if (waits(sysfs, names.names[i], &still) != 0 || !still)
			continue;
		if (!array_grow(&found, &count, sizeof(*found)))
			return tier_problem_set(problem, -ENOMEM, "/" BUS, NULL, "cannot list");
		copy_string(found[count - 1], sizeof(*found), names.names[i]);
	}
	*ret = TAKE(found);
	*ret_count = count;
	return 0;
}

int tier_dax_is_held(bool *ret)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	return r ?: dax_is_held(&sysfs, ret);
}

int tier_dax_hold(bool hold, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	return r < 0 ? tier_problem_set(problem, r, "/", NULL, "cannot open")
		     : dax_hold(&sysfs, hold, problem);
}

int tier_dax_waiting(char (**ret)[32], size_t *ret_count, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	return r < 0 ? tier_problem_set(problem, r, "/", NULL, "cannot open")
		     : dax_waiting(&sysfs, ret, ret_count, problem);
}

int tier_dax_release(const char *name, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	return r < 0 ? tier_problem_set(problem, r, "/", NULL, "cannot open")
		     : dax_release(&sysfs, name, problem);
}
