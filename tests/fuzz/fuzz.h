/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_FUZZ_H
#define TIER_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The one entry of a fuzz target; libFuzzer calls it, or replay.c for every file of a corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for any input. Not assert(), which a release build drops. */
#define HOLDS(expression)                                                                          \
	do {                                                                                       \
		if (!(expression)) {                                                               \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
				#expression);                                                      \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
