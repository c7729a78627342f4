/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "client.h"
#include "lock.h"
#include "tool.h"

/* The lock file stays: removing it would let two processes lock two files. */
static int lock(const char *path, int *ret_fd)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? TIER_E_BUSY : -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* The directory of the socket; it is there once cxl-tierd has run in this boot. */
static int directory(char path[static 256])
{
	char *slash;

	if (snprintf(path, 256, "%s", client_socket()) >= 256)
		return -ENAMETOOLONG;
	slash = strrchr(path, '/');
	if (!slash || slash == path)
		return -EINVAL;
	*slash = '\0';
	mkdir(path, 0755);
	return 0;
}

int lock_daemon(int *ret_fd, char path[static 300])
{
	char parent[256];
	int r = directory(parent);

	snprintf(path, 300, "%s.lock", client_socket());
	r = r ?: lock(path, ret_fd);
	/* Whom a cxl-tierd that is started meanwhile complains of. */
	if (r == 0 && ftruncate(*ret_fd, 0) == 0)
		dprintf(*ret_fd, "%d\n", getpid());
	return r;
}

int lock_fences(int *ret_fd, char path[static 300])
{
	char parent[256];
	int r = directory(parent);

	snprintf(path, 300, "%s/fence.lock", r ? "" : parent);
	return r ?: lock(path, ret_fd);
}
