/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "fuzz.h"
#include "heat.h"
#include "tape.h"

/* Spaces, regions and snapshots by a tape: whatever DAMON says, a map is made of it. */

static void fill(struct tape *tape, struct heat_record *record)
{
	uint64_t now = 0, address = 0;
	size_t spaces = 1 + tape_below(tape, 4), snapshots = 1 + tape_below(tape, 12);

	record->spaces = calloc(spaces, sizeof(*record->spaces));
	record->snapshots = calloc(snapshots, sizeof(*record->snapshots));
	HOLDS(record->spaces && record->snapshots);
	for (record->space_count = 0; record->space_count < spaces; record->space_count++) {
		struct heat_space *space = &record->spaces[record->space_count];

		space->pid = tape_below(tape, 2) ? 7 : 0;
		space->node = space->pid ? -1 : (int)tape_below(tape, 64);
		for (uint32_t i = tape_below(tape, 8); i > 0; i--) {
			uint64_t start = address + tape_or(tape, MIB);

			address = start + tape_or(tape, 64 * MIB);
			(void)heat_ranges_append(&space->ranges, start, address,
						 tape_or(tape, MIB));
		}
	}
	for (; record->snapshot_count < snapshots; record->snapshot_count++) {
		struct heat_snapshot *snapshot = &record->snapshots[record->snapshot_count];

		now += tape_or(tape, 100000);
		snapshot->end_usec = now;
		snapshot->first = record->region_count;
		for (snapshot->count = tape_below(tape, 8);
		     record->region_count < snapshot->first + snapshot->count;) {
			struct heat_region *region = array_grow(
				&record->regions, &record->region_count, sizeof(*region));

			HOLDS(region);
			region->start = tape_or(tape, MIB);
			region->end = region->start + tape_or(tape, 64 * MIB);
			region->space = tape_byte(tape);
			region->accesses = (uint32_t)tape_or(tape, 5);
		}
	}
	for (uint32_t i = tape_below(tape, 4); i > 0; i--) {
		struct heat_place *place =
			array_grow(&record->places, &record->place_count, sizeof(*place));

		HOLDS(place);
		*place = (struct heat_place){tape_number(tape), tape_byte(tape),
					     (int)tape_below(tape, 64)};
	}
}

static void check_map(const struct tier_heat *heat, unsigned rows)
{
	HOLDS(heat->row_count > 0 && heat->row_count <= MAX((size_t)rows, heat->segment_count));
	for (size_t i = 0; i < heat->row_count; i++) {
		const struct heat_row *row = &heat->rows[i];
		const struct heat_segment *segment = &heat->segments[row->segment];

		HOLDS(row->start < row->end);
		HOLDS(row->start >= segment->start && row->end <= segment->end);
		HOLDS(i == segment->first_row || heat->rows[i - 1].end == row->start);
	}
	for (size_t i = 0; i < heat->row_count * heat->columns; i++) {
		HOLDS(heat->cells[i] == -1 || heat->cells[i] >= 0);
		HOLDS(heat_level(heat, heat->cells[i]) < HEAT_LEVELS);
	}
}

static void check_shown(const struct tier_heat *heat)
{
	char *text;

	HOLDS(tier_heat_to_text(heat, true, &text) == 0);
	free(text);
	HOLDS(tier_heat_to_json(heat, &text) == 0);
	free(text);
	HOLDS(tier_heat_to_svg(heat, &text) == 0);
	for (const char *at = text; *at; at++)
		HOLDS(*at == '\n' || (*at >= ' ' && *at <= '~'));
	HOLDS(!strstr(text, "nan") && !strstr(text, "inf\""));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape tape = {data, size};
	struct heat_record record = {
		.title = "process 7 (x)", .kind = "process", .place_bytes = 4096};
	unsigned rows = TIER_HEAT_ROWS_MIN + tape_below(&tape, 64);
	unsigned columns = TIER_HEAT_COLUMNS_MIN + tape_below(&tape, 64);
	struct tier_heat *heat;
	int r;

	record.sample_usec = tape_or(&tape, 5000);
	record.aggregate_usec = tape_or(&tape, 100000);
	fill(&tape, &record);
	r = heat_map_new(&record, rows, columns, &heat);
	HOLDS(r == 0 || r == -ENODATA);
	if (r) {
		heat_record_done(&record);
		return 0;
	}
	check_map(heat, rows);
	check_shown(heat);
	tier_heat_free(heat);
	return 0;
}
