/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heat.h"

#define PAGE_BYTES UINT64_C(4096)

/* Of the rows; each gap takes a line of its own, and cuts a row short. */
#define SEGMENTS_OF_ROWS 3

static uint64_t rows_of(uint64_t bytes, uint64_t row_bytes)
{
	return bytes / row_bytes + (bytes % row_bytes > 0);
}

/* So that all segments together have at most @rows. */
static uint64_t choose_row_bytes(const struct tier_heat *heat, uint64_t bytes, uint64_t rows)
{
	uint64_t row_bytes = MAX(bytes / rows, PAGE_BYTES) & ~(PAGE_BYTES - 1);

	for (;;) {
		uint64_t used = 0;

		for (size_t i = 0; i < heat->segment_count; i++)
			used += rows_of(heat->segments[i].end - heat->segments[i].start, row_bytes);
		if (used <= rows)
			return row_bytes;
		row_bytes += MAX(row_bytes / 16 & ~(PAGE_BYTES - 1), PAGE_BYTES);
	}
}

static int add_segments(struct tier_heat *heat, size_t most)
{
	const struct heat_record *record = &heat->record;

	for (size_t i = 0; i < record->space_count; i++) {
		_cleanup_(heat_ranges_done) struct heat_ranges shown = {};
		int r = heat_ranges_unite(&shown, &record->spaces[i].ranges);

		if (r)
			return r;
		heat_ranges_reduce(&shown, MAX(most / record->space_count, (size_t)1));
		for (size_t n = 0; n < shown.count; n++) {
			struct heat_segment *segment =
				array_grow(&heat->segments, &heat->segment_count, sizeof(*segment));

			if (!segment)
				return -ENOMEM;
			segment->space = (uint32_t)i;
			segment->start = shown.list[n].start;
			segment->end = shown.list[n].end;
		}
	}
	return heat->segment_count ? 0 : -ENODATA;
}

int heat_layout(struct tier_heat *heat, unsigned rows)
{
	uint64_t bytes = 0, row_bytes;
	int r = heat->record.space_count ? add_segments(heat, MAX(rows / SEGMENTS_OF_ROWS, 1U))
					 : -ENODATA;

	if (r)
		return r;
	for (size_t i = 0; i < heat->segment_count; i++)
		bytes += heat->segments[i].end - heat->segments[i].start;
	row_bytes = choose_row_bytes(heat, bytes, MAX((uint64_t)rows, heat->segment_count));
	for (size_t i = 0; i < heat->segment_count; i++) {
		struct heat_segment *segment = &heat->segments[i];

		segment->first_row = heat->row_count;
		segment->rows = (size_t)rows_of(segment->end - segment->start, row_bytes);
		for (size_t n = 0; n < segment->rows; n++) {
			struct heat_row *row =
				array_grow(&heat->rows, &heat->row_count, sizeof(*row));

			if (!row)
				return -ENOMEM;
			row->segment = (uint32_t)i;
			row->start = segment->start + n * row_bytes;
			row->end = n + 1 == segment->rows ? segment->end : row->start + row_bytes;
		}
	}
	return 0;
}
