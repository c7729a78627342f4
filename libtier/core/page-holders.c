/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "page-holders.h"
#include "util.h"

/* Source: linux/kernel-page-flags.h, admin-guide/mm/pagemap. */
enum {
	LOCKED = 0,
	REFERENCED = 2,
	UPTODATE = 3,
	DIRTY = 4,
	LRU = 5,
	ACTIVE = 6,
	SLAB = 7,
	WRITEBACK = 8,
	BUDDY = 10,
	MMAP = 11,
	ANON = 12,
	SWAPCACHE = 13,
	SWAPBACKED = 14,
	COMPOUND_HEAD = 15,
	COMPOUND_TAIL = 16,
	HUGE = 17,
	UNEVICTABLE = 18,
	HWPOISON = 19,
	NOPAGE = 20,
	KSM = 21,
	THP = 22,
	PAGE_OFFLINE = 23,
	PGTABLE = 26,
	RESERVED = 32,
};

#define BIT(n) (UINT64_C(1) << (n))

#define FREE_OR_HOLE (BIT(BUDDY) | BIT(NOPAGE))
/* Of a process or of shared memory, on the LRU lists or taken off them for a moment. */
#define OF_A_PROCESS (BIT(MMAP) | BIT(ANON) | BIT(KSM))
#define MOVABLE	     (BIT(LRU) | BIT(ANON) | BIT(KSM) | BIT(SWAPCACHE) | BIT(SWAPBACKED) | BIT(THP))
/* Only pages with contents of their own are so: of a file, if nothing else is said. */
#define WITH_CONTENTS                                                                              \
	(BIT(UPTODATE) | BIT(DIRTY) | BIT(WRITEBACK) | BIT(REFERENCED) | BIT(ACTIVE) |             \
	 BIT(UNEVICTABLE))

const char *tier_holder_name(enum tier_holder holder)
{
	static const char *const names[] = {
		[TIER_HOLDER_SLAB] = "slab",	     [TIER_HOLDER_PAGE_TABLE] = "page-table",
		[TIER_HOLDER_COMPOUND] = "compound", [TIER_HOLDER_KERNEL] = "kernel",
		[TIER_HOLDER_RESERVED] = "reserved", [TIER_HOLDER_OFFLINE] = "offline",
		[TIER_HOLDER_HUGETLB] = "hugetlb",   [TIER_HOLDER_PINNED] = "pinned",
		[TIER_HOLDER_CACHE] = "page-cache",  [TIER_HOLDER_NO_ROOM] = "no-room",
		[TIER_HOLDER_HWPOISON] = "hwpoison", [TIER_HOLDER_UNKNOWN] = "unknown",
	};

	return (size_t)holder < ARRAY_SIZE(names) ? names[holder] : "none";
}

static enum tier_holder movable_holder(uint64_t flags, bool mapped, enum page_holders_end end)
{
	if (end != PAGE_HOLDERS_TRYING)
		return PAGE_HOLDER_NONE;
	return mapped || flags & OF_A_PROCESS ? TIER_HOLDER_PINNED : TIER_HOLDER_CACHE;
}

static enum tier_holder holder_of(uint64_t flags, bool mapped, enum page_holders_end end)
{
	if (flags & FREE_OR_HOLE)
		return PAGE_HOLDER_NONE;
	if (flags & BIT(HWPOISON))
		return TIER_HOLDER_HWPOISON;
	if (flags & BIT(RESERVED))
		return TIER_HOLDER_RESERVED;
	if (flags & BIT(PAGE_OFFLINE))
		return TIER_HOLDER_OFFLINE;
	if (flags & BIT(SLAB))
		return TIER_HOLDER_SLAB;
	if (flags & BIT(PGTABLE))
		return TIER_HOLDER_PAGE_TABLE;
	if (flags & BIT(HUGE))
		return TIER_HOLDER_HUGETLB;
	if (flags & MOVABLE)
		return movable_holder(flags, mapped, end);
	/* Rings that a driver or the kernel has given to a process are mapped and not movable. */
	if (mapped || flags & BIT(MMAP))
		return end == PAGE_HOLDERS_GAVE_UP ? TIER_HOLDER_KERNEL
						   : movable_holder(flags, true, end);
	if (flags & WITH_CONTENTS)
		return end == PAGE_HOLDERS_GAVE_UP ? TIER_HOLDER_UNKNOWN
						   : movable_holder(flags, false, end);
	return flags & (BIT(COMPOUND_HEAD) | BIT(COMPOUND_TAIL)) ? TIER_HOLDER_COMPOUND
								 : TIER_HOLDER_KERNEL;
}

uint64_t page_holders_used(const uint64_t *flags, size_t page_count)
{
	uint64_t used = 0;

	for (size_t i = 0; i < page_count; i++)
		used += !(flags[i] & FREE_OR_HOLE);
	return used;
}

/* Pages of one kind turn out to be of another, or to hold nothing. */
static void change(struct tier_block_holders *holders, unsigned char *list, size_t count,
		   enum tier_holder from, enum tier_holder to)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == from)
			list[i] = (unsigned char)to;
	*(to == PAGE_HOLDER_NONE ? &holders->to_go_pages : &holders->pages[to]) +=
		holders->pages[from];
	holders->pages[from] = 0;
}

static uint64_t kernel_pages(const struct tier_block_holders *holders)
{
	uint64_t pages = 0;

	for (enum tier_holder holder = TIER_HOLDER_SLAB; holder <= TIER_HOLDER_RESERVED; holder++)
		pages += holders->pages[holder];
	return pages;
}

static void note_runs(struct tier_block_holders *holders, const unsigned char *list, size_t count,
		      uint64_t first_frame)
{
	struct tier_holder_run *run = NULL;

	holders->run_count = 0;
	holders->runs_partial = false;
	for (size_t i = 0; i < count; i++) {
		if (list[i] == PAGE_HOLDER_NONE) {
			run = NULL;
			continue;
		}
		if (run && run->holder == list[i]) {
			run->pages++;
			continue;
		}
		if (holders->run_count == TIER_HOLDER_RUNS) {
			holders->runs_partial = true;
			return;
		}
		run = &holders->runs[holders->run_count++];
		*run = (struct tier_holder_run){first_frame + i, 1, list[i]};
	}
}

void page_holders_classify(const uint64_t *flags, const uint64_t *counts, size_t page_count,
			   uint64_t first_frame, enum page_holders_end end,
			   struct tier_block_holders *holders, unsigned char *ret_holder)
{
	uint64_t head = 0, movable;

	memset(holders->pages, 0, sizeof(holders->pages));
	holders->stay_pages = holders->to_go_pages = 0;
	holders->moving = end == PAGE_HOLDERS_MOVING;
	for (size_t i = 0; i < page_count; i++) {
		enum tier_holder holder;
		uint64_t all = flags[i];

		/* What a compound page is, only its first page tells on kernels before 6.10. */
		if (all & BIT(COMPOUND_HEAD))
			head = all & ~BIT(COMPOUND_HEAD);
		else if (all & BIT(COMPOUND_TAIL))
			all |= head;
		else
			head = 0;
		holder = holder_of(all, counts && counts[i] > 0, end);
		ret_holder[i] = (unsigned char)holder;
		if (holder != PAGE_HOLDER_NONE)
			holders->pages[holder]++;
		else if (!(all & FREE_OR_HOLE))
			holders->to_go_pages++;
	}
	/* They would have been moved, had there not been others that cannot be. */
	if (end != PAGE_HOLDERS_TRYING && kernel_pages(holders) > 0)
		change(holders, ret_holder, page_count, TIER_HOLDER_HUGETLB, PAGE_HOLDER_NONE);
	movable = holders->pages[TIER_HOLDER_PINNED] + holders->pages[TIER_HOLDER_CACHE];
	if (holders->room_bytes != TIER_UNKNOWN_U64 &&
	    movable > holders->room_bytes / holders->page_bytes) {
		change(holders, ret_holder, page_count, TIER_HOLDER_PINNED, TIER_HOLDER_NO_ROOM);
		change(holders, ret_holder, page_count, TIER_HOLDER_CACHE, TIER_HOLDER_NO_ROOM);
	}
	for (size_t i = 0; i < _TIER_HOLDER_MAX; i++)
		holders->stay_pages += holders->pages[i];
	note_runs(holders, ret_holder, page_count, first_frame);
}

void page_holders_add_process(struct tier_block_holders *holders,
			      const struct tier_holder_process *process)
{
	struct tier_holder_process *list = holders->processes;
	size_t at = 0;

	holders->processes_found++;
	while (at < holders->process_count && list[at].pages >= process->pages)
		at++;
	if (at == TIER_HOLDER_PROCESSES)
		return;
	if (holders->process_count < TIER_HOLDER_PROCESSES)
		holders->process_count++;
	memmove(&list[at + 1], &list[at], (holders->process_count - 1 - at) * sizeof(*list));
	list[at] = *process;
}
