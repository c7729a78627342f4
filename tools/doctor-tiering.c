/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client.h"
#include "doctor.h"
#include "tool.h"

/* Promotion and demotion: what a daemon that was killed has left, who does it, and whether somebody else does, too. */

static const char object[] = "tiering";

static void check_damon(struct doctor_report *report, bool running)
{
	if (tier_heat_runs())
		doctor_add(report, OK, object, NULL, NULL, "tierctl heat uses DAMON for a while");
	else if (!tier_tiering_left())
		doctor_add(report, OK, object, NULL, NULL, "nothing of DAMON is cxl-tierd's");
	else if (running)
		doctor_add(report, OK, object, NULL, NULL,
			   "cxl-tierd has changed DAMON's settings");
	else
		doctor_add(report, WARN, object,
			   "others may not have DAMON, and the kernel's own monitoring may be off",
			   "systemctl start cxl-tierd; or cxl-tierd --release puts it back",
			   "DAMON is as a cxl-tierd that was killed has left it");
}

static void check_knobs(struct doctor_report *report, bool running)
{
	struct tier_knobs_saved saved = {};
	struct tier_problem problem = {};
	char ours[160] = "";
	int r = tier_knobs_load(NULL, &saved, &problem);

	if (r == TIER_E_NOT_FOUND)
		return;
	if (r) {
		doctor_add(report, WARN, object, "what was there before cxl-tierd is not put back",
			   problem.next, "%.300s", problem.text);
		return;
	}
	for (enum tier_knob knob = 0; knob < TIER_KNOBS; knob++) {
		size_t used = strlen(ours);

		if (saved.knobs[knob].ours)
			snprintf(ours + used, sizeof(ours) - used, "%s%s", used ? ", " : "",
				 tier_knob_name(knob));
	}
	doctor_add(report, running ? OK : WARN, object,
		   "the kernel moves pages, and nothing ends that for shared memory or a flight",
		   "systemctl start cxl-tierd; or cxl-tierd --release puts it back",
		   running ? "set by cxl-tierd: %s" : "left by a cxl-tierd that was killed: %s",
		   ours);
}

void doctor_tiering(struct doctor_report *report, bool running)
{
	char mechanism[16], reason[400];

	check_damon(report, running);
	check_knobs(report, running);
	client_daemon_tiering(mechanism, reason);
	if (strcmp(mechanism, "damon") == 0 && !reason[0])
		doctor_add(report, OK, object, NULL, NULL, "Tier=auto moves pages by DAMON");
	else if (strcmp(mechanism, "kernel") == 0)
		doctor_add(report, OK, object, NULL, NULL,
			   "Tier=auto has the kernel move pages: %.300s", reason);
	else if (strcmp(mechanism, "idle") == 0)
		doctor_add(report, OK, object, NULL, NULL,
			   "Tier=auto moves pages by idle page tracking: %.300s", reason);
	else if (mechanism[0] && strcmp(mechanism, "no") != 0)
		doctor_add(report, WARN, object, "what is hot stays where it is",
			   "journalctl CXL_TIER_DECISION=tiering-waits says what to do",
			   "Tier=auto moves nothing for now: %.300s", reason);
}

static void check_beside(struct doctor_report *report, bool demotes, bool promotes)
{
	doctor_add(report, demotes ? OK : WARN, "demotion",
		   "where DRAM is short the kernel swaps, or kills, though CXL memory has room",
		   "Demotion=yes in [Tiering]; or echo true > /sys/kernel/mm/numa/demotion_enabled",
		   demotes ? "on: where DRAM is short, reclaim makes room"
			   : "off beside Tier=auto");
	/* The same pages, by different rules. */
	doctor_add(report, promotes ? WARN : OK, "numa_balancing",
		   "the kernel and cxl-tierd promote the same pages by different rules",
		   "sysctl kernel.numa_balancing=0; or Mechanism=kernel in [Tiering]",
		   promotes ? "promotes between tiers beside Tier=auto"
			    : "Tier=auto promotes by itself");
}

void doctor_kernel_tiering(struct doctor_report *report, const struct tier_topology *topology)
{
	const struct tier_hotplug *hotplug = &topology->hotplug;
	bool promotes = hotplug->numa_balancing > 0 && (hotplug->numa_balancing & 2);
	char mechanism[16] = "", reason[400];

	if (!tool_common.sysroot || strcmp(tool_common.sysroot, "/") == 0)
		client_daemon_tiering(mechanism, reason);
	if (strcmp(mechanism, "damon") == 0 || strcmp(mechanism, "idle") == 0) {
		check_beside(report, hotplug->demotion, promotes);
		return;
	}
	doctor_add(report, hotplug->demotion ? OK : WARN, "demotion",
		   "cold pages are swapped out instead of moving to CXL memory",
		   "Tier=auto in [Tiering]; or echo true > /sys/kernel/mm/numa/demotion_enabled",
		   hotplug->demotion ? "on" : "off");
	/* Somebody has switched it off since. */
	if (strcmp(mechanism, "kernel") == 0 && !promotes)
		doctor_add(report, WARN, "numa_balancing",
			   "hot pages in CXL memory are not promoted",
			   "sysctl kernel.numa_balancing=2",
			   "%d by another hand, though Tier=auto has the kernel move pages",
			   hotplug->numa_balancing);
	else
		doctor_add(report, promotes ? OK : WARN, "numa_balancing",
			   "hot pages in CXL memory are not promoted",
			   "Tier=auto in [Tiering]; or sysctl kernel.numa_balancing=2", "%d%s",
			   hotplug->numa_balancing, promotes ? "" : ": no promotion between tiers");
}
