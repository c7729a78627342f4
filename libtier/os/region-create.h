/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_REGION_CREATE_H
#define TIER_OS_REGION_CREATE_H

#include "cxl-library.h"
#include "tier-declare.h"

/* NULL if there is none. */
struct cxl_region *region_by_name(struct cxl_ctx *ctx, const char *name);

/*
 * Gives back what decoders have of their memory devices. One that serves a region is left as it is. Goes on after a
 * failure; 0 or the first one's negative errno.
 */
int decoders_release(struct cxl_decoder *const *decoders, unsigned count);

/* Destroys a region that is not enabled, and releases @decoders. 0, negative errno. */
int region_destroy(struct cxl_region *region, struct cxl_decoder *const *decoders, unsigned count);

/* The note of what is being made: its region, then each decoder before it is given memory. 0, negative errno. */
int unfinished_begin(const char *region);
int unfinished_add(const char *decoder);
int unfinished_end(void);

#endif
