/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "node-ranges.h"
#include "test.h"
#include "util.h"

/* Two halves of what there is, and nothing twice. */
TEST(cut)
{
	struct damon_range ranges[] = {{3 * MIB, 10 * MIB}, {64 * MIB, 128 * MIB}};
	struct node_ranges all = {ranges, 2}, odd = {}, even = {}, whole = {};

	CHECK_EQ(node_ranges_bytes(&all), 71 * MIB);
	CHECK_EQ(node_ranges_cut(&all, 4 * MIB, true, &odd), 0);
	CHECK_EQ(node_ranges_cut(&all, 4 * MIB, false, &even), 0);
	CHECK_EQ(odd.ranges[0].start, 4 * MIB);
	CHECK_EQ(odd.ranges[0].end, 8 * MIB);
	CHECK_EQ(even.ranges[0].start, 3 * MIB);
	CHECK_EQ(even.ranges[0].end, 4 * MIB);
	CHECK_EQ(even.ranges[1].start, 8 * MIB);
	CHECK_EQ(even.ranges[1].end, 10 * MIB);
	CHECK_EQ(even.ranges[2].start, 64 * MIB);
	CHECK_EQ(node_ranges_bytes(&odd), 36 * MIB);
	CHECK_EQ(node_ranges_bytes(&even), 35 * MIB);
	CHECK_EQ(node_ranges_common(&odd, &even), 0);
	CHECK_EQ(node_ranges_common(&all, &odd), 36 * MIB);
	CHECK_EQ(node_ranges_common(&even, &all), 35 * MIB);
	/* One piece is all of it. */
	CHECK_EQ(node_ranges_cut(&all, UINT64_C(1) << 62, false, &whole), 0);
	CHECK_EQ(whole.count, 2);
	CHECK_EQ(node_ranges_common(&whole, &all), 71 * MIB);
	node_ranges_done(&odd);
	node_ranges_done(&even);
	node_ranges_done(&whole);
}

TEST(nothing)
{
	struct damon_range range = {0, MIB};
	struct node_ranges all = {&range, 1}, none = {}, ret = {};

	CHECK_EQ(node_ranges_cut(&all, 4 * MIB, true, &ret), -ENODEV);
	CHECK_EQ(node_ranges_bytes(&none), 0);
	CHECK_EQ(node_ranges_common(&none, &all), 0);
	node_ranges_done(&ret);
}
