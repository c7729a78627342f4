/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file-replace.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "fd.h"

static int parent_of(const char *path, char parent[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path || (size_t)(slash - path) >= PATH_MAX)
		return -EINVAL;
	memcpy(parent, path, (size_t)(slash - path));
	parent[slash - path] = '\0';
	return 0;
}

int file_make_directory(const char *path)
{
	char parent[PATH_MAX];
	int r = parent_of(path, parent);

	if (r < 0)
		return r;
	return mkdir(parent, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int file_write_all(int fd, const void *data, size_t bytes)
{
	const char *at = data;

	while (bytes > 0) {
		ssize_t n = write(fd, at, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int file_replace(const char *path, const void *data, size_t bytes)
{
	_cleanup_close_ int directory = -1, fd = -1;
	char parent[PATH_MAX], temporary[PATH_MAX];
	int r = file_make_directory(path);

	if (r == 0)
		r = parent_of(path, parent);
	if (r < 0)
		return r;
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		return -ENAMETOOLONG;
	directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return -errno;
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = file_write_all(fd, data, bytes);
	/* Contents first, then the name, then the directory that has the name. */
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return r;
	}
	return fsync(directory) < 0 ? -errno : 0;
}
