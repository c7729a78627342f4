// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include "clock.h"
#include "fd.h"
#include "file-replace.h"
#include "lock-file.h"

int lock_file_take(const char *path, uint64_t wait_usec)
{
	_cleanup_close_ int fd = -1;
	uint64_t deadline = now_usec() + wait_usec;
	int r = file_make_directory(path);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (now_usec() >= deadline)
			return -EBUSY;
		(void)poll(NULL, 0, 5);
	}
	return take_fd(&fd);
}
