/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <string.h>

#include "crc32c.h"
#include "tier-portal.h"

/*
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), eight bytes a step: table k is for the byte
 * with k bytes after it. A table is linear: the entry of a byte is the XOR of the entries of its
 * bits, so eight constants give all 256. Source: Kounavis and Berry, "A Systematic Approach to
 * Building High Performance, Software-based, CRC Generators" (slicing-by-8).
 */
#define BIT(n, bit, value) ((n) & (1u << (bit)) ? (value) : 0u)
#define ENTRY(n, a, b, c, d, e, f, g, h)                                                           \
	(BIT(n, 0, a) ^ BIT(n, 1, b) ^ BIT(n, 2, c) ^ BIT(n, 3, d) ^ BIT(n, 4, e) ^ BIT(n, 5, f) ^ \
	 BIT(n, 6, g) ^ BIT(n, 7, h))
#define ENTRIES_4(n, ...)                                                                          \
	ENTRY(n, __VA_ARGS__), ENTRY((n) + 1, __VA_ARGS__), ENTRY((n) + 2, __VA_ARGS__),           \
		ENTRY((n) + 3, __VA_ARGS__)
#define ENTRIES_16(n, ...)                                                                         \
	ENTRIES_4(n, __VA_ARGS__), ENTRIES_4((n) + 4, __VA_ARGS__),                                \
		ENTRIES_4((n) + 8, __VA_ARGS__), ENTRIES_4((n) + 12, __VA_ARGS__)
#define ENTRIES_64(n, ...)                                                                         \
	ENTRIES_16(n, __VA_ARGS__), ENTRIES_16((n) + 16, __VA_ARGS__),                             \
		ENTRIES_16((n) + 32, __VA_ARGS__), ENTRIES_16((n) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                 \
	{                                                                                          \
		ENTRIES_64(0u, __VA_ARGS__),                                                       \
		ENTRIES_64(64u, __VA_ARGS__),                                                      \
		ENTRIES_64(128u, __VA_ARGS__),                                                     \
		ENTRIES_64(192u, __VA_ARGS__),                                                     \
	}

static const uint32_t table[8][256] = {
	TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu,
	      0x417b1dbcu, 0x82f63b78u),
	TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u,
	      0xff17c604u, 0xfbc3faf9u),
	TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u,
	      0xc76580d9u, 0x8b277743u),
	TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu,
	      0xaba65fe7u, 0x52a0c93fu),
	TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u,
	      0x37516aaeu, 0x6ea2d55cu),
	TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du,
	      0x0e045bebu, 0x1c08b7d6u),
	TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu,
	      0x7ab7077au, 0xf56e0ef4u),
	TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u,
	      0x1a00cb32u, 0x34019664u),
};

uint32_t crc32c_table(uint32_t seed, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint32_t crc = ~seed;

	for (; bytes >= 8; bytes -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		word = le64toh(word) ^ crc;
		crc = table[7][word & 0xff] ^ table[6][word >> 8 & 0xff] ^
		      table[5][word >> 16 & 0xff] ^ table[4][word >> 24 & 0xff] ^
		      table[3][word >> 32 & 0xff] ^ table[2][word >> 40 & 0xff] ^
		      table[1][word >> 48 & 0xff] ^ table[0][word >> 56];
	}
	for (; bytes > 0; bytes--, p++)
		crc = table[0][(crc ^ *p) & 0xff] ^ (crc >> 8);
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
