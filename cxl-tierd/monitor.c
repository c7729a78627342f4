/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/*
 * Devices come and go. The events are the kernel's own, not those that udevd sends on when it has run its
 * rules in other processes. Which device it was does not matter, since the scan reads everything; only how
 * soon there is one does.
 *
 * A dax device that has got its driver, or waits for it (hold.c), is complete: at once. Memory blocks of
 * a device appear one after the other, each with an event of its own, and are to be seen together: after
 * a moment of quiet. So with all else, of which a region brings much and nothing is urgent. A burst that
 * never pauses is looked at after two seconds.
 */
#define BLOCKS_QUIET_USEC UINT64_C(20000)
#define QUIET_USEC	  UINT64_C(200000)
#define LIMIT_USEC	  UINT64_C(2000000)

/* Of events that are not looked at in time the kernel drops the newest. */
#define RECEIVE_BUFFER_BYTES (8 << 20)

static void scan(struct manager *manager)
{
	struct tier_problem problem;

	manager->rescan_first_usec = 0;
	if (manager_scan(manager, false, &problem) != 0)
		log_problem(LOG_ERR, "failed", &problem);
	manager_status(manager);
}

static int on_quiet(sd_event_source *source, uint64_t usec, void *userdata)
{
	scan(userdata);
	return 0;
}

/* The shortest wait of a burst is that of all of it. */
static int rescan_in(struct manager *manager, uint64_t quiet_usec)
{
	uint64_t now = manager_monotonic_usec(), when;
	int r;

	if (manager->rescan_first_usec == 0) {
		manager->rescan_first_usec = now;
		manager->rescan_quiet_usec = quiet_usec;
	}
	if (manager->rescan_quiet_usec > quiet_usec)
		manager->rescan_quiet_usec = quiet_usec;
	when = now + manager->rescan_quiet_usec;
	if (when > manager->rescan_first_usec + LIMIT_USEC)
		when = manager->rescan_first_usec + LIMIT_USEC;
	if (!manager->rescan_source)
		return sd_event_add_time(manager->event, &manager->rescan_source, CLOCK_MONOTONIC,
					 when, 1, on_quiet, manager);
	r = sd_event_source_set_time(manager->rescan_source, when);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(manager->rescan_source, SD_EVENT_ONESHOT);
}

int monitor_rescan(struct manager *manager)
{
	return rescan_in(manager, QUIET_USEC);
}

static bool is(const char *text, const char *wanted)
{
	return text && streq(text, wanted);
}

/* A region's seed has no size, and waits to be given one. */
static bool is_seed(struct udev_device *device)
{
	return is(udev_device_get_sysattr_value(device, "size"), "0");
}

/* How long it may be waited whether more of the same comes. */
static uint64_t patience(const struct manager *manager, struct udev_device *device)
{
	const char *action = udev_device_get_action(device);

	if (is(udev_device_get_subsystem(device), "dax") &&
	    (is(action, "bind") || (is(action, "add") && manager->hold.on && !is_seed(device))))
		return 0;
	if (is(udev_device_get_subsystem(device), "memory") && is(action, "add"))
		return BLOCKS_QUIET_USEC;
	return QUIET_USEC;
}

/* A region's dax region has gone; its name is the one before the last. */
static void note_region_removal(struct manager *manager, const char *devpath)
{
	char path[512], *last;

	if (!devpath || !COPY_WHOLE(path, devpath))
		return;
	last = strrchr(path, '/');
	if (last)
		*last = '\0';
	last = strrchr(path, '/');
	if (last)
		region_gone(manager, last + 1);
}

/* Between two scans a device may go and come back: that is another arrival. */
static void note_removal(struct manager *manager, struct udev_device *device)
{
	const char *name = udev_device_get_sysname(device);
	uint64_t first, last;

	if (!name || !is(udev_device_get_action(device), "remove"))
		return;
	if (is(udev_device_get_subsystem(device), "cxl") && strncmp(name, "dax_region", 10) == 0)
		note_region_removal(manager, udev_device_get_devpath(device));
	if (is(udev_device_get_subsystem(device), "memory") &&
	    tier_run_parse(name, &first, &last) == 0)
		onlining_forget(manager, first);
}

static void note_arrival(struct manager *manager, struct udev_device *device)
{
	if (is(udev_device_get_subsystem(device), "dax") &&
	    is(udev_device_get_action(device), "add"))
		hold_arrived(manager, udev_device_get_sysname(device));
}

static int on_events(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct manager *manager = userdata;
	struct udev_device *device;
	uint64_t wait = QUIET_USEC;
	int r;

	/* All that are there, since one scan is for all. */
	errno = 0;
	while ((device = udev_monitor_receive_device(manager->monitor))) {
		uint64_t own = patience(manager, device);

		note_arrival(manager, device);
		note_removal(manager, device);
		wait = own < wait ? own : wait;
		udev_device_unref(device);
		errno = 0;
	}
	/* Some were lost: they may have been the ones that matter. */
	if (errno == ENOBUFS) {
		hold_lost(manager);
		wait = 0;
	}
	r = rescan_in(manager, wait);
	if (r < 0)
		log_decision(LOG_WARNING, "devices", "failed", "cannot schedule a scan: %s",
			     strerror(-r));
	return 0;
}

static int watch(struct manager *manager)
{
	/* A driver may be what a device has waited for. */
	static const char *const subsystems[] = {"cxl", "dax", "memory", "drivers"};
	int r = 0;

	manager->udev = udev_new();
	if (manager->udev)
		manager->monitor = udev_monitor_new_from_netlink(manager->udev, "kernel");
	if (!manager->monitor)
		return errno > 0 ? -errno : -ENOMEM;
	/* Not fatal: full, so that a burst is not lost, needs privilege. */
	(void)udev_monitor_set_receive_buffer_size(manager->monitor, RECEIVE_BUFFER_BYTES);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(subsystems); i++)
		r = udev_monitor_filter_add_match_subsystem_devtype(manager->monitor, subsystems[i],
								    NULL);
	if (r >= 0)
		r = udev_monitor_enable_receiving(manager->monitor);
	if (r >= 0)
		r = sd_event_add_io(manager->event, &manager->monitor_source,
				    udev_monitor_get_fd(manager->monitor), EPOLLIN, on_events,
				    manager);
	return r;
}

int monitor_start(struct manager *manager)
{
	int r;

	if (manager->options.sysroot || manager->options.files_only)
		return 0;
	r = watch(manager);
	if (r < 0)
		log_decision(LOG_ERR, "devices", "failed", "cannot watch devices: %s",
			     strerror(-r));
	return r;
}

void monitor_free(struct manager *manager)
{
	sd_event_source_disable_unref(manager->monitor_source);
	sd_event_source_disable_unref(manager->rescan_source);
	udev_monitor_unref(manager->monitor);
	udev_unref(manager->udev);
}
