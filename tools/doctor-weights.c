/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor.h"
#include "tool.h"

/* Weights of weighted interleave: what a daemon that was killed has left, and a calibration that does not hold. */

void doctor_leftover_weights(struct doctor_report *report, bool running)
{
	static const char object[] = "interleave weights";
	struct tier_weights_saved *saved = NULL;
	struct tier_problem problem = {};
	int r = tier_weights_saved_load(NULL, &saved, &problem);
	size_t changed = 0;

	if (r == TIER_E_NOT_FOUND) {
		doctor_add(report, OK, object, NULL, NULL, "cxl-tierd has changed none");
		return;
	}
	if (r) {
		doctor_add(report, WARN, object, "what was there before cxl-tierd is not put back",
			   problem.next, "%.300s", problem.text);
		return;
	}
	if (saved->auto_refused) {
		doctor_add(report, OK, object, NULL, NULL,
			   "they are as before cxl-tierd, but in manual mode: the kernel knows no "
			   "bandwidth");
		tier_weights_saved_free(saved);
		return;
	}
	for (size_t i = 0; i < saved->node_count; i++)
		changed += saved->nodes[i].before != saved->nodes[i].next;
	doctor_add(report, running ? OK : WARN, object,
		   "they do not follow nodes that come and go any more",
		   "systemctl start cxl-tierd; or cxl-tierd --release puts back what was there",
		   running ? "those of %zu nodes are cxl-tierd's"
			   : "those of %zu nodes are left by a cxl-tierd that was killed",
		   changed);
	tier_weights_saved_free(saved);
}

void doctor_calibration(struct doctor_report *report, const struct tier_topology *topology)
{
	static const char cost[] = "interleave weights are by firmware, or alike";
	static const char object[] = "calibration";
	struct tier_machine_identity identity;
	struct tier_calibration *calibration = NULL;
	struct tier_problem problem = {};
	int r = tier_calibration_load(tool_common.sysroot, &calibration, &problem);
	char why[160] = "";

	/* Nobody needs one whose firmware tells. */
	if (r == TIER_E_NOT_FOUND)
		return;
	if (r == 0 && tier_machine_identity_read(tool_common.sysroot, &identity, &problem) != 0)
		r = -ENOENT;
	if (r) {
		doctor_add(report, WARN, object, cost, problem.next, "%.300s", problem.text);
		tier_calibration_free(calibration);
		return;
	}
	for (size_t i = 0; !why[0] && i < topology->node_count; i++)
		if (topology->nodes[i].has_memory && topology->nodes[i].type <= TIER_MEMORY_LOCAL)
			(void)tier_calibration_stale(calibration, &identity, topology,
						     topology->nodes[i].id, why);
	doctor_add(report, why[0] ? WARN : OK, object, cost, "tierctl calibrate",
		   why[0] ? "stale: %s" : "holds for every node%.0s", why);
	tier_calibration_free(calibration);
}
