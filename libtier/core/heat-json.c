/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heat.h"
#include "json.h"

/* Null where nothing was looked at. */
static int append_rate(sd_json_variant **array, double per_second)
{
	_cleanup_json_ sd_json_variant *value = NULL;
	int r = per_second < 0 ? sd_json_variant_new_null(&value)
			       : sd_json_variant_new_real(&value, per_second);

	return r < 0 ? r : sd_json_variant_append_array(array, value);
}

static int build_cells(const struct tier_heat *heat, size_t row, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < heat->columns; i++)
		r = append_rate(ret, heat->cells[row * heat->columns + i]);
	return r;
}

static int build_rows(const struct tier_heat *heat, const struct heat_segment *segment,
		      sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = segment->first_row; r >= 0 && i < segment->first_row + segment->rows; i++) {
		_cleanup_json_ sd_json_variant *cells = NULL;
		const struct heat_row *row = &heat->rows[i];
		bool known = row->per_second >= 0;

		r = build_cells(heat, i, &cells);
		if (r >= 0)
			r = sd_json_variant_append_arraybo(
				ret, SD_JSON_BUILD_PAIR_UNSIGNED("start", row->start),
				SD_JSON_BUILD_PAIR_UNSIGNED("end", row->end),
				SD_JSON_BUILD_PAIR_CONDITION(known, "per_second",
							     SD_JSON_BUILD_REAL(row->per_second)),
				SD_JSON_BUILD_PAIR_CONDITION(!known, "per_second",
							     SD_JSON_BUILD_NULL),
				SD_JSON_BUILD_PAIR_VARIANT("cells", cells));
	}
	return r;
}

static int build_segments(const struct tier_heat *heat, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < heat->segment_count; i++) {
		_cleanup_json_ sd_json_variant *rows = NULL;
		const struct heat_segment *segment = &heat->segments[i];
		const struct heat_space *space = &heat->record.spaces[segment->space];
		bool follows = i > 0 && segment[-1].space == segment->space;

		r = build_rows(heat, segment, &rows);
		if (r >= 0)
			r = sd_json_variant_append_arraybo(
				ret,
				SD_JSON_BUILD_PAIR_CONDITION(space->pid > 0, "pid",
							     SD_JSON_BUILD_INTEGER(space->pid)),
				SD_JSON_BUILD_PAIR_CONDITION(space->pid > 0, "name",
							     SD_JSON_BUILD_STRING(space->name)),
				SD_JSON_BUILD_PAIR_CONDITION(space->node >= 0, "node",
							     SD_JSON_BUILD_INTEGER(space->node)),
				SD_JSON_BUILD_PAIR_UNSIGNED("start", segment->start),
				SD_JSON_BUILD_PAIR_UNSIGNED("end", segment->end),
				SD_JSON_BUILD_PAIR_UNSIGNED(
					"gap_before_bytes",
					follows ? segment->start - segment[-1].end : 0),
				SD_JSON_BUILD_PAIR_VARIANT("rows", rows));
	}
	return r;
}

static int build_bins(const struct tier_heat *heat, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < HEAT_BINS; i++)
		r = sd_json_variant_append_arraybo(
			ret, SD_JSON_BUILD_PAIR_REAL("above", i ? heat->bins[i].above : 0),
			SD_JSON_BUILD_PAIR_REAL("most", heat->bins[i].most),
			SD_JSON_BUILD_PAIR_UNSIGNED("bytes", heat->bins[i].bytes));
	return r;
}

static int build_nodes(const struct tier_heat *heat, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < heat->node_count; i++)
		r = sd_json_variant_append_arraybo(
			ret, SD_JSON_BUILD_PAIR_INTEGER("node", heat->nodes[i].node),
			SD_JSON_BUILD_PAIR_UNSIGNED("bytes", heat->nodes[i].bytes),
			SD_JSON_BUILD_PAIR_UNSIGNED("hot_bytes", heat->nodes[i].hot_bytes));
	return r;
}

static const char *end_name(enum tier_heat_end end)
{
	switch (end) {
	case TIER_HEAT_PROCESS_ENDED:
		return "process-ended";
	case TIER_HEAT_STOPPED:
		return "stopped";
	default:
		return "done";
	}
}

int tier_heat_to_json(const struct tier_heat *heat, char **ret)
{
	_cleanup_json_ sd_json_variant *segments = NULL, *bins = NULL, *nodes = NULL, *whole = NULL;
	const struct heat_record *record = &heat->record;
	bool placed = heat->node_count > 0;
	int r = build_segments(heat, &segments);

	if (r >= 0)
		r = build_bins(heat, &bins);
	if (r >= 0)
		r = build_nodes(heat, &nodes);
	if (r >= 0)
		r = sd_json_buildo(
			&whole, SD_JSON_BUILD_PAIR_STRING("title", record->title),
			SD_JSON_BUILD_PAIR_STRING("of", record->kind),
			SD_JSON_BUILD_PAIR_STRING("outcome", end_name(record->end)),
			SD_JSON_BUILD_PAIR_UNSIGNED("wanted_usec", record->wanted_usec),
			SD_JSON_BUILD_PAIR_UNSIGNED("elapsed_usec", heat->elapsed_usec),
			SD_JSON_BUILD_PAIR_UNSIGNED("sample_usec", record->sample_usec),
			SD_JSON_BUILD_PAIR_UNSIGNED("snapshot_usec", record->aggregate_usec),
			SD_JSON_BUILD_PAIR_UNSIGNED("snapshots", record->snapshot_count),
			SD_JSON_BUILD_PAIR_UNSIGNED("left_out_processes", record->left_out),
			SD_JSON_BUILD_PAIR_UNSIGNED("hidden_processes", record->hidden),
			SD_JSON_BUILD_PAIR_UNSIGNED("columns", heat->columns),
			SD_JSON_BUILD_PAIR_REAL("scale_per_second", heat->scale),
			SD_JSON_BUILD_PAIR_REAL("hot_per_second", heat->hot),
			SD_JSON_BUILD_PAIR_UNSIGNED("hot_bytes", heat->hot_bytes),
			SD_JSON_BUILD_PAIR_VARIANT("histogram", bins),
			SD_JSON_BUILD_PAIR_CONDITION(placed, "nodes", SD_JSON_BUILD_VARIANT(nodes)),
			SD_JSON_BUILD_PAIR_CONDITION(!placed, "nodes", SD_JSON_BUILD_NULL),
			SD_JSON_BUILD_PAIR_VARIANT("segments", segments));
	return r < 0 ? r : json_format(whole, ret);
}
