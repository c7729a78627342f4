/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "damon.h"
#include "util.h"

int damon_kernels_own(const struct sysfs *sysfs, struct tier_problem *problem)
{
	static const char *const modules[] = {"damon_stat", "damon_reclaim", "damon_lru_sort"};

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		bool enabled = false;
		char next[160];

		if (sysfs_read_bool(sysfs, &enabled, "sys/module/%s/parameters/enabled",
				    modules[i]) != 0 ||
		    !enabled)
			continue;
		snprintf(next, sizeof(next),
			 "echo N > /sys/module/%s/parameters/enabled, and echo Y afterwards",
			 modules[i]);
		return tier_problem_set(problem, TIER_E_BUSY, "DAMON", next,
					"the kernel's own %s is on, and lets nobody else have it",
					modules[i]);
	}
	return 0;
}

int damon_regions(const struct damon *damon, size_t scheme, const char *file,
		  int (*each)(void *userdata, const struct damon_region *region), void *userdata)
{
	/* Found once: there may be a thousand below it. */
	_cleanup_sysfs_ struct sysfs regions = {
		.fd = sysfs_open_file(&damon->sysfs, O_RDONLY | O_DIRECTORY,
				      DAMON_KDAMONDS "/%u/contexts/0/schemes/%zu/tried_regions",
				      damon->kdamond, scheme)};
	int r = regions.fd < 0 ? regions.fd : 0;

	for (size_t i = 0; r == 0; i++) {
		struct damon_region region;

		r = sysfs_read_u64(&regions, &region.start, "%zu/start", i);
		if (r == SYSFS_ABSENT)
			return 0;
		r = r ?: sysfs_read_u64(&regions, &region.end, "%zu/end", i);
		r = r ?: sysfs_read_u64(&regions, &region.number, "%zu/%s", i, file);
		r = r ?: each(userdata, &region);
	}
	return r > 0 ? -EIO : r;
}
