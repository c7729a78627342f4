/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_DAMON_H
#define TIER_OS_DAMON_H

#include "sysfs.h"
#include "tier-tiering.h"

/*
 * A kdamond with one context, by way of sysfs. It is made for a job, runs it, and goes: nothing runs in
 * between, and nobody else is kept from DAMON. Source: admin-guide/mm/damon/usage.
 */
#define DAMON_KDAMONDS "sys/kernel/mm/damon/admin/kdamonds"
/* So many of ours there are at most. */
#define DAMON_KDAMONDS_MAX 2

struct damon {
	struct sysfs sysfs;
	int lock;
	bool claimed;
	unsigned kdamond;
};

#define _cleanup_damon_ __attribute__((cleanup(damon_done)))

#define DAMON_CLOSED ((struct damon){.sysfs = {.fd = -1}, .lock = -1})

/*
 * What a process of ours that was killed has left is taken over.
 * 0; TIER_E_BUSY: somebody else has kdamonds, or the kernel's own monitoring runs; TIER_E_NOT_FOUND: the kernel has no DAMON; negative errno. */
int damon_claim(struct damon *ret, struct tier_problem *problem);
/* Waits so long for another process of ours to be done with it, then TIER_E_TIMEOUT. */
int damon_claim_within(struct damon *ret, uint64_t wait_usec, struct tier_problem *problem);
/*
 * Two that run at the same time. The second is part of the first, and ends with it.
 */
int damon_claim_pair(struct damon *ret, struct damon *ret_second, struct tier_problem *problem);
/* Has the kernel DAMON, and may this process use it? 0; TIER_E_NOT_FOUND; -EACCES, other negative errno. */
int damon_check(const struct sysfs *sysfs, struct tier_problem *problem);
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

/* The same for a job that goes on. @max_regions: how many the kernel makes of them at most. */
struct damon_pace {
	uint64_t sample_usec, aggregate_usec;
	uint64_t min_regions, max_regions;
};
int damon_begin_pace(struct damon *damon, const char *operations, const struct damon_pace *pace,
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
/* The second part of that, for one that was started. Meanwhile the kernel takes no word for another one: -EBUSY. */
int damon_await(struct damon *damon, struct tier_problem *problem);
/* Waits until it has nothing to do, so that damon_done() need not. Microseconds of a processor that it has had; 0: not known. */
uint64_t damon_rest(struct damon *damon);
/* For a job that goes on: starts it; takes what is set anew while it runs; ends it, so that it can be begun anew. */
int damon_start(struct damon *damon, struct tier_problem *problem);
int damon_commit(struct damon *damon, struct tier_problem *problem);
void damon_stop(struct damon *damon);
/*
 * Waits until each scheme has been carried out once more, and keeps its regions for damon_regions(). No signal ends that.
 * -EINVAL, -ECANCELED: all targets have ended.
 */
int damon_look(struct damon *damon, struct tier_problem *problem);

struct damon_region {
	uint64_t start, end;
	uint64_t number; /* what @file says of it */
};
/*
 * Each region of a scheme, one target after the other, ascending within each. @file: nr_accesses, sz_filter_passed. What
 * @each returns ends it if it is not 0.
 */
int damon_regions(const struct damon *damon, size_t scheme, const char *file,
		  int (*each)(void *userdata, const struct damon_region *region), void *userdata);

/* Is a part of the kernel that lets nobody else have DAMON on? TIER_E_BUSY and who, else 0. */
int damon_kernels_own(const struct sysfs *sysfs, struct tier_problem *problem);
/* The schemes' stats. */
int damon_stats(struct damon *damon, struct tier_problem *problem);

#endif
