/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_EXTENT_H
#define TIER_EXTENT_H

#include "tier-flight.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_extents *, tier_extents_free)

/* The physical range of piece @index; false past the last. */
bool extents_physical(const struct tier_extents *extents, uint32_t index, uint64_t *ret_start,
		      uint64_t *ret_bytes);

#endif
