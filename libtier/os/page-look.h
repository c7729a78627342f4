/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_PAGE_LOOK_H
#define TIER_OS_PAGE_LOOK_H

#include "page-holders.h"
#include "sysfs.h"

/* What /proc says of the pages of a memory block. Below the root of @sysfs. */

/* The pages of one block; look_done() frees the lists. */
struct page_look {
	uint64_t page_bytes;
	uint64_t first_frame;
	size_t page_count;
	uint64_t *flags;
	uint64_t *counts;	/* of mappings; NULL: not known */
	unsigned char *holders; /* enum tier_holder of each, by page_look_classify() */
};

int page_look_new(struct page_look *ret, uint64_t block, uint64_t block_bytes);
void page_look_done(struct page_look *look);
#define _cleanup_look_ _cleanup_(page_look_done)

/*
 * Reads the flags. What an earlier look saw of a page that is still in use is kept: one that the kernel
 * tries to move is off its list for a moment. 0; SYSFS_ABSENT, SYSFS_DENIED; negative errno.
 */
int page_look_flags(struct page_look *look, const struct sysfs *sysfs);

/*
 * Counts mappings, asks for room elsewhere and finds who maps what stays, which takes as long as
 * @timeout_usec. @holders: block, node and zone are set by the caller. -ENOMEM.
 */
int page_look_classify(struct page_look *look, const struct sysfs *sysfs, enum page_holders_end end,
		       uint64_t timeout_usec, struct tier_block_holders *holders);

/* page-mappers.c: processes that map pages of @look that stay. */
int page_mappers_find(const struct page_look *look, const struct sysfs *sysfs,
		      uint64_t timeout_usec, struct tier_block_holders *holders);

#endif
