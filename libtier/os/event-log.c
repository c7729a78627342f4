/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "fd.h"
#include "file-replace.h"
#include "tier-ras.h"

/* A line of more than this was not written here. */
#define LINE_MAX_BYTES 16384

static void free_lines(char ***lines)
{
	for (char **line = *lines; line && *line; line++)
		free(*line);
	free(*lines);
}

int tier_event_log_append(const char *path, const char *line)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	char last;
	off_t end;
	int r;

	if (strchr(line, '\n') || strlen(line) >= LINE_MAX_BYTES)
		return -EINVAL;
	r = file_make_directory(path);
	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	/* What a crash has cut off must not spoil the line after it. */
	end = lseek(fd, 0, SEEK_END);
	if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n')
		r = asprintf(&text, "\n%s\n", line);
	else
		r = asprintf(&text, "%s\n", line);
	if (r < 0)
		return -ENOMEM;
	r = file_write_all(fd, text, (size_t)r);
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	return r;
}

static int shorten(const char *path, char **lines, size_t count)
{
	_cleanup_free_ char *text = NULL;
	size_t bytes = 0, used = 0;

	for (size_t i = 0; i < count; i++)
		bytes += strlen(lines[i]) + 1;
	text = malloc(bytes + 1);
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		used += (size_t)sprintf(text + used, "%s\n", lines[i]);
	return file_replace(path, text, used);
}

/* A ring: only the newest are kept, however long the file is. */
static int read_lines(FILE *file, char **ring, size_t *ret_total)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0, total = 0;
	ssize_t length;

	while ((length = getline(&line, &size, file)) > 0) {
		if (line[length - 1] != '\n' || length > LINE_MAX_BYTES ||
		    strlen(line) != (size_t)length || length == 1)
			continue;
		line[length - 1] = '\0';
		free(ring[total % TIER_EVENTS_MAX]);
		ring[total % TIER_EVENTS_MAX] = strdup(line);
		if (!ring[total % TIER_EVENTS_MAX])
			return -ENOMEM;
		total++;
	}
	if (ferror(file))
		return -EIO;
	*ret_total = total;
	return 0;
}

int tier_event_log_read(const char *path, int (*each)(void *userdata, const char *line),
			void *userdata)
{
	_cleanup_(free_lines) char **lines = calloc(TIER_EVENTS_MAX + 1, sizeof(*lines));
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	_cleanup_free_ char **ordered = calloc(TIER_EVENTS_MAX, sizeof(*ordered));
	size_t total = 0, kept;
	int r;

	if (!lines || !ordered)
		return -ENOMEM;
	if (!file)
		return errno == ENOENT ? 0 : -errno;
	r = read_lines(file, lines, &total);
	if (r < 0)
		return r;
	kept = MIN(total, (size_t)TIER_EVENTS_MAX);
	for (size_t i = 0; i < kept; i++)
		ordered[i] = lines[(total - kept + i) % TIER_EVENTS_MAX];
	/* Now and then, not with every line that is one too many. */
	if (total >= 2 * TIER_EVENTS_MAX) {
		r = shorten(path, ordered, kept);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; r == 0 && i < kept; i++)
		r = each(userdata, ordered[i]);
	return r;
}
