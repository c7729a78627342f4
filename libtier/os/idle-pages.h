/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_IDLE_PAGES_H
#define TIER_OS_IDLE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sysfs.h"

/*
 * Idle page tracking: a page that is marked idle is so until it is touched. By frame numbers; of a folio of several
 * pages it is the first that counts. Source: admin-guide/mm/idle_page_tracking, page_idle_bitmap_write() in
 * mm/page_idle.c.
 */

#define IDLE_BITMAP "sys/kernel/mm/page_idle/bitmap"

struct idle_pages {
	int bitmap, flags;
};

#define IDLE_CLOSED ((struct idle_pages){.bitmap = -1, .flags = -1})

/* 0; -ENOENT if the kernel has none; other negative errno. */
int idle_pages_open(struct idle_pages *ret, const struct sysfs *sysfs);
void idle_pages_done(struct idle_pages *pages);
#define _cleanup_idle_ __attribute__((cleanup(idle_pages_done)))

/* What cannot be tracked is left out. 0, negative errno. */
int idle_pages_mark(const struct idle_pages *pages, const uint64_t *frames, size_t count);
/* Not since it was marked, nor if it never was, or could not. 0, negative errno. */
int idle_pages_test(const struct idle_pages *pages, const uint64_t *frames, size_t count,
		    bool *ret_idle);
/* The bits of /proc/kpageflags. 0, negative errno. */
int idle_pages_flags(const struct idle_pages *pages, const uint64_t *frames, size_t count,
		     uint64_t *ret_flags);

#endif
