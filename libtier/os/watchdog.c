/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's watchdog device, Documentation/watchdog/watchdog-api.rst. */
#include <fcntl.h>
#include <linux/watchdog.h>
#include <sys/ioctl.h>

#include "fd.h"
#include "sysfs.h"
#include "tier-machine.h"

struct tier_watchdog {
	int fd;
	unsigned timeout_sec;
};

/* Once it is open it cannot be closed again without a reset, whoever closes it. */
static bool has_no_way_out(const char *path)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	uint64_t value = 0;

	return sysfs_open(&sysfs, NULL) == 0 &&
	       sysfs_read_u64(&sysfs, &value, "sys/class/watchdog/%s/nowayout",
			      strrchr(path, '/') + 1) == 0 &&
	       value != 0;
}

int tier_watchdog_open(const char *path, unsigned timeout_sec, struct tier_watchdog **ret,
		       struct tier_problem *problem)
{
	_cleanup_free_ struct tier_watchdog *watchdog = calloc(1, sizeof(*watchdog));
	int timeout = (int)timeout_sec;

	if (!watchdog)
		return -ENOMEM;
	if (path[0] != '/' || has_no_way_out(path))
		return tier_problem_set(problem, TIER_E_REFUSED, path,
					"load its driver without nowayout",
					"cannot be disarmed once it is armed");
	watchdog->fd = open(path, O_WRONLY | O_CLOEXEC);
	if (watchdog->fd < 0)
		return tier_problem_set(problem, -errno, path,
					errno == EBUSY
						? "RuntimeWatchdogSec= in system.conf(5) takes "
						  "another one, or none"
						: "modprobe softdog makes one",
					"cannot open the watchdog");
	/* Opening has armed it with whatever its driver takes for a good timeout. */
	if (ioctl(watchdog->fd, WDIOC_SETTIMEOUT, &timeout) < 0) {
		int code = -errno;

		(void)tier_watchdog_disarm(TAKE(watchdog));
		return tier_problem_set(problem, code, path, "choose another WatchdogDevice=",
					"cannot set the watchdog to %u s", timeout_sec);
	}
	watchdog->timeout_sec = timeout > 0 ? (unsigned)timeout : timeout_sec;
	*ret = TAKE(watchdog);
	return 0;
}

unsigned tier_watchdog_timeout_sec(const struct tier_watchdog *watchdog)
{
	return watchdog->timeout_sec;
}

int tier_watchdog_feed(struct tier_watchdog *watchdog)
{
	return write(watchdog->fd, "", 1) == 1 ? 0 : -errno;
}

int tier_watchdog_disarm(struct tier_watchdog *watchdog)
{
	int r = write(watchdog->fd, "V", 1) == 1 ? 0 : -errno;

	close(watchdog->fd);
	free(watchdog);
	return r;
}

struct tier_watchdog *tier_watchdog_leave(struct tier_watchdog *watchdog)
{
	if (watchdog) {
		close(watchdog->fd);
		free(watchdog);
	}
	return NULL;
}
