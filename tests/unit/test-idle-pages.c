/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os/idle-pages.c: on plain files, of which a word that is written replaces what was there. */
#include <fcntl.h>
#include <unistd.h>

#include "fixture.h"
#include "idle-pages.h"
#include "util.h"

static char root[64];
static struct sysfs sysfs;
static struct idle_pages pages;

static void put(const char *file, const uint64_t *words, size_t count)
{
	char path[256];
	int fd;

	scratch_file(root, file, "");
	snprintf(path, sizeof(path), "%s/%s", root, file);
	fd = open(path, O_WRONLY);
	CHECK_EQ(pwrite(fd, words, count * sizeof(*words), 0), (ssize_t)(count * sizeof(*words)));
	close(fd);
}

static void begin(const uint64_t *bitmap, size_t words, const uint64_t *flags, size_t count)
{
	scratch_new(root);
	put(IDLE_BITMAP, bitmap, words);
	put("proc/kpageflags", flags, count);
	CHECK_EQ(sysfs_open(&sysfs, root), 0);
	CHECK_EQ(idle_pages_open(&pages, &sysfs), 0);
}

static void end(void)
{
	idle_pages_done(&pages);
	CHECK_EQ(pages.bitmap, -1);
	sysfs_done(&sysfs);
	scratch_done(root);
}

TEST(each_word_once)
{
	static const uint64_t frames[] = {0, 63, 64, 66, 200};
	uint64_t bitmap[4] = {}, flags[1] = {};
	bool idle[ARRAY_SIZE(frames)];

	begin(bitmap, 4, flags, 1);
	CHECK_EQ(idle_pages_mark(&pages, frames, ARRAY_SIZE(frames)), 0);
	CHECK_EQ(pread(pages.bitmap, bitmap, sizeof(bitmap), 0), (ssize_t)sizeof(bitmap));
	CHECK_EQ(bitmap[0], UINT64_C(1) << 63 | 1);
	CHECK_EQ(bitmap[1], 5);
	CHECK_EQ(bitmap[2], 0);
	CHECK_EQ(bitmap[3], UINT64_C(1) << 8);
	CHECK_EQ(idle_pages_test(&pages, frames, ARRAY_SIZE(frames), idle), 0);
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
		CHECK(idle[i]);
	CHECK_EQ(idle_pages_mark(&pages, frames, 0), 0);
	end();
}

TEST(what_was_touched_or_is_not_there)
{
	static const uint64_t frames[] = {1, 2, 3, 64, 6400};
	static const bool wanted[] = {true, false, true, false, false};
	const uint64_t bitmap[2] = {10}, flags[1] = {};
	bool idle[ARRAY_SIZE(frames)];

	begin(bitmap, 2, flags, 1);
	CHECK_EQ(idle_pages_test(&pages, frames, ARRAY_SIZE(frames), idle), 0);
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
		CHECK_EQ(idle[i], wanted[i]);
	end();
}

TEST(flags_of_frames_in_a_row_and_apart)
{
	static const uint64_t frames[] = {3, 4, 5, 9, 8, 11, 12};
	uint64_t flags[12], bitmap[1] = {}, found[ARRAY_SIZE(frames)];

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		flags[i] = 100 + i;
	begin(bitmap, 1, flags, ARRAY_SIZE(flags));
	CHECK_EQ(idle_pages_flags(&pages, frames, ARRAY_SIZE(frames), found), 0);
	for (size_t i = 0; i + 1 < ARRAY_SIZE(frames); i++)
		CHECK_EQ(found[i], 100 + frames[i]);
	/* Memory that has gone. */
	CHECK_EQ(found[ARRAY_SIZE(frames) - 1], 0);
	end();
}

TEST(a_kernel_without)
{
	struct idle_pages none = IDLE_CLOSED;

	scratch_new(root);
	scratch_file(root, "proc/other", "");
	CHECK_EQ(sysfs_open(&sysfs, root), 0);
	CHECK_EQ(idle_pages_open(&none, &sysfs), -ENOENT);
	put(IDLE_BITMAP, &(uint64_t){}, 1);
	CHECK_EQ(idle_pages_open(&none, &sysfs), -ENOENT);
	CHECK_EQ(none.bitmap, -1);
	sysfs_done(&sysfs);
	scratch_done(root);
}
