/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_PROCESS_IDENTITY_H
#define TIER_CORE_PROCESS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

/* What tells a process that runs one program from another that got its number, and from itself after exec. */
struct process_identity {
	uint64_t start_ticks;
	uint64_t
		stack; /* where the stack begins, which is random for each program; 0 if not told */
};

/* From the text of /proc/PID/stat. False if that is something else; @ret is untouched then. */
bool process_identity_parse(const char *stat, struct process_identity *ret);

static inline bool process_identity_same(const struct process_identity *a,
					 const struct process_identity *b)
{
	return a->start_ticks == b->start_ticks && a->stack == b->stack;
}

#endif
