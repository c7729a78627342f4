/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fd.h"
#include "sysfs.h"
#include "util.h"

/*
 * A process without an exit signal: nobody's SIGCHLD handler hears of it and nobody's waitpid(-1)
 * takes its status. Its memory is a copy, so it must do nothing but make system calls. Not clone3():
 * a service with RestrictNamespaces= has none, as its flags cannot be filtered.
 */
static pid_t fork_silently(int *ret_pidfd)
{
	/* Behind the third argument the order depends on the processor. */
	long pid = syscall(SYS_clone, (unsigned long)CLONE_PIDFD, NULL, ret_pidfd, NULL, NULL);

	return pid < 0 ? -errno : (pid_t)pid;
}

/* The child's answer: 0 or the errno of its write(), which fits into an exit status. */
static int await(int pidfd, int timeout_msec)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
	siginfo_t info = {};
	int ready;

	do
		ready = poll(&poll_fd, 1, timeout_msec);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	if (info.si_code == CLD_EXITED)
		return -info.si_status;
	return ready == 0 ? -ETIMEDOUT : -EINTR;
}

int sysfs_write_deadline(const struct sysfs *sysfs, const char *value, int timeout_msec,
			 const char *format, ...)
{
	size_t length = strlen(value);
	va_list arguments;
	int pidfd = -1;
	pid_t pid;

	va_start(arguments, format);
	_cleanup_close_ int fd = sysfs_open_file(sysfs, O_WRONLY, format, arguments);
	va_end(arguments);
	if (fd < 0)
		return fd;
	pid = fork_silently(&pidfd);
	if (pid < 0)
		return pid;
	if (pid == 0) {
		ssize_t n = write(fd, value, length);

		_exit(n == (ssize_t)length ? 0 : n < 0 ? errno & 0xff : EIO);
	}
	_cleanup_close_ int closing = pidfd;
	return await(pidfd, timeout_msec);
}
