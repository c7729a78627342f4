/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl heat */
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "since.h"
#include "tool.h"

#define DEFAULT_ROWS	24
#define DEFAULT_COLUMNS 64
/* A step of Tier=auto takes a few seconds at most. */
#define WAIT_USEC UINT64_C(15000000)

struct options {
	const char *seconds, *svg;
	uint64_t width, rows;
};

static int on_progress(void *userdata, uint64_t done_usec, uint64_t total_usec)
{
	if (!tool_common.json)
		tool_progress_update(userdata, done_usec / 1000, total_usec / 1000, "ms");
	return tool_interrupted();
}

static uint64_t columns_of_terminal(void)
{
	struct winsize size;
	uint64_t columns = DEFAULT_COLUMNS;

	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
	    size.ws_col > 0)
		columns = size.ws_col > TIER_HEAT_LABEL ? size.ws_col - TIER_HEAT_LABEL : 0;
	if (columns < TIER_HEAT_COLUMNS_MIN)
		return TIER_HEAT_COLUMNS_MIN;
	return columns > TIER_HEAT_COLUMNS_MAX ? TIER_HEAT_COLUMNS_MAX : columns;
}

/* See no-color.org for the last. */
static bool has_colours(void)
{
	const char *term = getenv("TERM"), *more = getenv("COLORTERM"), *none = getenv("NO_COLOR");

	if (!isatty(STDOUT_FILENO) || (none && none[0]))
		return false;
	return (term && strstr(term, "256color")) || (more && more[0]);
}

/* Before the time is spent: is there a place for the picture? */
static int check_file(const char *path)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX];
	struct stat info;

	if (path[0] == '\0' || (slash && slash[1] == '\0') || strlen(path) >= PATH_MAX - 8)
		return tool_usage("heat: --svg takes the name of a file, not \"%s\"", path);
	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
		return tool_fail_text(path, "give the name of a file", "is no regular file");
	snprintf(directory, sizeof(directory), "%.*s",
		 slash ? (int)(slash - path) + (slash == path) : 1, slash ? path : ".");
	if (access(directory, W_OK | X_OK) < 0)
		return tool_fail_text(path, "give another name", "cannot be made: %s",
				      strerror(errno));
	return TOOL_OK;
}

static int write_all(int fd, const char *text)
{
	for (size_t left = strlen(text); left > 0;) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

/* All of it or nothing. */
static int write_file(const char *path, const char *text)
{
	char temporary[PATH_MAX];
	mode_t mask = umask(0);
	int fd, r;

	umask(mask);
	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	fd = mkstemp(temporary);
	if (fd < 0)
		return tool_fail_text(path, NULL, "cannot be made: %s", strerror(errno));
	r = write_all(fd, text);
	if (r == 0 && fchmod(fd, 0666 & ~mask) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r == 0)
		return TOOL_OK;
	(void)unlink(temporary);
	return tool_fail_text(path, NULL, "cannot be written: %s", strerror(-r));
}

static int report(const struct tier_heat *heat, const char *svg)
{
	char *text = NULL;
	int r = tool_common.json ? tier_heat_to_json(heat, &text)
				 : tier_heat_to_text(heat, has_colours(), &text);

	if (r < 0)
		return tool_fail_text("heat", NULL, "cannot print: %s", tier_strerror(r));
	fputs(text, stdout);
	free(text);
	fflush(stdout);
	if (!svg)
		return TOOL_OK;
	r = tier_heat_to_svg(heat, &text);
	if (r < 0)
		return tool_fail_text(svg, NULL, "cannot be drawn: %s", tier_strerror(r));
	r = write_file(svg, text);
	free(text);
	return r;
}

static int take(const struct tier_heat_request *request, const char *svg)
{
	struct tool_progress progress = {.label = "watching"};
	struct tier_problem problem = {};
	struct tier_heat *heat;
	int r;

	tool_catch_interrupt();
	r = tier_heat_take(request, on_progress, &progress, &heat, &problem);
	tool_progress_end(&progress);
	if (r)
		return tool_fail(&problem);
	r = report(heat, svg);
	tier_heat_free(heat);
	return r;
}

/* What the options ask for, or TOOL_USAGE after saying what is wrong. */
static int check(const struct options *options, struct tier_heat_request *request)
{
	if (since_parse_duration(options->seconds, &request->for_usec) < 0 ||
	    request->for_usec < TIER_HEAT_USEC_MIN || request->for_usec > TIER_HEAT_USEC_MAX)
		return tool_usage("heat: --for takes a time from 1s to 1h such as 30s or 5m, "
				  "not \"%s\"",
				  options->seconds);
	if (options->width < TIER_HEAT_COLUMNS_MIN || options->width > TIER_HEAT_COLUMNS_MAX)
		return tool_usage("heat: --width takes a number from %d to %d",
				  TIER_HEAT_COLUMNS_MIN, TIER_HEAT_COLUMNS_MAX);
	if (options->rows < TIER_HEAT_ROWS_MIN || options->rows > TIER_HEAT_ROWS_MAX)
		return tool_usage("heat: --rows takes a number from %d to %d", TIER_HEAT_ROWS_MIN,
				  TIER_HEAT_ROWS_MAX);
	request->columns = (unsigned)options->width;
	request->rows = (unsigned)options->rows;
	return 0;
}

int cmd_heat(int argc, char **argv)
{
	struct options options = {
		.seconds = "30s", .width = columns_of_terminal(), .rows = DEFAULT_ROWS};
	const struct tool_option table[] = {
		{"for", "TIME", "how long, such as 10s, 5m, 1h; default: 30s", TOOL_STRING,
		 &options.seconds},
		{"svg", "FILE", "also write it as a picture", TOOL_STRING, &options.svg},
		{"width", "COLUMNS", "columns of time; default: as the terminal has room",
		 TOOL_NUMBER, &options.width},
		{"rows", "ROWS", "rows of addresses; default: 24", TOOL_NUMBER, &options.rows},
	};
	struct tier_heat_request request = {.wait_usec = WAIT_USEC};
	struct tier_problem problem = {};
	char **words, *path = NULL;
	uint64_t pid;
	int count, r;

	r = tool_parse(argc, argv, table, sizeof(table) / sizeof(table[0]), 1, 1, &words, &count);
	r = r ?: check(&options, &request);
	if (r)
		return r;
	if (tool_common.sysroot && strcmp(tool_common.sysroot, "/") != 0)
		return tool_fail_text("heat", "leave --sysroot out", "a dump has no processes");
	if (tool_parse_number(words[0], false, &pid) == 0) {
		if (pid == 0 || pid > INT_MAX)
			return tool_usage("heat: %s is no process", words[0]);
		request.pid = (pid_t)pid;
	} else if (strcmp(words[0], "host") != 0) {
		if (tier_cgroup_find(words[0], &path, &problem) != 0)
			return tool_fail(&problem);
		request.cgroup = path;
	}
	r = options.svg ? check_file(options.svg) : 0;
	r = r ?: take(&request, options.svg);
	free(path);
	return r;
}
