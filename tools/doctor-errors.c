/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client.h"
#include "doctor.h"
#include "tool.h"

/* Memory errors: whether they are seen, and what has been retired. */

/* The daemon is asked: its trace instance is there when it has gone as well. */
void doctor_errors(struct doctor_report *report, bool running)
{
	static const char cost[] = "errors of memory are not seen: no process or VM that is hit is "
				   "named, and bad memory stays in use";
	static const char object[] = "memory errors";

	if (!running)
		doctor_add(report, WARN, object, cost, "systemctl start cxl-tierd",
			   "cxl-tierd, which reads the kernel's events, does not answer");
	else if (client_daemon_hears_errors())
		doctor_add(report, OK, object, NULL, NULL, "cxl-tierd reads the kernel's events");
	else if (geteuid() == 0 && access("/sys/kernel/tracing/events", F_OK) < 0)
		doctor_add(report, WARN, object, cost,
			   "mount -t tracefs tracefs /sys/kernel/tracing, and restart cxl-tierd",
			   "there is no tracefs");
	else
		doctor_add(report, WARN, object, cost,
			   "journalctl -u cxl-tierd; systemctl restart cxl-tierd",
			   "cxl-tierd does not read the kernel's trace events");
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
