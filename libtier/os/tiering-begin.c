// SPDX-License-Identifier: LGPL-2.1-or-later
#include <poll.h>
#include <unistd.h>

#include "clock.h"
#include "damon.h"
#include "file-replace.h"
#include "tier-heat.h"
#include "util.h"

#define DAMON_STAT "sys/module/damon_stat/parameters/enabled"
#define NOTE	   "/run/cxl-tier/tiering"

/* No window is as long. */
#define END_USEC (UINT64_C(60) * 1000000)

static const char note_text[] = "damon_stat was enabled\n";

int tier_tiering_begin(struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	bool enabled = false;
	int r = sysfs_open(&sysfs, NULL);

	if (r < 0)
		return tier_problem_set(problem, r, "/sys", NULL, "cannot be read");
	r = sysfs_read_bool(&sysfs, &enabled, DAMON_STAT);
	if (r == SYSFS_ABSENT || (r == 0 && !enabled))
		return 0;
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -EACCES, "/" DAMON_STAT, NULL,
					"cannot be read");
	r = file_replace(NOTE, note_text, strlen(note_text));
	if (r < 0)
		return tier_problem_set(problem, r, NOTE, NULL,
					"cannot be written: it is to say what must be put back");
	r = sysfs_write(&sysfs, "N", DAMON_STAT);
	if (r < 0) {
		(void)unlink(NOTE);
		return tier_problem_set(problem, r, "/" DAMON_STAT, NULL,
					"the kernel's own monitoring cannot be ended");
	}
	return 0;
}

static bool kdamond_left(void)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;

	/* A map that is being taken is nothing that was left. */
	return sysfs_open(&sysfs, NULL) == 0 && damon_left(&sysfs) && !tier_heat_runs();
}

bool tier_tiering_left(void)
{
	return access(NOTE, F_OK) == 0 || kdamond_left();
}

/*
 * Whoever claims it ends what one that was killed has left. That one may not be gone yet: it waits in the kernel
 * until the step that it was in is done.
 */
static int end_kdamond(bool wait, struct tier_problem *problem)
{
	_cleanup_damon_ struct damon damon = DAMON_CLOSED;
	uint64_t deadline = now_usec() + (wait ? END_USEC : 0);
	int r;

	while ((r = damon_claim(&damon, problem)) == TIER_E_BUSY && now_usec() < deadline &&
	       kdamond_left())
		(void)poll(NULL, 0, 20);
	/* Somebody else's is not left by us. */
	return r == TIER_E_NOT_FOUND || (r == TIER_E_BUSY && !kdamond_left()) ? 0 : r;
}

int tier_tiering_end(bool wait, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = kdamond_left() ? end_kdamond(wait, problem) : 0;

	if (r)
		return r > 0 ? -EBUSY : r;
	if (access(NOTE, F_OK) < 0)
		return 0;
	r = sysfs_open(&sysfs, NULL);
	r = r < 0 ? r : sysfs_write(&sysfs, "Y", DAMON_STAT);
	if (r == 0 && unlink(NOTE) < 0 && errno != ENOENT)
		r = -errno;
	if (r < 0)
		return tier_problem_set(problem, r, "/" DAMON_STAT,
					"write Y to it, and remove " NOTE,
					"the kernel's own monitoring cannot be begun again");
	return 0;
}
