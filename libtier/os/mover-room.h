/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_MOVER_ROOM_H
#define TIER_MOVER_ROOM_H

#include <stdint.h>

#include "sysfs.h"

/*
 * How much a node can still take. The kernel would say so, too, but with an allocation failure and
 * its backtrace in the log, and after it has pushed other processes' memory to swap.
 */
struct room {
	struct sysfs sysfs;
	int node;
	uint64_t page_bytes;
	uint64_t reserve_pages; /* what the kernel does not give to such pages */
};

/* 0; negative errno. */
int room_open(struct room *ret, int node, uint64_t page_bytes);
/* The same below a root; @sysfs is borrowed, so there is no room_done(). */
struct room room_at(const struct sysfs *sysfs, int node, uint64_t page_bytes);
void room_done(struct room *room);

/* Free pages and those of the page cache, less the reserve; UINT64_MAX if it cannot be told. */
uint64_t room_pages(const struct room *room);

#endif
