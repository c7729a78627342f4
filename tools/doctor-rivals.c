/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor.h"

/* The kernel has findings of its own. */
static bool is_known(const struct tier_rival *rival)
{
	return rival->kind == TIER_RIVAL_KERNEL;
}

static enum doctor_verdict verdict_of(const struct tier_rival *rival)
{
	if (tier_rival_stands_back(rival))
		return OK;
	return rival->kind == TIER_RIVAL_COMMAND || rival->kind == TIER_RIVAL_DAXCTL_RULE ||
			       rival->kind == TIER_RIVAL_DAXCTL_CONFIG
		       ? WARN
		       : FAIL;
}

static void add_unread(struct doctor_report *report, const struct tier_rivals_unread *unread)
{
	char others[32] = "";

	if (unread->count > 1)
		snprintf(others, sizeof(others), ", and %zu more", unread->count - 1);
	doctor_add(report, WARN, unread->first, "whether it onlines memory is not known",
		   "tierctl doctor, by a user who may read it", "cannot be read: %s%s",
		   tier_strerror(unread->code), others);
}

void doctor_rivals(struct doctor_report *report)
{
	struct tier_rival *rivals = NULL;
	struct tier_rivals_unread unread;
	struct tier_problem problem;
	size_t count = 0, active = 0;

	if (tier_rivals_read(tool_common.sysroot, &rivals, &count, &unread, &problem) != 0) {
		doctor_add(report, WARN, "rivals", "who else onlines memory is not known", "", "%s",
			   problem.text);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (is_known(&rivals[i]))
			continue;
		active += !tier_rival_stands_back(&rivals[i]);
		doctor_add(report, verdict_of(&rivals[i]), rivals[i].place,
			   tier_rival_cost(rivals[i].kind), rivals[i].next, "%s", rivals[i].what);
	}
	if (unread.count)
		add_unread(report, &unread);
	/* A dump has no such files as a rule, and says nothing about them. */
	else if (active == 0 && (!tool_common.sysroot || strcmp(tool_common.sysroot, "/") == 0))
		doctor_add(report, OK, "rivals", NULL, NULL,
			   "no udev rule, unit, script or tmpfiles.d onlines memory");
	free(rivals);
}
