/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>

#include "config.h"
#include "tool.h"

struct tool_common tool_common;

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	interrupted = signal;
}

void tool_catch_interrupt(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* A terminal or a pipe that goes away must not end a flight between two of its steps. */
	sigaction(SIGHUP, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

bool tool_interrupted(void)
{
	return interrupted != 0;
}

char *tool_printable(char *text)
{
	for (char *at = text; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return text;
}

int tool_fail(const struct tier_problem *problem)
{
	if (!problem->text[0])
		return tool_fail_text("tierctl", NULL, "failed: out of memory?");
	fprintf(stderr, "tierctl: %s: %s%s%s\n", problem->object, problem->text,
		problem->next[0] ? "; " : "", problem->next);
	return TOOL_FAILED;
}

int tool_fail_text(const char *object, const char *next, const char *format, ...)
{
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "tierctl: %s: %s%s%s\n", object, text, next ? "; " : "", next ?: "");
	return TOOL_FAILED;
}

int tool_usage(const char *format, ...)
{
	va_list arguments;

	fputs("tierctl: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return TOOL_USAGE;
}

static const struct tool_option common_options[] = {
	{"json", NULL, "machine-readable output", TOOL_FLAG, &tool_common.json},
	{"sysroot", "DIR", "read a dump of a machine instead of this one", TOOL_STRING,
	 &tool_common.sysroot},
	{"config", "FILE", "read one configuration file instead of the usual places", TOOL_STRING,
	 &tool_common.config},
};
#define COMMON_COUNT (sizeof(common_options) / sizeof(common_options[0]))

static void print_option(const struct tool_option *option)
{
	char head[64];

	snprintf(head, sizeof(head), "--%s%s%s", option->name, option->argument ? " " : "",
		 option->argument ?: "");
	printf("  %-26s %s\n", head, option->help);
}

int tool_parse_number(const char *text, bool bytes, uint64_t *ret)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned long long value;
	int shift = 0;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (bytes && *end && strchr(units, *end)) {
		shift = 10 * (int)(strchr(units, *end) - units + 1);
		end++;
	}
	if (*end || (value << shift) >> shift != value)
		return -EINVAL;
	*ret = value << shift;
	return 0;
}

static int store(const char *verb, const struct tool_option *option, const char *value)
{
	struct tool_strings *strings = option->target;

	switch (option->kind) {
	case TOOL_FLAG:
		*(bool *)option->target = true;
		return 0;
	case TOOL_STRING:
		*(const char **)option->target = value;
		return 0;
	case TOOL_STRINGS:
		if (strings->count == sizeof(strings->values) / sizeof(strings->values[0]))
			return tool_usage("%s: --%s given too often", verb, option->name);
		strings->values[strings->count++] = value;
		return 0;
	case TOOL_NUMBER:
	case TOOL_BYTES:
		if (tool_parse_number(value, option->kind == TOOL_BYTES, option->target) < 0)
			return tool_usage("%s: --%s takes %s, not \"%s\"", verb, option->name,
					  option->kind == TOOL_BYTES ? "a size such as 512M"
								     : "a whole number",
					  value);
		return 0;
	}
	return 0;
}

static int parse(const char *letters, int argc, char **argv, const struct tool_option *options,
		 size_t option_count, int minimum, int maximum, char ***ret_positional,
		 int *ret_count)
{
	size_t total = option_count + COMMON_COUNT;
	struct option table[64] = {};
	const char *sysroot = getenv("TIER_SYSROOT");
	int c, index;

	if (sysroot && sysroot[0])
		tool_common.sysroot = sysroot;
	for (size_t i = 0; i < total; i++) {
		const struct tool_option *option =
			i < option_count ? &options[i] : &common_options[i - option_count];
		table[i] = (struct option){
			.name = option->name, .has_arg = option->kind != TOOL_FLAG, .val = 1};
	}
	table[total] = (struct option){.name = "help", .val = 2};

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, letters, table, &index)) >= 0) {
		if (c == 2) {
			printf("Usage: tierctl %s [OPTION...]\n\nOptions:\n", argv[0]);
			for (size_t i = 0; i < option_count; i++)
				print_option(&options[i]);
			for (size_t i = 0; i < COMMON_COUNT; i++)
				print_option(&common_options[i]);
			exit(TOOL_OK);
		}
		if (c == ':')
			return tool_usage("%s: %s needs a value", argv[0], argv[optind - 1]);
		if (c != 1)
			return tool_usage("%s: unknown option %s; see tierctl %s --help", argv[0],
					  argv[optind - 1], argv[0]);
		int r = store(argv[0],
			      (size_t)index < option_count
				      ? &options[index]
				      : &common_options[(size_t)index - option_count],
			      optarg);
		if (r)
			return r;
	}
	if (argc - optind < minimum)
		return tool_usage("%s: an argument is missing; see tierctl --help", argv[0]);
	if (maximum >= 0 && argc - optind > maximum)
		return tool_usage("%s: unexpected argument \"%s\"", argv[0],
				  argv[optind + maximum]);
	if (ret_positional)
		*ret_positional = argv + optind;
	if (ret_count)
		*ret_count = argc - optind;
	return 0;
}

int tool_parse(int argc, char **argv, const struct tool_option *options, size_t option_count,
	       int minimum, int maximum, char ***ret_positional, int *ret_count)
{
	return parse(":", argc, argv, options, option_count, minimum, maximum, ret_positional,
		     ret_count);
}

int tool_parse_command(int argc, char **argv, const struct tool_option *options,
		       size_t option_count, char ***ret_command)
{
	return parse("+:", argc, argv, options, option_count, 1, -1, ret_command, NULL);
}

int tool_exec(char **command)
{
	int status;

	execvp(command[0], command);
	/* As of env(1): what was run can then be told from what could not be. */
	status = errno == ENOENT ? 127 : 126;
	tool_fail_text(command[0], NULL, "cannot run it: %s", strerror(errno));
	return status;
}

int tool_topology(struct tier_topology **ret)
{
	struct tier_problem problem;

	if (tier_topology_read(tool_common.sysroot, ret, &problem) != 0)
		return tool_fail(&problem);
	return 0;
}

int tool_topology_tiers(struct tier_topology **ret)
{
	int r = tool_topology(ret);

	/* Not known while a memory block goes offline. */
	if (r == 0)
		(void)tier_topology_read_tiers(tool_common.sysroot, *ret);
	return r;
}

int tool_config(struct tier_config **ret)
{
	struct tier_problem problem;

	if (tier_config_load(tool_common.sysroot, tool_common.config, ret, &problem) != 0)
		return tool_fail(&problem);
	return 0;
}

const char *tool_bytes(char buffer[static 16], uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	size_t unit = 0;
	double value = (double)bytes;

	for (; value >= 1024 && units[unit + 1]; unit++)
		value /= 1024;
	snprintf(buffer, 16, value == (double)(uint64_t)value ? "%.0f%c" : "%.1f%c", value,
		 units[unit]);
	return buffer;
}
