/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_FUZZ_TAPE_H
#define TIER_FUZZ_TAPE_H

/*
 * A fuzzer's input read as choices. At its end every choice is the usual one, so that a short input
 * stands for records that are well formed, and each byte more for something unusual in them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "util.h"

struct tape {
	const uint8_t *data;
	size_t size;
};

static inline uint8_t tape_byte(struct tape *tape)
{
	if (tape->size == 0)
		return 0;
	tape->size--;
	return *tape->data++;
}

static inline uint64_t tape_raw(struct tape *tape, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)tape_byte(tape) << (8 * i);
	return value;
}

static inline uint32_t tape_below(struct tape *tape, uint32_t limit)
{
	return tape_byte(tape) % limit;
}

/* Limits, numbers around them and sizes that mean something in a portal; or anything. */
static inline uint64_t tape_number(struct tape *tape)
{
	static const uint64_t limits[] = {
		0,
		1,
		2,
		3,
		UINT64_MAX,
		UINT64_MAX - 1,
		UINT64_MAX - 4095,
		INT64_MAX,
		UINT32_MAX,
		UINT32_MAX - 1,
		UINT64_C(1) << 32,
		UINT64_C(1) << 63,
		15,
		16,
		17,
		32,
		33,
		512,
		513,
		4095,
		4096,
		65536,
		131072,
		MIB,
		2 * MIB,
		3 * MIB,
		128 * MIB,
		16384,
	};
	uint8_t which = tape_byte(tape);

	return which < 2 * ARRAY_SIZE(limits) ? limits[which / 2] : tape_raw(tape, 1 + which % 8);
}

/* @usual seven times of eight. */
static inline uint64_t tape_or(struct tape *tape, uint64_t usual)
{
	uint8_t how = tape_byte(tape);

	if (how < 0xe0)
		return usual;
	return how < 0xf0 ? tape_number(tape) : usual + (how & 1 ? 1 : -UINT64_C(1));
}

static inline void tape_text(struct tape *tape, char *field, size_t size, const char *usual)
{
	if (tape_byte(tape) < 0xe0) {
		copy_string(field, size, usual);
		return;
	}
	memset(field, 0, size);
	for (size_t i = 0, length = tape_byte(tape) % (size + 1); i < length; i++)
		field[i] = (char)tape_byte(tape);
}

#endif
