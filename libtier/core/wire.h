/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_WIRE_H
#define TIER_WIRE_H

/*
 * Bytes that another host will read. The structs of the portal format are made of these types, so
 * that no field can be read or written without its byte order.
 */

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier-portal.h"

#define WIRE_LINE 64 /* the unit of visibility between hosts */

typedef struct {
	uint16_t raw;
} le16;
typedef struct {
	uint32_t raw;
} le32;
typedef struct {
	uint64_t raw;
} le64;

static inline uint16_t get_le16(le16 value)
{
	return le16toh(value.raw);
}

static inline uint32_t get_le32(le32 value)
{
	return le32toh(value.raw);
}

static inline uint64_t get_le64(le64 value)
{
	return le64toh(value.raw);
}

static inline le16 put_le16(uint16_t value)
{
	return (le16){htole16(value)};
}

static inline le32 put_le32(uint32_t value)
{
	return (le32){htole32(value)};
}

static inline le64 put_le64(uint64_t value)
{
	return (le64){htole64(value)};
}

bool wire_all_zero(const void *data, size_t bytes);

/*
 * A name that is safe to print and to compare: 1 to size - 1 of [A-Za-z0-9._-], neither '.' nor '-'
 * first, terminated inside its field. The same as a name in the configuration.
 */
bool wire_name_valid(const char *name, size_t size);

/* Copies text into a field: terminated, zeroed to its end, '?' for what is not printable ASCII. */
void wire_put_text(char *field, size_t size, const char *text);

static inline bool wire_uuid_null(const struct tier_uuid *uuid)
{
	return wire_all_zero(uuid->bytes, sizeof(uuid->bytes));
}

#endif
