/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/*
 * A region of 512 GiB is 4096 memory blocks, each with an event of its own. A scan waits until the
 * burst has been quiet for a moment, but no longer than two seconds from its first event.
 */
#define QUIET_USEC UINT64_C(200000)
#define LIMIT_USEC UINT64_C(2000000)

static int on_quiet(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;
	struct tier_problem problem;

	manager->rescan_first_usec = 0;
	if (manager_scan(manager, false, &problem) != 0)
		log_problem(LOG_ERR, "failed", &problem);
	manager_status(manager);
	return 0;
}

int monitor_rescan(struct manager *manager)
{
	uint64_t now, when;
	int r;

	r = sd_event_now(manager->event, CLOCK_MONOTONIC, &now);
	if (r < 0)
		return r;
	if (manager->rescan_first_usec == 0)
		manager->rescan_first_usec = now;
	when = now + QUIET_USEC;
	if (when > manager->rescan_first_usec + LIMIT_USEC)
		when = manager->rescan_first_usec + LIMIT_USEC;
	if (!manager->rescan_source)
		return sd_event_add_time(manager->event, &manager->rescan_source, CLOCK_MONOTONIC,
					 when, 0, on_quiet, manager);
	r = sd_event_source_set_time(manager->rescan_source, when);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(manager->rescan_source, SD_EVENT_ONESHOT);
}

static int on_device(sd_device_monitor *monitor, sd_device *device, void *userdata)
{
	struct manager *manager = userdata;
	int r;

	/* Which device it was does not matter: the scan reads everything. */
	r = monitor_rescan(manager);
	if (r < 0)
		log_decision(LOG_WARNING, "udev", "failed", "cannot schedule a scan: %s",
			     strerror(-r));
	return 0;
}

int monitor_start(struct manager *manager)
{
	static const char *const subsystems[] = {"cxl", "dax", "memory"};
	int r;

	if (manager->options.sysroot || manager->options.files_only)
		return 0;
	r = sd_device_monitor_new(&manager->monitor);
	/* Not fatal: full, so that a burst is not lost, needs privilege. */
	if (r >= 0)
		(void)sd_device_monitor_set_receive_buffer_size(manager->monitor, 8 << 20);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(subsystems); i++)
		r = sd_device_monitor_filter_add_match_subsystem_devtype(manager->monitor,
									 subsystems[i], NULL);
	if (r >= 0)
		r = sd_device_monitor_attach_event(manager->monitor, manager->event);
	if (r >= 0)
		r = sd_device_monitor_start(manager->monitor, on_device, manager);
	if (r < 0)
		log_decision(LOG_ERR, "udev", "failed", "cannot watch devices: %s", strerror(-r));
	return r;
}
