/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "crc32c.h"
#include "tier-portal.h"

/*
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78). The table is linear: the entry of a byte
 * is the XOR of the entries of its bits, so eight constants give all 256.
 */
#define BIT(n, bit, value) ((n) & (1u << (bit)) ? (value) : 0u)
#define ENTRY(n)                                                                                   \
	(BIT(n, 0, 0xf26b8303u) ^ BIT(n, 1, 0xe13b70f7u) ^ BIT(n, 2, 0xc79a971fu) ^                \
	 BIT(n, 3, 0x8ad958cfu) ^ BIT(n, 4, 0x105ec76fu) ^ BIT(n, 5, 0x20bd8edeu) ^                \
	 BIT(n, 6, 0x417b1dbcu) ^ BIT(n, 7, 0x82f63b78u))
#define ENTRIES_4(n)  ENTRY(n), ENTRY((n) + 1), ENTRY((n) + 2), ENTRY((n) + 3)
#define ENTRIES_16(n) ENTRIES_4(n), ENTRIES_4((n) + 4), ENTRIES_4((n) + 8), ENTRIES_4((n) + 12)
#define ENTRIES_64(n)                                                                              \
	ENTRIES_16(n), ENTRIES_16((n) + 16), ENTRIES_16((n) + 32), ENTRIES_16((n) + 48)

static const uint32_t table[256] = {
	ENTRIES_64(0u),
	ENTRIES_64(64u),
	ENTRIES_64(128u),
	ENTRIES_64(192u),
};

uint32_t crc32c_table(uint32_t seed, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint32_t crc = ~seed;

	for (size_t i = 0; i < bytes; i++)
		crc = table[(crc ^ p[i]) & 0xff] ^ (crc >> 8);
	return ~crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

bool crc32c_has_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) uint32_t crc32c_instruction(uint32_t seed, const void *data,
							      size_t bytes)
{
	const uint8_t *p = data;
	uint64_t crc = (uint32_t)~seed;

	for (; bytes >= 8; bytes -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		crc = _mm_crc32_u64(crc, word);
	}
	for (; bytes > 0; bytes--, p++)
		crc = _mm_crc32_u8((uint32_t)crc, *p);
	return ~(uint32_t)crc;
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

bool crc32c_has_instruction(void)
{
	return true;
}

uint32_t crc32c_instruction(uint32_t seed, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint32_t crc = ~seed;

	for (; bytes >= 8; bytes -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		crc = __crc32cd(crc, word);
	}
	for (; bytes > 0; bytes--, p++)
		crc = __crc32cb(crc, *p);
	return ~crc;
}

#else

bool crc32c_has_instruction(void)
{
	return false;
}

uint32_t crc32c_instruction(uint32_t seed, const void *data, size_t bytes)
{
	return crc32c_table(seed, data, bytes);
}

#endif

uint32_t tier_crc32c(uint32_t seed, const void *data, size_t bytes)
{
	if (crc32c_has_instruction())
		return crc32c_instruction(seed, data, bytes);
	return crc32c_table(seed, data, bytes);
}
