/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be done with a machine without asking its QEMU, which may be busy, stopped or stuck. */
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "clock.h"
#include "fd.h"
#include "machine.h"

#define KILL_USEC (2 * UINT64_C(1000000))

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int tier_machine_lock(const struct tier_config *config, const char *name, int *ret_fd,
		      struct tier_problem *problem)
{
	return machine_lock(config, name, ret_fd, problem);
}

int tier_machine_busy(const struct tier_config *config, const char *name)
{
	_cleanup_close_ int fd = -1;

	return machine_lock(config, name, &fd, NULL);
}

static int kill_process(int pidfd, const char *name, struct tier_problem *problem)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
	uint64_t deadline = now_usec() + KILL_USEC;
	int r;

	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return tier_problem_set(problem, -errno, name, NULL, "cannot kill QEMU");
	do
		r = poll(&poll_fd, 1, poll_timeout(deadline));
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return tier_problem_set(problem, TIER_E_TIMEOUT, name, NULL,
					"QEMU has not ended on SIGKILL");
	return 0;
}

int tier_machine_kill(struct tier_machine *machine, struct tier_problem *problem)
{
	return kill_process(machine->pidfd, machine->name, problem);
}

/*
 * The socket's peer is the process that listens, so the connection need not be accepted: QMP serves
 * one client at a time, which may be a tool that hangs.
 */
static int find_process(const char *path, int *ret_pidfd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	struct ucred peer;
	socklen_t size = sizeof(*ret_pidfd);
	int pidfd;

	if (!copy_string(address.sun_path, sizeof(address.sun_path), path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == ENOENT || errno == ECONNREFUSED ? TIER_E_NOT_FOUND : -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0) {
		if (errno == ESRCH || errno == EINVAL)
			return TIER_E_NOT_FOUND;
		/* Before Linux 6.5. */
		size = sizeof(peer);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
			return -errno;
		pidfd = pidfd_open(peer.pid, 0);
		if (pidfd < 0)
			return errno == ESRCH ? TIER_E_NOT_FOUND : -errno;
	}
	*ret_pidfd = pidfd;
	return 0;
}

int tier_machine_kill_by_name(const struct tier_config *config, const char *name,
			      struct tier_problem *problem)
{
	_cleanup_close_ int pidfd = -1;
	char directory[320], path[512];
	int r = machine_directory(config, name, directory, problem);

	if (r)
		return r;
	snprintf(path, sizeof(path), "%s/qmp", directory);
	r = find_process(path, &pidfd);
	if (r)
		return tier_problem_set(problem, r, name, NULL, "cannot find its process");
	return kill_process(pidfd, name, problem);
}
