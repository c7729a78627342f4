/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts QEMU for a configured machine. Nothing on the command line comes from anywhere else. */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "clock.h"
#include "fd.h"
#include "machine.h"

#define START_USEC (60 * UINT64_C(1000000))
#define RETRY_USEC UINT64_C(20000)

struct argv {
	char **items; /* NULL terminated */
	size_t count;
};

static void argv_done(struct argv *argv)
{
	for (size_t i = 0; i < argv->count; i++)
		free(argv->items[i]);
	free(argv->items);
}

__attribute__((format(printf, 2, 3))) static int argv_add(struct argv *argv, const char *format,
							  ...)
{
	char **grown = reallocarray(argv->items, argv->count + 2, sizeof(char *));
	va_list arguments;
	int r;

	if (!grown)
		return -ENOMEM;
	argv->items = grown;
	va_start(arguments, format);
	r = vasprintf(&argv->items[argv->count], format, arguments);
	va_end(arguments);
	if (r < 0)
		return -ENOMEM;
	argv->items[++argv->count] = NULL;
	return 0;
}

/* %d is the machine's directory, %n its name, %% a percent sign. */
static int argv_add_expanded(struct argv *argv, const char *text, const char *directory,
			     const char *name)
{
	_cleanup_free_ char *expanded = NULL;
	size_t size;
	FILE *stream = open_memstream(&expanded, &size);

	if (!stream)
		return -ENOMEM;
	for (; *text; text++) {
		if (text[0] == '%' && text[1] == 'd')
			fputs(directory, stream), text++;
		else if (text[0] == '%' && text[1] == 'n')
			fputs(name, stream), text++;
		else if (text[0] == '%' && text[1] == '%')
			fputc('%', stream), text++;
		else
			fputc(*text, stream);
	}
	if (fclose(stream) != 0)
		return -ENOMEM;
	return argv_add(argv, "%s", expanded);
}

static int build_argv(const struct tier_config_machine *machine, const char *directory,
		      bool incoming, struct argv *argv)
{
	const char *const fixed[] = {"-nodefaults", "-display", "none"};
	int r = 0;

	r = r ?: argv_add(argv, "%s", machine->qemu);
	r = r ?: argv_add(argv, "-name");
	r = r ?: argv_add(argv, "%s,process=cxl-tier:%s", machine->name, machine->name);
	r = r ?: argv_add(argv, "-machine");
	r = r
		    ?: argv_add(argv, "%s,memory-backend=ram,accel=%s", machine->type,
				machine->accelerator);
	r = r ?: argv_add(argv, "-m");
	r = r ?: argv_add(argv, "%lluM", (unsigned long long)(machine->memory_bytes / MIB));
	r = r ?: argv_add(argv, "-smp");
	r = r ?: argv_add(argv, "%u", machine->cpus);
	r = r ?: argv_add(argv, "-object");
	r = r
		    ?: argv_add(argv,
				"memory-backend-file,id=ram,size=%llu,mem-path=%s/"
				"ram,share=on,align=2M",
				(unsigned long long)machine->memory_bytes, directory);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		r = r ?: argv_add(argv, "%s", fixed[i]);
	r = r ?: argv_add(argv, "-qmp");
	r = r ?: argv_add(argv, "unix:%s/qmp,server=on,wait=off", directory);
	r = r ?: argv_add(argv, "-sandbox");
	r = r
		    ?: argv_add(argv, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
				      "resourcecontrol=deny");
	if (incoming) {
		r = r ?: argv_add(argv, "-incoming");
		r = r ?: argv_add(argv, "defer");
		r = r ?: argv_add(argv, "-S");
	}
	for (size_t i = 0; i < machine->argument_count; i++)
		r = r ?: argv_add_expanded(argv, machine->arguments[i], directory, machine->name);
	return r;
}

/* In the child, between fork and exec: only async-signal-safe calls. */
static void become(const struct passwd *user, const gid_t *groups, int group_count,
		   const char *directory, int log)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(0077);
	if (setsid() < 0 || null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
	    chdir(directory) < 0)
		_exit(126);
	if (close_range(3, ~0U, 0) < 0)
		_exit(126);
	if (geteuid() == 0 && (setgroups((size_t)group_count, groups) < 0 ||
			       setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
		_exit(126);
}

/* The last line that QEMU wrote, for the problem. */
static void last_words(int log_fd, char *text, size_t size)
{
	_cleanup_close_ int fd = dup(log_fd);
	_cleanup_fclose_ FILE *log = NULL;
	char line[512];

	copy_string(text, size, "it said nothing");
	/* The file that was opened before QEMU ran, not what its directory has by that name now. */
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0)
		log = fdopen(fd, "r");
	if (log)
		take_fd(&fd);
	while (log && fgets(line, sizeof(line), log)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			copy_string(text, size, line);
	}
}

static int prepare_directory(const struct tier_config *config, const char *directory,
			     const struct passwd *user, bool keep_ram, struct tier_problem *problem)
{
	static const char *const stale[] = {"qmp", "log", "ram"};
	_cleanup_close_ int fd = -1;

	if (mkdir(config->vm_directory, 0711) < 0 && errno != EEXIST)
		return tier_problem_set(problem, -errno, config->vm_directory, NULL,
					"cannot create VmDirectory");
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return tier_problem_set(problem, -errno, directory, NULL, "cannot create");
	fd = open(directory, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return tier_problem_set(problem, -errno, directory, NULL, "cannot open");
	if (keep_ram && faccessat(fd, "ram", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return tier_problem_set(problem, -errno, directory, NULL, "its RAM is gone");
	for (size_t i = 0; i < ARRAY_SIZE(stale) - keep_ram; i++) {
		if (unlinkat(fd, stale[i], 0) < 0 && errno != ENOENT)
			return tier_problem_set(problem, -errno, directory, NULL,
						"cannot remove old %s", stale[i]);
	}
	if (geteuid() == 0 && fchown(fd, user->pw_uid, user->pw_gid) < 0)
		return tier_problem_set(problem, -errno, directory, NULL, "cannot chown");
	return 0;
}

/* Waits until QEMU answers on QMP, or ends. */
static int await_monitor(const struct tier_config *config, const char *name, pid_t pid, int log,
			 struct tier_machine **ret, struct tier_problem *problem)
{
	uint64_t deadline = now_usec() + START_USEC;
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	char words[256];

	if (pidfd < 0)
		return tier_problem_set(problem, -errno, name, NULL, "cannot watch QEMU");
	for (;;) {
		struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
		int r = machine_connect(config, name, ret, problem);

		if (r == 0 && qmp_peer((*ret)->qmp) != pid) {
			*ret = tier_machine_free(*ret);
			r = tier_problem_set(problem, TIER_E_REFUSED, name, NULL,
					     "another process answers on its monitor");
		}
		/* Nobody else knows of this child: it must not stay behind. */
		if (r != 0 && r != TIER_E_NOT_FOUND && r != -EPIPE && r != TIER_E_TIMEOUT)
			pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		if (r != TIER_E_NOT_FOUND && r != -EPIPE && r != TIER_E_TIMEOUT)
			return r;
		r = poll(&poll_fd, 1, poll_timeout(now_usec() + RETRY_USEC));
		if (r > 0) {
			waitpid(pid, NULL, WNOHANG);
			last_words(log, words, sizeof(words));
			return tier_problem_set(problem, TIER_E_REFUSED, name,
						"correct the [Machine] section",
						"QEMU ended at once: %s", words);
		}
		if (now_usec() > deadline) {
			pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
			return tier_problem_set(problem, TIER_E_TIMEOUT, name, NULL,
						"QEMU did not open its monitor");
		}
	}
}

int tier_machine_start(const struct tier_config *config, const char *name, bool incoming,
		       struct tier_machine **ret, struct tier_problem *problem)
{
	_cleanup_close_ int lock = -1;
	int r = machine_lock(config, name, &lock, problem);

	return r
		       ?: machine_start_locked(config, name,
					       incoming ? MACHINE_INCOMING : MACHINE_BOOT, ret,
					       problem);
}

int machine_start_locked(const struct tier_config *config, const char *name, enum machine_start how,
			 struct tier_machine **ret, struct tier_problem *problem)
{
	const struct tier_config_machine *machine = tier_config_machine(config, name);
	_cleanup_(argv_done) struct argv argv = {};
	_cleanup_(tier_machine_freep) struct tier_machine *running = NULL;
	_cleanup_close_ int log = -1;
	char directory[320], path[512];
	gid_t groups[64];
	int group_count = ARRAY_SIZE(groups);
	const struct passwd *user;
	pid_t pid;
	int r;

	r = machine_directory(config, name, directory, problem);
	if (r)
		return r;
	r = tier_machine_attach(config, name, &running, NULL);
	/* Whatever else than "nobody listens" came back, somebody may be there. */
	if (r != TIER_E_NOT_FOUND)
		return tier_problem_set(problem, TIER_E_BUSY, name, "tierctl vm stop",
					"already running on this host");
	user = getpwnam(machine->user);
	if (!user)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name,
					"systemd-sysusers, or set User= in its [Machine] section",
					"no such user to run QEMU as: %s", machine->user);
	if (getgrouplist(user->pw_name, user->pw_gid, groups, &group_count) < 0)
		return tier_problem_set(problem, -E2BIG, name, NULL, "groups of %s", machine->user);
	if (access(machine->qemu, X_OK) < 0)
		return tier_problem_set(problem, -errno, name,
					"install qemu-system-x86, or set Qemu=", "cannot run %s",
					machine->qemu);
	r = prepare_directory(config, directory, user, how == MACHINE_INCOMING_KEEP_RAM, problem);
	if (r)
		return r;
	r = build_argv(machine, directory, how != MACHINE_BOOT, &argv);
	if (r)
		return r;
	snprintf(path, sizeof(path), "%s/log", directory);
	log = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot create");

	pid = fork();
	if (pid < 0)
		return tier_problem_set(problem, -errno, name, NULL, "cannot fork");
	if (pid == 0) {
		become(user, groups, group_count, directory, log);
		execv(machine->qemu, argv.items);
		_exit(127);
	}
	return await_monitor(config, name, pid, log, ret, problem);
}
