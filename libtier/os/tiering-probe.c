// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>

#include "damon.h"
#include "tier-heat.h"
#include "tier-tiering-kernel.h"
#include "util.h"

#define KDAMONDS "sys/kernel/mm/damon/admin/kdamonds"
#define SCHEME	 KDAMONDS "/0/contexts/0/schemes/0"

/* Of what a pass needs, these came last: Linux 7.2. */
static const char *const needed[] = {"dests/nr_dests", "quotas/fail_charge_num"};

static int look(const struct sysfs *sysfs, struct tier_problem *problem)
{
	uint64_t others = 0;
	int r = sysfs_read_u64(sysfs, &others, KDAMONDS "/nr_kdamonds");

	if (r == SYSFS_ABSENT)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "DAMON",
					"boot a kernel with CONFIG_DAMON_SYSFS",
					"this kernel has no DAMON");
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -EACCES, "DAMON", NULL,
					"cannot be used");
	/* A map has what a killed one would have left, too. */
	if (others > 0 && tier_heat_runs())
		return tier_problem_set(problem, TIER_E_BUSY, "DAMON", "wait until it is done",
					"tierctl heat uses it");
	if (others > 0 && !damon_left(sysfs))
		return tier_problem_set(problem, TIER_E_BUSY, "DAMON",
					"end whoever uses it, then: echo 0 > /" KDAMONDS
					"/nr_kdamonds",
					"%" PRIu64 " kdamonds of somebody else are there", others);
	return 0;
}

int tier_tiering_damon_probe(bool thorough, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_damon_ struct damon damon = DAMON_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	if (r < 0)
		return tier_problem_set(problem, r, "/sys", NULL, "cannot be read");
	r = look(&sysfs, problem);
	if (r || !thorough)
		return r;
	r = damon_claim(&damon, problem);
	/* Before 6.17 there was no refresh_ms to mark it with. */
	if (r == -ENOENT || r == -EACCES)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "DAMON",
					"boot Linux 7.2 or later",
					"this kernel's cannot be told from somebody else's");
	r = r ?: damon_begin(&damon, "fvaddr", 1000, 0, problem);
	if (r == -EINVAL)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "DAMON",
					"boot a kernel with CONFIG_DAMON_VADDR",
					"this kernel's knows no virtual addresses");
	r = r ?: damon_schemes(&damon, 1, problem);
	for (size_t i = 0; i < ARRAY_SIZE(needed) && r == 0; i++)
		if (!sysfs_exists(&damon.sysfs, SCHEME "/%s", needed[i]))
			r = tier_problem_set(problem, TIER_E_NOT_FOUND, "DAMON",
					     "boot Linux 7.2 or later",
					     "this kernel's schemes have no %s", needed[i]);
	return r;
}
