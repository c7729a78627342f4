/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_DOCTOR_H
#define TIERCTL_DOCTOR_H

#include "tool.h"

/*
 * Every check adds one finding: what was looked at, what was found, what that costs and what to do
 * about it. FAIL is what can lose data or stops the main job, warn is what costs something.
 */
enum doctor_verdict {
	OK,
	WARN,
	FAIL,
};

struct doctor_finding {
	enum doctor_verdict verdict;
	char object[80];
	char found[400];
	char cost[240], action[320]; /* both empty when ok */
};

struct doctor_report {
	struct doctor_finding *findings; /* free() */
	size_t count;
	bool incomplete; /* memory was short */
};

void doctor_add(struct doctor_report *report, enum doctor_verdict verdict, const char *object,
		const char *cost, const char *action, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/* Regions that the configuration declares: declared.c. */
void doctor_declared(struct doctor_report *report, const struct tier_topology *topology);

/* Who else onlines memory: doctor-rivals.c. */
void doctor_rivals(struct doctor_report *report);

/* Memory errors, of this machine; what has been retired, of a dump as well: doctor-errors.c. */
void doctor_errors(struct doctor_report *report, bool running);
void doctor_retired(struct doctor_report *report, const struct tier_topology *topology);

/* Weights that a killed daemon has left, of this machine; a stale calibration, of a dump as well: doctor-weights.c. */
void doctor_leftover_weights(struct doctor_report *report, bool running);
void doctor_calibration(struct doctor_report *report, const struct tier_topology *topology);

/*
 * What of promotion and demotion a killed daemon has left, and what does it, of this machine; whether the kernel
 * does it, of a dump as well: doctor-tiering.c.
 */
void doctor_tiering(struct doctor_report *report, bool running);
void doctor_kernel_tiering(struct doctor_report *report, const struct tier_topology *topology);

#endif
