/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fd.h"
#include "process-pages.h"
#include "vm-name.h"

enum {
	REGIONS = 64,	/* of present pages, for one ioctl() */
	ENTRIES = 4096, /* for one read() */
};

struct walk {
	int pagemap;
	uint64_t page_bytes;
	int (*visit)(void *userdata, const uint64_t *entries, size_t count);
	void *userdata;
};

/* Addresses at which all pages, or many, are there. */
static int walk_range(const struct walk *walk, uint64_t start, uint64_t end)
{
	uint64_t entries[ENTRIES];

	while (start < end) {
		size_t count = (size_t)MIN((end - start) / walk->page_bytes, (uint64_t)ENTRIES);
		ssize_t n = pread(walk->pagemap, entries, count * sizeof(*entries),
				  (off_t)(start / walk->page_bytes * sizeof(*entries)));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		count = (size_t)n / sizeof(*entries);
		if (count == 0)
			break; /* the process has ended */
		r = walk->visit(walk->userdata, entries, count);
		if (r)
			return r;
		start += count * walk->page_bytes;
	}
	return 0;
}

/*
 * A mapping may be terabytes with hardly a page in it, so the kernel is asked where there are any. Before
 * Linux 6.7 it does not tell.
 */
static int walk_mapping(const struct walk *walk, uint64_t start, uint64_t end)
{
	struct page_region regions[REGIONS];
	int r = 0;

	while (r == 0 && start < end) {
		struct pm_scan_arg scan = {
			.size = sizeof(scan),
			.start = start,
			.end = end,
			.vec = (uintptr_t)regions,
			.vec_len = REGIONS,
			.category_mask = PAGE_IS_PRESENT,
			.return_mask = PAGE_IS_PRESENT,
		};
		int n = ioctl(walk->pagemap, PAGEMAP_SCAN, &scan);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOTTY || errno == EINVAL))
			return walk_range(walk, start, end);
		if (n < 0)
			return -errno;
		for (int i = 0; r == 0 && i < n; i++)
			r = walk_range(walk, regions[i].start, regions[i].end);
		if (scan.walk_end <= start)
			break;
		start = scan.walk_end;
	}
	return r;
}

int process_pages(const struct sysfs *sysfs, int pid,
		  int (*visit)(void *userdata, const uint64_t *entries, size_t count),
		  void *userdata)
{
	_cleanup_close_ int pagemap = sysfs_open_file(sysfs, O_RDONLY, "proc/%d/pagemap", pid);
	_cleanup_free_ char *maps = NULL;
	struct walk walk = {pagemap, (uint64_t)sysconf(_SC_PAGESIZE), visit, userdata};
	uint64_t start, end;
	char *save = NULL;
	int r;

	if (pagemap < 0)
		return pagemap;
	r = sysfs_read_text(sysfs, &maps, "proc/%d/maps", pid);
	if (r)
		return r == SYSFS_ABSENT ? -ENOENT : r == SYSFS_DENIED ? -EACCES : r;
	for (char *line = strtok_r(maps, "\n", &save); r == 0 && line;
	     line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 &&
		    !strstr(line, " [vsyscall]"))
			r = walk_mapping(&walk, start, end);
	return r;
}

void process_names(const struct sysfs *sysfs, int pid, char *comm, size_t comm_size, char *vm,
		   size_t vm_size)
{
	_cleanup_close_ int fd = sysfs_open_file(sysfs, O_RDONLY, "proc/%d/cmdline", pid);
	char arguments[8192];
	ssize_t n = fd < 0 ? 0 : read(fd, arguments, sizeof(arguments) - 1);

	arguments[n > 0 ? n : 0] = '\0';
	vm[0] = '\0';
	if (n > 0)
		vm_name(arguments, (size_t)n, vm, vm_size);
	if (sysfs_read_string(sysfs, comm, comm_size, "proc/%d/comm", pid) != 0)
		copy_string(comm, comm_size, "?");
	/* A process chooses its name, which may be any bytes. */
	for (char *c = comm; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}
