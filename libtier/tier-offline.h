/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OFFLINE_H
#define TIER_OFFLINE_H

#include "tier-online.h"

/* Why a page is still in a memory block that was to be evacuated. */
enum tier_holder {
	TIER_HOLDER_SLAB,	/* slab: dentries, inodes, sockets, ... */
	TIER_HOLDER_PAGE_TABLE, /* page tables */
	TIER_HOLDER_COMPOUND,	/* the kernel's, of a higher order: network buffers, vmalloc, ... */
	TIER_HOLDER_KERNEL,	/* the kernel's, a single page: pipes, stacks, drivers, ... */
	TIER_HOLDER_RESERVED,	/* not the page allocator's: firmware, memmap */
	TIER_HOLDER_OFFLINE,	/* logically offline: a balloon's or virtio-mem's */
	TIER_HOLDER_HUGETLB,	/* a page of the hugetlb pool */
	TIER_HOLDER_PINNED,	/* of a process, or was; somebody else refers to it all the time */
	TIER_HOLDER_CACHE,	/* the same of the page cache, mapped by nobody */
	TIER_HOLDER_NO_ROOM,	/* movable, and no other node has room */
	TIER_HOLDER_HWPOISON,	/* broken */
	TIER_HOLDER_UNKNOWN,	/* its flags say nothing that is known here */
	_TIER_HOLDER_MAX,
};

/* What a process has open of that which pins pages. */
enum {
	TIER_PINS_VFIO = 1 << 0,
	TIER_PINS_RDMA = 1 << 1,
	TIER_PINS_IO_URING = 1 << 2,
};

#define TIER_HOLDER_PROCESSES 8
#define TIER_HOLDER_RUNS      64

/* A process that maps pages which stay. */
struct tier_holder_process {
	int pid;
	char comm[32];
	char vm[64];	/* QEMU's -name; else empty */
	uint64_t pages; /* that stay and are mapped by it */
	unsigned pins;	/* TIER_PINS_* */
};

/* Neighbouring pages that stay for the same reason. */
struct tier_holder_run {
	uint64_t first_frame; /* the physical address is that times page_bytes */
	uint64_t pages;
	enum tier_holder holder;
};

/**
 * struct tier_block_holders - what keeps a memory block online
 * @unknown: why nothing is known of its pages, e.g. for lack of privilege; empty: the rest is known
 * @moving: the deadline came while pages were still being moved away, so none is called pinned
 * @pages: those that stay, by reason
 * @to_go: movable ones that the kernel had not come to
 * @room_bytes: what other nodes could take; TIER_UNKNOWN_U64
 * @runs: the first of them, ascending
 * @processes: most pages first
 * @processes_partial: not all processes have been looked at
 */
struct tier_block_holders {
	uint64_t block;
	int node;
	enum tier_zone zone;
	uint64_t page_bytes;
	char unknown[128];
	bool moving;
	uint64_t stay_pages;
	uint64_t pages[_TIER_HOLDER_MAX];
	uint64_t to_go_pages;
	uint64_t room_bytes;
	struct tier_holder_run runs[TIER_HOLDER_RUNS];
	size_t run_count;
	bool runs_partial;
	struct tier_holder_process processes[TIER_HOLDER_PROCESSES];
	size_t process_count, processes_found;
	bool processes_partial;
};

/** tier_holder_name() - as in JSON, e.g. "page-table"; a constant string */
const char *tier_holder_name(enum tier_holder holder);

enum tier_offline_phase {
	TIER_OFFLINE_EVACUATING,
	TIER_OFFLINE_PUTTING_BACK,
};

/* @done_bytes: evacuated, of blocks that went and of the one in hand; going down while it is put back. */
struct tier_offline_progress {
	enum tier_offline_phase phase;
	uint64_t done_bytes, total_bytes;
	uint64_t block;
};

/* Without one of its own, an operation has so long, and so much longer for so many bytes. */
#define TIER_OFFLINE_DEADLINE_USEC     UINT64_C(60000000)
#define TIER_OFFLINE_BYTES_PER_SEC     (UINT64_C(256) << 20)
#define TIER_OFFLINE_DEADLINE_MAX_USEC (UINT64_C(7) * 24 * 3600 * 1000000)

/**
 * struct tier_offline_options - how to go about it
 * @deadline_usec: for all of it, but for putting back; 0: by the size, and a block from which nothing
 *                 has gone for half a minute ends it sooner
 * @keep_partial: what went offline stays so, and other blocks are tried when nothing has gone from one
 *                for ten seconds
 * @wake_fd: watched all the time, -1: none
 * @wake: called when it is readable; non-zero cancels
 * @between: called between blocks and attempts, while others may change memory; non-zero cancels;
 *           may be NULL
 * @progress: may be NULL
 *
 * The kernel works on one memory block of the whole machine at a time, and whoever else wants to add,
 * online or offline memory waits. So an attempt at a block is ended when nothing has gone from it for
 * ten seconds, and made anew.
 */
struct tier_offline_options {
	uint64_t deadline_usec;
	bool keep_partial;
	int wake_fd;
	int (*wake)(void *userdata);
	int (*between)(void *userdata);
	void (*progress)(void *userdata, const struct tier_offline_progress *progress);
	void *userdata;
};

/* What came of it. tier_offline_result_done() frees the lists. */
struct tier_offline_result {
	char region[32];
	bool keep_partial;
	uint64_t block_bytes;
	uint64_t elapsed_usec; /* without what @between took */
	size_t block_count;    /* that were to go */
	size_t offline_count;  /* of them that are offline because of this */
	uint64_t *stay;	       /* blocks that could not go; the first is the one in @holders */
	size_t stay_count;
	uint64_t *lost; /* blocks that went and could not be put back */
	size_t lost_count;
	bool has_holders;
	struct tier_block_holders holders;
};

/**
 * tier_offline() - evacuate a region, within a deadline
 * @plan: by tier_plan_offline() of one region; borrowed
 * @options: borrowed
 * @result: zeroed by the caller; filled in whatever is returned
 * @problem: names the block, what holds it and the next step; may be NULL
 *
 * Whole region or nothing, unless keep_partial: what was taken is put back into the zone that it had,
 * also after the deadline and when cancelled; what could not be is in @result and told. A memory block
 * takes a process of its own, which ends with the caller. Needs root.
 *
 * Which pages stay is read from /proc/kpageflags and kpagecount while the kernel has the block
 * isolated. The kernel does not tell how many references a page has. So a page that belongs to a
 * process or to the page cache is called pinned if it could have been moved, the kernel has gone on
 * trying, other nodes have room, and nothing has left the block for some seconds.
 *
 * Return: 0; TIER_E_BUSY: pages stay; TIER_E_TIMEOUT; TIER_E_CANCELLED; TIER_E_REFUSED: this process
 * itself may use no memory but that; negative errno.
 */
int tier_offline(const struct tier_plan *plan, const struct tier_offline_options *options,
		 struct tier_offline_result *result, struct tier_problem *problem);

/** tier_offline_result_done() - free what it has; may be used again, for a result of all zeros */
void tier_offline_result_done(struct tier_offline_result *result);

/**
 * tier_offline_result_to_json() - as JSON text
 * @code: what tier_offline() returned
 */
int tier_offline_result_to_json(const struct tier_offline_result *result, int code,
				char **ret_json);

#endif
