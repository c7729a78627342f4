/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/fs.h>
#include <numaif.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cgroup.h"
#include "fd.h"
#include "heat-watch.h"
#include "mover-maps.h"
#include "mover-process.h"

/* DAMON has a scheme for each, which it asks about each part of memory. */
#define PROCESSES_MAX 16
#define RANGES_MAX    32
/* Pages so near each other are one range; farther ones are, too, if there are too many. */
#define NEAR_BYTES   (256 * KIB)
#define PRESENT_MAX  8192
#define SCAN_REGIONS 256

#define PLACES 4096
#define BATCH  512

static void watch_done(struct heat_watch *watch)
{
	heat_ranges_done(&watch->present);
	heat_ranges_done(&watch->ranges);
}

void heat_watches_done(struct heat_watches *watches)
{
	for (size_t i = 0; i < watches->count; i++)
		watch_done(&watches->list[i]);
	free(watches->list);
	*watches = (struct heat_watches){};
}

/* A mapping may be terabytes with hardly a page in it: the kernel is asked where there are any. */
static int scan(int pagemap, uint64_t start, uint64_t end, struct heat_ranges *ret)
{
	struct page_region regions[SCAN_REGIONS];
	int r = 0;

	while (r == 0 && start < end) {
		struct pm_scan_arg arg = {
			.size = sizeof(arg),
			.start = start,
			/* The process' own changes of its mappings wait for each call. */
			.end = MIN(end, start + GIB),
			.vec = (uintptr_t)regions,
			.vec_len = SCAN_REGIONS,
			/* Nobody can tell who touches the zero page. */
			.category_mask = PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
			.category_inverted = PAGE_IS_PFNZERO,
			.return_mask = PAGE_IS_PRESENT,
		};
		int n = ioctl(pagemap, PAGEMAP_SCAN, &arg);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; r == 0 && i < n; i++)
			r = heat_ranges_append(ret, regions[i].start, regions[i].end, NEAR_BYTES);
		if (ret->count > PRESENT_MAX)
			heat_ranges_reduce(ret, PRESENT_MAX / 2);
		if (arg.walk_end <= start)
			break;
		start = arg.walk_end;
	}
	return r;
}

static int watch_read(const struct sysfs *root, int pid, struct heat_watch *ret)
{
	const struct tier_move_request request = {.pid = pid};
	_cleanup_(ranges_done) struct ranges mapped = {};
	_cleanup_close_ int pagemap = -1;
	struct heat_watch watch = {.pid = pid};
	int r = mover_identify(root, pid, &watch.identity);

	r = r ?: ranges_read(&request, &mapped);
	if (r)
		return r;
	pagemap = sysfs_open_file(root, O_RDONLY, "proc/%d/pagemap", pid);
	if (pagemap < 0)
		return pagemap == -ENOENT ? -ESRCH : pagemap == -EACCES ? -EPERM : pagemap;
	for (size_t i = 0; i < mapped.count && r == 0; i++)
		r = scan(pagemap, mapped.list[i].start, mapped.list[i].end, &watch.present);
	r = r ?: heat_ranges_unite(&watch.ranges, &watch.present);
	/* Else what was looked at may be somebody else's. */
	if (r == 0 && !heat_watch_lives(root, &watch))
		r = -ESRCH;
	if (r) {
		watch_done(&watch);
		return r;
	}
	heat_ranges_reduce(&watch.ranges, RANGES_MAX);
	*ret = watch;
	return 0;
}

bool heat_watch_lives(const struct sysfs *root, const struct heat_watch *watch)
{
	struct process_identity now;

	return mover_identify(root, watch->pid, &now) == 0 &&
	       process_identity_same(&now, &watch->identity);
}

struct listing {
	const struct sysfs *root;
	struct heat_watches *watches;
	int refused; /* the first that could not be looked at */
	int refused_pid;
};

static int add_process(void *userdata, pid_t pid)
{
	struct listing *listing = userdata;
	struct heat_watch watch = {}, *place;
	int r;

	if (pid == 0) {
		listing->watches->hidden++;
		return 0;
	}
	for (size_t i = 0; i < listing->watches->count; i++)
		if (listing->watches->list[i].pid == pid)
			return 0;
	r = watch_read(listing->root, pid, &watch);
	if (r == -ENOMEM)
		return r;
	if (r && r != -ESRCH && listing->refused == 0) {
		listing->refused = r;
		listing->refused_pid = pid;
	}
	if (r || watch.ranges.count == 0) {
		watch_done(&watch);
		return 0;
	}
	place = array_grow(&listing->watches->list, &listing->watches->count, sizeof(*place));
	if (!place) {
		watch_done(&watch);
		return -ENOMEM;
	}
	*place = watch;
	return 0;
}

static int larger_first(const void *a, const void *b)
{
	uint64_t x = heat_ranges_bytes(&((const struct heat_watch *)a)->present);
	uint64_t y = heat_ranges_bytes(&((const struct heat_watch *)b)->present);

	return x > y ? -1 : x < y;
}

static int by_pid(const void *a, const void *b)
{
	const struct heat_watch *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int read_group(const char *cgroup, const struct sysfs *root, struct heat_watches *watches,
		      struct tier_problem *problem)
{
	struct listing listing = {.root = root, .watches = watches};
	int r = cgroup_processes(cgroup, add_process, &listing);

	if (r == -ENOENT || (r == 0 && watches->count == 0 && !listing.refused))
		return tier_problem_set(
			problem, TIER_E_NOT_FOUND, cgroup, "see systemctl status",
			watches->hidden ? "all of its processes are of another PID namespace"
					: "no process with memory is in it or below it");
	if (r == 0 && listing.refused) {
		char object[32];

		snprintf(object, sizeof(object), "process %d", listing.refused_pid);
		return tier_problem_set(problem, listing.refused, object, "run as root",
					"cannot be looked at");
	}
	if (r)
		return tier_problem_set(problem, r, cgroup, NULL, "cannot list its processes");
	qsort(watches->list, watches->count, sizeof(*watches->list), larger_first);
	while (watches->count > PROCESSES_MAX) {
		watch_done(&watches->list[--watches->count]);
		watches->left_out++;
	}
	qsort(watches->list, watches->count, sizeof(*watches->list), by_pid);
	return 0;
}

static int read_one(int pid, const struct sysfs *root, struct heat_watches *watches,
		    struct tier_problem *problem)
{
	struct process_identity identity;
	struct heat_watch *watch;
	char object[32];
	int r;

	snprintf(object, sizeof(object), "process %d", pid);
	watch = array_grow(&watches->list, &watches->count, sizeof(*watch));
	r = watch ? watch_read(root, pid, watch) : -ENOMEM;
	if (r == -ESRCH && mover_identify(root, pid, &identity) != 0)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, object, "see ps -e",
					"there is no such process");
	/* The kernel says so of who has none. */
	if (r == -ESRCH)
		r = 0;
	if (r)
		return tier_problem_set(problem, r, object, r == -EPERM ? "run as root" : NULL,
					"cannot be looked at");
	if (watch->ranges.count == 0)
		return tier_problem_set(
			problem, TIER_E_REFUSED, object,
			"take another, or host for the whole machine",
			"has no memory of its own: it has ended, or is the kernel's");
	return 0;
}

int heat_watch_read(const struct tier_heat_request *request, const struct sysfs *root,
		    struct heat_watches *ret, struct tier_problem *problem)
{
	struct heat_watches watches = {};
	int r = request->cgroup ? read_group(request->cgroup, root, &watches, problem)
				: read_one(request->pid, root, &watches, problem);

	if (r) {
		heat_watches_done(&watches);
		if (problem)
			make_printable(problem->object);
		return r;
	}
	*ret = watches;
	return 0;
}

struct places {
	struct heat_place *list;
	size_t count;
};

static int add_places(int pid, uint32_t space, size_t count, void **addresses,
		      struct places *places)
{
	int status[BATCH];

	/* It has ended, or is nobody's to ask: then it is not known. */
	if (count == 0 || move_pages(pid, count, addresses, NULL, status, 0) < 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		struct heat_place *place;

		if (status[i] < 0)
			continue;
		place = array_grow(&places->list, &places->count, sizeof(*place));
		if (!place)
			return -ENOMEM;
		*place = (struct heat_place){
			.address = (uintptr_t)addresses[i],
			.space = space,
			.node = status[i],
		};
	}
	return 0;
}

static int sample(const struct heat_watch *watch, uint32_t space, uint64_t step,
		  struct places *places)
{
	void *addresses[BATCH];
	uint64_t next = step / 2 & ~UINT64_C(4095), before = 0;
	size_t count = 0;
	int r = 0;

	/* @next and @before count bytes of its pages, as if nothing lay between them. */
	for (size_t i = 0; i < watch->present.count && r == 0; i++) {
		const struct heat_range *range = &watch->present.list[i];

		for (; next - before < range->end - range->start && r == 0; next += step) {
			addresses[count++] = (void *)(uintptr_t)(range->start + (next - before));
			if (count < BATCH)
				continue;
			r = add_places(watch->pid, space, count, addresses, places);
			count = 0;
		}
		before += range->end - range->start;
	}
	return r ?: add_places(watch->pid, space, count, addresses, places);
}

int heat_watch_places(const struct heat_watches *watches, const uint32_t *spaces,
		      struct heat_record *record)
{
	struct places places = {};
	uint64_t bytes = 0, step;
	int r = 0;

	for (size_t i = 0; i < watches->count; i++)
		bytes += heat_ranges_bytes(&watches->list[i].present);
	step = ROUND_UP(MAX(bytes / PLACES, UINT64_C(4096)), UINT64_C(4096));
	for (size_t i = 0; i < watches->count && r == 0; i++)
		r = sample(&watches->list[i], spaces[i], step, &places);
	if (r || places.count == 0) {
		free(places.list);
		return r;
	}
	free(record->places);
	record->places = places.list;
	record->place_count = places.count;
	record->place_bytes = step;
	return 0;
}
