/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl top */
#include <poll.h>
#include <sys/ioctl.h>

#include "top.h"

#define SECONDS_MAX 3600

static unsigned width_of_output(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t width;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	if (columns && tool_parse_number(columns, false, &width) == 0 && width >= 20 &&
	    width <= 1000)
		return (unsigned)width;
	return 80;
}

static int print(const struct tier_top *top)
{
	struct tier_top_view view = {.width = width_of_output(), .by = TIER_TOP_BY_TOTAL};
	struct tier_top_lines lines;
	char *text = NULL;

	if (tool_common.json) {
		if (tier_top_to_json(top, &text) < 0)
			return tool_fail_text("top", NULL, "out of memory");
		fputs(text, stdout);
		free(text);
		return TOOL_OK;
	}
	if (tier_top_lines(top, &view, &lines) < 0)
		return tool_fail_text("top", NULL, "out of memory");
	for (size_t i = 0; i < lines.count; i++) {
		/* A table from the next. */
		if (lines.lines[i].style == TIER_TOP_HEAD)
			putchar('\n');
		puts(lines.lines[i].text);
	}
	tier_top_lines_done(&lines);
	return TOOL_OK;
}

/* What has moved in an interval needs two looks; in a dump nothing moves. */
static int once(struct top_source *source, uint64_t interval_usec, bool processes)
{
	struct tier_problem problem = {};
	struct tier_top *top;
	int r = top_source_look(source, processes, &top, &problem);

	if (r == 0 && !tool_common.sysroot) {
		tier_top_free(top);
		tool_catch_interrupt();
		(void)poll(NULL, 0, (int)(interval_usec / 1000));
		if (tool_interrupted())
			return tool_fail_text("top", NULL, "interrupted");
		r = top_source_look(source, processes, &top, &problem);
	}
	if (r)
		return tool_fail(&problem);
	r = print(top);
	tier_top_free(top);
	return r;
}

static int check(bool is_once, uint64_t seconds)
{
	if (seconds == 0 || seconds > SECONDS_MAX)
		return tool_usage("top: --interval takes seconds from 1 to %d", SECONDS_MAX);
	if (is_once)
		return 0;
	if (tool_common.json)
		return tool_usage("top: --json needs --once");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return tool_fail_text("top", "print it once: tierctl top --once",
				      "input and output are not a terminal");
	return 0;
}

int cmd_top(int argc, char **argv)
{
	bool is_once = false, processes = false;
	uint64_t seconds = 1, least_bytes = 1 << 20;
	const struct tool_option options[] = {
		{"once", NULL, "print it once, and end", TOOL_FLAG, &is_once},
		{"processes", NULL, "processes instead of units, which takes longer", TOOL_FLAG,
		 &processes},
		{"interval", "SECONDS", "how often; default: 1", TOOL_NUMBER, &seconds},
		{"least", "BYTES", "leave out processes with less; default: 1M", TOOL_BYTES,
		 &least_bytes},
	};
	struct top_source source = {};
	int r = tool_parse(argc, argv, options, sizeof(options) / sizeof(options[0]), 0, 0, NULL,
			   NULL);

	if (r == 0)
		r = check(is_once, seconds);
	if (r)
		return r;
	source.least_bytes = least_bytes;
	r = top_source_open(&source);
	if (r == 0)
		r = is_once ? once(&source, seconds * 1000000, processes)
			    : top_screen(&source, seconds * 1000000, processes);
	top_source_done(&source);
	return r;
}
