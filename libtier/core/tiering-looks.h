/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_TIERING_LOOKS_H
#define TIER_CORE_TIERING_LOOKS_H

#include <stddef.h>
#include <stdint.h>

/*
 * How much was touched in which part of a process' addresses, as a pass that moves nothing has seen it. What moves with a
 * quota begins where it finds most of what it is after: hot pages are seldom alone.
 */

#define TIERING_DENSITY_MAX 16

struct tiering_look {
	int pid;
	uint64_t start, end, touched_bytes;
};

struct tiering_looks {
	struct tiering_look *looks;
	size_t count;
};

/* 0, -ENOMEM. Parts of one process do not overlap. */
int tiering_looks_add(struct tiering_looks *looks, int pid, uint64_t start, uint64_t end,
		      uint64_t touched_bytes);
/* Before it is asked. */
void tiering_looks_sort(struct tiering_looks *looks);
/* In sixteenths of what was looked at; 8 if nothing was. */
unsigned tiering_looks_density(const struct tiering_looks *looks, int pid, uint64_t start,
			       uint64_t end);
void tiering_looks_done(struct tiering_looks *looks);

#endif
