/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "fd.h"
#include "sysfs.h"
#include "tier-ras.h"
#include "vm-name.h"

/* /proc/PID/pagemap, as the kernel's admin-guide/mm/pagemap.rst has it. */
#define PAGEMAP_PRESENT	  (UINT64_C(1) << 63)
#define PAGEMAP_PFN_MASK  ((UINT64_C(1) << 55) - 1)
#define KPAGEFLAGS_NOPAGE (UINT64_C(1) << 20)

enum {
	REGIONS = 256,	 /* of present pages, for one ioctl() */
	ENTRIES = 32768, /* for one read() */
};

struct search {
	uint64_t first, end; /* page frames */
	uint64_t page_bytes;
	uint64_t *entries;
	struct page_region *regions;
};

static void search_done(struct search *search)
{
	free(search->entries);
	free(search->regions);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* How many of the pages in [start, end) of a process are searched for; negative errno. */
static int64_t count_range(const struct search *search, int pagemap, uint64_t start, uint64_t end)
{
	int64_t count = 0;

	while (start < end) {
		size_t want = MIN((end - start) / search->page_bytes, (uint64_t)ENTRIES);
		ssize_t n = pread(pagemap, search->entries, want * sizeof(uint64_t),
				  (off_t)(start / search->page_bytes * sizeof(uint64_t)));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n < (ssize_t)sizeof(uint64_t))
			break; /* the process has ended */
		for (size_t i = 0; i < (size_t)n / sizeof(uint64_t); i++) {
			uint64_t frame = search->entries[i] & PAGEMAP_PFN_MASK;

			count += (search->entries[i] & PAGEMAP_PRESENT) && frame >= search->first &&
				 frame < search->end;
		}
		start += (uint64_t)n / sizeof(uint64_t) * search->page_bytes;
	}
	return count;
}

/*
 * A mapping may be terabytes with hardly a page in it, so the kernel is asked where there are any. Before
 * Linux 6.7 it does not tell.
 */
static int64_t count_mapping(const struct search *search, int pagemap, uint64_t start, uint64_t end)
{
	int64_t count = 0;

	while (start < end) {
		struct pm_scan_arg scan = {
			.size = sizeof(scan),
			.start = start,
			.end = end,
			.vec = (uintptr_t)search->regions,
			.vec_len = REGIONS,
			.category_mask = PAGE_IS_PRESENT,
			.return_mask = PAGE_IS_PRESENT,
		};
		int regions = ioctl(pagemap, PAGEMAP_SCAN, &scan);

		if (regions < 0 && errno == EINTR)
			continue;
		if (regions < 0 && (errno == ENOTTY || errno == EINVAL))
			return count_range(search, pagemap, start, end);
		if (regions < 0)
			return -errno;
		for (int i = 0; i < regions; i++) {
			int64_t found = count_range(search, pagemap, search->regions[i].start,
						    search->regions[i].end);

			if (found < 0)
				return found;
			count += found;
		}
		if (scan.walk_end <= start)
			break;
		start = scan.walk_end;
	}
	return count;
}

/* -ESRCH, -ENOENT: it has ended. */
static int64_t count_process(const struct search *search, const char *pid)
{
	_cleanup_close_ int pagemap = -1;
	_cleanup_fclose_ FILE *maps = NULL;
	_cleanup_free_ char *line = NULL;
	char path[300];
	size_t size = 0;
	int64_t count = 0;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%s/pagemap", pid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return -errno;
	while (getline(&line, &size, maps) > 0) {
		unsigned long long start, end;
		int64_t found;

		if (sscanf(line, "%llx-%llx ", &start, &end) != 2 ||
		    strstr(line, " [vsyscall]") != NULL)
			continue;
		found = count_mapping(search, pagemap, start, end);
		if (found < 0)
			return found;
		count += found;
	}
	return count;
}

static void make_printable(char *text)
{
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void describe(const char *pid, struct tier_page_user *user)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_sysfs_ struct sysfs proc = SYSFS_CLOSED;
	char path[300], arguments[8192];
	size_t n = 0;

	if (sysfs_open(&proc, NULL) == 0)
		(void)sysfs_read_string(&proc, user->comm, sizeof(user->comm), "proc/%s/comm", pid);
	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	file = fopen(path, "re");
	if (file)
		n = fread(arguments, 1, sizeof(arguments) - 1, file);
	arguments[n] = '\0';
	if (n > 0)
		vm_name(arguments, n, user->vm, sizeof(user->vm));
	make_printable(user->comm);
}

/* True: the kernel has all of these pages, and none is mapped by anybody. */
static bool nobody(const struct search *search)
{
	static const char *const names[] = {"/proc/kpageflags", "/proc/kpagecount"};
	uint64_t count = search->end - search->first;

	if (count > ENTRIES)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd = open(names[i], O_RDONLY | O_CLOEXEC);
		ssize_t bytes = (ssize_t)(count * sizeof(uint64_t));

		if (fd < 0 || pread(fd, search->entries, (size_t)bytes,
				    (off_t)(search->first * sizeof(uint64_t))) != bytes)
			return false;
		/* A dax device's pages are none that it counts. */
		for (size_t n = 0; n < count; n++)
			if (i == 0 ? (search->entries[n] & KPAGEFLAGS_NOPAGE) != 0
				   : search->entries[n] != 0)
				return false;
	}
	return true;
}

/* Without privilege every page frame is 0. */
static bool frames_hidden(const struct search *search)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	uintptr_t here = (uintptr_t)&entry;

	return fd < 0 ||
	       pread(fd, &entry, sizeof(entry),
		     (off_t)(here / search->page_bytes * sizeof(uint64_t))) != sizeof(entry) ||
	       (entry & PAGEMAP_PFN_MASK) == 0;
}

static int search_all(const struct search *search, int (*alive)(void *userdata), void *userdata,
		      struct tier_page_user **users, size_t *count, bool *complete)
{
	_cleanup_(closedirp) DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct tier_page_user *user;
		int64_t pages;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (alive && alive(userdata) != 0) {
			*complete = false;
			return 0;
		}
		pages = count_process(search, entry->d_name);
		if (pages == -ESRCH || pages == -ENOENT)
			continue;
		if (pages < 0)
			*complete = false;
		if (pages <= 0)
			continue;
		user = array_grow(users, count, sizeof(*user));
		if (!user)
			return -ENOMEM;
		user->pid = (pid_t)strtol(entry->d_name, NULL, 10);
		user->pages = (uint64_t)pages;
		describe(entry->d_name, user);
	}
	return 0;
}

int tier_page_users(uint64_t start, uint64_t bytes, int (*alive)(void *userdata), void *userdata,
		    struct tier_page_user **ret, size_t *ret_count, bool *ret_complete)
{
	_cleanup_(search_done) struct search search = {};
	_cleanup_free_ struct tier_page_user *users = NULL;
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	bool complete = true;
	size_t count = 0;
	int r = 0;

	if (bytes == 0 || start > UINT64_MAX - bytes)
		return -EINVAL;
	search.page_bytes = page_bytes;
	search.first = start / page_bytes;
	search.end = (start + bytes - 1) / page_bytes + 1;
	search.entries = calloc(ENTRIES, sizeof(*search.entries));
	search.regions = calloc(REGIONS, sizeof(*search.regions));
	if (!search.entries || !search.regions)
		return -ENOMEM;
	if (frames_hidden(&search))
		return -EPERM;
	if (!nobody(&search))
		r = search_all(&search, alive, userdata, &users, &count, &complete);
	if (r < 0)
		return r;
	*ret = TAKE(users);
	*ret_count = count;
	*ret_complete = complete;
	return 0;
}

int tier_page_give_up(uint64_t address, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	char text[32], object[40];
	int r = sysfs_open(&sysfs, NULL);

	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	snprintf(object, sizeof(object), "page 0x%" PRIx64, address);
	if (r == 0)
		r = sysfs_write(&sysfs, text, "sys/devices/system/memory/hard_offline_page");
	/* -ENXIO: no page there that the kernel manages; -EHWPOISON: somebody was here before. */
	if (r == 0 || r == -EHWPOISON)
		return 0;
	return tier_problem_set(problem, r == -ENXIO || r == -ENOENT ? TIER_E_NOT_FOUND : r, object,
				NULL, "the kernel does not give it up");
}
