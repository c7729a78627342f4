/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor.h"

/* The kernel has findings of its own. */
static bool is_known(const struct tier_rival *rival)
{
	return rival->kind == TIER_RIVAL_KERNEL;
}

static enum doctor_verdict verdict_of(const struct tier_rival *rival)
{
	if (rival->stands_back)
		return OK;
	return rival->kind == TIER_RIVAL_COMMAND || rival->kind == TIER_RIVAL_DAXCTL_RULE ||
			       rival->kind == TIER_RIVAL_DAXCTL_CONFIG
		       ? WARN
		       : FAIL;
}

void doctor_rivals(struct doctor_report *report)
{
	struct tier_rival *rivals = NULL;
	struct tier_problem problem;
	size_t count = 0, active = 0;

	if (tier_rivals_read(tool_common.sysroot, &rivals, &count, &problem) != 0) {
		doctor_add(report, WARN, "rivals", "who else onlines memory is not known", "", "%s",
			   problem.text);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (is_known(&rivals[i]))
			continue;
		active += !rivals[i].stands_back;
		doctor_add(report, verdict_of(&rivals[i]), rivals[i].place,
			   tier_rival_cost(rivals[i].kind), rivals[i].next, "%s", rivals[i].what);
	}
	/* A dump has no such files as a rule, and says nothing about them. */
	if (active == 0 && (!tool_common.sysroot || strcmp(tool_common.sysroot, "/") == 0))
		doctor_add(report, OK, "rivals", NULL, NULL,
			   "no udev rule, unit, script or tmpfiles.d onlines memory");
	free(rivals);
}
