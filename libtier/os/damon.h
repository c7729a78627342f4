/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_DAMON_H
#define TIER_OS_DAMON_H

#include "sysfs.h"
#include "tier-tiering.h"

/*
 * One kdamond with one context, by way of sysfs. It is made for a job, runs it, and goes: nothing runs in
 * between, and nobody else is kept from DAMON. Source: admin-guide/mm/damon/usage.
 */
struct damon {
	struct sysfs sysfs;
	int lock;
	bool claimed;
};

#define _cleanup_damon_ __attribute__((cleanup(damon_done)))

#define DAMON_CLOSED ((struct damon){.sysfs = {.fd = -1}, .lock = -1})

/*
 * What a process of ours that was killed has left is taken over.
 * 0; TIER_E_BUSY: somebody else has kdamonds, or the kernel's own monitoring runs; TIER_E_NOT_FOUND: the kernel has no DAMON; negative errno. */
int damon_claim(struct damon *ret, struct tier_problem *problem);
/* Is there one of ours, of a process that runs or was killed? */
bool damon_left(const struct sysfs *sysfs);
/* Stops it and gives DAMON back. */
void damon_done(struct damon *damon);

/*
 * @operations: "fvaddr", "paddr". @sample_usec: between two looks. @regions: least number of regions that the
 * kernel makes of the ranges.
 */
int damon_begin(struct damon *damon, const char *operations, uint64_t sample_usec, uint64_t regions,
		struct tier_problem *problem);

struct damon_range {
	uint64_t start, end;
};

/* Targets one after the other, @index from 0, out of @count. @pid: 0 for paddr. Ranges ascend. */
int damon_targets(struct damon *damon, size_t count, struct tier_problem *problem);
int damon_target(struct damon *damon, size_t index, int pid, const struct damon_range *ranges,
		 size_t count, struct tier_problem *problem);

/* Schemes likewise. They match all regions, and are carried out whenever @apply_usec have passed. */
int damon_schemes(struct damon *damon, unsigned count, struct tier_problem *problem);
int damon_scheme(struct damon *damon, unsigned index, const char *action, uint64_t apply_usec,
		 struct tier_problem *problem);
/* Writes a file of a scheme. */
int damon_scheme_set(struct damon *damon, unsigned index, struct tier_problem *problem,
		     const char *file, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
int damon_scheme_get(struct damon *damon, unsigned index, const char *file, uint64_t *ret,
		     struct tier_problem *problem);

/* Starts it, and waits until each scheme has been carried out. Their tried_regions/total_bytes is there then. */
int damon_run(struct damon *damon, struct tier_problem *problem);
/* The schemes' stats. */
int damon_stats(struct damon *damon, struct tier_problem *problem);

#endif
