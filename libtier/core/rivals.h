/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_RIVALS_H
#define TIER_CORE_RIVALS_H

#include "tier-rivals.h"
#include "util.h"

struct rivals {
	struct tier_rival *all;
	size_t count;
	/* The daxdev-reconfigure@.service that would run: empty if there is none; ours if it hands over to cxl-tierd. */
	char unit[200];
	bool unit_is_ours;
	struct tier_rivals_unread unread;
};

/*
 * What a file's text has of rivals; @path is its name on that machine. Anything may be in a file. Each returns 0 or
 * -ENOMEM.
 */
int rivals_parse_udev(struct rivals *rivals, const char *path, const char *text);
int rivals_parse_unit(struct rivals *rivals, const char *path, const char *text);
int rivals_parse_tmpfiles(struct rivals *rivals, const char *path, const char *text);
/* Shell and cron: a command to a line. */
int rivals_parse_script(struct rivals *rivals, const char *path, const char *text);
int rivals_parse_daxctl(struct rivals *rivals, const char *path, const char *text);
int rivals_parse_command_line(struct rivals *rivals, const char *text);

/* @next: a format of the path, or NULL if it stands back. 0, -ENOMEM. */
int rivals_add(struct rivals *rivals, enum tier_rival_kind kind, const char *path, unsigned line,
	       const char *next, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Does a command online memory, or have it onlined? "" if not, else a word for it. */
const char *rivals_command(const char *command);

/*
 * The next line that is not a comment, continued ones joined; NULL at the end. @at and @number go on; @ret_line is the
 * number of its first line. What does not fit into the buffer is cut.
 */
char *rivals_next_line(const char **at, unsigned *number, unsigned *ret_line, char *buffer,
		       size_t size);

#endif
