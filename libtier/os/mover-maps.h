/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_MOVER_MAPS_H
#define TIER_MOVER_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier-mover.h"

/* The mappings of a process that are worth looking at. */

struct range {
	uint64_t start, end;
};

struct ranges {
	struct range *list;
	size_t count;
	bool any; /* the process has mappings, be they in range or not */
};

/* /proc/PID/maps as a list, cut to what was asked for. 0; -ESRCH, -EPERM, other negative errno. */
int ranges_read(const struct tier_move_request *request, struct ranges *ret);
void ranges_done(struct ranges *ranges);

#endif
