/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_FIXTURE_H
#define TIER_TEST_FIXTURE_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

/* The path of a dump below tests/fixtures; meson says where that is. */
static inline const char *fixture(const char *name)
{
	static char path[4096];
	const char *root = getenv("TIER_FIXTURES");

	snprintf(path, sizeof(path), "%s/%s", root ? root : "tests/fixtures", name);
	return path;
}

/* A directory of its own for a test, removed by scratch_done(). */
static inline void scratch_new(char path[static 64])
{
	strcpy(path, "/tmp/tier-test-XXXXXX");
	CHECK(mkdtemp(path) != NULL);
}

static inline void scratch_done(const char *path)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	CHECK_EQ(system(command), 0);
}

/* Writes a file below @root, with the directories on the way. */
static inline void scratch_file(const char *root, const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	FILE *file = fopen(path, "we");
	CHECK(file != NULL);
	fputs(text, file);
	CHECK_EQ(fclose(file), 0);
}

#endif
