/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calibration.h"

/* xorshift64*: any order will do that is not regular. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

void chase_link(uint64_t *next, size_t lines, size_t stride, uint64_t seed)
{
	uint64_t state = seed | 1;

	for (size_t i = 0; i < lines; i++)
		next[i * stride] = i;
	/* Sattolo: every permutation that it makes is a single cycle, so that no line is left out. */
	for (size_t i = lines; i-- > 1;) {
		/* The upper half of the product: without a division for every line. */
		size_t other = (size_t)(((draw(&state) >> 32) * i) >> 32);
		uint64_t kept = next[i * stride];

		next[i * stride] = next[other * stride];
		next[other * stride] = kept;
	}
}
