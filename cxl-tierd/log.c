/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <sys/stat.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "log.h"
#include "util.h"

enum log_target {
	LOG_TO_JOURNAL,
	LOG_TO_SERVICE, /* stderr that a service manager reads: "<N>" gives the priority */
	LOG_TO_STDERR,
};

/* Is stderr the stream that the journal gave us? $JOURNAL_STREAM is inherited by everybody. */
static enum log_target find_target(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode)
		return LOG_TO_JOURNAL;
	return getenv("INVOCATION_ID") ? LOG_TO_SERVICE : LOG_TO_STDERR;
}

/*
 * A portal's names come from another host, a cgroup's from a user: nothing of them may look like another entry, or tell a
 * terminal what to do. What is said of them may have letters of any language.
 */
static void make_harmless(char *text, bool is_name)
{
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f || (is_name && (unsigned char)*c > 0x7f))
			*c = '?';
}

void log_decision(int priority, const char *object, const char *decision, const char *format, ...)
{
	enum log_target target = find_target();
	char text[1024], whose[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	snprintf(whose, sizeof(whose), "%s", object);
	make_harmless(whose, true);
	make_harmless(text, false);
	if (target == LOG_TO_JOURNAL &&
	    sd_journal_send("MESSAGE=%s: %s", whose, text, "PRIORITY=%i", priority,
			    "CXL_TIER_OBJECT=%s", whose, "CXL_TIER_DECISION=%s", decision,
			    NULL) >= 0)
		return;
	if (target == LOG_TO_STDERR)
		dprintf(STDERR_FILENO, "cxl-tierd: %s: %s\n", whose, text);
	else
		dprintf(STDERR_FILENO, "<%i>%s: %s\n", priority, whose, text);
}

void log_problem(int priority, const char *decision, const struct tier_problem *problem)
{
	log_decision(priority, problem->object, decision, "%s%s%s", problem->text,
		     problem->next[0] ? "; " : "", problem->next);
}
