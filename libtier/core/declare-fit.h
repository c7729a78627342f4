/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_DECLARE_FIT_H
#define TIER_CORE_DECLARE_FIT_H

#include "tier-declare.h"
#include "util.h"

/* CXL decodes in multiples of it, for each device of a region. */
#define REGION_STEP (256 * MIB)

/* Memory devices in the order of the interleave. */
struct members {
	const struct tier_memdev *memdevs[TIER_WAYS_MAX];
	unsigned count;
};

/* A region that is there or is planned: addresses, and the decoders of the ports on its way. */
struct taken {
	char name[80];
	uint64_t start, bytes;
	struct members members;
};

struct space {
	const struct tier_topology *topology;
	struct taken *taken;
	size_t taken_count;
	uint64_t *ram_free_bytes; /* of each memdev */
	int *free_decoders;	  /* of each port */
};

/* What the topology has; 0, -ENOMEM. */
int space_init(struct space *space, const struct tier_topology *topology);
void space_done(struct space *space);
uint64_t *space_free(struct space *space, const struct tier_memdev *memdev);
/* Takes a part of the space away; 0, -ENOMEM. */
int space_take(struct space *space, const char *name, uint64_t start, uint64_t bytes,
	       const struct members *members);

/*
 * Can that window have the region? The address that the kernel is going to give it, or
 * TIER_UNKNOWN_U64 if there is none and @why says why. @granularity_bytes: 0 for the window's; set.
 */
uint64_t window_fit(const struct space *space, const struct tier_window *window,
		    const struct members *members, uint64_t bytes, unsigned *granularity_bytes,
		    char *why, size_t why_size);

#endif
