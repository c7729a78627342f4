/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_TOP_H
#define TIER_CORE_TOP_H

#include "tier-top.h"
#include "util.h"

/* A number of bytes in at most four characters, "9.9M", "999M"; "-" if it is not known. */
const char *top_scale(char text[static 8], uint64_t bytes);

/* Adds the memory of a cgroup by the text of its memory.numa_stat. 0; TIER_E_NOT_FOUND: it says nothing; -ENOMEM. */
int top_parse_numa_stat(const char *text, struct tier_top_row *row);
/* The same of a process by /proc/PID/numa_maps; 0 or -ENOMEM. */
int top_parse_numa_maps(const char *text, struct tier_top_row *row);
/* Adds what it has on a node; -ENOMEM. */
int top_row_add(struct tier_top_row *row, int node, uint64_t bytes);
void top_row_done(struct tier_top_row *row);

#endif
