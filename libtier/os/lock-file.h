/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_LOCK_FILE_H
#define TIER_OS_LOCK_FILE_H

#include <stdint.h>

/*
 * A lock that goes with whoever holds it: makes the file, and its directory, if there is none, and waits for it.
 * A descriptor; -EBUSY if it is somebody's for all of that time; other negative errno.
 */
int lock_file_take(const char *path, uint64_t wait_usec);

#endif
