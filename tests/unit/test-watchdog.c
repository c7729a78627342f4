/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plain file in place of the device; the linker sends ioctl() here (-Wl,--wrap=ioctl). */
#include <linux/watchdog.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "portal-file.h"
#include "test.h"
#include "tier-machine.h"

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static int timeout_asked, timeout_given, ioctl_errno;

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	int *timeout;

	va_start(arguments, request);
	timeout = va_arg(arguments, int *);
	va_end(arguments);
	if (request != WDIOC_SETTIMEOUT)
		return __real_ioctl(fd, request, timeout);
	if (ioctl_errno) {
		errno = ioctl_errno;
		return -1;
	}
	timeout_asked = *timeout;
	*timeout = timeout_given;
	return 0;
}

static struct tier_problem problem;

static const char *device(void)
{
	const char *path = file_path("watchdog");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	close(fd);
	return path;
}

/* Everything that has been written to it. */
static size_t written(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, ret, size);

	close(fd);
	CHECK(n >= 0);
	return (size_t)n;
}

TEST(armed_fed_disarmed)
{
	struct tier_watchdog *watchdog;
	const char *path = device();
	char bytes[16];

	timeout_given = 32;
	CHECK_EQ(tier_watchdog_open(path, 30, &watchdog, &problem), 0);
	CHECK_EQ(timeout_asked, 30);
	CHECK_EQ(tier_watchdog_timeout_sec(watchdog), 32);
	CHECK_EQ(tier_watchdog_feed(watchdog), 0);
	CHECK_EQ(tier_watchdog_feed(watchdog), 0);
	CHECK_EQ(written(path, bytes, sizeof(bytes)), 2);
	CHECK(bytes[0] != 'V' && bytes[1] != 'V');
	CHECK_EQ(tier_watchdog_disarm(watchdog), 0);
	CHECK_EQ(written(path, bytes, sizeof(bytes)), 3);
	CHECK_EQ(bytes[2], 'V');
}

TEST(left_armed)
{
	struct tier_watchdog *watchdog;
	const char *path = device();
	char bytes[16];

	CHECK_EQ(tier_watchdog_open(path, 30, &watchdog, &problem), 0);
	CHECK_EQ(tier_watchdog_feed(watchdog), 0);
	CHECK(tier_watchdog_leave(watchdog) == NULL);
	CHECK_EQ(written(path, bytes, sizeof(bytes)), 1);
	CHECK(bytes[0] != 'V');
	CHECK(tier_watchdog_leave(NULL) == NULL);
}

TEST(not_left_armed_when_it_takes_no_timeout)
{
	struct tier_watchdog *watchdog = NULL;
	const char *path = device();
	char bytes[16];

	ioctl_errno = EOPNOTSUPP;
	CHECK_EQ(tier_watchdog_open(path, 30, &watchdog, &problem), -EOPNOTSUPP);
	ioctl_errno = 0;
	CHECK(!watchdog);
	CHECK(strstr(problem.text, "30 s"));
	CHECK_EQ(written(path, bytes, sizeof(bytes)), 1);
	CHECK_EQ(bytes[0], 'V');
}

TEST(no_such_device)
{
	struct tier_watchdog *watchdog = NULL;

	CHECK_EQ(tier_watchdog_open(file_path("none"), 30, &watchdog, &problem), -ENOENT);
	CHECK(!watchdog);
}
