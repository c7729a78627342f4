/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>

#include "fd.h"
#include "process-pages.h"
#include "tier-ras.h"

#define KPAGEFLAGS_NOPAGE (UINT64_C(1) << 20)

/* More are not looked up one by one in what the kernel counts. */
#define FRAMES 4096

struct search {
	struct sysfs sysfs;
	uint64_t first, end; /* page frames */
	uint64_t page_bytes;
	uint64_t pages; /* of the process in hand */
};

static void search_done(struct search *search)
{
	sysfs_done(&search->sysfs);
}

static int count_entries(void *userdata, const uint64_t *entries, size_t count)
{
	struct search *search = userdata;

	for (size_t i = 0; i < count; i++) {
		uint64_t frame;
		bool there = process_page(entries[i], &frame);

		search->pages += there && frame >= search->first && frame < search->end;
	}
	return 0;
}

/* True: the kernel has all of these pages, and none is mapped by anybody. */
static bool nobody(const struct search *search)
{
	static const char *const names[] = {"/proc/kpageflags", "/proc/kpagecount"};
	uint64_t count = search->end - search->first, entries[FRAMES];

	if (count > FRAMES)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd = open(names[i], O_RDONLY | O_CLOEXEC);
		ssize_t bytes = (ssize_t)(count * sizeof(uint64_t));

		if (fd < 0 || pread(fd, entries, (size_t)bytes,
				    (off_t)(search->first * sizeof(uint64_t))) != bytes)
			return false;
		/* A dax device's pages are none that it counts. */
		for (size_t n = 0; n < count; n++)
			if (i == 0 ? (entries[n] & KPAGEFLAGS_NOPAGE) != 0 : entries[n] != 0)
				return false;
	}
	return true;
}

/* Without privilege every page frame is 0. */
static bool frames_hidden(const struct search *search)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0, frame;
	uintptr_t here = (uintptr_t)&entry;

	return fd < 0 ||
	       pread(fd, &entry, sizeof(entry),
		     (off_t)(here / search->page_bytes * sizeof(uint64_t))) != sizeof(entry) ||
	       !process_page(entry, &frame) || frame == 0;
}

static int search_all(struct search *search, int (*alive)(void *userdata), void *userdata,
		      struct tier_page_user **users, size_t *count, bool *complete)
{
	_cleanup_(closedirp) DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct tier_page_user *user;
		int pid, r;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (alive && alive(userdata) != 0) {
			*complete = false;
			return 0;
		}
		pid = atoi(entry->d_name);
		search->pages = 0;
		r = process_pages(&search->sysfs, pid, count_entries, search);
		if (r == -ESRCH || r == -ENOENT)
			continue;
		if (r < 0)
			*complete = false;
		if (r < 0 || search->pages == 0)
			continue;
		user = array_grow(users, count, sizeof(*user));
		if (!user)
			return -ENOMEM;
		user->pid = pid;
		user->pages = search->pages;
		process_names(&search->sysfs, pid, user->comm, sizeof(user->comm), user->vm,
			      sizeof(user->vm));
	}
	return 0;
}

int tier_page_users(uint64_t start, uint64_t bytes, int (*alive)(void *userdata), void *userdata,
		    struct tier_page_user **ret, size_t *ret_count, bool *ret_complete)
{
	_cleanup_(search_done) struct search search = {.sysfs = SYSFS_CLOSED};
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
	r = sysfs_open(&search.sysfs, NULL);
	if (r < 0)
		return r;
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
