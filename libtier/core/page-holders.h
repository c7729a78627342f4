/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_PAGE_HOLDERS_H
#define TIER_CORE_PAGE_HOLDERS_H

#include "tier-offline.h"

/* How the kernel left the block that is looked at. */
enum page_holders_end {
	PAGE_HOLDERS_GAVE_UP, /* it found an unmovable page, and has moved nothing */
	PAGE_HOLDERS_TRYING,  /* it went on trying, and nothing has gone for some time */
	PAGE_HOLDERS_MOVING,  /* it was at work */
};

/* A page without a holder: free, not there, or movable and not yet come to. */
#define PAGE_HOLDER_NONE _TIER_HOLDER_MAX

/**
 * page_holders_classify() - what holds the pages of a block
 * @flags: /proc/kpageflags of each page
 * @counts: /proc/kpagecount; NULL: not known
 * @holders: page_bytes and room_bytes are read; pages and runs are filled in
 * @ret_holder: of each page
 */
void page_holders_classify(const uint64_t *flags, const uint64_t *counts, size_t page_count,
			   uint64_t first_frame, enum page_holders_end end,
			   struct tier_block_holders *holders, unsigned char *ret_holder);

/* Pages that are neither free nor holes. */
uint64_t page_holders_used(const uint64_t *flags, size_t page_count);

/* "312 pages stay: 250 slab, 60 page tables, 2 pinned (qemu-system-x86 pid 812)" */
void page_holders_text(const struct tier_block_holders *holders, char *text, size_t size);
/* What a reader can do about it. */
void page_holders_next(const struct tier_block_holders *holders, char *text, size_t size);

/* Into the list of those with the most pages; the least one may fall out of it. */
void page_holders_add_process(struct tier_block_holders *holders,
			      const struct tier_holder_process *process);

#endif
