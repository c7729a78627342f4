/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_LOG_H
#define CXL_TIERD_LOG_H

#include <syslog.h>

#include <libtier.h>

/*
 * One entry per decision. In the journal it carries CXL_TIER_OBJECT= (what it is about) and
 * CXL_TIER_DECISION= (a word from docs/man/cxl-tierd.8); elsewhere it is a line on stderr.
 */
void log_decision(int priority, const char *object, const char *decision, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same from a problem: "OBJECT: TEXT; NEXT". */
void log_problem(int priority, const char *decision, const struct tier_problem *problem);

#endif
