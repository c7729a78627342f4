/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CRC32C_H
#define TIER_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The two ways of tier_crc32c(). Which is faster is not for the pure core to find out: four times
 * the instruction on hardware, six times the table under QEMU's TCG (measured on one machine).
 */
typedef uint32_t (*crc32c_function)(uint32_t seed, const void *data, size_t bytes);

uint32_t crc32c_table(uint32_t seed, const void *data, size_t bytes);

bool crc32c_has_instruction(void);
uint32_t crc32c_instruction(uint32_t seed, const void *data, size_t bytes);

#endif
