/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fd.h"
#include "ram-file.h"
#include "tier-portal.h"

#define PAGEMAP_PRESENT	   (UINT64_C(1) << 63)
#define PAGEMAP_SOFT_DIRTY (UINT64_C(1) << 55)
#define PAGEMAP_PFN	   ((UINT64_C(1) << 55) - 1)
#define PAGEMAP_CHUNK	   8192
#define CHECKSUM_CHUNK	   1024

struct ram_file *ram_file_free(struct ram_file *ram)
{
	if (!ram)
		return NULL;
	ram_file_release(ram);
	if (ram->map)
		munmap(ram->map, ram->bytes);
	closep(&ram->fd);
	free(ram->pfns);
	free(ram->checksums);
	free(ram->stale);
	free(ram);
	return NULL;
}

int ram_file_open(const char *path, uint64_t bytes, bool writable, struct ram_file **ret,
		  struct tier_problem *problem)
{
	_cleanup_(ram_file_freep) struct ram_file *ram = calloc(1, sizeof(*ram));
	struct stat st;

	if (!ram)
		return -ENOMEM;
	copy_string(ram->path, sizeof(ram->path), path);
	ram->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
	if (ram->fd < 0 || fstat(ram->fd, &st) < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot open the VM's RAM");
	if (!S_ISREG(st.st_mode))
		return tier_problem_set(problem, TIER_E_REFUSED, path, NULL, "is no plain file");
	if ((uint64_t)st.st_size < bytes)
		return tier_problem_set(problem, TIER_E_REFUSED, path, NULL,
					"is smaller than the VM's RAM");
	ram->bytes = bytes;
	ram->crc32c = checksum_fastest();
	ram->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	ram->pages = bytes / ram->page_bytes;
	ram->pfns = calloc(ram->pages, sizeof(*ram->pfns));
	ram->checksums = calloc(ram->pages, sizeof(*ram->checksums));
	ram->stale = malloc(ram->pages);
	if (!ram->pfns || !ram->checksums || !ram->stale)
		return -ENOMEM;
	memset(ram->stale, 1, ram->pages);
	/* Aligned as QEMU has it, so that 2 MiB folios stay mapped whole. */
	ram->map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, ram->fd, 0);
	if (ram->map == MAP_FAILED) {
		ram->map = NULL;
		return tier_problem_set(problem, -errno, path, NULL, "cannot map the VM's RAM");
	}
	*ret = TAKE(ram);
	return 0;
}

/* Faults in what the file holds, and nothing else: reading a hole would fill it. */
static int populate(struct ram_file *ram)
{
	off_t data = 0, hole;

	for (;;) {
		data = lseek(ram->fd, data, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		if ((uint64_t)data >= ram->bytes)
			return 0;
		hole = lseek(ram->fd, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		if ((uint64_t)hole > ram->bytes)
			hole = (off_t)ram->bytes;
		if (madvise(ram->map + data, (size_t)(hole - data), MADV_POPULATE_READ) < 0)
			return -errno;
		data = hole;
	}
}

/* Calls @visit for each page's pagemap entry of @pid (0: this process) from @start on. */
static int walk_pagemap(pid_t pid, uint64_t start, uint64_t pages, uint64_t page_bytes,
			int (*visit)(void *userdata, uint64_t page, uint64_t entry), void *userdata)
{
	_cleanup_free_ uint64_t *entries = calloc(PAGEMAP_CHUNK, sizeof(*entries));
	_cleanup_close_ int fd = -1;
	char path[64] = "/proc/self/pagemap";
	int r = 0;

	if (!entries)
		return -ENOMEM;
	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	for (uint64_t page = 0; page < pages;) {
		uint64_t wanted = MIN(pages - page, (uint64_t)PAGEMAP_CHUNK);
		off_t at = (off_t)((start / page_bytes + page) * sizeof(*entries));
		ssize_t n = pread(fd, entries, wanted * sizeof(*entries), at);

		if (n < 0)
			return -errno;
		/* Nothing to read: the address space has gone. */
		if (n < (ssize_t)sizeof(*entries))
			return -ESRCH;
		for (size_t i = 0; i < (size_t)n / sizeof(*entries) && r == 0; i++)
			r = visit(userdata, page + i, entries[i]);
		if (r)
			return r;
		page += (size_t)n / sizeof(*entries);
	}
	return 0;
}

static int store_pfn(void *userdata, uint64_t page, uint64_t entry)
{
	struct ram_file *ram = userdata;
	uint64_t pfn = entry & PAGEMAP_PRESENT ? entry & PAGEMAP_PFN : 0;

	if (entry & PAGEMAP_PRESENT && pfn == 0)
		return -EPERM; /* pfns are hidden without CAP_SYS_ADMIN */
	/* Where it lies now it has not been written back from the caches. */
	if (pfn && pfn != ram->pfns[page])
		ram->stale[page] = 1;
	ram->pfns[page] = pfn;
	return 0;
}

int ram_file_locate(struct ram_file *ram, struct tier_problem *problem)
{
	int r = populate(ram);

	if (r)
		return tier_problem_set(problem, r, ram->path, NULL, "cannot populate");
	r = walk_pagemap(0, (uintptr_t)ram->map, ram->pages, ram->page_bytes, store_pfn, ram);
	if (r)
		return tier_problem_set(problem, r, ram->path, "run as root",
					"cannot read where its pages lie");
	return 0;
}

static int compare_pfn(void *userdata, uint64_t page, uint64_t entry)
{
	struct ram_file *ram = userdata;
	uint64_t pfn = entry & PAGEMAP_PRESENT ? entry & PAGEMAP_PFN : 0;

	/* Unmapped from us only: nothing is known until it is faulted in again. */
	if (pfn == 0 && ram->pfns[page]) {
		(void)*(volatile uint8_t *)(ram->map + page * ram->page_bytes);
		return -EAGAIN;
	}
	return pfn == ram->pfns[page] ? 0 : TIER_E_STALE;
}

int ram_file_verify_placement(struct ram_file *ram, struct tier_problem *problem)
{
	int r = populate(ram);

	for (int attempt = 0; r == 0 && attempt < 3; attempt++) {
		r = walk_pagemap(0, (uintptr_t)ram->map, ram->pages, ram->page_bytes, compare_pfn,
				 ram);
		if (r != -EAGAIN)
			break;
		r = attempt < 2 ? 0 : TIER_E_STALE;
	}
	if (r == TIER_E_STALE)
		return tier_problem_set(problem, r, ram->path, "it runs on here; send it again",
					"its pages moved after they were published");
	if (r)
		return tier_problem_set(problem, r, ram->path, NULL,
					"cannot verify where its pages lie");
	return 0;
}

static int is_soft_dirty(void *userdata, uint64_t page, uint64_t entry)
{
	*(bool *)userdata = entry & PAGEMAP_SOFT_DIRTY;
	return 0;
}

/* Does a page that has just been written to show as such? */
static bool soft_dirty_works(uint64_t page_bytes)
{
	bool dirty = false;
	volatile uint8_t *page =
		mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	page[0] = 1;
	(void)walk_pagemap(0, (uintptr_t)page, 1, page_bytes, is_soft_dirty, &dirty);
	munmap((void *)page, page_bytes);
	return dirty;
}

int ram_file_watch(struct ram_file *ram, pid_t pid, struct tier_problem *problem)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	ram->watched = soft_dirty_works(ram->page_bytes);
	if (!ram->watched)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/clear_refs", pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "4", 1) != 1)
		return tier_problem_set(problem, -errno, path, NULL,
					"cannot clear soft-dirty bits");
	return 0;
}

static int mark_written(void *userdata, uint64_t page, uint64_t entry)
{
	struct ram_file *ram = userdata;

	if (!(entry & PAGEMAP_PRESENT) || entry & PAGEMAP_SOFT_DIRTY)
		ram->stale[page] = 1;
	return 0;
}

int ram_file_mark_written(struct ram_file *ram, pid_t pid, uint64_t start,
			  struct tier_problem *problem)
{
	int r;

	if (!ram->watched) {
		memset(ram->stale, 1, ram->pages);
		return 0;
	}
	r = walk_pagemap(pid, start, ram->pages, ram->page_bytes, mark_written, ram);
	if (r)
		return tier_problem_set(problem, r, ram->path, NULL,
					"cannot read what process %d has written", pid);
	return 0;
}

void ram_file_flush(const struct ram_file *ram)
{
	for (uint64_t page = 0; page < ram->pages; page++) {
		if (ram->pfns[page])
			cache_flush(ram->cache, ram->map + page * ram->page_bytes, ram->page_bytes);
	}
}

int ram_file_checksum(struct ram_file *ram,
		      int (*progress)(void *userdata, uint64_t done, uint64_t total),
		      void *userdata, uint64_t *ret_taken)
{
	uint64_t taken = 0, done = 0, total = 0;

	for (uint64_t page = 0; page < ram->pages; page++)
		total += ram->pfns[page] && ram->stale[page];
	for (uint64_t page = 0; page < ram->pages; page++) {
		if (!ram->pfns[page] || !ram->stale[page])
			continue;
		ram->checksums[page] =
			ram->crc32c(0, ram->map + page * ram->page_bytes, ram->page_bytes);
		cache_flush(ram->cache, ram->map + page * ram->page_bytes, ram->page_bytes);
		ram->stale[page] = 0;
		taken++;
		if (++done % CHECKSUM_CHUNK == 0 && progress && progress(userdata, done, total))
			return TIER_E_CANCELLED;
	}
	if (progress)
		(void)progress(userdata, done, total);
	if (ret_taken)
		*ret_taken = taken;
	return 0;
}
