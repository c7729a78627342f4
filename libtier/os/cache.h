/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CACHE_H
#define TIER_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Making bytes visible to a host whose caches do not know of ours. Emulated hosts share one
 * coherent memory, so no test on them can tell whether this is right on hardware.
 */

/* How this processor writes lines back; decided once per portal, because cpuid may trap. */
enum cache_method {
	CACHE_UNKNOWN,	/* nobody has asked: every line is written back the slow way */
	CACHE_COHERENT, /* the hardware does it: only order is kept */
	CACHE_CLFLUSH,
	CACHE_CLFLUSHOPT,
	CACHE_CLWB,
	CACHE_DC, /* arm64 */
};

/* -EOPNOTSUPP on a processor whose lines we cannot write back. */
int cache_method(bool hardware_coherent, enum cache_method *ret);

/* Everything stored to the range before is in memory when this returns. */
void cache_flush(enum cache_method method, const void *start, size_t bytes);

/* What is loaded from the range after this returns comes from memory. No line may be dirty here. */
void cache_invalidate(enum cache_method method, const void *start, size_t bytes);

#endif
