/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/heat-*.c: regions become cells, rows, a histogram and pictures. */
#include "test.h"

#include <systemd/sd-json.h>

#include "heat.h"

#define BASE UINT64_C(0x7f0000000000)
#define SEC  UINT64_C(1000000)

static struct heat_record record;
static struct tier_heat *heat;

/* A process of ranges, looked at every 5 ms, with a snapshot every 100 ms: 20 looks, at most 200 a second. */
static void begin(void)
{
	heat = tier_heat_free(heat);
	heat_record_done(&record);
	record = (struct heat_record){
		.title = "process 7 (x)",
		.kind = "process",
		.wanted_usec = SEC,
		.sample_usec = 5000,
		.aggregate_usec = 100000,
	};
}

static void add_space(int pid, int node)
{
	struct heat_space *space = array_grow(&record.spaces, &record.space_count, sizeof(*space));

	CHECK(space);
	space->pid = pid;
	space->node = node;
	strcpy(space->name, "x");
}

static void add_range(uint64_t start, uint64_t end)
{
	CHECK_EQ(heat_ranges_append(&record.spaces[record.space_count - 1].ranges, start, end, 0),
		 0);
}

static void add_snapshot(uint64_t end_usec)
{
	struct heat_snapshot *snapshot =
		array_grow(&record.snapshots, &record.snapshot_count, sizeof(*snapshot));

	CHECK(snapshot);
	snapshot->end_usec = end_usec;
	snapshot->first = record.region_count;
}

static void add_region(uint32_t space, uint64_t start, uint64_t end, uint32_t accesses)
{
	struct heat_region *region =
		array_grow(&record.regions, &record.region_count, sizeof(*region));

	CHECK(region);
	*region = (struct heat_region){start, end, space, accesses};
	record.snapshots[record.snapshot_count - 1].count++;
}

static void add_place(uint64_t address, int node)
{
	struct heat_place *place = array_grow(&record.places, &record.place_count, sizeof(*place));

	CHECK(place);
	*place = (struct heat_place){.address = address, .node = node};
}

static void make(unsigned rows, unsigned columns)
{
	CHECK_EQ(heat_map_new(&record, rows, columns, &heat), 0);
	CHECK(!record.spaces && !record.snapshots);
}

static double cell(size_t row, size_t column)
{
	return heat->cells[row * heat->columns + column];
}

/* 16 MiB, the third quarter of which is touched in the second half of the time. */
static void make_quarter(void)
{
	begin();
	add_space(7, -1);
	add_range(BASE, BASE + 16 * MIB);
	for (unsigned i = 1; i <= 10; i++) {
		add_snapshot(i * SEC / 10);
		add_region(0, BASE, BASE + 8 * MIB, 0);
		add_region(0, BASE + 8 * MIB, BASE + 12 * MIB, i > 5 ? 10 : 0);
		add_region(0, BASE + 12 * MIB, BASE + 16 * MIB, 0);
	}
	add_place(BASE + 9 * MIB, 1);
	add_place(BASE + 10 * MIB, 1);
	add_place(BASE + 11 * MIB, 0);
	add_place(BASE + 1 * MIB, 0);
	record.place_bytes = 4 * MIB;
	make(16, 10);
}

TEST(ranges_join_over_small_gaps)
{
	struct heat_ranges ranges = {};

	CHECK_EQ(heat_ranges_append(&ranges, 4096, 8192, 4096), 0);
	CHECK_EQ(heat_ranges_append(&ranges, 8192, 12288, 4096), 0);
	CHECK_EQ(heat_ranges_append(&ranges, 16384, 20480, 4096), 0);
	CHECK_EQ(heat_ranges_append(&ranges, 28672, 32768, 4096), 0);
	CHECK_EQ(heat_ranges_append(&ranges, 1 << 20, 2 << 20, 4096), 0);
	CHECK_EQ(heat_ranges_append(&ranges, 4096, 8192, 4096), -EINVAL);
	CHECK_EQ(heat_ranges_append(&ranges, 3 << 20, 3 << 20, 4096), -EINVAL);
	CHECK_EQ(heat_ranges_append(&ranges, 3 << 20, UINT64_MAX, 4096), -EINVAL);
	CHECK_EQ(ranges.count, 4);
	CHECK_EQ(heat_ranges_bytes(&ranges), 8192 + 4096 + 4096 + MIB);
	heat_ranges_reduce(&ranges, 3);
	CHECK_EQ(ranges.count, 3);
	CHECK_EQ(ranges.list[0].end, 20480);
	heat_ranges_reduce(&ranges, 2);
	CHECK_EQ(ranges.count, 2);
	CHECK_EQ(ranges.list[0].end, 32768);
	CHECK_EQ(ranges.list[1].start, 1 << 20);
	heat_ranges_done(&ranges);
}

TEST(ranges_unite)
{
	struct heat_ranges a = {}, b = {};

	CHECK_EQ(heat_ranges_append(&a, 10, 20, 0), 0);
	CHECK_EQ(heat_ranges_append(&a, 40, 50, 0), 0);
	CHECK_EQ(heat_ranges_append(&b, 15, 42, 0), 0);
	CHECK_EQ(heat_ranges_append(&b, 60, 70, 0), 0);
	CHECK(!heat_ranges_equal(&a, &b));
	CHECK_EQ(heat_ranges_unite(&a, &b), 0);
	CHECK_EQ(a.count, 2);
	CHECK_EQ(a.list[0].start, 10);
	CHECK_EQ(a.list[0].end, 50);
	CHECK_EQ(heat_ranges_unite(&b, &a), 0);
	CHECK(heat_ranges_equal(&a, &b));
	heat_ranges_done(&a);
	heat_ranges_done(&b);
}

TEST(hot_is_in_its_place)
{
	make_quarter();
	CHECK_EQ(heat->segment_count, 1);
	CHECK_EQ(heat->row_count, 16);
	CHECK_EQ(heat->columns, 10);
	for (size_t row = 0; row < 16; row++) {
		for (size_t column = 0; column < 10; column++) {
			bool hot = row >= 8 && row < 12 && column >= 5;

			CHECK_EQ((int)cell(row, column), hot ? 100 : 0);
			CHECK_EQ(heat_level(heat, cell(row, column)), hot ? 9U : 0U);
		}
	}
	CHECK_EQ((int)heat->scale, 100);
	CHECK_EQ((int)heat->rows[9].per_second, 50);
	CHECK_EQ((int)heat->hot, 25);
	CHECK_EQ(heat->hot_bytes, 4 * MIB);
}

TEST(histogram_has_all_of_it)
{
	uint64_t sum = 0;

	make_quarter();
	for (size_t i = 0; i < HEAT_BINS; i++) {
		sum += heat->bins[i].bytes;
		CHECK(i == 0 || heat->bins[i].above < heat->bins[i].most);
	}
	CHECK_EQ(sum, 16 * MIB);
	CHECK_EQ(heat->bins[0].bytes, 14 * MIB);
	/* 100 a second of 200 is not more than half. */
	CHECK_EQ(heat->bins[HEAT_BINS - 2].bytes, 2 * MIB);
	CHECK_EQ((int)heat->bins[HEAT_BINS - 1].most, 200);
}

TEST(nodes_by_sample)
{
	make_quarter();
	CHECK_EQ(heat->node_count, 2);
	CHECK_EQ(heat->nodes[0].node, 0);
	CHECK_EQ(heat->nodes[0].bytes, 8 * MIB);
	CHECK_EQ(heat->nodes[0].hot_bytes, 4 * MIB);
	CHECK_EQ(heat->nodes[1].bytes, 8 * MIB);
	CHECK_EQ(heat->nodes[1].hot_bytes, 8 * MIB);
}

TEST(nodes_by_address)
{
	begin();
	strcpy(record.kind, "host");
	add_space(0, 0);
	add_range(0, 64 * MIB);
	add_space(0, 3);
	add_range(64 * MIB, 128 * MIB);
	add_snapshot(SEC);
	add_region(0, 0, 64 * MIB, 1);
	add_region(1, 64 * MIB, 96 * MIB, 20);
	add_region(1, 96 * MIB, 128 * MIB, 0);
	make(8, 8);
	CHECK_EQ(heat->node_count, 2);
	CHECK_EQ(heat->nodes[0].hot_bytes, 0);
	CHECK_EQ(heat->nodes[1].node, 3);
	CHECK_EQ(heat->nodes[1].bytes, 64 * MIB);
	CHECK_EQ(heat->nodes[1].hot_bytes, 32 * MIB);
	CHECK_EQ(heat->columns, 1);
}

/* A page or two of a stack: what is hot of the rest is still told from what is not. */
TEST(a_stack_does_not_hide_the_rest)
{
	begin();
	add_space(7, -1);
	add_range(BASE, BASE + 64 * MIB);
	add_range(BASE + GIB, BASE + GIB + 8192);
	for (unsigned i = 1; i <= 8; i++) {
		add_snapshot(i * SEC / 8);
		add_region(0, BASE, BASE + 48 * MIB, 0);
		add_region(0, BASE + 48 * MIB, BASE + 64 * MIB, 3);
		add_region(0, BASE + GIB, BASE + GIB + 8192, 20);
	}
	make(17, 8);
	CHECK_EQ((int)heat->scale, 30);
	CHECK_EQ((int)heat->hot, 15);
	/* But for a row that has of both. */
	CHECK(heat->hot_bytes >= 12 * MIB && heat->hot_bytes <= 20 * MIB);
	CHECK_EQ(heat_level(heat, cell(heat->row_count - 1, 0)), 9);
}

/* Many ranges: the largest gaps are cut out, and the rows are no more than were asked for. */
TEST(gaps_are_cut_out)
{
	begin();
	add_space(7, -1);
	for (uint64_t i = 0; i < 20; i++)
		add_range(BASE + i * 4 * MIB, BASE + i * 4 * MIB + MIB);
	add_range(BASE + 256 * GIB, BASE + 256 * GIB + 64 * MIB);
	add_snapshot(SEC);
	add_region(0, BASE, BASE + 256 * GIB + 64 * MIB, 4);
	make(24, 8);
	CHECK(heat->segment_count > 1 && heat->segment_count <= 8);
	CHECK(heat->row_count <= 24 && heat->row_count > 12);
	CHECK_EQ(heat->segments[heat->segment_count - 1].start, BASE + 256 * GIB);
	for (size_t i = 0; i < heat->row_count; i++) {
		const struct heat_segment *segment = &heat->segments[heat->rows[i].segment];

		CHECK(heat->rows[i].start >= segment->start && heat->rows[i].end <= segment->end);
		CHECK_EQ((int)heat->rows[i].per_second, 40);
	}
}

/* More processes than rows: each has one. */
TEST(each_process_has_a_row)
{
	begin();
	for (int i = 0; i < 6; i++) {
		add_space(10 + i, -1);
		add_range(BASE, BASE + (i ? MIB : GIB));
	}
	add_snapshot(SEC);
	add_region(5, BASE, BASE + MIB, 20);
	make(4, 8);
	CHECK_EQ(heat->row_count, 6);
	CHECK_EQ((int)cell(5, 0), 200);
	/* The same addresses of others. */
	for (size_t i = 0; i < 5; i++) {
		CHECK_EQ((int)cell(i, 0), -1);
		CHECK_EQ((int)heat->rows[i].per_second, -1);
	}
}

/* A snapshot that ends within a column has a part of it. */
TEST(columns_share_snapshots)
{
	begin();
	add_space(7, -1);
	add_range(BASE, BASE + MIB);
	for (unsigned i = 1; i <= 3; i++) {
		add_snapshot(i * SEC / 3);
		add_region(0, BASE, BASE + MIB, i == 2 ? 0 : 3 * i);
	}
	make(4, 2);
	CHECK_EQ(heat->columns, 2);
	/* A third of the time at 30 and a sixth at 0; a sixth at 0 and a third at 90. */
	CHECK_EQ((int)(cell(0, 0) + 0.01), 20);
	CHECK_EQ((int)(cell(0, 1) + 0.01), 60);
}

TEST(whatever_is_touched_is_counted_so)
{
	begin();
	record.sample_usec = 1000;
	add_space(7, -1);
	add_range(BASE, BASE + MIB);
	add_snapshot(SEC);
	add_region(0, BASE, BASE + MIB, 1);
	make(4, 8);
	CHECK_EQ(heat->bins[0].bytes, 0);
	CHECK_EQ(heat->bins[1].bytes, MIB);
}

/* One that comes late stands for all the time since the last; what nobody looked at is not cold. */
TEST(late_and_missing)
{
	char *text;

	begin();
	add_space(7, -1);
	add_range(BASE, BASE + 4 * MIB);
	add_snapshot(SEC / 4);
	add_region(0, BASE, BASE + 4 * MIB, 2);
	add_snapshot(SEC);
	add_region(0, BASE, BASE + 2 * MIB, 4);
	add_snapshot(SEC);
	add_snapshot(SEC);
	make(4, 4);
	CHECK_EQ((int)cell(0, 0), 20);
	for (size_t column = 1; column < 4; column++) {
		CHECK_EQ((int)cell(0, column), 40);
		CHECK_EQ((int)cell(3, column), -1);
	}
	CHECK_EQ(tier_heat_to_text(heat, false, &text), 0);
	CHECK_HAS(text, "|+???|");
	free(text);
}

TEST(nothing_to_see)
{
	begin();
	CHECK_EQ(heat_map_new(&record, 8, 8, &heat), -ENODATA);
	add_space(7, -1);
	add_snapshot(SEC);
	/* The record stays the caller's. */
	CHECK_EQ(heat_map_new(&record, 8, 8, &heat), -ENODATA);
	CHECK_EQ(record.snapshot_count, 1);
	add_range(BASE, BASE + MIB);
	add_region(0, BASE, BASE + MIB, 0);
	make(8, 8);
	CHECK_EQ(heat_level(heat, cell(0, 0)), 0);
	CHECK_EQ(heat->hot_bytes, 0);
}

TEST(levels)
{
	make_quarter();
	CHECK_EQ(heat_level(heat, -1), 0);
	CHECK_EQ(heat_level(heat, 0), 0);
	CHECK_EQ(heat_level(heat, 0.001), 1);
	CHECK_EQ(heat_level(heat, 50), 5);
	CHECK_EQ(heat_level(heat, 99.9), 9);
	CHECK_EQ(heat_level(heat, 1e9), 9);
	CHECK_EQ((int)heat_level_most(heat, 9), 100);
}

TEST(characters_and_colours)
{
	char *text;

	make_quarter();
	CHECK_EQ(tier_heat_to_text(heat, false, &text), 0);
	CHECK_HAS(text,
		  "process 7 (x): 16M in 1 range, 1.0 s, 10 snapshots, looked at every 5.0 ms\n");
	CHECK_HAS(text, "00007f0000700000 |          |     0.0\n"
			"00007f0000800000 |     @@@@@|    50.0\n");
	CHECK_HAS(text, "not touched               14M");
	CHECK_HAS(text, "node 1         8M of 8M there");
	CHECK(!strchr(text, '\033'));
	free(text);
	CHECK_EQ(tier_heat_to_text(heat, true, &text), 0);
	CHECK_HAS(text, "\033[48;5;16m     \033[48;5;226m     \033[0m|");
	free(text);
}

TEST(cut_short)
{
	char *text;

	make_quarter();
	heat->record.end = TIER_HEAT_PROCESS_ENDED;
	heat->record.wanted_usec = 30 * SEC;
	CHECK_EQ(tier_heat_to_text(heat, false, &text), 0);
	CHECK_HAS(text, "1.0 of 30.0 s, then the process ended");
	free(text);
	heat->record.end = TIER_HEAT_STOPPED;
	CHECK_EQ(tier_heat_to_svg(heat, &text), 0);
	CHECK_HAS(text, "1.0 of 30.0 s, then it was stopped");
	free(text);
	CHECK_EQ(tier_heat_ended(heat), TIER_HEAT_STOPPED);
}

/* What a process is called does not become a part of the picture. */
TEST(svg_is_escaped)
{
	char *text;

	make_quarter();
	strcpy(heat->record.title, "process 7 (<a>&\"\033]0;x\a)");
	strcpy(heat->record.spaces[0].name, "</text><script>");
	CHECK_EQ(tier_heat_to_svg(heat, &text), 0);
	CHECK_HAS(text, "<title>process 7 (&lt;a&gt;&amp;&quot;?]0;x?)</title>");
	CHECK_HAS(text, "(&lt;/text&gt;&lt;script&gt;)");
	CHECK(!strstr(text, "<script"));
	for (const char *at = text; *at; at++)
		CHECK(*at == '\n' || (*at >= ' ' && *at <= '~'));
	/* The hot quarter: 4 rows, from the middle of the time to the end. */
	CHECK_HAS(text, "<rect x=\"540.00\" y=\"202.00\" width=\"360.00\" height=\"14.00\" "
			"fill=\"#fcffa4\"/>");
	free(text);
}

TEST(json_has_the_figures)
{
	sd_json_variant *json, *segment, *row, *cells;
	char *text;

	make_quarter();
	CHECK_EQ(tier_heat_to_json(heat, &text), 0);
	CHECK(sd_json_parse(text, 0, &json, NULL, NULL) >= 0);
	free(text);
	segment = sd_json_variant_by_index(sd_json_variant_by_key(json, "segments"), 0);
	row = sd_json_variant_by_index(sd_json_variant_by_key(segment, "rows"), 8);
	cells = sd_json_variant_by_key(row, "cells");
	CHECK_EQ(sd_json_variant_unsigned(sd_json_variant_by_key(row, "start")), BASE + 8 * MIB);
	CHECK_EQ(sd_json_variant_elements(cells), 10);
	CHECK_EQ((int)sd_json_variant_real(sd_json_variant_by_index(cells, 4)), 0);
	CHECK_EQ((int)sd_json_variant_real(sd_json_variant_by_index(cells, 5)), 100);
	CHECK_STR(sd_json_variant_string(sd_json_variant_by_key(json, "outcome")), "done");
	CHECK_EQ(sd_json_variant_elements(sd_json_variant_by_key(json, "nodes")), 2);
	sd_json_variant_unref(json);
}

TEST(places_unknown)
{
	sd_json_variant *json;
	char *text;

	make_quarter();
	heat->node_count = 0;
	CHECK_EQ(tier_heat_to_json(heat, &text), 0);
	CHECK(sd_json_parse(text, 0, &json, NULL, NULL) >= 0);
	CHECK(sd_json_variant_is_null(sd_json_variant_by_key(json, "nodes")));
	sd_json_variant_unref(json);
	free(text);
	CHECK_EQ(tier_heat_to_text(heat, false, &text), 0);
	CHECK_HAS(text, "On which nodes that is could not be seen.");
	free(text);
}

/* Looks that took 6 ms instead of 5 are fewer a second; a snapshot that was missed tells nothing. */
TEST(pace_as_it_was)
{
	begin();
	CHECK_EQ(heat_settle_pace(&record), 0);
	CHECK_EQ(record.aggregate_usec, 100000);
	for (unsigned i = 1; i <= 10; i++)
		add_snapshot(i * 90000);
	CHECK_EQ(heat_settle_pace(&record), 0);
	CHECK_EQ(record.aggregate_usec, 100000);
	begin();
	for (unsigned i = 1; i <= 10; i++)
		add_snapshot(i < 6 ? i * 120000 : i * 240000);
	CHECK_EQ(heat_settle_pace(&record), 0);
	CHECK_EQ(record.aggregate_usec, 120000);
	CHECK_EQ(record.sample_usec, 6000);
	CHECK_EQ(heat_most_accesses(&record), 20);
}

/* Whatever is asked for: the kernel takes it, and a snapshot never keeps a signal waiting for long. */
TEST(pace)
{
	for (uint64_t seconds = 1; seconds <= 3600; seconds += seconds < 60 ? 1 : 59) {
		for (unsigned columns = 8; columns <= 400; columns += 49) {
			for (uint64_t bytes = 4096; bytes < UINT64_C(1) << 46; bytes <<= 3) {
				const struct tier_heat_request request = {
					.for_usec = seconds * SEC, .rows = 200, .columns = columns};
				struct heat_pace pace;

				heat_choose_pace(&request, bytes, &pace);
				CHECK_EQ(pace.aggregate_usec, 20 * pace.sample_usec);
				CHECK(pace.aggregate_usec <= SEC && pace.sample_usec >= 5000);
				CHECK(pace.min_regions >= 10);
				CHECK(pace.min_regions <= pace.max_regions / 2);
				CHECK(pace.max_regions <= 1000);
			}
		}
	}
}
