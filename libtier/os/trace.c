/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "fd.h"
#include "sysfs.h"
#include "tier-ras.h"

/*
 * A trace instance of our own: rasdaemon and others have theirs, and no event is taken from them. It
 * stays when we go, so that what happens until the next cxl-tierd is kept in its buffer.
 */
#define TRACEFS	 "sys/kernel/tracing"
#define INSTANCE TRACEFS "/instances/cxl-tierd"

static const char costs[] =
	"errors of memory are not seen: nobody is named, and nothing is retired; tierctl doctor";

static const char *const switches[] = {
	"cxl/cxl_poison",	 "cxl/cxl_general_media",    "cxl/cxl_dram",
	"cxl/cxl_memory_module", "cxl/cxl_generic_event",    "cxl/cxl_aer_uncorrectable_error",
	"cxl/cxl_overflow",	 "ras/memory_failure_event", "printk/console",
};

/* Of all that the kernel prints, what tier_unplug_parse() wants. */
static const char console_filter[] =
	"msg ~ \"*Button press: will power off*\" || msg ~ \"*: Offline failed*\" || "
	"msg ~ \"*: Eject disabled*\" || msg ~ \"*cannot be hotremoved*\"";

struct tier_trace {
	struct sysfs sysfs;
	int fd;
	size_t used, next; /* bytes in the buffer; where its next line begins */
	bool no_console;   /* the kernel has no filter for it */
	bool skip;	   /* the rest of a line that was longer than the buffer */
	char buffer[65536];
};

struct tier_trace *tier_trace_close(struct tier_trace *trace)
{
	if (!trace)
		return NULL;
	if (trace->fd >= 0)
		close(trace->fd);
	sysfs_done(&trace->sysfs);
	free(trace);
	return NULL;
}

static void trace_freep(struct tier_trace **trace)
{
	tier_trace_close(*trace);
}

unsigned tier_trace_enable(struct tier_trace *trace)
{
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		int on = 0;

		if (trace->no_console && streq(switches[i], "printk/console"))
			continue;
		if (sysfs_read_int(&trace->sysfs, &on, INSTANCE "/events/%s/enable", switches[i]) !=
		    0)
			continue;
		count += on == 1 || sysfs_write(&trace->sysfs, "1", INSTANCE "/events/%s/enable",
						switches[i]) == 0;
	}
	return count;
}

static int refuse(struct tier_problem *problem, int code, const char *what)
{
	return tier_problem_set(problem, TIER_E_REFUSED, "/" TRACEFS, costs, "%s: %s", what,
				strerror(-code));
}

int tier_trace_open(struct tier_trace **ret, struct tier_problem *problem)
{
	_cleanup_(trace_freep) struct tier_trace *trace = calloc(1, sizeof(*trace));
	int r;

	if (!trace)
		return -ENOMEM;
	trace->sysfs = SYSFS_CLOSED;
	trace->fd = -1;
	r = sysfs_open(&trace->sysfs, NULL);
	if (r < 0)
		return refuse(problem, r, "cannot open");
	if (mkdir("/" INSTANCE, 0700) < 0 && errno != EEXIST)
		return refuse(problem, -errno, "cannot make a trace instance");
	/* Without who was running: a process's name could look like an event. */
	r = sysfs_write(&trace->sysfs, "0", INSTANCE "/options/context-info");
	/* Readable with the first event, not when the buffer is half full. */
	r = r ?: sysfs_write(&trace->sysfs, "0", INSTANCE "/buffer_percent");
	r = r ?: sysfs_write(&trace->sysfs, "256", INSTANCE "/buffer_size_kb");
	if (r < 0)
		return refuse(problem, r, "cannot set up the trace instance");
	trace->fd = open("/" INSTANCE "/trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (trace->fd < 0)
		return refuse(problem, -errno, "cannot read the trace instance");
	/* Unfiltered it would be the whole kernel log. */
	if (sysfs_write(&trace->sysfs, console_filter, INSTANCE "/events/printk/console/filter") <
	    0)
		trace->no_console = true;
	tier_trace_enable(trace);
	*ret = TAKE(trace);
	return 0;
}

int tier_trace_fd(const struct tier_trace *trace)
{
	return trace->fd;
}

/* A whole line out of the buffer. */
static bool take_line(struct tier_trace *trace, const char **ret)
{
	char *start = trace->buffer + trace->next;
	char *end = memchr(start, '\n', trace->used - trace->next);

	if (!end)
		return false;
	*end = '\0';
	*ret = start;
	trace->next = (size_t)(end - trace->buffer) + 1;
	return true;
}

int tier_trace_next(struct tier_trace *trace, const char **ret)
{
	for (;;) {
		ssize_t n;

		while (take_line(trace, ret)) {
			bool skipped = trace->skip;

			trace->skip = false;
			if (!skipped)
				return 0;
		}
		memmove(trace->buffer, trace->buffer + trace->next, trace->used - trace->next);
		trace->used -= trace->next;
		trace->next = 0;
		if (trace->used == sizeof(trace->buffer)) {
			trace->skip = true;
			trace->used = 0;
		}
		n = read(trace->fd, trace->buffer + trace->used,
			 sizeof(trace->buffer) - trace->used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n <= 0)
			return TIER_E_NOT_FOUND;
		trace->used += (size_t)n;
	}
}

int tier_trace_poison_list(const char *memdev)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	if (r == 0 && !sysfs_exists(&sysfs, "sys/bus/cxl/devices/%s/trigger_poison_list", memdev))
		return TIER_E_NOT_FOUND;
	return r ?: sysfs_write(&sysfs, "1", "sys/bus/cxl/devices/%s/trigger_poison_list", memdev);
}
