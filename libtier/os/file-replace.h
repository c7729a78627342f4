/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_FILE_REPLACE_H
#define TIER_OS_FILE_REPLACE_H

#include <stddef.h>

/*
 * Writes a file as a whole, readable by everybody, and its directory if there is none: after a crash,
 * also of the machine, it is the old one or the new one. 0 or a negative errno.
 */
int file_replace(const char *path, const void *data, size_t bytes);

/* Makes the directory that @path lies in. */
int file_make_directory(const char *path);

/* All of it, whatever write() takes at once. */
int file_write_all(int fd, const void *data, size_t bytes);

#endif
