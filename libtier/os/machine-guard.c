/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be done with a machine without asking its QEMU, which may be busy, stopped or stuck. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "clock.h"
#include "fd.h"
#include "machine.h"

#define KILL_USEC (2 * UINT64_C(1000000))
#define LISTENS	  0x10000ul /* __SO_ACCEPTCON, as /proc/net/unix shows it */

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

/* The inode of the socket that listens at @path; 0: none does. */
static unsigned long listening_inode(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/net/unix", "re");
	char line[512], where[256];
	unsigned long flags, inode, found = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %*s %*s %lx %*s %*s %lu %255s", &flags, &inode, where) == 3 &&
		    flags & LISTENS && streq(where, path))
			found = inode;
	return found;
}

static bool has_socket(int proc, const char *pid, const char *socket)
{
	char path[32], target[64];
	struct dirent *entry;
	DIR *directory;
	bool found = false;
	int fd;

	snprintf(path, sizeof(path), "%.16s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return false;
	}
	while (!found && (entry = readdir(directory))) {
		ssize_t n = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		found = streq(target, socket);
	}
	closedir(directory);
	return found;
}

/* Its queue of connections is full: QEMU serves one client, who hangs, and others wait. */
static int find_listener(const char *path, int *ret_pidfd)
{
	unsigned long inode = listening_inode(path);
	struct dirent *entry;
	char socket[48];
	DIR *proc;
	int pidfd = -1;

	if (inode == 0)
		return TIER_E_NOT_FOUND;
	snprintf(socket, sizeof(socket), "socket:[%lu]", inode);
	proc = opendir("/proc");
	if (!proc)
		return -errno;
	while (pidfd < 0 && (entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
		    !has_socket(dirfd(proc), entry->d_name, socket))
			continue;
		pidfd = pidfd_open((pid_t)strtol(entry->d_name, NULL, 10), 0);
		/* Still its: the number was not given to another process meanwhile. */
		if (pidfd >= 0 && !has_socket(dirfd(proc), entry->d_name, socket)) {
			close(pidfd);
			pidfd = -1;
		}
	}
	closedir(proc);
	if (pidfd < 0)
		return -EAGAIN;
	*ret_pidfd = pidfd;
	return 0;
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
	int pidfd, r;

	if (!copy_string(address.sun_path, sizeof(address.sun_path), path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	if (r == EAGAIN)
		return find_listener(path, ret_pidfd);
	if (r)
		return r == ENOENT || r == ECONNREFUSED ? TIER_E_NOT_FOUND : -r;
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

bool tier_machine_running(const struct tier_config *config, const char *name)
{
	_cleanup_close_ int pidfd = -1;
	char directory[320], path[512];

	if (machine_directory(config, name, directory, NULL) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/qmp", directory);
	/* One that cannot be asked is there. */
	return find_process(path, &pidfd) != TIER_E_NOT_FOUND;
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
