/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor.h"
#include "tool.h"

/* Promotion and demotion by cxl-tierd: what a daemon that was killed has left. */
void doctor_tiering(struct doctor_report *report, bool running)
{
	static const char object[] = "tiering";

	if (!tier_tiering_left())
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
