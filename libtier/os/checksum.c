/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "checksum.h"
#include "util.h"

#define SAMPLE_BYTES 16384
#define SAMPLES	     3

/* The shortest of a few runs, in nanoseconds. */
static uint64_t measure(crc32c_function function, const uint8_t *data)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < SAMPLES; i++) {
		struct timespec start, end;
		volatile uint32_t sink;

		clock_gettime(CLOCK_MONOTONIC, &start);
		sink = function(0, data, SAMPLE_BYTES);
		clock_gettime(CLOCK_MONOTONIC, &end);
		(void)sink;
		best = MIN(best, (uint64_t)(end.tv_sec - start.tv_sec) * 1000000000 +
					 (uint64_t)(end.tv_nsec - start.tv_nsec));
	}
	return best;
}

crc32c_function checksum_fastest(void)
{
	uint8_t data[SAMPLE_BYTES];

	if (!crc32c_has_instruction())
		return crc32c_table;
	memset(data, 0x5a, sizeof(data));
	return measure(crc32c_instruction, data) <= measure(crc32c_table, data) ? crc32c_instruction
										: crc32c_table;
}
