/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_REGION_CREATE_H
#define TIER_OS_REGION_CREATE_H

#include "cxl-context.h"
#include "tier-declare.h"

/* NULL if there is none. */
struct cxl_region *region_by_name(struct cxl_ctx *ctx, const char *name);
struct cxl_decoder *decoder_by_name(struct cxl_memdev *memdev, const char *name);

/*
 * Destroys a region that is not enabled, and gives back what @decoders have of their memory devices. Goes on after a
 * failure; 0 or the first one's negative errno.
 */
int region_destroy(struct cxl_region *region, struct cxl_decoder *const *decoders, unsigned count);

/* The note of what is being made: its region, then each decoder before it is given memory. 0, negative errno. */
int unfinished_begin(const char *region);
int unfinished_add(const char *decoder);
int unfinished_end(void);

#endif
