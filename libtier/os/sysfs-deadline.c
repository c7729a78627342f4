/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "clock.h"
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

/* In the child: nothing but system calls. It must not go on when nobody is left to end it. */
_Noreturn static void write_and_exit(int fd, const char *value, size_t length, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EINTR);

	ssize_t n = write(fd, value, length);

	_exit(n == (ssize_t)length ? 0 : n < 0 ? errno & 0xff : EIO);
}

static int begin(struct sysfs_writer *ret, int fd, const char *value)
{
	/* A length that the child need not compute. */
	size_t length = strlen(value);
	pid_t parent = getpid(), pid;
	int pidfd = -1;

	if (fd < 0)
		return fd;
	pid = fork_silently(&pidfd);
	if (pid < 0)
		return pid;
	if (pid == 0)
		write_and_exit(fd, value, length, parent);
	ret->pidfd = pidfd;
	return 0;
}

int sysfs_write_begin(const struct sysfs *sysfs, struct sysfs_writer *ret, const char *value,
		      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	_cleanup_close_ int fd = sysfs_vopen_file(sysfs, O_WRONLY, format, arguments);
	va_end(arguments);
	return begin(ret, fd, value);
}

enum sysfs_write_event sysfs_write_wait(const struct sysfs_writer *writer, int wake_fd,
					int timeout_msec)
{
	struct pollfd poll_fds[] = {{.fd = writer->pidfd, .events = POLLIN},
				    {.fd = wake_fd, .events = POLLIN}};
	uint64_t deadline = now_usec() + (uint64_t)timeout_msec * 1000;
	int ready;

	do
		ready = poll(poll_fds, ARRAY_SIZE(poll_fds), poll_timeout(deadline));
	while (ready < 0 && errno == EINTR);
	if (poll_fds[0].revents)
		return SYSFS_WRITE_ENDED;
	return ready > 0 ? SYSFS_WRITE_WAKE : SYSFS_WRITE_TIMEOUT;
}

/* The child's answer: 0 or the errno of its write(), which fits into an exit status. */
static int reap(int pidfd)
{
	siginfo_t info = {};

	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return info.si_code == CLD_EXITED ? -info.si_status : -EINTR;
}

int sysfs_write_end(struct sysfs_writer *writer, int grace_msec)
{
	_cleanup_close_ int pidfd = writer->pidfd;
	bool stopped = sysfs_write_wait(writer, -1, 0) != SYSFS_WRITE_ENDED;

	writer->pidfd = -1;
	if (stopped) {
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		if (sysfs_write_wait(&(struct sysfs_writer){pidfd}, -1, grace_msec) !=
		    SYSFS_WRITE_ENDED)
			return -EINPROGRESS;
	}

	int r = reap(pidfd);

	return stopped && r == -EINTR ? -ETIMEDOUT : r;
}

int sysfs_write_deadline(const struct sysfs *sysfs, const char *value, int timeout_msec,
			 const char *format, ...)
{
	struct sysfs_writer writer;
	va_list arguments;
	int r;

	va_start(arguments, format);
	_cleanup_close_ int fd = sysfs_vopen_file(sysfs, O_WRONLY, format, arguments);
	va_end(arguments);
	r = begin(&writer, fd, value);
	if (r < 0)
		return r;
	(void)sysfs_write_wait(&writer, -1, timeout_msec);
	return sysfs_write_end(&writer, SYSFS_GRACE_MSEC);
}
