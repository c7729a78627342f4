/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_PROCESS_PAGES_H
#define TIER_OS_PROCESS_PAGES_H

#include "sysfs.h"
#include "util.h"

/* What /proc says of a process: its names, and the pages that it has mapped. Below the root of @sysfs. */

/* True if the entry of a pagemap is of a page that is there; *ret is its frame, 0 without privilege. */
static inline bool process_page(uint64_t entry, uint64_t *ret)
{
	/* Source: admin-guide/mm/pagemap. */
	*ret = entry & ((UINT64_C(1) << 55) - 1);
	return entry >> 63;
}

/*
 * Calls @visit with entries of the process' pagemap, many at a time, until it returns nonzero, which is
 * then returned. Otherwise 0; -ESRCH, -ENOENT: the process has ended; other negative errno.
 */
int process_pages(const struct sysfs *sysfs, int pid,
		  int (*visit)(void *userdata, const uint64_t *entries, size_t count),
		  void *userdata);

/* comm, "?" if it cannot be read, and the guest's name of a QEMU, or nothing. Both are printable. */
void process_names(const struct sysfs *sysfs, int pid, char *comm, size_t comm_size, char *vm,
		   size_t vm_size);

#endif
