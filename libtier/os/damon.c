// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "damon.h"
#include "fd.h"
#include "lock-file.h"
#include "util.h"

#define KDAMONDS DAMON_KDAMONDS
#define CONTEXT	 "contexts/0"
/* Its mark is that of all of them. */
#define FIRST KDAMONDS "/0"

/*
 * So ours are told from others': a time that nobody else would set, in milliseconds, and that has no effect
 * worth mentioning. Two processes of ours are kept apart by a lock.
 */
#define REFRESH_MSEC 604800001
#define LOCK	     "/run/cxl-tier/damon.lock"

/* Whoever else reads one of DAMON's files at the moment makes a write fail with EBUSY. */
#define BUSY_USEC UINT64_C(1000000)

/* So long a kdamond is waited for until it sleeps. */
#define REST_USEC UINT64_C(200000)

static int write_file(const struct damon *damon, const char *path, const char *value)
{
	uint64_t deadline = now_usec() + BUSY_USEC;
	int r;

	while ((r = sysfs_write(&damon->sysfs, value, "%s", path)) == -EBUSY &&
	       now_usec() < deadline)
		(void)poll(NULL, 0, 1);
	return r;
}

static int set_at(const struct damon *damon, const char *path, const char *value,
		  struct tier_problem *problem)
{
	int r = write_file(damon, path, value);

	if (r < 0)
		return tier_problem_set(problem, r, "DAMON", "see tierctl doctor",
					"cannot write \"%s\" to /%s", value, path);
	return 0;
}

/* @file: of its kdamond */
static int set(const struct damon *damon, const char *file, const char *value,
	       struct tier_problem *problem)
{
	char path[256];

	snprintf(path, sizeof(path), KDAMONDS "/%u/%s", damon->kdamond, file);
	return set_at(damon, path, value, problem);
}

static int set_number(const struct damon *damon, const char *path, uint64_t value,
		      struct tier_problem *problem)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return set(damon, path, text, problem);
}

/* What is claimed has no mark yet for a moment: that long there is a byte in the lock file. */
static int note_claim(int lock, bool claimed)
{
	if (ftruncate(lock, 0) < 0 || (claimed && pwrite(lock, "1", 1, 0) != 1))
		return -errno;
	return 0;
}

static void stop(const struct damon *damon)
{
	char path[64];

	/* One that has ended by itself, as after its last target, cannot be stopped: no matter. Nor that one is not there. */
	for (unsigned i = 0; i < DAMON_KDAMONDS_MAX; i++) {
		snprintf(path, sizeof(path), KDAMONDS "/%u/state", i);
		(void)write_file(damon, path, "off");
	}
	(void)write_file(damon, KDAMONDS "/nr_kdamonds", "0");
}

/*
 * Whoever ends a kdamond before it sleeps waits for all of the sample interval that follows. There is no event for that,
 * but it is soon: a look at each region.
 */
uint64_t damon_rest(struct damon *damon)
{
	uint64_t deadline = now_usec() + REST_USEC, pid = 0, cpu_nsec = 0;
	char text[512], *state;

	/* As long as somebody else reads one of DAMON's files, this one cannot be read. */
	while (sysfs_read_u64(&damon->sysfs, &pid, KDAMONDS "/%u/pid", damon->kdamond) != 0) {
		if (now_usec() >= deadline)
			return 0;
		(void)poll(NULL, 0, 1);
	}
	do {
		if (sysfs_read_string(&damon->sysfs, text, sizeof(text), "proc/%" PRIu64 "/stat",
				      pid) != 0)
			return 0;
		state = strrchr(text, ')');
		if (state && state[1] == ' ' && state[2] == 'I')
			break;
		(void)poll(NULL, 0, 1);
	} while (now_usec() < deadline);
	if (sysfs_read_string(&damon->sysfs, text, sizeof(text), "proc/%" PRIu64 "/schedstat",
			      pid) == 0)
		(void)sscanf(text, "%" SCNu64, &cpu_nsec);
	return cpu_nsec / 1000;
}

bool damon_left(const struct sysfs *sysfs)
{
	uint64_t count = 0, refresh = 0;
	struct stat lock;

	if (sysfs_read_u64(sysfs, &count, KDAMONDS "/nr_kdamonds") != 0 || count == 0 ||
	    count > DAMON_KDAMONDS_MAX || sysfs_read_u64(sysfs, &refresh, FIRST "/refresh_ms") != 0)
		return false;
	return refresh == REFRESH_MSEC ||
	       (refresh == 0 && stat(LOCK, &lock) == 0 && lock.st_size > 0);
}

static int count_kdamonds(const struct sysfs *sysfs, uint64_t *ret, struct tier_problem *problem)
{
	int r = sysfs_read_u64(sysfs, ret, KDAMONDS "/nr_kdamonds");

	if (r == SYSFS_ABSENT)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "DAMON",
					"boot a kernel with CONFIG_DAMON_SYSFS", "is not there");
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -EACCES, "DAMON", "run as root",
					"cannot be used");
	return 0;
}

int damon_check(const struct sysfs *sysfs, struct tier_problem *problem)
{
	uint64_t count;

	return count_kdamonds(sysfs, &count, problem);
}

static int claim(struct damon *damon, unsigned kdamonds, uint64_t wait_usec,
		 struct tier_problem *problem)
{
	char count[16];
	uint64_t others = 0;
	int r;

	damon->lock = lock_file_take(LOCK, wait_usec);
	if (damon->lock == -EBUSY)
		return tier_problem_set(problem, wait_usec ? TIER_E_TIMEOUT : TIER_E_BUSY, "DAMON",
					"try again later", "another process of cxl-tier uses it");
	if (damon->lock < 0)
		return tier_problem_set(problem, damon->lock, LOCK, NULL, "cannot be locked");
	if (damon_left(&damon->sysfs))
		stop(damon);
	/* Whatever is there now without a mark is somebody else's. */
	(void)note_claim(damon->lock, false);
	r = count_kdamonds(&damon->sysfs, &others, problem);
	if (r)
		return r;
	if (others > 0)
		return tier_problem_set(problem, TIER_E_BUSY, "DAMON",
					"end whoever uses it, then: echo 0 > /" KDAMONDS
					"/nr_kdamonds",
					"%" PRIu64 " kdamonds of somebody else are there", others);
	r = note_claim(damon->lock, true);
	if (r < 0)
		return tier_problem_set(problem, r, LOCK, NULL, "cannot be written");
	snprintf(count, sizeof(count), "%u", kdamonds);
	r = set_at(damon, KDAMONDS "/nr_kdamonds", count, problem);
	if (r == 0) {
		/* Without it there is no telling whose it is, and the kernel is too old for the rest as well. */
		r = set_number(damon, "refresh_ms", REFRESH_MSEC, problem);
		if (r)
			stop(damon);
	}
	(void)note_claim(damon->lock, false);
	return r;
}

static int open_and_claim(struct damon *ret, unsigned kdamonds, uint64_t wait_usec,
			  struct tier_problem *problem)
{
	struct damon damon = DAMON_CLOSED;
	int r = sysfs_open(&damon.sysfs, NULL);

	if (r < 0)
		return tier_problem_set(problem, r, "/sys", NULL, "cannot be read");
	r = claim(&damon, kdamonds, wait_usec, problem);
	if (r) {
		closep(&damon.lock);
		sysfs_done(&damon.sysfs);
		return r;
	}
	damon.claimed = true;
	*ret = damon;
	return 0;
}

int damon_claim_within(struct damon *ret, uint64_t wait_usec, struct tier_problem *problem)
{
	return open_and_claim(ret, 1, wait_usec, problem);
}

int damon_claim(struct damon *ret, struct tier_problem *problem)
{
	return damon_claim_within(ret, 0, problem);
}

int damon_claim_pair(struct damon *ret, struct damon *ret_second, struct tier_problem *problem)
{
	int r = open_and_claim(ret, 2, 0, problem);

	if (r)
		return r;
	*ret_second = (struct damon){.sysfs = ret->sysfs, .lock = -1, .kdamond = 1};
	return 0;
}

void damon_done(struct damon *damon)
{
	if (!damon->claimed)
		return;
	/* Somebody may have taken it away, and have one of his own by now. */
	if (damon_left(&damon->sysfs))
		stop(damon);
	closep(&damon->lock);
	sysfs_done(&damon->sysfs);
	*damon = DAMON_CLOSED;
}

int damon_begin_pace(struct damon *damon, const char *operations, const struct damon_pace *pace,
		     struct tier_problem *problem)
{
	static const char attrs[] = CONTEXT "/monitoring_attrs";
	const struct {
		const char *file;
		uint64_t value;
	} numbers[] = {
		{"intervals/sample_us", pace->sample_usec},
		{"intervals/aggr_us", pace->aggregate_usec},
		{"intervals/update_us", pace->aggregate_usec},
		/* The greatest first: there must never be more of the least. */
		{"nr_regions/max", pace->max_regions},
		{"nr_regions/min", MAX(pace->min_regions, 10)},
	};
	char path[256];
	int r = set_number(damon, "contexts/nr_contexts", 1, problem);

	r = r ?: set(damon, CONTEXT "/operations", operations, problem);
	for (size_t i = 0; i < ARRAY_SIZE(numbers) && r == 0; i++) {
		snprintf(path, sizeof(path), "%s/%s", attrs, numbers[i].file);
		r = set_number(damon, path, numbers[i].value, problem);
	}
	return r;
}

int damon_begin(struct damon *damon, const char *operations, uint64_t sample_usec, uint64_t regions,
		struct tier_problem *problem)
{
	const struct damon_pace pace = {
		.sample_usec = sample_usec,
		/* Regions are merged and split at its end; by then the job is done. */
		.aggregate_usec = 1000 * sample_usec,
		.min_regions = regions,
		.max_regions = 4 * regions + 1000,
	};

	return damon_begin_pace(damon, operations, &pace, problem);
}

int damon_targets(struct damon *damon, size_t count, struct tier_problem *problem)
{
	return set_number(damon, CONTEXT "/targets/nr_targets", count, problem);
}

int damon_target(struct damon *damon, size_t index, int pid, const struct damon_range *ranges,
		 size_t count, struct tier_problem *problem)
{
	char path[256];
	int r = 0;

	if (pid > 0) {
		snprintf(path, sizeof(path), CONTEXT "/targets/%zu/pid_target", index);
		r = set_number(damon, path, (uint64_t)pid, problem);
	}
	snprintf(path, sizeof(path), CONTEXT "/targets/%zu/regions/nr_regions", index);
	r = r ?: set_number(damon, path, count, problem);
	for (size_t i = 0; i < count && r == 0; i++) {
		snprintf(path, sizeof(path), CONTEXT "/targets/%zu/regions/%zu/start", index, i);
		r = set_number(damon, path, ranges[i].start, problem);
		snprintf(path, sizeof(path), CONTEXT "/targets/%zu/regions/%zu/end", index, i);
		r = r ?: set_number(damon, path, ranges[i].end, problem);
	}
	return r;
}

int damon_schemes(struct damon *damon, unsigned count, struct tier_problem *problem)
{
	return set_number(damon, CONTEXT "/schemes/nr_schemes", count, problem);
}

int damon_scheme_set(struct damon *damon, unsigned index, struct tier_problem *problem,
		     const char *file, const char *format, ...)
{
	char path[256], value[64];
	va_list arguments;

	snprintf(path, sizeof(path), CONTEXT "/schemes/%u/%s", index, file);
	va_start(arguments, format);
	vsnprintf(value, sizeof(value), format, arguments);
	va_end(arguments);
	return set(damon, path, value, problem);
}

int damon_scheme(struct damon *damon, unsigned index, const char *action, uint64_t apply_usec,
		 struct tier_problem *problem)
{
	int r = damon_scheme_set(damon, index, problem, "action", "%s", action);

	r = r
		    ?: damon_scheme_set(damon, index, problem, "access_pattern/sz/max", "%" PRIu64,
					UINT64_MAX);
	r = r
		    ?: damon_scheme_set(damon, index, problem, "access_pattern/nr_accesses/max",
					"%u", UINT32_MAX);
	r = r
		    ?: damon_scheme_set(damon, index, problem, "access_pattern/age/max", "%u",
					UINT32_MAX);
	return r
		       ?: damon_scheme_set(damon, index, problem, "apply_interval_us", "%" PRIu64,
					   apply_usec);
}

int damon_scheme_get(struct damon *damon, unsigned index, const char *file, uint64_t *ret,
		     struct tier_problem *problem)
{
	int r = sysfs_read_u64(&damon->sysfs, ret, KDAMONDS "/%u/" CONTEXT "/schemes/%u/%s",
			       damon->kdamond, index, file);

	if (r)
		return tier_problem_set(problem, r < 0 ? r : -ENODATA, "DAMON", NULL,
					"cannot read scheme %u's %s", index, file);
	return 0;
}

int damon_start(struct damon *damon, struct tier_problem *problem)
{
	char path[64];
	int r;

	snprintf(path, sizeof(path), KDAMONDS "/%u/state", damon->kdamond);
	r = write_file(damon, path, "on");
	if (r == -EBUSY)
		return tier_problem_set(problem, TIER_E_BUSY, "DAMON", "see tierctl doctor",
					"the kernel's own monitoring keeps it");
	if (r < 0)
		return tier_problem_set(problem, r, "DAMON", "see tierctl doctor",
					"cannot be started");
	return 0;
}

int damon_await(struct damon *damon, struct tier_problem *problem)
{
	return set(damon, "state", "update_schemes_tried_bytes", problem);
}

int damon_run(struct damon *damon, struct tier_problem *problem)
{
	int r = damon_start(damon, problem);

	return r ?: damon_await(damon, problem);
}

int damon_commit(struct damon *damon, struct tier_problem *problem)
{
	return set(damon, "state", "commit", problem);
}

void damon_stop(struct damon *damon)
{
	(void)set(damon, "state", "off", NULL);
}

int damon_look(struct damon *damon, struct tier_problem *problem)
{
	return set(damon, "state", "update_schemes_tried_regions", problem);
}

int damon_stats(struct damon *damon, struct tier_problem *problem)
{
	return set(damon, "state", "update_schemes_stats", problem);
}
