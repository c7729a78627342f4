/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "clock.h"
#include "page-look.h"
#include "process-pages.h"

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

/* Only these are worth looking for: what the kernel has for itself nobody maps. */
static bool wanted(const struct page_look *look, size_t i)
{
	return look->holders[i] == TIER_HOLDER_PINNED || look->holders[i] == TIER_HOLDER_HUGETLB ||
	       look->holders[i] == TIER_HOLDER_NO_ROOM || look->holders[i] == TIER_HOLDER_HWPOISON;
}

/* How many pages of a process stay. */
struct tally {
	struct search *search;
	uint64_t pages;
};

static int count_entries(void *userdata, const uint64_t *entries, size_t count)
{
	struct tally *tally = userdata;
	struct search *search = tally->search;
	const struct page_look *look = search->look;

	for (size_t i = 0; i < count; i++) {
		uint64_t frame;
		bool there = process_page(entries[i], &frame);

		tally->pages += there && frame - look->first_frame < look->page_count &&
				wanted(look, frame - look->first_frame);
	}
	search->late = now_usec() >= search->end_usec;
	return search->late;
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
	struct tally tally = {.search = search};

	/* One that has ended holds nothing any more, and of one that hides its pages none is found. */
	(void)process_pages(search->sysfs, pid, count_entries, &tally);
	if (tally.pages == 0)
		return;
	process.pages = tally.pages;
	search->found += process.pages;
	process_names(search->sysfs, pid, process.comm, sizeof(process.comm), process.vm,
		      sizeof(process.vm));
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
