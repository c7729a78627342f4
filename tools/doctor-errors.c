/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>

#include "doctor.h"
#include "tool.h"

/* Memory errors: whether they are seen, and what has been retired. */

void doctor_errors(struct doctor_report *report)
{
	static const char cost[] = "errors of memory are not seen: no process or VM that is hit is "
				   "named, and bad memory stays in use";
	static const char instance[] = "/sys/kernel/tracing/instances/cxl-tierd";

	if (geteuid() != 0)
		doctor_add(report, WARN, "memory errors", cost, "sudo tierctl doctor",
			   "only root can see whether cxl-tierd reads the kernel's events");
	else if (access("/sys/kernel/tracing/events", F_OK) < 0)
		doctor_add(report, WARN, "memory errors", cost,
			   "mount -t tracefs tracefs /sys/kernel/tracing, and restart cxl-tierd",
			   "there is no tracefs");
	else if (access(instance, F_OK) < 0)
		doctor_add(report, WARN, "memory errors", cost,
			   "journalctl -u cxl-tierd CXL_TIER_DECISION=no-events",
			   "cxl-tierd does not read the kernel's trace events");
	else
		doctor_add(report, OK, "memory errors", NULL, NULL,
			   "cxl-tierd reads the kernel's events");
}

/* Of a dump as well. */
void doctor_retired(struct doctor_report *report, const struct tier_topology *topology)
{
	size_t online = 0;

	if (topology->retired_code) {
		doctor_add(report, FAIL, "retired memory", "no region is onlined",
			   "put a good copy of " TIER_RETIRED_PATH
			   " in its place, or move it away to begin a new list; restart cxl-tierd",
			   "%.150s", topology->retired_problem.text);
		return;
	}
	for (size_t i = 0; i < topology->block_count; i++)
		online += topology->blocks[i].state != TIER_BLOCK_OFFLINE &&
			  tier_topology_block_retired(topology, topology->blocks[i].index);
	doctor_add(report, online ? WARN : OK, "retired memory", "bad memory is in use",
		   "boot again; tierctl retired lists it", "%zu blocks retired, %zu of them online",
		   topology->retired_block_count, online);
}
