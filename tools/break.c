/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stdlib.h>

#include "tool.h"

/*
 * CXL_TIER_BREAK=STEP or STEP:before: this process says that it is there and stops itself, so that a
 * test can kill it, its VM, its daemon or its host exactly then. SIGCONT lets it go on.
 */
void tool_break(void *userdata, enum tier_handoff_step step, bool done, const char *record)
{
	const char *wanted = getenv("CXL_TIER_BREAK");
	const char *name = tier_handoff_step_name(step);
	size_t length = strlen(name);

	if (!wanted || strncmp(wanted, name, length) != 0 ||
	    strcmp(wanted + length, done ? "" : ":before") != 0)
		return;
	printf("{\"break\":\"%s\",\"when\":\"%s\",\"record\":\"%s\"}\n", name,
	       done ? "after" : "before", record);
	fflush(stdout);
	raise(SIGSTOP);
}
