/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "process-identity.h"

#define FIVE	 " %*s %*s %*s %*s %*s"
#define EIGHTEEN FIVE FIVE FIVE " %*s %*s %*s"

/* proc_pid_stat(5): behind the name, which may have any character, come state, ppid and so on; 22 and 28. */
bool process_identity_parse(const char *stat, struct process_identity *ret)
{
	const char *at = strrchr(stat, ')');
	struct process_identity found;

	if (!at || sscanf(at, ") %*c" EIGHTEEN " %" SCNu64 FIVE " %" SCNu64, &found.start_ticks,
			  &found.stack) != 2)
		return false;
	*ret = found;
	return true;
}
