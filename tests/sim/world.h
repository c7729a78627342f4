/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_SIM_WORLD_H
#define TIER_SIM_WORLD_H

/*
 * Hosts that share one array of bytes, each through a private cache that knows nothing of the
 * others': what a host stores is seen by others when it flushes it, or when the cache evicts the
 * line, which it may do at any time, in any order, or never.
 */

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>

#include "portal-map.h"
#include "tier-flight.h"
#include "tier-handoff.h"
#include "util.h"

#define HOSTS	3
#define PENDING 64

/* What stops a host's tool in the middle of a store. */
enum fault { FAULT_NONE, FAULT_KILL, FAULT_CRASH, FAULT_STALL };

struct pending {
	size_t offset, bytes;
};

/* The memory and the caches; memory.c. */
struct memory {
	char *bytes;
	char *views[HOSTS];
	uint32_t *stamps; /* of each page of the memory: writes so far */
	uint32_t *seen[HOSTS];
	size_t size;
	struct pending pending[HOSTS][PENDING];
	size_t pending_count[HOSTS];
	uint64_t flushes; /* of all hosts, since the seed began */
	/* The flush at which a fault strikes, before or after it; 0: none. */
	uint64_t fault_at;
	bool fault_after;
	enum fault fault;
	unsigned fault_host;
	bool struck;	    /* since memory_reset() */
	size_t fault_lines; /* that were stored there and not flushed */
	/* Which of them reach the memory all the same, one bit each, where that is @chosen. */
	bool chosen;
	uint64_t fault_spilled;
	/* FAULT_STALL: what happens before the store goes on. */
	void (*stall)(unsigned host);
	jmp_buf *escape;
	uint64_t random;
};

extern struct memory memory;

uint64_t sim_random(void);
static inline bool chance(unsigned permille)
{
	return sim_random() % 1000 < permille;
}

void memory_new(const struct tier_super *super);
void memory_reset(void);
/* A line or so of what a host has stored and not flushed becomes visible. */
void memory_evict(unsigned host);
/* Those lines of it do, one bit each; others are dropped, or stay in the cache. */
void memory_spill(unsigned host, uint64_t lines, bool drop);
/* All of it does, or is lost: the host has died. */
void memory_lose(unsigned host);
struct tier_portal memory_portal(const struct tier_super *super, unsigned host);
/* Sees the memory as it is. */
struct tier_portal memory_oracle(const struct tier_super *super);

#endif
