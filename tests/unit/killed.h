/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_KILLED_H
#define TIER_TEST_KILLED_H

/*
 * A process that is killed after so many effects, and nobody cleans up after it. The program wraps file_replace and
 * unlink (tests/unit/meson.build), and calls live_on() after each effect of its own.
 */
#include <stddef.h>
#include <unistd.h>

#define KILLED_STATUS 9

static unsigned lives; /* effects until then; 0: it is not killed */

static inline void live_on(void)
{
	if (lives > 0 && --lives == 0)
		_exit(KILLED_STATUS);
}

int __real_file_replace(const char *path, const void *data, size_t bytes);
int __wrap_file_replace(const char *path, const void *data, size_t bytes);
int __wrap_file_replace(const char *path, const void *data, size_t bytes)
{
	int r = __real_file_replace(path, data, bytes);

	live_on();
	return r;
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	int r = __real_unlink(path);

	live_on();
	return r;
}

#endif
