/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_ONLINE_SURVEY_H
#define TIER_CORE_ONLINE_SURVEY_H

#include "online-choose.h"

/* The state of a region's memory, over all its dax devices. */
struct online_memory {
	uint64_t bytes;		    /* whole blocks only: what can be onlined */
	size_t blocks, online;	    /* of those devices that are system RAM */
	enum tier_zone zone;	    /* of the online ones; MIXED when they differ */
	size_t daxs, bound;	    /* devices, and those that are system RAM and have blocks */
	bool no_movable, no_kernel; /* some offline block cannot go there */
	enum tier_memory_type type; /* LOCAL unless the kernel keeps kernel zones from it */
	size_t retired;		    /* blocks that are left out of all the above */
	bool missing;		    /* a device is system RAM, but not all of its blocks exist */
};

/*
 * Looks at a region, and refuses what cannot be onlined as a whole: 0 if all of it is offline, or
 * online in one zone, or, with @resume, a part of it is; TIER_E_REFUSED, TIER_E_BUSY.
 */
int online_survey(const struct tier_topology *topology, const struct tier_region *region,
		  bool resume, struct online_memory *ret, struct tier_problem *problem);
/* Counts one block in. */
void online_survey_block(const struct tier_topology *topology, struct online_memory *memory,
			 const struct tier_block *block);
/* The last of online_survey()'s refusals. */
int online_whole(const struct online_memory *memory, const char *name, uint64_t block_bytes,
		 bool resume, struct tier_problem *problem);

/* Retired blocks of a device, also if it is no system RAM (yet). */
size_t online_retired_blocks(const struct tier_topology *topology, const struct tier_dax *dax);
/* Is it retired, and was it not online before that was found out? */
bool online_left_out(const struct tier_topology *topology, const struct tier_block *block);

/* kmem hands only whole memory blocks to the kernel. */
uint64_t online_usable_bytes(const struct tier_topology *topology, const struct tier_dax *dax);

/*
 * What the machine has: present pages, as zoneinfo has them. CMA counts as Movable, since the kernel's
 * own allocations cannot use it. TIER_E_REFUSED if a node does not say, or there is no kernel memory.
 */
int online_sum(const struct tier_topology *topology, struct online_sum *ret);

/* "tierctl offline region0" as the next step. */
const char *online_next_offline(char text[static 80], const char *region);

static inline bool online_is_kernel_zone(enum tier_zone zone)
{
	return zone == TIER_ZONE_NORMAL || zone == TIER_ZONE_DMA || zone == TIER_ZONE_DMA32;
}

#endif
