/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>

#include "fd.h"
#include "file-replace.h"
#include "sysfs.h"
#include "tier-ras.h"

int tier_retired_load(const char *sysroot, struct tier_retired **ret, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_free_ char *text = NULL;
	int r = sysfs_open(&sysfs, sysroot);

	if (r == 0)
		r = sysfs_read_text(&sysfs, &text, "%s", TIER_RETIRED_PATH + 1);
	if (r == SYSFS_DENIED)
		r = -EACCES;
	if (r < 0)
		return tier_problem_set(problem, r, TIER_RETIRED_PATH, NULL,
					"cannot tell which memory is retired");
	if (r == SYSFS_ABSENT) {
		*ret = calloc(1, sizeof(**ret));
		return *ret ? 0
			    : tier_problem_set(problem, -ENOMEM, TIER_RETIRED_PATH, NULL,
					       "cannot read it");
	}
	return tier_retired_parse(text, strlen(text), TIER_RETIRED_PATH, ret, problem);
}

int tier_retired_store(const struct tier_retired *retired, struct tier_problem *problem)
{
	_cleanup_free_ char *text = NULL;
	int r = tier_retired_format(retired, &text);

	if (r == 0)
		r = file_replace(TIER_RETIRED_PATH, text, strlen(text));
	if (r < 0)
		return tier_problem_set(problem, r, TIER_RETIRED_PATH, NULL,
					"cannot write down which memory is retired");
	return 0;
}
