/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <numaif.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>

#include "clock.h"
#include "fd.h"
#include "mover-engine.h"
#include "mover-folio.h"
#include "mover-maps.h"
#include "mover-process.h"
#include "mover-room.h"
#include "sysfs.h"
#include "util.h"

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_ENTRIES 4096

struct process {
	pid_t pid;
	int pidfd;    /* -1 where the kernel gives none: threads other than the first */
	int pagemap;  /* -1: cannot be read */
	int flags;    /* /proc/kpageflags; -1 without privilege */
	bool no_scan; /* the kernel does not know PAGEMAP_SCAN */
	uint64_t page_bytes;
	struct room room; /* of the destination */
};

static void process_done(struct process *process)
{
	closep(&process->pidfd);
	closep(&process->pagemap);
	closep(&process->flags);
	room_done(&process->room);
}

/* A process that ended while it is worked on; also keeps a number that was given to another away. */
static bool gone(const struct process *process)
{
	struct pollfd pollfd = {.fd = process->pidfd, .events = POLLIN};

	return process->pidfd >= 0 && poll(&pollfd, 1, 0) > 0;
}

/* move_pages() says EINVAL of a process that has no memory any more. */
static int failed(int error)
{
	return error == EINVAL ? -ESRCH : -error;
}

static int real_query(void *userdata, unsigned count, void **addresses, int *status)
{
	struct process *process = userdata;

	if (gone(process))
		return -ESRCH;
	if (move_pages(process->pid, count, addresses, NULL, status, 0) < 0)
		return failed(errno);
	return 0;
}

static int real_move(void *userdata, unsigned count, void **addresses, int node, bool shared,
		     int *status)
{
	struct process *process = userdata;
	int nodes[MOVER_BATCH_MAX];
	long r;

	if (gone(process))
		return -ESRCH;
	for (unsigned i = 0; i < count; i++)
		nodes[i] = node;
	r = move_pages(process->pid, count, addresses, nodes, status,
		       shared ? MPOL_MF_MOVE_ALL : MPOL_MF_MOVE);
	return r < 0 ? failed(errno) : (int)r;
}

static int scan(struct process *process, uint64_t start, uint64_t end, uint64_t *ret_page,
		enum mover_huge *ret_huge)
{
	struct page_region region = {};
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		/* Present, and not the zero page, which nobody can move. */
		.category_mask = PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
		.category_inverted = PAGE_IS_PFNZERO,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_HUGE,
	};
	int r = ioctl(process->pagemap, PAGEMAP_SCAN, &arg);

	if (r < 0)
		return -errno;
	if (r == 0)
		return 0;
	*ret_page = region.start;
	*ret_huge = region.categories & PAGE_IS_HUGE ? MOVER_HUGE_YES : MOVER_HUGE_NO;
	return 1;
}

static int read_pagemap(struct process *process, uint64_t start, uint64_t end, uint64_t *ret_page)
{
	uint64_t entries[PAGEMAP_ENTRIES];

	for (uint64_t at = start; at < end;) {
		size_t want = MIN((end - at) / process->page_bytes, ARRAY_SIZE(entries));
		ssize_t n = pread(process->pagemap, entries, want * sizeof(entries[0]),
				  (off_t)(at / process->page_bytes * sizeof(entries[0])));

		if (n < 0 && errno == EINTR)
			continue;
		/* Nothing to read: past what the kernel shows, or the process has gone. */
		if (n <= 0)
			return -EOPNOTSUPP;
		for (size_t i = 0; i < (size_t)n / sizeof(entries[0]);
		     i++, at += process->page_bytes)
			if (entries[i] & PAGEMAP_PRESENT) {
				*ret_page = at;
				return 1;
			}
	}
	return 0;
}

static int real_next_present(void *userdata, uint64_t start, uint64_t end, uint64_t *ret_page,
			     enum mover_huge *ret_huge)
{
	struct process *process = userdata;
	int r;

	if (gone(process))
		return -ESRCH;
	if (process->pagemap < 0)
		return -EOPNOTSUPP;
	while (!process->no_scan) {
		r = scan(process, start, end, ret_page, ret_huge);
		if (r >= 0)
			return r;
		/* ENOTTY: older than 6.7. Whatever else it is, the plain file may still do. */
		if (r != -EINTR)
			process->no_scan = true;
	}
	return read_pagemap(process, start, end, ret_page);
}

static int real_folios(void *userdata, uint64_t start, unsigned count, uint64_t *ret_folio)
{
	struct process *process = userdata;

	return folios_read(process->pagemap, process->flags, start / process->page_bytes, count,
			   ret_folio);
}

static uint64_t real_room(void *userdata)
{
	return room_pages(&((struct process *)userdata)->room);
}

static uint64_t real_now(void *userdata)
{
	return now_usec();
}

static void real_sleep_until(void *userdata, uint64_t usec)
{
	struct timespec ts = {.tv_sec = (time_t)(usec / 1000000),
			      .tv_nsec = (long)(usec % 1000000 * 1000)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static const struct mover_ops real_ops = {
	.query = real_query,
	.move = real_move,
	.next_present = real_next_present,
	.folios = real_folios,
	.room = real_room,
	.now = real_now,
	.sleep_until = real_sleep_until,
};

/* @text is all that there is to say: no strerror() behind it. */
#define REFUSE(problem, code, object, next, ...)                                                   \
	(tier_problem_set(problem, TIER_E_REFUSED, object, next, __VA_ARGS__), (code))

int mover_check_nodes(const struct tier_move_request *request, struct tier_problem *problem)
{
	static const char next[] = "the nodes: tierctl list nodes";
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	char object[32];
	int r;

	snprintf(object, sizeof(object), "node%d", request->to);
	if (request->to < 0)
		return REFUSE(problem, -ENODEV, object, next, "no such node");
	if (request->to < 64 && request->from == UINT64_C(1) << request->to)
		return REFUSE(problem, -EINVAL, object, NULL,
			      "is both where pages shall come from and where they shall go");
	r = sysfs_open(&sysfs, NULL);
	if (r < 0)
		return tier_problem_set(problem, r, "/", NULL, "cannot open it");
	if (!sysfs_exists(&sysfs, "sys/devices/system/node/node%d", request->to))
		return REFUSE(problem, -ENODEV, object, next, "no such node");
	if (!sysfs_list_has(&sysfs, (unsigned)request->to, "sys/devices/system/node/has_memory"))
		return REFUSE(problem, -ENODEV, object, "online a region there: tierctl online",
			      "has no memory to move pages to");
	for (int node = 0; node < 64; node++) {
		if (!(request->from >> node & 1) ||
		    sysfs_exists(&sysfs, "sys/devices/system/node/node%d", node))
			continue;
		snprintf(object, sizeof(object), "node%d", node);
		return REFUSE(problem, -ENODEV, object, next, "no such node");
	}
	return 0;
}

int mover_identify(const struct sysfs *root, pid_t pid, struct process_identity *ret)
{
	_cleanup_free_ char *stat = NULL;

	if (sysfs_read_text(root, &stat, "proc/%d/stat", pid) != 0 ||
	    !process_identity_parse(stat, ret))
		return -ESRCH;
	return 0;
}

/* While the pidfd's process lives nobody else has its number, so that who has it now is the pidfd's. */
static int check_identity(pid_t pid, const struct process_identity *wanted)
{
	_cleanup_sysfs_ struct sysfs root = SYSFS_CLOSED;
	struct process_identity now;
	int r;

	if (!wanted)
		return 0;
	r = sysfs_open(&root, NULL);
	if (r == 0)
		r = mover_identify(&root, pid, &now);
	if (r < 0)
		return r;
	return process_identity_same(&now, wanted) ? 0 : -ESRCH;
}

static int open_process(pid_t pid, const struct process_identity *identity, struct process *ret)
{
	char path[64];
	int r;

	ret->pid = pid;
	ret->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	ret->pidfd = pidfd_open(pid, 0);
	if (ret->pidfd < 0 && errno == ESRCH)
		return -ESRCH;
	r = check_identity(pid, identity);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	ret->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	ret->flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	return 0;
}

static int explain(const struct tier_move_request *request, int code, struct tier_problem *problem)
{
	char object[64];

	snprintf(object, sizeof(object), "process %d", request->pid);
	switch (code) {
	case 0:
		return 0;
	case TIER_E_CANCELLED:
		return tier_problem_set(
			problem, code, object, NULL,
			"stopped before every page was moved; what was moved stays");
	case TIER_E_NO_SPACE:
		snprintf(object, sizeof(object), "node%d", request->to);
		return tier_problem_set(problem, code, object, NULL,
					"has no free memory for more pages of process %d",
					request->pid);
	case -ESRCH:
		return REFUSE(problem, code, object, NULL, "no such process, or it has ended");
	case -EPERM:
		return REFUSE(problem, code, object, "try as root",
			      request->shared ? "not permitted to move its pages; moving shared "
						"pages needs CAP_SYS_NICE"
					      : "not permitted to look at or move its pages");
	case -EACCES:
		return REFUSE(problem, code, object, "see its cpuset.mems",
			      "its cpuset does not allow node %d", request->to);
	default:
		return tier_problem_set(problem, code, object, NULL, "cannot move pages to node %d",
					request->to);
	}
}

static int run(const struct tier_move_request *request, const struct process_identity *identity,
	       tier_move_progress progress, void *userdata, uint64_t *ready_usec,
	       struct tier_move_result *result)
{
	_cleanup_(process_done) struct process process = {
		.pidfd = -1, .pagemap = -1, .flags = -1, .room.sysfs = SYSFS_CLOSED};
	_cleanup_(ranges_done) struct ranges ranges = {};
	struct mover mover = {
		.ops = &real_ops,
		.userdata = &process,
		.request = request,
		.page_bytes = result->page_bytes,
		.progress = progress,
		.progress_userdata = userdata,
		.result = result,
		.ready_usec = *ready_usec,
	};
	int r;

	r = open_process(request->pid, identity, &process);
	if (r < 0)
		return r;
	r = room_open(&process.room, request->to, result->page_bytes);
	if (r < 0)
		return r;
	r = ranges_read(request, &ranges);
	if (r < 0)
		return r;
	/* A kernel thread or a zombie. */
	if (!ranges.any)
		return -ESRCH;
	for (size_t i = 0; i < ranges.count; i++)
		mover.total_pages += (ranges.list[i].end - ranges.list[i].start) / mover.page_bytes;
	for (size_t i = 0; i < ranges.count; i++) {
		r = mover_range(&mover, ranges.list[i].start, ranges.list[i].end);
		*ready_usec = mover.ready_usec;
		if (r)
			return r;
	}
	return 0;
}

int mover_process(const struct tier_move_request *request, const struct process_identity *identity,
		  tier_move_progress progress, void *userdata, uint64_t *ready_usec,
		  struct tier_move_result *ret, struct tier_problem *problem)
{
	struct tier_move_result result = {.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};
	uint64_t began = now_usec();
	int r = run(request, identity, progress, userdata, ready_usec, &result);

	result.elapsed_usec = now_usec() - began;
	*ret = result;
	return explain(request, r, problem);
}

int tier_move(const struct tier_move_request *request, tier_move_progress progress, void *userdata,
	      struct tier_move_result *ret, struct tier_problem *problem)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), mask = page_bytes - 1;
	uint64_t ready_usec = 0;
	char object[64];
	int r;

	*ret = (struct tier_move_result){.page_bytes = page_bytes};
	snprintf(object, sizeof(object), "process %d", request->pid);
	if (request->pid <= 0)
		return REFUSE(problem, -ESRCH, object, NULL, "no such process");
	if ((request->start | request->end) & mask ||
	    (request->end ? request->start >= request->end : request->start > 0))
		return REFUSE(problem, -EINVAL, object, NULL,
			      "range 0x%" PRIx64 "-0x%" PRIx64
			      " is empty or does not start and end with a page",
			      request->start, request->end);
	r = mover_check_nodes(request, problem);
	if (r < 0)
		return r;
	return mover_process(request, NULL, progress, userdata, &ready_usec, ret, problem);
}
