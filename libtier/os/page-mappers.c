/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "clock.h"
#include "fd.h"
#include "page-look.h"

/* Source: admin-guide/mm/pagemap. */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_FRAME	((UINT64_C(1) << 55) - 1)

/* Entries of a pagemap in one read. */
#define BATCH 4096

struct process {
	int pid;
	uint64_t resident_pages;
};

struct search {
	const struct page_look *look;
	const struct sysfs *sysfs;
	uint64_t end_usec;
	uint64_t mappings,
		found; /* of pages that stay; all that there are, UINT64_MAX: not known */
	bool late;
};

static int open_of(const struct search *search, const char *format, ...)
{
	va_list arguments;
	int fd;

	va_start(arguments, format);
	fd = sysfs_open_file(search->sysfs, O_RDONLY, format, arguments);
	va_end(arguments);
	return fd;
}

/* Only these are worth looking for: what the kernel has for itself nobody maps. */
static bool wanted(const struct page_look *look, size_t i)
{
	return look->holders[i] == TIER_HOLDER_PINNED || look->holders[i] == TIER_HOLDER_HUGETLB ||
	       look->holders[i] == TIER_HOLDER_NO_ROOM || look->holders[i] == TIER_HOLDER_HWPOISON;
}

static uint64_t count_entries(struct search *search, const uint64_t *entries, size_t count)
{
	const struct page_look *look = search->look;
	uint64_t pages = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t at = (entries[i] & PAGEMAP_FRAME) - look->first_frame;

		pages += entries[i] & PAGEMAP_PRESENT && at < look->page_count && wanted(look, at);
	}
	return pages;
}

/* Of a range of addresses in which all pages, or many, are there. */
static uint64_t count_range(struct search *search, int pagemap, uint64_t start, uint64_t end)
{
	uint64_t page_bytes = search->look->page_bytes, pages = 0, entries[BATCH];

	for (uint64_t at = start; at < end && !search->late;) {
		size_t count = (size_t)MIN((end - at) / page_bytes, (uint64_t)BATCH);
		ssize_t n = pread(pagemap, entries, count * sizeof(*entries),
				  (off_t)(at / page_bytes * sizeof(*entries)));

		if (n <= 0)
			break;
		pages += count_entries(search, entries, (size_t)n / sizeof(*entries));
		at += (uint64_t)n / sizeof(*entries) * page_bytes;
		search->late = now_usec() >= search->end_usec;
	}
	return pages;
}

/* Reserved addresses may be a million times what is there, so the kernel is asked where that is. */
static uint64_t count_mapping(struct search *search, int pagemap, uint64_t start, uint64_t end)
{
	struct page_region regions[64];
	uint64_t pages = 0;

	while (start < end && !search->late) {
		struct pm_scan_arg scan = {
			.size = sizeof(scan),
			.start = start,
			.end = end,
			.vec = (uintptr_t)regions,
			.vec_len = ARRAY_SIZE(regions),
			.category_mask = PAGE_IS_PRESENT,
			.return_mask = PAGE_IS_PRESENT,
		};
		int n = ioctl(pagemap, PAGEMAP_SCAN, &scan);

		if (n < 0) /* before 6.7 */
			return pages + count_range(search, pagemap, start, end);
		for (int i = 0; i < n; i++)
			pages += count_range(search, pagemap, regions[i].start, regions[i].end);
		if (scan.walk_end <= start)
			break;
		start = scan.walk_end;
	}
	return pages;
}

static uint64_t count_pages(struct search *search, int pid)
{
	_cleanup_free_ char *maps = NULL;
	_cleanup_close_ int pagemap = open_of(search, "proc/%d/pagemap", pid);
	uint64_t pages = 0, start, end;
	char *save = NULL;

	if (pagemap < 0 || sysfs_read_text(search->sysfs, &maps, "proc/%d/maps", pid) != 0)
		return 0;
	for (char *line = strtok_r(maps, "\n", &save); line && !search->late;
	     line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2)
			pages += count_mapping(search, pagemap, start, end);
	return pages;
}

/* A process chooses its name, which may be any bytes. */
static void printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* QEMU's "-name guest=web1,debug-threads=on" or "-name web1". */
static void read_vm(const struct search *search, struct tier_holder_process *process)
{
	_cleanup_close_ int fd = open_of(search, "proc/%d/cmdline", process->pid);
	char text[4096];
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	for (char *word = text; word < text + n; word += strlen(word) + 1) {
		char *name = word + strlen(word) + 1;

		if (!streq(word, "-name") || name >= text + n)
			continue;
		if (strncmp(name, "guest=", strlen("guest=")) == 0)
			name += strlen("guest=");
		name[strcspn(name, ",")] = '\0';
		(void)copy_string(process->vm, sizeof(process->vm), name);
		printable(process->vm);
		return;
	}
}

static void read_pins(const struct search *search, struct tier_holder_process *process)
{
	_cleanup_names_ struct sysfs_names files = {};
	char target[128];

	if (sysfs_list(search->sysfs, &files, "", "proc/%d/fd", process->pid) != 0)
		return;
	for (size_t i = 0; i < files.count; i++) {
		if (sysfs_read_link(search->sysfs, target, sizeof(target), "proc/%d/fd/%s",
				    process->pid, files.names[i]) != 0)
			continue;
		if (strncmp(target, "/dev/vfio/", strlen("/dev/vfio/")) == 0)
			process->pins |= TIER_PINS_VFIO;
		else if (strncmp(target, "/dev/infiniband/", strlen("/dev/infiniband/")) == 0)
			process->pins |= TIER_PINS_RDMA;
		else if (streq(target, "anon_inode:[io_uring]"))
			process->pins |= TIER_PINS_IO_URING;
	}
}

static void look_at(struct search *search, int pid, struct tier_block_holders *holders)
{
	struct tier_holder_process process = {.pid = pid};

	process.pages = count_pages(search, pid);
	if (process.pages == 0)
		return;
	search->found += process.pages;
	if (sysfs_read_string(search->sysfs, process.comm, sizeof(process.comm), "proc/%d/comm",
			      pid) != 0)
		copy_string(process.comm, sizeof(process.comm), "?");
	printable(process.comm);
	read_vm(search, &process);
	page_holders_add_process(holders, &process);
}

static int compare(const void *a, const void *b)
{
	const struct process *left = a, *right = b;

	return (right->resident_pages > left->resident_pages) -
	       (right->resident_pages < left->resident_pages);
}

/* Those with memory, the largest first: a VM rather than a shell. */
static int list_processes(const struct sysfs *sysfs, struct process **ret, size_t *ret_count)
{
	_cleanup_names_ struct sysfs_names names = {};
	_cleanup_free_ struct process *list = NULL;
	size_t count = 0;
	int r = sysfs_list(sysfs, &names, "", "proc");

	for (size_t i = 0; r == 0 && i < names.count; i++) {
		uint64_t resident;
		char text[128];
		struct process *process;

		if (sysfs_read_string(sysfs, text, sizeof(text), "proc/%s/statm", names.names[i]) !=
			    0 ||
		    sscanf(text, "%*s %" SCNu64, &resident) != 1 || resident == 0)
			continue;
		process = array_grow(&list, &count, sizeof(*list));
		if (!process)
			return -ENOMEM;
		*process = (struct process){atoi(names.names[i]), resident};
	}
	if (count > 0)
		qsort(list, count, sizeof(*list), compare);
	*ret = TAKE(list);
	*ret_count = count;
	return 0;
}

int page_mappers_find(const struct page_look *look, const struct sysfs *sysfs,
		      uint64_t timeout_usec, struct tier_block_holders *holders)
{
	struct search search = {look, sysfs, .end_usec = now_usec() + timeout_usec};
	_cleanup_free_ struct process *list = NULL;
	size_t count = 0, pages = 0;
	int r;

	holders->process_count = holders->processes_found = 0;
	holders->processes_partial = false;
	for (size_t i = 0; i < look->page_count; i++)
		if (wanted(look, i)) {
			pages++;
			search.mappings += look->counts ? look->counts[i] : 0;
		}
	if (pages == 0)
		return 0;
	if (!look->counts)
		search.mappings = UINT64_MAX;
	r = list_processes(sysfs, &list, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count && search.found < search.mappings && !search.late; i++)
		look_at(&search, list[i].pid, holders);
	holders->processes_partial = search.late;
	for (size_t i = 0; i < holders->process_count; i++)
		read_pins(&search, &holders->processes[i]);
	return 0;
}
