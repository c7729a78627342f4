/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "crc32c.h"
#include "tier-portal.h"
#include "test.h"

/* RFC 3720, B.4 */
static const uint8_t read_command[48] = {
	0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
	0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

static void check_vectors(uint32_t (*crc)(uint32_t seed, const void *data, size_t bytes))
{
	uint8_t data[32];

	CHECK_EQ(crc(0, NULL, 0), 0);
	CHECK_EQ(crc(0, "123456789", 9), 0xe3069283u);
	memset(data, 0, sizeof(data));
	CHECK_EQ(crc(0, data, sizeof(data)), 0x8a9136aau);
	memset(data, 0xff, sizeof(data));
	CHECK_EQ(crc(0, data, sizeof(data)), 0x62a8ab43u);
	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = i;
	CHECK_EQ(crc(0, data, sizeof(data)), 0x46dd794eu);
	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(31 - i);
	CHECK_EQ(crc(0, data, sizeof(data)), 0x113fdb5cu);
	CHECK_EQ(crc(0, read_command, sizeof(read_command)), 0xd9963a56u);
}

TEST(rfc3720_vectors)
{
	check_vectors(tier_crc32c);
}

TEST(rfc3720_vectors_by_table)
{
	check_vectors(crc32c_table);
}

TEST(rfc3720_vectors_by_instruction)
{
	if (!crc32c_has_instruction())
		SKIP("no CRC32C instruction on this processor");
	check_vectors(crc32c_instruction);
}

/* As the definition has it, bit by bit. */
static uint32_t bytewise(const uint8_t *data, size_t bytes)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < bytes; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

/* Every length and alignment around a word, and every place to stop and go on. */
TEST(parts_make_the_whole)
{
	uint8_t data[96];
	uint32_t whole;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 131 + 7);
	for (size_t start = 0; start < 9; start++)
		for (size_t bytes = 0; start + bytes <= sizeof(data); bytes++) {
			whole = crc32c_table(0, data + start, bytes);
			CHECK_EQ(tier_crc32c(0, data + start, bytes), whole);
			CHECK_EQ(bytewise(data + start, bytes), whole);
			for (size_t cut = 0; cut <= bytes; cut++)
				CHECK_EQ(tier_crc32c(tier_crc32c(0, data + start, cut),
						     data + start + cut, bytes - cut),
					 whole);
		}
}
