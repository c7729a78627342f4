/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "change.h"
#include "tool.h"

int change_allowed(const char *verb, const char *object)
{
	char next[256];

	if (tool_common.sysroot && strcmp(tool_common.sysroot, "/") != 0)
		return tool_usage("%s: a dump cannot be changed; leave --sysroot out or add "
				  "--dry-run",
				  verb);
	if (geteuid() == 0)
		return 0;
	snprintf(next, sizeof(next), "sudo tierctl %s %s", verb, object);
	return tool_fail_text(object, next, "cannot %s: needs root", verb);
}

int change_check_regions(char **names, int count)
{
	struct tier_topology *topology = NULL;
	size_t blocks;
	int r = tool_topology(&topology);

	for (int i = 0; r == 0 && i < count; i++)
		if (!tier_topology_region(topology, names[i]) &&
		    !tier_run_blocks(topology, names[i], &blocks))
			r = tool_fail_text(names[i], "see tierctl list regions", "no such region");
	tier_topology_free(topology);
	return r;
}
