/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>

#include "events.h"

static uint64_t now_usec(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t manager_now_usec(void)
{
	return now_usec(CLOCK_REALTIME);
}

uint64_t manager_monotonic_usec(void)
{
	return now_usec(CLOCK_MONOTONIC);
}

bool manager_dry_run(const struct manager *manager)
{
	return manager->options.dry_run || manager->options.sysroot || manager->config->dry_run;
}

void manager_alive(struct manager *manager)
{
	if (sd_watchdog_enabled(false, NULL) > 0)
		sd_notify(false, "WATCHDOG=1");
	beat_if_due(manager);
}

void manager_status(struct manager *manager)
{
	size_t regions = 0, portals = 0, flights = flights_active(manager);

	for (struct region *region = manager->regions; region; region = region->next)
		regions += !region->ordinary;
	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		portals++;
	sd_notifyf(false, "STATUS=%zu region%s, %zu portal%s, %zu flight%s under way%s", regions,
		   regions == 1 ? "" : "s", portals, portals == 1 ? "" : "s", flights,
		   flights == 1 ? "" : "s", manager_dry_run(manager) ? "; dry run" : "");
}

static int read_boot(const char *text, struct tier_uuid *ret)
{
	sd_id128_t boot;
	int r = text ? sd_id128_from_string(text, &boot) : sd_id128_get_boot(&boot);

	if (r < 0)
		return r;
	memcpy(ret->bytes, boot.bytes, sizeof(ret->bytes));
	return 0;
}

int manager_new(const struct manager_options *options, struct manager **ret)
{
	_cleanup_(manager_freep) struct manager *manager = calloc(1, sizeof(*manager));
	struct tier_problem problem;
	int r;

	if (!manager)
		return -ENOMEM;
	manager->options = *options;
	manager->lock_fd = -1;
	if (gethostname(manager->hostname, sizeof(manager->hostname) - 1) < 0)
		manager->hostname[0] = '\0';
	r = read_boot(options->boot_id, &manager->boot);
	if (r < 0) {
		log_decision(LOG_ERR, "/proc/sys/kernel/random/boot_id", "failed",
			     "cannot read the boot's id: %s", strerror(-r));
		return r;
	}
	/* Whatever it says. */
	r = options->release ? 0
			     : tier_config_load(options->sysroot, options->config, &manager->config,
						&problem);
	if (r != 0) {
		log_problem(LOG_ERR, "config", &problem);
		return r;
	}
	*ret = manager;
	manager = NULL;
	return 0;
}

struct manager *manager_free(struct manager *manager)
{
	if (!manager)
		return NULL;
	offline_stop(manager);
	hold_stop(manager);
	tiering_stop(manager);
	weights_stop(manager);
	if (manager->server)
		sd_varlink_server_shutdown(manager->server);
	sd_varlink_server_unref(manager->server);
	recoveries_free(manager);
	homes_free(manager);
	sessions_free(manager);
	guard_free(manager);
	ras_free(manager);
	events_free(manager);
	retired_free(manager);
	metrics_free(manager);
	sd_event_source_disable_unref(manager->beat_source);
	portals_free(manager);
	regions_free(manager);
	onlining_free(manager);
	monitor_free(manager);
	declared_free(manager);
	free(manager->rivals);
	sd_event_unref(manager->event);
	tier_config_free(manager->config);
	if (manager->lock_fd >= 0) {
		unlink(manager->options.socket);
		close(manager->lock_fd);
	}
	free(manager);
	return NULL;
}

/*
 * Listening on a socket takes it away from whoever had it, so a second instance is kept out by a
 * lock next to the socket. The lock file stays: removing it would let two instances lock two files.
 */
static int take_lock(struct manager *manager)
{
	char path[300], holder[32] = "";
	int fd;

	if (streq(manager->options.socket, MANAGER_SOCKET))
		mkdir(MANAGER_RUNTIME_DIRECTORY, 0755); /* by hand, outside the unit */
	snprintf(path, sizeof(path), "%s.lock", manager->options.socket);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		log_decision(LOG_ERR, path, "failed", "cannot open the lock file: %m");
		return -errno;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		ssize_t n = read(fd, holder, sizeof(holder) - 1);

		holder[n > 0 ? (size_t)n : 0] = '\0';
		holder[strcspn(holder, "\n")] = '\0';
		log_decision(LOG_ERR, manager->options.socket, "second-instance",
			     "another cxl-tierd (pid %s) serves this socket; systemctl status "
			     "cxl-tierd",
			     holder[0] ? holder : "unknown");
		close(fd);
		return -EBUSY;
	}
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", getpid());
	manager->lock_fd = fd;
	return 0;
}

int manager_reload(struct manager *manager, struct tier_problem *problem)
{
	struct tier_config *config;
	int r;

	sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_usec(CLOCK_MONOTONIC));
	r = tier_config_load(manager->options.sysroot, manager->options.config, &config, problem);
	if (r == 0) {
		tier_config_free(manager->config);
		manager->config = config;
		manager->config_number++;
		log_decision(LOG_NOTICE, "config", "reloaded", "configuration reloaded");
		recovery_forget(manager);
		manager->watchdog_failed = false;
		r = manager_scan(manager, true, problem);
	} else {
		log_decision(LOG_ERR, problem->object, "config",
			     "%s; the old configuration stays in force", problem->text);
	}
	manager_status(manager);
	sd_notify(false, "READY=1");
	return r;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct manager *manager = userdata;

	/*
	 * The tools behind the connections go on with their flights, so this is not a disconnect:
	 * what the sessions hold stays claimed, and the next cxl-tierd reads it from the portal.
	 */
	if (!manager->stopping && offline_cancel(manager)) {
		/* Beats go on until all is put back; a second signal does not wait for that. */
		manager->stopping = true;
		return 0;
	}
	manager->stopping = true;
	return sd_event_exit(manager->event, 0);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct tier_problem problem;

	manager_reload(userdata, &problem);
	return 0;
}

static int start_event_loop(struct manager *manager)
{
	sigset_t children;
	int r;

	r = sd_event_new(&manager->event);
	if (r < 0)
		return r;
	/* Of the children that settle flights; sd-event wants it so. */
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	r = sd_event_add_signal(manager->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, on_stop,
				manager);
	if (r < 0)
		return r;
	r = sd_event_add_signal(manager->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_stop,
				manager);
	if (r < 0)
		return r;
	r = sd_event_add_signal(manager->event, NULL, SIGHUP | SD_EVENT_SIGNAL_PROCMASK, on_reload,
				manager);
	if (r < 0)
		return r;
	return sd_event_set_watchdog(manager->event, true);
}

int manager_release(struct manager *manager)
{
	int r = take_lock(manager), weights, tiering;

	if (r < 0)
		return r;
	weights = weights_release(manager);
	tiering = tiering_release(manager);
	return hold_release(manager) ?: weights ?: tiering;
}

int manager_start(struct manager *manager)
{
	struct tier_problem problem;
	int r;

	r = take_lock(manager);
	if (r < 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	resident_start(manager);
	/* Before anything touches a portal: one whose device fails may end this process. */
	guard_load(manager);
	onlining_load(manager);
	weights_start(manager);
	tiering_start(manager);
	r = start_event_loop(manager);
	if (r < 0) {
		log_decision(LOG_ERR, "cxl-tierd", "failed", "event loop: %s", strerror(-r));
		return r;
	}
	/* Before the first scan, so that nothing that appears meanwhile is missed. */
	r = monitor_start(manager);
	if (r < 0)
		return r;
	/* Before anything is onlined. */
	r = events_start(manager);
	r = r ?: retired_start(manager);
	r = r ?: metrics_start(manager);
	r = r ?: ras_start(manager);
	if (r < 0) {
		log_decision(LOG_ERR, "cxl-tierd", "failed", "events: %s", strerror(-r));
		return r;
	}
	r = manager_scan(manager, true, &problem);
	if (r != 0) {
		log_problem(LOG_ERR, "failed", &problem);
		return r;
	}
	r = varlink_start(manager);
	if (r < 0)
		return r;
	r = beat_start(manager);
	if (r < 0) {
		log_decision(LOG_ERR, "cxl-tierd", "failed", "event loop: %s", strerror(-r));
		return r;
	}
	manager_status(manager);
	return 0;
}
