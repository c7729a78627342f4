/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_UTIL_H
#define TIER_UTIL_H

/* Small helpers that every part of the project uses: cleanup attributes and checked arithmetic. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(f)	 __attribute__((cleanup(f)))
#define ARRAY_SIZE(x)	 (sizeof(x) / sizeof((x)[0]))
#define MIN(a, b)	 ((a) < (b) ? (a) : (b))
#define MAX(a, b)	 ((a) > (b) ? (a) : (b))
#define ROUND_DOWN(n, a) ((n) / (a) * (a))
#define ROUND_UP(n, a)	 ((((n) + (a) - 1) / (a)) * (a))
#define KIB		 UINT64_C(1024)
#define MIB		 (KIB * 1024)
#define GIB		 (MIB * 1024)

/* Takes ownership out of a cleanup variable: return TAKE(p). */
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) *taken_at_ = &(p);                                                   \
		__typeof__(p) taken_ = *taken_at_;                                                 \
		*taken_at_ = NULL;                                                                 \
		taken_;                                                                            \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(freep)

/* Defines a cleanup function for a type whose free function takes and returns a pointer. */
#define DEFINE_CLEANUP(type, function)                                                             \
	static inline void function##p(type *p)                                                    \
	{                                                                                          \
		if (*p)                                                                            \
			function(*p);                                                              \
	}

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/*
 * Copies a string into a field of fixed size, always terminated. Returns false if it was cut.
 */
static inline bool copy_string(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size);
	bool whole = length < size;

	if (!whole)
		length = size - 1;
	memcpy(to, from, length);
	memset(to + length, 0, size - length);
	return whole;
}

/* Appends one zeroed element to a growing array; NULL without memory. */
void *array_grow(void *array_pointer, size_t *count, size_t element_bytes);

/* What is not printable ASCII becomes '?': names that others chose may have escapes for a terminal. Returns @text. */
char *make_printable(char *text);

/* "512M", "1G", "4096": bytes; -EINVAL for anything else, -ERANGE past 2^63. */
int parse_bytes(const char *text, uint64_t *ret_bytes);

/* A whole unsigned decimal (or 0x...) number and nothing else; -EINVAL, -ERANGE. */
int parse_u64(const char *text, uint64_t *ret);

/* "1.5G" in at most 15 characters: two significant decimals, binary units. */
const char *format_bytes(char buffer[static 16], uint64_t bytes);

#endif
