/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/ioctl.h>
#include <time.h>

#include "tool.h"

/* At most ten redraws a second. */
#define REDRAW_USEC 100000

static uint64_t now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* "1.5G" of bytes, "1500 pages" of anything else. */
static const char *amount(char buffer[static 48], uint64_t number, const char *unit, bool with_unit)
{
	if (strcmp(unit, "bytes") == 0)
		tool_bytes(buffer, number);
	else
		snprintf(buffer, 48, "%" PRIu64 "%s%s", number, with_unit ? " " : "",
			 with_unit ? unit : "");
	return buffer;
}

static int terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

static void draw(struct tool_progress *progress, uint64_t done, uint64_t total, const char *unit,
		 uint64_t now)
{
	double seconds = (double)(now - progress->start_usec) / 1e6;
	uint64_t fresh = done > progress->start_done ? done - progress->start_done : 0;
	char head[80], tail[160], eta[32] = "", a[48], b[48], c[48];
	uint64_t per_second = seconds > 0 ? (uint64_t)((double)fresh / seconds) : 0;
	int percent = total ? (int)((double)done * 100 / (double)total) : 100, width, filled;

	if (per_second > 0 && seconds >= 0.5 && done < total) {
		uint64_t left = (total - done) / per_second;

		if (left < 60)
			snprintf(eta, sizeof(eta), " %" PRIu64 "s left", left + 1);
		else
			snprintf(eta, sizeof(eta), " %" PRIu64 "m%02" PRIu64 "s left", left / 60,
				 left % 60);
	}
	snprintf(head, sizeof(head), "%s %3d%% ", progress->label, percent);
	snprintf(tail, sizeof(tail), " %s/%s %s/s%s", amount(a, done, unit, false),
		 amount(b, total, unit, true), amount(c, per_second, unit, false), eta);
	width = terminal_columns() - 1 - (int)strlen(head) - (int)strlen(tail) - 2;
	if (width > 40)
		width = 40;
	fprintf(stderr, "\r%s", head);
	if (width >= 4) {
		filled = width * percent / 100;
		fputc('[', stderr);
		for (int i = 0; i < width; i++)
			fputc(i < filled ? '#' : '.', stderr);
		fputc(']', stderr);
	}
	fprintf(stderr, "%s\033[K", tail);
	fflush(stderr);
	progress->drawn = true;
}

void tool_progress_update(struct tool_progress *progress, uint64_t done, uint64_t total,
			  const char *unit)
{
	uint64_t now = now_usec();
	int tenth;
	char a[48], b[48];

	if (done > total)
		done = total;
	tenth = total ? (int)((double)done * 10 / (double)total) : 10;
	if (progress->start_usec == 0) {
		progress->start_usec = now;
		progress->start_done = done;
	}
	if (!tool_common.json && isatty(STDERR_FILENO)) {
		/* The end is always drawn, once. */
		if (progress->drawn && now - progress->last_usec < REDRAW_USEC &&
		    (done < total || progress->last_tenth == 10))
			return;
		progress->last_usec = now;
		progress->last_tenth = tenth;
		draw(progress, done, total, unit, now);
		return;
	}
	if (tenth <= progress->last_tenth)
		return;
	progress->last_tenth = tenth;
	if (tool_common.json) {
		/* Labels and units are our own words: nothing in them needs escaping. */
		printf("{\"progress\":\"%s\",\"done\":%" PRIu64 ",\"total\":%" PRIu64
		       ",\"unit\":\"%s\"}\n",
		       progress->label, done, total, unit);
		fflush(stdout);
	} else {
		fprintf(stderr, "%s: %d%% (%s of %s)\n", progress->label, tenth * 10,
			amount(a, done, unit, false), amount(b, total, unit, true));
	}
}

void tool_progress_end(struct tool_progress *progress)
{
	if (progress->drawn)
		fputc('\n', stderr);
	progress->drawn = false;
}
