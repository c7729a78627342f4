/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_TOOL_H
#define TIERCTL_TOOL_H

/* What the verbs of tierctl share: options, messages, tables, progress, the daemon. */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libtier.h>

enum {
	TOOL_OK = 0,
	TOOL_FAILED = 1, /* refused or failed, one line says why */
	TOOL_USAGE = 2,
};

enum tool_option_kind {
	TOOL_FLAG,    /* bool */
	TOOL_STRING,  /* const char * */
	TOOL_STRINGS, /* struct tool_strings, repeatable */
	TOOL_NUMBER,  /* uint64_t */
	TOOL_BYTES,   /* uint64_t, accepts K, M, G, T */
};

struct tool_strings {
	const char *values[32];
	size_t count;
};

struct tool_option {
	const char *name;     /* without "--" */
	const char *argument; /* what --help calls it, NULL for a flag */
	const char *help;
	enum tool_option_kind kind;
	void *target;
};

/* Options that every verb takes. */
struct tool_common {
	bool json;
	const char *sysroot; /* --sysroot or TIER_SYSROOT; NULL: this machine */
	const char *config;  /* --config: one file instead of the usual places */
};
extern struct tool_common tool_common;

struct tool_verb {
	const char *name; /* one or two words, e.g. "portal format" */
	const char *arguments;
	const char *summary;
	int (*run)(int argc, char **argv);
};

/*
 * Parses the options of a verb; argv[0] is the verb. Positional arguments remain at *ret_positional
 * (count in *ret_count, which must lie in [minimum, maximum]). --help prints options and exits 0.
 * Returns 0, or TOOL_USAGE after saying what is wrong on stderr.
 */
int tool_parse(int argc, char **argv, const struct tool_option *options, size_t option_count,
	       int minimum, int maximum, char ***ret_positional, int *ret_count);

/* The same for a verb that runs a command: what begins with the first word that is no option is the command's. */
int tool_parse_command(int argc, char **argv, const struct tool_option *options,
		       size_t option_count, char ***ret_command);

/* Becomes the command, found by PATH. Returns only if it cannot, the exit status: 126, or 127 if there is none. */
int tool_exec(char **command);

/* A whole number; with @bytes also "512M". 0 or -EINVAL. */
int tool_parse_number(const char *text, bool bytes, uint64_t *ret);

/* "tierctl: OBJECT: TEXT; NEXT" on stderr. Returns TOOL_FAILED, so "return tool_fail(&problem)". */
int tool_fail(const struct tier_problem *problem);

/* The same from a format. */
int tool_fail_text(const char *object, const char *next, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Users name cgroups and processes: what is not printable ASCII becomes '?', or a terminal would do what it says. */
char *tool_printable(char *text);

/* "tierctl: usage..." on stderr; returns TOOL_USAGE. */
int tool_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * A table for people, with libsmartcols: columns adapt to the terminal, no colour off a terminal.
 * "right" is a string of one letter per column: 'l' or 'r'.
 */
struct tool_table;
int tool_table_new(struct tool_table **ret, const char *const *columns, size_t column_count,
		   const char *align);
int tool_table_row(struct tool_table *table, ...); /* column_count strings, NULL prints "-" */
void tool_table_print(struct tool_table *table);
struct tool_table *tool_table_free(struct tool_table *table);

/*
 * A progress bar on stderr if it is a terminal; otherwise a line whenever another tenth is done.
 * With --json one object per line on stdout instead.
 */
struct tool_progress {
	const char *label;
	int last_tenth;
	uint64_t last_usec;
	bool drawn;
	uint64_t start_usec; /* of the first update, for rate and time left */
	uint64_t start_done;
};
void tool_progress_update(struct tool_progress *progress, uint64_t done, uint64_t total,
			  const char *unit);
void tool_progress_end(struct tool_progress *progress);

/* Set by SIGINT and SIGTERM after tool_catch_interrupt(); long work asks it and stops cleanly. */
void tool_catch_interrupt(void);
bool tool_interrupted(void);

/* Loads the snapshot under --sysroot, or complains and returns TOOL_FAILED. */
int tool_topology(struct tier_topology **ret);
/* With the memory tier of each node; see tier_topology_read_tiers(). */
int tool_topology_tiers(struct tier_topology **ret);
/* Loads the configuration, or complains and returns TOOL_FAILED. */
int tool_config(struct tier_config **ret);

/* "1.5G" */
const char *tool_bytes(char buffer[static 16], uint64_t bytes);

/* The verbs, one file per group. */
int cmd_list(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_policy_set(int argc, char **argv);
int cmd_policy_clear(int argc, char **argv);
int cmd_online(int argc, char **argv);
int cmd_offline(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_weights(int argc, char **argv);
int cmd_calibrate(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_metrics(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_retired(int argc, char **argv);
int cmd_retire(int argc, char **argv);
int cmd_unretire(int argc, char **argv);
int cmd_move(int argc, char **argv);
int cmd_heat(int argc, char **argv);
int cmd_nodes(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_numactl(int argc, char **argv);
int cmd_portal_format(int argc, char **argv);
int cmd_portal_show(int argc, char **argv);
int cmd_portal_check(int argc, char **argv);
int cmd_portal_fence(int argc, char **argv);
int cmd_flights(int argc, char **argv);
int cmd_send(int argc, char **argv);
int cmd_receive(int argc, char **argv);
int cmd_settle(int argc, char **argv);
int cmd_vm_start(int argc, char **argv);
int cmd_vm_stop(int argc, char **argv);
int cmd_vm_list(int argc, char **argv);

/* tierctl list declared: declared.c. An exit status. */
int list_declared(const struct tier_topology *topology);
/* A line about those that are not there, if any. */
void list_absent(const struct tier_topology *topology);

/* For tests: stops this process at a step of a flight. See break.c. */
void tool_break(void *userdata, enum tier_handoff_step step, bool done, const char *record);

#endif
