/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>

#include "manager.h"

/*
 * A flight that nobody carries out is carried on by "tierctl settle", a process of its own: it may
 * take as long as a VM takes to be brought out of a portal, and what it starts outlives it. It is
 * tried once for each state of the records.
 */

/* More than the flights that a host can be a side of in four portals. */
#define MAX_REMEMBERED (4 * TIER_PORTAL_MAX_HOSTS * TIER_PORTAL_FLIGHTS)

struct recovery {
	struct recovery *next;
	struct manager *manager;
	struct tier_uuid flight;
	char vm[64];
	uint64_t tried; /* fingerprint of the records */
	sd_event_source *child;
	int output; /* a memfd */
};

static struct recovery *find(struct manager *manager, const struct tier_uuid *flight)
{
	for (struct recovery *recovery = manager->recoveries; recovery; recovery = recovery->next)
		if (uuid_equal(&recovery->flight, flight))
			return recovery;
	return NULL;
}

/* Those of flights that are long over are forgotten; at the worst one is settled once more. */
static void forget_old(struct manager *manager)
{
	size_t count = 0;

	for (struct recovery **p = &manager->recoveries; *p;) {
		struct recovery *recovery = *p;

		if (++count <= MAX_REMEMBERED || recovery->child) {
			p = &recovery->next;
			continue;
		}
		*p = recovery->next;
		free(recovery);
	}
}

static struct recovery *find_or_add(struct manager *manager, const struct tier_uuid *flight,
				    const char *vm)
{
	struct recovery *recovery = find(manager, flight);

	if (recovery)
		return recovery;
	recovery = calloc(1, sizeof(*recovery));
	if (!recovery)
		return NULL;
	recovery->manager = manager;
	recovery->output = -1;
	recovery->flight = *flight;
	COPY(recovery->vm, vm);
	recovery->next = manager->recoveries;
	manager->recoveries = recovery;
	forget_old(manager);
	return recovery;
}

void recovery_forget(struct manager *manager)
{
	for (struct recovery *recovery = manager->recoveries; recovery; recovery = recovery->next)
		recovery->tried = 0;
}

void recoveries_free(struct manager *manager)
{
	while (manager->recoveries) {
		struct recovery *recovery = manager->recoveries;

		manager->recoveries = recovery->next;
		sd_event_source_unref(recovery->child);
		if (recovery->output >= 0)
			close(recovery->output);
		free(recovery);
	}
}

/* FNV-1a, 64 bits. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		hash = (hash ^ (value >> (8 * i) & 0xff)) * UINT64_C(0x100000001b3);
	return hash;
}

/* Of all that a decision depends on, but for this host's own state. Never 0. */
static uint64_t fingerprint(const struct tier_handoff_view *view)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	hash = mix(hash, view->offer.stamp.sequence);
	for (uint32_t host = 0; host < TIER_PORTAL_MAX_HOSTS; host++) {
		hash = mix(hash, view->answers[host].stamp.sequence);
		hash = mix(hash, view->incarnations[host]);
		hash = mix(hash, view->fences[host].intended);
		hash = mix(hash, view->fences[host].fenced);
		hash = mix(hash, view->fences[host].heir);
	}
	return hash | 1;
}

/* What its last line of output is; empty: nothing was said. */
static void last_line(int fd, char *text, size_t size)
{
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t n;
	char *line;

	n = pread(fd, text, size - 1, end > (off_t)size - 1 ? end - ((off_t)size - 1) : 0);
	text[n > 0 ? n : 0] = '\0';
	for (size_t length = strlen(text); length > 0 && text[length - 1] == '\n'; length--)
		text[length - 1] = '\0';
	line = strrchr(text, '\n');
	if (line)
		memmove(text, line + 1, strlen(line + 1) + 1);
}

static int on_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct recovery *recovery = userdata;
	bool good = info->si_code == CLD_EXITED && info->si_status == 0;
	char said[512];

	last_line(recovery->output, said, sizeof(said));
	close(recovery->output);
	recovery->output = -1;
	recovery->child = sd_event_source_unref(recovery->child);
	log_decision(good ? LOG_NOTICE : LOG_WARNING, recovery->vm,
		     good ? "recovered" : "recovery-failed", "tierctl settle %s: %s%s%s",
		     good ? "has carried its flight on" : "could not carry its flight on",
		     said[0] ? said : "it said nothing", good ? "" : "; ",
		     good ? "" : "tierctl flights says who may do what");
	return 0;
}

/* What is the daemon's own is not its child's. */
static char **child_environment(const char *socket)
{
	static const char *const own[] = {
		"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "CXL_TIERD_SOCKET="};
	size_t count = 0, kept = 0;
	char **list;

	while (environ[count])
		count++;
	list = calloc(count + 2, sizeof(*list));
	if (!list)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		bool keep = true;

		for (size_t j = 0; j < ARRAY_SIZE(own); j++)
			keep &= strncmp(environ[i], own[j], strlen(own[j])) != 0;
		if (keep)
			list[kept++] = environ[i];
	}
	list[kept] = (char *)socket;
	return list;
}

static int spawn(const struct manager *manager, char **argv, const char *socket, int output,
		 pid_t *ret)
{
	_cleanup_(freep) char **environment = child_environment(socket);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, defaults;
	int r;

	if (!environment)
		return -ENOMEM;
	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSID);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	r = -posix_spawnp(ret, argv[0], &actions, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/*
 * A unit of its own, not a scope: this daemon's sandbox, and its control group, are not for the QEMU
 * that may be started. It is the service's process that ends; the QEMU stays.
 */
static void build_argv(const struct manager *manager, const char *flight, char *set_socket,
		       char *argv[static 16])
{
	const char *tierctl = manager->options.tierctl ?: TIERCTL;
	size_t n = 0;

	if (!manager->options.tierctl && access("/run/systemd/system", F_OK) == 0) {
		argv[n++] = (char *)"systemd-run";
		argv[n++] = (char *)"--quiet";
		argv[n++] = (char *)"--collect";
		argv[n++] = (char *)"--wait";
		argv[n++] = (char *)"--pipe";
		argv[n++] = (char *)"--property=KillMode=process";
		argv[n++] = set_socket;
		argv[n++] = (char *)"--";
	}
	argv[n++] = (char *)tierctl;
	argv[n++] = (char *)"settle";
	if (manager->options.config) {
		argv[n++] = (char *)"--config";
		argv[n++] = (char *)manager->options.config;
	}
	argv[n++] = (char *)flight;
	argv[n] = NULL;
}

static int start(struct recovery *recovery)
{
	struct manager *manager = recovery->manager;
	char socket[320], set_socket[340], uuid[37];
	char *argv[16];
	pid_t pid;
	int r;

	snprintf(socket, sizeof(socket), "CXL_TIERD_SOCKET=%s", manager->options.socket);
	snprintf(set_socket, sizeof(set_socket), "--setenv=%s", socket);
	/* Not the VM: an earlier flight of it may not have ended either. */
	tier_uuid_format(&recovery->flight, uuid);
	build_argv(manager, uuid, set_socket, argv);
	recovery->output = memfd_create("settle", MFD_CLOEXEC);
	if (recovery->output < 0)
		return -errno;
	r = spawn(manager, argv, socket, recovery->output, &pid);
	if (r == 0)
		r = sd_event_add_child(manager->event, &recovery->child, pid, WEXITED, on_end,
				       recovery);
	if (r < 0) {
		close(recovery->output);
		recovery->output = -1;
	}
	return r < 0 ? r : 0;
}

/* Is there anything to do, whatever state the VM's process is in? */
static bool actionable(struct tier_handoff_view *view)
{
	for (enum tier_handoff_vm vm = TIER_VM_NONE; vm <= TIER_VM_RUNNING; vm++) {
		enum tier_handoff_action action;

		view->vm = vm;
		action = view->offer.source == view->self ? tier_handoff_source(view)
							  : tier_handoff_taker(view);
		if (action != TIER_HANDOFF_WAIT && action != TIER_HANDOFF_HOLD &&
		    action != TIER_HANDOFF_OVER && action != TIER_HANDOFF_DIE)
			return true;
	}
	return false;
}

/* Nothing is open or moved for it yet, so the records alone are to be ended. */
static void abandon(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		    const struct flight *flight)
{
	const struct tier_offer *offer = &flight->view.offer;
	struct tier_problem problem = {};
	int lock = -1, r;

	/* A tool that carries it out has the lock, also when the daemon has forgotten it. */
	r = tier_machine_lock(manager->config, offer->vm, &lock, &problem);
	if (r != 0 && r != TIER_E_NOT_FOUND)
		return;
	r = session_abandon(portal, mapped, flight->slot, offer, "whoever asked for it has gone",
			    &problem);
	if (r != 0)
		log_problem(LOG_ERR, "failed", &problem);
	if (lock >= 0)
		close(lock);
}

void recovery_look(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		   const struct flight *flight)
{
	struct tier_handoff_view view = flight->view;
	struct recovery *recovery;
	uint64_t tried;
	char uuid[37];
	int r;

	if (sessions_held(manager, &view.offer.flight))
		return;
	if (view.offer.source == view.self && view.offer.state == TIER_FLIGHT_REQUESTED) {
		abandon(manager, portal, mapped, flight);
		return;
	}
	if (!manager->config->recover)
		return;
	view.recovering = true;
	tried = fingerprint(&view);
	recovery = find_or_add(manager, &view.offer.flight, view.offer.vm);
	if (!recovery || recovery->child || recovery->tried == tried || !actionable(&view))
		return;
	/*
	 * Nothing was answered: at most somebody has started a process for it. If there is none, it is
	 * the offer's "tierctl receive" that comes next, which settle would be in the way of.
	 */
	if (view.offer.source != view.self && view.answers[view.self].state == TIER_FLIGHT_NONE &&
	    view.offer.destination == view.self && !view.fences[view.offer.source].fenced &&
	    !tier_machine_running(manager->config, view.offer.vm))
		return;
	/* Last: the look itself has the lock for a moment. */
	if (tier_machine_busy(manager->config, view.offer.vm) == TIER_E_BUSY)
		return;
	recovery->tried = tried;
	tier_uuid_format(&view.offer.flight, uuid);
	if (!tier_config_machine(manager->config, view.offer.vm)) {
		log_decision(LOG_WARNING, portal_name(portal), "recovery-failed",
			     "flight %s of VM %s needs this host, which has no [Machine %s]; %s",
			     uuid, view.offer.vm, view.offer.vm, flight->advice);
		return;
	}
	COPY(recovery->vm, view.offer.vm);
	log_decision(LOG_NOTICE, portal_name(portal), "recovering",
		     "nobody carries out flight %s of VM %s (%s/%s): tierctl settle %s", uuid,
		     view.offer.vm, tier_flight_state_name(view.offer.state),
		     tier_flight_state_name(flight->answer), view.offer.vm);
	r = start(recovery);
	if (r < 0)
		log_decision(LOG_ERR, recovery->vm, "recovery-failed",
			     "cannot run tierctl settle: %s", strerror(-r));
}
