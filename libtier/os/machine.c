/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/pidfd.h>

#include "clock.h"
#include "fd.h"
#include "machine.h"

/* A running machine writes its disk caches back first. */
#define QUIT_USEC (30 * UINT64_C(1000000))
#define KILL_USEC (10 * UINT64_C(1000000))

int machine_directory(const struct tier_config *config, const char *name,
		      char directory[static 320], struct tier_problem *problem)
{
	if (!tier_config_machine(config, name))
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name,
					"add a [Machine] section to cxl-tierd.conf",
					"no such machine in this host's configuration");
	if (snprintf(directory, 320, "%s/%s", config->vm_directory, name) >= 320)
		return tier_problem_set(problem, -ENAMETOOLONG, name, NULL, "VmDirectory");
	return 0;
}

int machine_connect(const struct tier_config *config, const char *name, struct tier_machine **ret,
		    struct tier_problem *problem)
{
	_cleanup_(tier_machine_freep) struct tier_machine *machine = calloc(1, sizeof(*machine));
	char path[512];
	int r;

	if (!machine)
		return -ENOMEM;
	machine->pidfd = -1;
	copy_string(machine->name, sizeof(machine->name), name);
	r = machine_directory(config, name, machine->directory, problem);
	if (r)
		return r;
	snprintf(path, sizeof(path), "%s/qmp", machine->directory);
	r = qmp_connect(path, &machine->qmp, problem);
	if (r)
		return r;
	machine->pidfd = qmp_take_pidfd(machine->qmp);
	*ret = TAKE(machine);
	return 0;
}

int tier_machine_attach(const struct tier_config *config, const char *name,
			struct tier_machine **ret, struct tier_problem *problem)
{
	int r = machine_connect(config, name, ret, problem);

	/* A socket without a listener is what a dead QEMU leaves behind. */
	if (r == TIER_E_NOT_FOUND && tier_config_machine(config, name))
		return tier_problem_set(problem, r, name, "tierctl vm start, or tierctl vm list",
					"not running on this host");
	return r;
}

struct tier_machine *tier_machine_free(struct tier_machine *machine)
{
	if (!machine)
		return NULL;
	qmp_free(machine->qmp);
	closep(&machine->pidfd);
	free(machine);
	return NULL;
}

static bool ended_within(struct tier_machine *machine, uint64_t usec)
{
	uint64_t deadline = now_usec() + usec;
	struct pollfd poll_fd = {.fd = machine->pidfd, .events = POLLIN};
	int r;

	do
		r = poll(&poll_fd, 1, poll_timeout(deadline));
	while (r < 0 && errno == EINTR);
	return r > 0;
}

bool tier_machine_alive(struct tier_machine *machine)
{
	return !ended_within(machine, 0);
}

int tier_machine_pause(struct tier_machine *machine, struct tier_problem *problem)
{
	return qmp_command(machine->qmp, "stop", NULL, -1, NULL, problem);
}

int tier_machine_resume(struct tier_machine *machine, struct tier_problem *problem)
{
	return qmp_command(machine->qmp, "cont", NULL, -1, NULL, problem);
}

int tier_machine_quit(struct tier_machine *machine, struct tier_problem *problem)
{
	/* Its answer may be lost with the process; the pidfd tells what came of it. */
	(void)qmp_command(machine->qmp, "quit", NULL, -1, NULL, NULL);
	if (ended_within(machine, QUIT_USEC))
		return 0;
	if (pidfd_send_signal(machine->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return tier_problem_set(problem, -errno, machine->name, NULL, "cannot end QEMU");
	if (!ended_within(machine, KILL_USEC))
		return tier_problem_set(problem, TIER_E_TIMEOUT, machine->name, NULL,
					"QEMU did not end on SIGKILL");
	return 0;
}

int machine_remove_ram(const struct tier_machine *machine, const struct tier_machine_info *info,
		       struct tier_problem *problem)
{
	_cleanup_close_ int directory = -1;
	size_t length = strlen(machine->directory);
	const char *name;

	if (strncmp(info->memory_path, machine->directory, length) != 0 ||
	    info->memory_path[length] != '/')
		return 0;
	name = info->memory_path + length + 1;
	if (strchr(name, '/'))
		return 0;
	directory = open(machine->directory, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (directory < 0 || (unlinkat(directory, name, 0) < 0 && errno != ENOENT))
		return tier_problem_set(problem, -errno, info->memory_path, NULL,
					"cannot remove the RAM of a machine that has ended");
	return 0;
}

int machine_forget_ram(const struct tier_config *config, const char *name,
		       struct tier_problem *problem)
{
	char directory[320], path[512];

	if (!tier_config_machine(config, name) ||
	    machine_directory(config, name, directory, NULL) != 0)
		return 0;
	snprintf(path, sizeof(path), "%s/ram", directory);
	if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
		return tier_problem_set(problem, -errno, path, NULL,
					"cannot remove the RAM of a machine that has ended");
	return 0;
}

int file_lock(const struct tier_config *config, const char *name, int *ret_fd,
	      struct tier_problem *problem)
{
	_cleanup_close_ int fd = -1;
	char path[512];

	if (mkdir(config->vm_directory, 0711) < 0 && errno != EEXIST)
		return tier_problem_set(problem, -errno, config->vm_directory, NULL,
					"cannot create VmDirectory");
	snprintf(path, sizeof(path), "%s/.%s.lock", config->vm_directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot open");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return tier_problem_set(problem, errno == EWOULDBLOCK ? TIER_E_BUSY : -errno, name,
					"tierctl flights; wait for that process, or end it",
					"another process starts it or carries a flight of it out");
	*ret_fd = take_fd(&fd);
	return 0;
}

int machine_lock(const struct tier_config *config, const char *name, int *ret_fd,
		 struct tier_problem *problem)
{
	char directory[320];
	int r = machine_directory(config, name, directory, problem);

	return r ?: file_lock(config, name, ret_fd, problem);
}
