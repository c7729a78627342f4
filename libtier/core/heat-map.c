/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heat.h"

/*
 * Looks for a snapshot: what lies between none and all of them is the rate. More would make regions follow slower.
 */
#define SAMPLES		   20
#define AGGREGATE_USEC_MIN UINT64_C(100000)
/* A snapshot is waited for in the kernel, where no signal is heard. */
#define AGGREGATE_USEC_MAX UINT64_C(1000000)
/* A look takes one or two microseconds: so it is at most a tenth of a processor. */
#define LOOK_USEC	   20
#define REGIONS_MIN	   UINT64_C(10)
#define REGIONS_MAX	   UINT64_C(1000)
#define REGION_BYTES_LEAST (64 * KIB)
/* More than there can be. */
#define BYTES_MAX 1e18

void heat_choose_pace(const struct tier_heat_request *request, uint64_t bytes,
		      struct heat_pace *ret)
{
	uint64_t column_usec = request->for_usec / request->columns;
	uint64_t aggregate = MIN(MAX(column_usec, AGGREGATE_USEC_MIN), AGGREGATE_USEC_MAX);
	uint64_t sample = aggregate / SAMPLES;
	uint64_t most = MIN(MAX(sample / LOOK_USEC, 100), REGIONS_MAX);
	/* Two in a row at least; half of the most is where DAMON ceases to cut. */
	uint64_t least =
		MIN(MIN(2 * (uint64_t)request->rows, most / 2), bytes / REGION_BYTES_LEAST);

	*ret = (struct heat_pace){
		.sample_usec = sample,
		.aggregate_usec = sample * SAMPLES,
		.min_regions = MAX(least, REGIONS_MIN),
		.max_regions = most,
	};
}

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int heat_settle_pace(struct heat_record *record)
{
	_cleanup_free_ uint64_t *usec = calloc(record->snapshot_count + 1, sizeof(*usec));
	uint64_t before = 0, usual;

	if (!usec)
		return -ENOMEM;
	if (record->snapshot_count == 0)
		return 0;
	for (size_t i = 0; i < record->snapshot_count; i++) {
		uint64_t end = MAX(record->snapshots[i].end_usec, before);

		usec[i] = end - before;
		before = end;
	}
	qsort(usec, record->snapshot_count, sizeof(*usec), ascending);
	/* Not the middle: while regions are read, a snapshot may be missed. */
	usual = usec[record->snapshot_count / 4];
	if (usual <= record->aggregate_usec)
		return 0;
	record->sample_usec = usual / SAMPLES;
	record->aggregate_usec = record->sample_usec * SAMPLES;
	return 0;
}

unsigned heat_most_accesses(const struct heat_record *record)
{
	return record->sample_usec ? (unsigned)(record->aggregate_usec / record->sample_usec) : 0;
}

/* Bytes times microseconds: of all that was looked at, and weighted with how often it was touched. */
struct sums {
	double *seen, *touched;
};

static void sums_done(struct sums *sums)
{
	free(sums->seen);
	free(sums->touched);
}

static double per_second(const struct heat_record *record, double accesses)
{
	return accesses * 1e6 / (double)record->aggregate_usec;
}

/* Adds a region to the cells of one row, for the time from @from to @to. */
static void add_to_row(const struct tier_heat *heat, struct sums *sums, size_t row, double bytes,
		       uint64_t from, uint64_t to, uint32_t accesses)
{
	uint64_t total = heat->elapsed_usec;
	size_t column = (size_t)((unsigned __int128)from * heat->columns / total);

	while (from < to && column < heat->columns) {
		uint64_t end = (uint64_t)((unsigned __int128)(column + 1) * total / heat->columns);
		size_t cell = row * heat->columns + column++;

		if (end <= from)
			continue;
		end = MIN(end, to);
		sums->seen[cell] += bytes * (double)(end - from);
		sums->touched[cell] += bytes * (double)(end - from) * accesses;
		from = end;
	}
}

static void add_region(const struct tier_heat *heat, struct sums *sums,
		       const struct heat_region *region, uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < heat->segment_count; i++) {
		const struct heat_segment *segment = &heat->segments[i];
		uint64_t start = MAX(region->start, segment->start);
		uint64_t end = MIN(region->end, segment->end), row_bytes;

		if (segment->space != region->space || start >= end)
			continue;
		row_bytes = heat->rows[segment->first_row].end - segment->start;
		for (size_t n = (size_t)((start - segment->start) / row_bytes); n < segment->rows;
		     n++) {
			const struct heat_row *row = &heat->rows[segment->first_row + n];

			if (row->start >= end)
				break;
			add_to_row(heat, sums, segment->first_row + n,
				   (double)(MIN(end, row->end) - MAX(start, row->start)), from, to,
				   region->accesses);
		}
	}
}

static size_t bin_of(const struct tier_heat *heat, double rate)
{
	size_t bin = HEAT_BINS - 1;

	while (bin > 0 && rate <= heat->bins[bin].above)
		bin--;
	return bin;
}

/* The last has the upper half of what can be seen, the one before it the upper half of the rest, and so on. */
static void make_bins(struct tier_heat *heat)
{
	double most = per_second(&heat->record, heat_most_accesses(&heat->record));

	for (size_t i = HEAT_BINS - 1; i > 0; i--) {
		heat->bins[i].most = most;
		heat->bins[i].above = i > 1 ? most / 2 : 0;
		most /= 2;
	}
	heat->bins[0].above = -1;
}

static void add_snapshots(struct tier_heat *heat, struct sums *sums)
{
	const struct heat_record *record = &heat->record;
	double bins[HEAT_BINS] = {};
	uint64_t from = 0;

	/* One that comes late stands for the time since the one before. */
	for (size_t i = 0; i < record->snapshot_count; i++) {
		const struct heat_snapshot *snapshot = &record->snapshots[i];
		uint64_t to = MIN(snapshot->end_usec, heat->elapsed_usec);

		for (size_t n = 0; n < snapshot->count && from < to; n++) {
			const struct heat_region *region = &record->regions[snapshot->first + n];
			double rate = per_second(record, region->accesses);

			if (region->start >= region->end)
				continue;
			add_region(heat, sums, region, from, to);
			bins[bin_of(heat, rate)] +=
				(double)(region->end - region->start) * (double)(to - from);
		}
		from = MAX(from, to);
	}
	for (size_t i = 0; i < HEAT_BINS; i++)
		heat->bins[i].bytes =
			(uint64_t)MIN(bins[i] / (double)heat->elapsed_usec, BYTES_MAX);
}

struct touched {
	double per_second, touches;
};

static int hottest_first(const void *a, const void *b)
{
	const struct touched *x = a, *y = b;

	return x->per_second > y->per_second ? -1 : x->per_second < y->per_second;
}

/*
 * The rate that counts as high: the hottest that together have a tenth of all touches have it or more. A few pages that
 * are touched all the time, as of a stack, would hide all else if it was theirs.
 */
static double high_rate(struct touched *list, size_t count)
{
	double sum = 0, high = 0, so_far = 0;

	for (size_t i = 0; i < count; i++)
		sum += list[i].touches;
	if (count)
		qsort(list, count, sizeof(*list), hottest_first);
	for (size_t i = 0; i < count && list[i].touches > 0; i++) {
		high = list[i].per_second;
		so_far += list[i].touches;
		if (so_far >= sum / 10)
			break;
	}
	return high;
}

static int fill(struct tier_heat *heat, const struct sums *sums)
{
	size_t cells = heat->row_count * heat->columns;
	_cleanup_free_ struct touched *of_cells = calloc(cells, sizeof(*of_cells));
	_cleanup_free_ struct touched *of_rows = calloc(heat->row_count, sizeof(*of_rows));

	if (!of_cells || !of_rows)
		return -ENOMEM;
	for (size_t i = 0; i < heat->row_count; i++) {
		double seen = 0, touched = 0;

		for (size_t n = 0; n < heat->columns; n++) {
			size_t cell = i * heat->columns + n;

			heat->cells[cell] =
				sums->seen[cell] > 0
					? per_second(&heat->record,
						     sums->touched[cell] / sums->seen[cell])
					: -1;
			of_cells[cell] = (struct touched){heat->cells[cell], sums->touched[cell]};
			seen += sums->seen[cell];
			touched += sums->touched[cell];
		}
		heat->rows[i].per_second =
			seen > 0 ? per_second(&heat->record, touched / seen) : -1;
		of_rows[i] = (struct touched){heat->rows[i].per_second, touched};
	}
	heat->scale = high_rate(of_cells, cells);
	heat->hot = high_rate(of_rows, heat->row_count) / 2;
	for (size_t i = 0; i < heat->row_count; i++)
		if (heat->hot > 0 && heat->rows[i].per_second >= heat->hot)
			heat->hot_bytes += heat->rows[i].end - heat->rows[i].start;
	return 0;
}

static int add_node(struct tier_heat *heat, int node, uint64_t bytes, bool hot)
{
	struct heat_node *found = NULL;

	for (size_t i = 0; i < heat->node_count && !found; i++)
		if (heat->nodes[i].node == node)
			found = &heat->nodes[i];
	if (!found) {
		found = array_grow(&heat->nodes, &heat->node_count, sizeof(*found));
		if (!found)
			return -ENOMEM;
		found->node = node;
	}
	found->bytes += bytes;
	found->hot_bytes += hot ? bytes : 0;
	return 0;
}

static bool row_is_hot(const struct tier_heat *heat, const struct heat_row *row)
{
	return heat->hot > 0 && row->per_second >= heat->hot;
}

static const struct heat_row *row_at(const struct tier_heat *heat, uint32_t space, uint64_t address)
{
	for (size_t i = 0; i < heat->row_count; i++)
		if (heat->segments[heat->rows[i].segment].space == space &&
		    heat->rows[i].start <= address && address < heat->rows[i].end)
			return &heat->rows[i];
	return NULL;
}

static int by_node(const void *a, const void *b)
{
	const struct heat_node *x = a, *y = b;

	return x->node < y->node ? -1 : x->node > y->node;
}

static int add_nodes(struct tier_heat *heat)
{
	const struct heat_record *record = &heat->record;
	int r = 0;

	for (size_t i = 0; i < heat->row_count && r == 0; i++) {
		const struct heat_row *row = &heat->rows[i];
		int node = record->spaces[heat->segments[row->segment].space].node;

		if (node >= 0)
			r = add_node(heat, node, row->end - row->start, row_is_hot(heat, row));
	}
	for (size_t i = 0; i < record->place_count && r == 0; i++) {
		const struct heat_place *place = &record->places[i];
		const struct heat_row *row = row_at(heat, place->space, place->address);

		r = add_node(heat, place->node, record->place_bytes, row && row_is_hot(heat, row));
	}
	if (r == 0 && heat->node_count)
		qsort(heat->nodes, heat->node_count, sizeof(*heat->nodes), by_node);
	return r;
}

int heat_map_new(struct heat_record *record, unsigned rows, unsigned columns,
		 struct tier_heat **ret)
{
	_cleanup_(sums_done) struct sums sums = {};
	struct tier_heat *heat;
	size_t cells;
	int r;

	if (record->snapshot_count == 0 || record->aggregate_usec == 0 ||
	    record->snapshots[record->snapshot_count - 1].end_usec == 0)
		return -ENODATA;
	heat = calloc(1, sizeof(*heat));
	if (!heat)
		return -ENOMEM;
	heat->record = *record;
	heat->elapsed_usec = record->snapshots[record->snapshot_count - 1].end_usec;
	heat->columns = MIN((size_t)columns, record->snapshot_count);
	r = heat_layout(heat, rows);
	cells = r == 0 ? heat->row_count * heat->columns : 1;
	heat->cells = calloc(cells, sizeof(*heat->cells));
	sums.seen = calloc(cells, sizeof(*sums.seen));
	sums.touched = calloc(cells, sizeof(*sums.touched));
	if (r == 0 && (!heat->cells || !sums.seen || !sums.touched))
		r = -ENOMEM;
	if (r == 0) {
		make_bins(heat);
		add_snapshots(heat, &sums);
		r = fill(heat, &sums);
		r = r ?: add_nodes(heat);
	}
	if (r) {
		/* The caller still has it. */
		heat->record = (struct heat_record){};
		tier_heat_free(heat);
		return r;
	}
	*record = (struct heat_record){};
	*ret = heat;
	return 0;
}

struct tier_heat *tier_heat_free(struct tier_heat *heat)
{
	if (!heat)
		return NULL;
	heat_record_done(&heat->record);
	free(heat->segments);
	free(heat->rows);
	free(heat->cells);
	free(heat->nodes);
	free(heat);
	return NULL;
}

enum tier_heat_end tier_heat_ended(const struct tier_heat *heat)
{
	return heat->record.end;
}
