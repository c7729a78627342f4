/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Preloaded into a cxl-tierd whose WatchdogDevice= is a plain file: it takes a timeout. */
#include <dlfcn.h>
#include <linux/watchdog.h>
#include <stdarg.h>
#include <sys/ioctl.h>

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, void *) =
		(int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return request == WDIOC_SETTIMEOUT ? 0 : real(fd, request, argument);
}
