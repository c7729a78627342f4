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

void log_decision(int priority, const char *object, const char *decision, const char *format, ...)
{
	enum log_target target = find_target();
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	/* A portal's names come from another host: nothing of them may look like another entry. */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';

	if (target == LOG_TO_JOURNAL &&
	    sd_journal_send("MESSAGE=%s: %s", object, text, "PRIORITY=%i", priority,
			    "CXL_TIER_OBJECT=%s", object, "CXL_TIER_DECISION=%s", decision,
			    NULL) >= 0)
		return;
	if (target == LOG_TO_STDERR)
		dprintf(STDERR_FILENO, "cxl-tierd: %s: %s\n", object, text);
	else
		dprintf(STDERR_FILENO, "<%i>%s: %s\n", priority, object, text);
}

void log_problem(int priority, const char *decision, const struct tier_problem *problem)
{
	log_decision(priority, problem->object, decision, "%s%s%s", problem->text,
		     problem->next[0] ? "; " : "", problem->next);
}
