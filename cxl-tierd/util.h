/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_UTIL_H
#define CXL_TIERD_UTIL_H

/* The daemon sees libtier's public headers only, so it has its own few helpers. */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libtier.h>

#define _cleanup_(f)  __attribute__((cleanup(f)))
#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))

#define DEFINE_CLEANUP(type, function)                                                             \
	static inline void function##p(type *p)                                                    \
	{                                                                                          \
		if (*p)                                                                            \
			function(*p);                                                              \
	}

DEFINE_CLEANUP(struct tier_topology *, tier_topology_free)
DEFINE_CLEANUP(struct tier_config *, tier_config_free)
DEFINE_CLEANUP(struct tier_plan *, tier_plan_free)
DEFINE_CLEANUP(struct tier_portal *, tier_portal_close)

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* Copies into a field of fixed size, always terminated, cut if need be. */
#define COPY(field, from) snprintf((field), sizeof(field), "%s", (from))

/* The same; false if it had to be cut. */
#define COPY_WHOLE(field, from) ((size_t)COPY(field, from) < sizeof(field))

static inline bool uuid_equal(const struct tier_uuid *a, const struct tier_uuid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Text that another host wrote: a byte that is not plain ASCII would spoil the reply it is part of. */
static inline void printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

#endif
