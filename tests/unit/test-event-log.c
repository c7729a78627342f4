/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file-replace.h"
#include "tier-ras.h"
#include "test.h"

struct seen {
	size_t count;
	char first[64], last[64];
};

static int note(void *userdata, const char *line)
{
	struct seen *seen = userdata;

	if (seen->count++ == 0)
		snprintf(seen->first, sizeof(seen->first), "%s", line);
	snprintf(seen->last, sizeof(seen->last), "%s", line);
	return 0;
}

/* A directory of its own, and below it one that is not there. */
static const char *log_path(void)
{
	static char directory[64], path[128];

	snprintf(directory, sizeof(directory), "/tmp/test-event-log.XXXXXX");
	CHECK(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/state/events", directory);
	return path;
}

static void forget(const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -r \"$(dirname \"$(dirname '%s')\")\"", path);
	CHECK_EQ(system(command), 0);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

TEST(what_was_appended_is_read)
{
	const char *path = log_path();
	struct seen seen = {};
	struct stat st;

	CHECK_EQ(tier_event_log_read(path, note, &seen), 0);
	CHECK_EQ(seen.count, 0);
	CHECK_EQ(tier_event_log_append(path, "{\"a\":1}"), 0);
	CHECK_EQ(tier_event_log_append(path, "{\"b\":2}"), 0);
	CHECK_EQ(tier_event_log_append(path, "two\nlines"), -EINVAL);
	CHECK_EQ(tier_event_log_read(path, note, &seen), 0);
	CHECK_EQ(seen.count, 2);
	CHECK_STR(seen.first, "{\"a\":1}");
	CHECK_STR(seen.last, "{\"b\":2}");
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0644 & ~umask(umask(0)));
	forget(path);
}

TEST(a_line_that_a_crash_cut_off_is_lost_and_no_other)
{
	const char *path = log_path();
	struct seen seen = {};

	CHECK_EQ(tier_event_log_append(path, "{\"a\":1}"), 0);
	put(path, "{\"cut");
	CHECK_EQ(tier_event_log_read(path, note, &seen), 0);
	CHECK_EQ(seen.count, 1);
	CHECK_EQ(tier_event_log_append(path, "{\"b\":2}"), 0);
	seen.count = 0;
	CHECK_EQ(tier_event_log_read(path, note, &seen), 0);
	CHECK_STR(seen.last, "{\"b\":2}");
	forget(path);
}

TEST(only_the_newest_are_kept)
{
	const char *path = log_path();
	struct seen seen = {};
	struct stat before, after;
	char line[64];
	int fd;

	CHECK_EQ(tier_event_log_append(path, "first"), 0);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	for (unsigned i = 0; i < 3 * TIER_EVENTS_MAX; i++)
		dprintf(fd, "line %u\n", i);
	close(fd);
	CHECK_EQ(stat(path, &before), 0);
	CHECK_EQ(tier_event_log_read(path, note, &seen), 0);
	CHECK_EQ(seen.count, TIER_EVENTS_MAX);
	snprintf(line, sizeof(line), "line %u", 2 * TIER_EVENTS_MAX);
	CHECK_STR(seen.first, line);
	snprintf(line, sizeof(line), "line %u", 3 * TIER_EVENTS_MAX - 1);
	CHECK_STR(seen.last, line);
	/* The file as well, and it says the same. */
	CHECK_EQ(stat(path, &after), 0);
	CHECK(after.st_size < before.st_size / 2);
	seen.count = 0;
	CHECK_EQ(tier_event_log_read(path, note, &seen), 0);
	CHECK_EQ(seen.count, TIER_EVENTS_MAX);
	CHECK_STR(seen.last, line);
	forget(path);
}

TEST(a_file_is_replaced_as_a_whole)
{
	const char *path = log_path();
	char text[16] = "", temporary[160];
	int fd;

	CHECK_EQ(file_replace(path, "old", 3), 0);
	CHECK_EQ(file_replace(path, "new", 3), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_EQ(read(fd, text, sizeof(text)), 3);
	close(fd);
	CHECK_STR(text, "new");
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	CHECK(access(temporary, F_OK) < 0);
	CHECK_EQ(file_replace("nowhere", "x", 1), -EINVAL);
	forget(path);
}
