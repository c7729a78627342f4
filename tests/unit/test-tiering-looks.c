/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"
#include "tiering-looks.h"
#include "util.h"

TEST(density)
{
	struct tiering_looks looks = {};

	CHECK_EQ(tiering_looks_density(&looks, 7, 0, MIB), TIERING_DENSITY_MAX / 2);
	/* In the order of a pass, which is none of addresses. */
	CHECK_EQ(tiering_looks_add(&looks, 9, 0, MIB, MIB), 0);
	CHECK_EQ(tiering_looks_add(&looks, 7, 4 * MIB, 6 * MIB, MIB / 2), 0);
	CHECK_EQ(tiering_looks_add(&looks, 7, 2 * MIB, 4 * MIB, 2 * MIB), 0);
	CHECK_EQ(tiering_looks_add(&looks, 7, 8 * MIB, 9 * MIB, 0), 0);
	tiering_looks_sort(&looks);
	CHECK_EQ(tiering_looks_density(&looks, 7, 2 * MIB, 4 * MIB), 16);
	CHECK_EQ(tiering_looks_density(&looks, 7, 4 * MIB, 6 * MIB), 4);
	CHECK_EQ(tiering_looks_density(&looks, 7, 5 * MIB, 5 * MIB + 4096), 4);
	/* Of several, by how much of each. */
	CHECK_EQ(tiering_looks_density(&looks, 7, 2 * MIB, 6 * MIB), 10);
	CHECK_EQ(tiering_looks_density(&looks, 7, 3 * MIB, 6 * MIB), 8);
	/* What was not looked at does not count. */
	CHECK_EQ(tiering_looks_density(&looks, 7, 5 * MIB, 8 * MIB), 4);
	CHECK_EQ(tiering_looks_density(&looks, 7, 6 * MIB, 8 * MIB), TIERING_DENSITY_MAX / 2);
	CHECK_EQ(tiering_looks_density(&looks, 7, 0, 2 * MIB), TIERING_DENSITY_MAX / 2);
	CHECK_EQ(tiering_looks_density(&looks, 7, 9 * MIB, 10 * MIB), TIERING_DENSITY_MAX / 2);
	CHECK_EQ(tiering_looks_density(&looks, 7, 8 * MIB, 9 * MIB), 0);
	/* Another process' addresses are others. */
	CHECK_EQ(tiering_looks_density(&looks, 9, 0, MIB), 16);
	CHECK_EQ(tiering_looks_density(&looks, 8, 0, 16 * MIB), TIERING_DENSITY_MAX / 2);
	CHECK_EQ(tiering_looks_density(&looks, 10, 0, 16 * MIB), TIERING_DENSITY_MAX / 2);
	/* More touched than there is: a huge page at its end. */
	CHECK_EQ(tiering_looks_add(&looks, 11, 0, MIB, 2 * MIB), 0);
	tiering_looks_sort(&looks);
	CHECK_EQ(tiering_looks_density(&looks, 11, 0, MIB), 16);
	tiering_looks_done(&looks);
	CHECK_EQ(looks.count, 0);
}
