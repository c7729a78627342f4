/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>

#include "page-holders.h"
#include "util.h"

/* How many processes a line of text names. */
#define NAMED 2

struct text {
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->at, text->left, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	if ((size_t)length >= text->left)
		length = text->left > 0 ? (int)text->left - 1 : 0;
	text->at += length;
	text->left -= (size_t)length;
}

static const char *plural(uint64_t number)
{
	return number == 1 ? "" : "s";
}

static void add_holder(struct text *text, enum tier_holder holder, uint64_t pages)
{
	switch (holder) {
	case TIER_HOLDER_PAGE_TABLE:
		add(text, "%" PRIu64 " page table%s", pages, plural(pages));
		return;
	case TIER_HOLDER_COMPOUND:
		add(text, "%" PRIu64 " kernel of higher order", pages);
		return;
	case TIER_HOLDER_OFFLINE:
		add(text, "%" PRIu64 " of a balloon or virtio-mem", pages);
		return;
	case TIER_HOLDER_CACHE:
		add(text, "%" PRIu64 " page cache in use", pages);
		return;
	case TIER_HOLDER_NO_ROOM:
		add(text, "%" PRIu64 " without room elsewhere", pages);
		return;
	case TIER_HOLDER_HWPOISON:
		add(text, "%" PRIu64 " poisoned", pages);
		return;
	default:
		add(text, "%" PRIu64 " %s", pages, tier_holder_name(holder));
	}
}

static void add_processes(struct text *text, const struct tier_block_holders *holders)
{
	for (size_t i = 0; i < MIN(holders->process_count, (size_t)NAMED); i++) {
		const struct tier_holder_process *process = &holders->processes[i];

		add(text, "%s%s pid %d", i ? ", " : " (", process->comm, process->pid);
		if (process->vm[0])
			add(text, ", VM %s", process->vm);
	}
	if (holders->processes_found > NAMED)
		add(text, " and %zu more", holders->processes_found - NAMED);
	if (holders->process_count > 0)
		add(text, ")");
}

static bool is_mapped(enum tier_holder holder)
{
	return holder == TIER_HOLDER_PINNED || holder == TIER_HOLDER_HUGETLB ||
	       holder == TIER_HOLDER_NO_ROOM;
}

void page_holders_text(const struct tier_block_holders *holders, char *buffer, size_t size)
{
	struct text text = {buffer, size};
	bool first = true, named = false;

	buffer[0] = '\0';
	if (holders->unknown[0]) {
		add(&text, "what holds it is not known: %s", holders->unknown);
		return;
	}
	if (holders->stay_pages > 0)
		add(&text, "%" PRIu64 " page%s", holders->stay_pages,
		    holders->stay_pages == 1 ? " stays: " : "s stay: ");
	for (enum tier_holder holder = 0; holder < _TIER_HOLDER_MAX; holder++) {
		if (holders->pages[holder] == 0)
			continue;
		if (!first)
			add(&text, ", ");
		first = false;
		add_holder(&text, holder, holders->pages[holder]);
		if (is_mapped(holder) && !named) {
			add_processes(&text, holders);
			named = true;
		}
	}
	if (holders->moving)
		add(&text, "%s%" PRIu64 " page%s had still to be moved", first ? "" : "; ",
		    holders->to_go_pages, plural(holders->to_go_pages));
	else if (first)
		add(&text, "no page of it is known to stay");
}

static bool kernel_holds(const struct tier_block_holders *holders)
{
	for (enum tier_holder holder = TIER_HOLDER_SLAB; holder <= TIER_HOLDER_RESERVED; holder++)
		if (holders->pages[holder] > 0)
			return true;
	return false;
}

static const char *pins_text(unsigned pins)
{
	switch (pins) {
	case TIER_PINS_VFIO:
		return "VFIO";
	case TIER_PINS_RDMA:
		return "RDMA";
	case TIER_PINS_IO_URING:
		return "io_uring";
	case 0:
		return "VFIO, RDMA, io_uring, direct I/O, vmsplice";
	default:
		return "VFIO, RDMA or io_uring";
	}
}

static void pinned_next(struct text *text, const struct tier_block_holders *holders)
{
	const struct tier_holder_process *process = &holders->processes[0];

	if (holders->process_count > 0)
		add(text, "end what pins them (%s) in %s, pid %d, or that process, and try again",
		    pins_text(process->pins), process->comm, process->pid);
	else
		add(text, "%s them any more; end what pins them (%s) and try again",
		    holders->processes_partial ? "not all processes were looked at, none found maps"
					       : "no process maps",
		    pins_text(0));
}

void page_holders_next(const struct tier_block_holders *holders, char *buffer, size_t size)
{
	struct text text = {buffer, size};
	char room[16];

	buffer[0] = '\0';
	if (holders->unknown[0])
		add(&text, holders->zone == TIER_ZONE_MOVABLE
				   ? "pages in it are pinned (VFIO, RDMA, io_uring), or no other "
				     "node has room for them"
				   : "kernel pages cannot move; what is onlined as movable can be "
				     "taken back");
	else if (kernel_holds(holders))
		add(&text,
		    "%skernel pages cannot move, so it stays until they are freed, at the "
		    "latest at the next boot; what is onlined as movable can be taken back",
		    holders->pages[TIER_HOLDER_SLAB] > 0
			    ? "echo 2 >/proc/sys/vm/drop_caches may free slab; "
			    : "");
	else if (holders->pages[TIER_HOLDER_OFFLINE] > 0)
		add(&text, "the host or the hypervisor has to take them: deflate the balloon, or "
			   "unplug with virtio-mem");
	else if (holders->pages[TIER_HOLDER_NO_ROOM] > 0)
		add(&text,
		    "the other nodes have room for %s; free memory there, or end what uses this",
		    format_bytes(room, holders->room_bytes));
	else if (holders->pages[TIER_HOLDER_PINNED] > 0)
		pinned_next(&text, holders);
	else if (holders->pages[TIER_HOLDER_HUGETLB] > 0)
		add(&text, "no other node has free huge pages for them: see "
			   "/sys/devices/system/node/node*/hugepages; or end who uses them");
	else if (holders->pages[TIER_HOLDER_CACHE] > 0)
		add(&text, "files' pages that I/O, a pipe or a socket refers to; end that and try "
			   "again");
	else if (holders->moving)
		add(&text, "give it more time: --deadline");
	else
		add(&text, "try again; see the kernel log");
}
