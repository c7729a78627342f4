/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_PORTAL_FILE_H
#define TIER_PORTAL_FILE_H

/* A portal on a file of its own in a directory that goes when the program ends. */

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "fd.h"
#include "portal-fixture.h"

static char file_directory[64];

static inline int file_remove_one(const char *path, const struct stat *status, int type,
				  struct FTW *where)
{
	return remove(path);
}

static inline void file_remove_all(void)
{
	nftw(file_directory, file_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* In tmpfs where there is one, since a portal's files are large and sparse. */
static inline const char *file_path(const char *name)
{
	static char path[128];

	if (!file_directory[0]) {
		strcpy(file_directory, "/dev/shm/tier-test-XXXXXX");
		if (!mkdtemp(file_directory)) {
			strcpy(file_directory, "/tmp/tier-test-XXXXXX");
			if (!mkdtemp(file_directory))
				abort();
		}
		atexit(file_remove_all);
	}
	snprintf(path, sizeof(path), "%s/%s", file_directory, name);
	return path;
}

/* Overwrites bytes behind the library's back. */
static inline void file_write(const char *path, uint64_t offset, const void *data, size_t bytes)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || pwrite(fd, data, bytes, (off_t)offset) != (ssize_t)bytes)
		abort();
	close(fd);
}

static inline void file_read(const char *path, uint64_t offset, void *data, size_t bytes)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0 || pread(fd, data, bytes, (off_t)offset) != (ssize_t)bytes)
		abort();
	close(fd);
}

static inline void file_flip(const char *path, uint64_t offset)
{
	uint8_t byte;

	file_read(path, offset, &byte, 1);
	byte ^= 0x10;
	file_write(path, offset, &byte, 1);
}

/* A fresh portal; the path is good until the next call of file_path(). */
static inline const char *file_portal(const char *name)
{
	const char *path = file_path(name);
	struct tier_super super = fixture_super();
	struct tier_problem problem = {};

	if (tier_portal_format(path, &super, true, &problem) != 0) {
		fprintf(stderr, "%s: %s\n", problem.object, problem.text);
		abort();
	}
	return path;
}

#endif
