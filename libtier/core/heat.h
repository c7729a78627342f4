/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_HEAT_H
#define TIER_CORE_HEAT_H

#include "process-identity.h"
#include "tier-heat.h"
#include "util.h"

/* ---- what is recorded ---- */

struct heat_range {
	uint64_t start, end;
};

/* Ascending and apart from each other. */
struct heat_ranges {
	struct heat_range *list;
	size_t count;
};

/*
 * Adds one at the end, or joins it to the last if less than @gap_bytes lie between. -EINVAL if it does not ascend,
 * -ENOMEM.
 */
int heat_ranges_append(struct heat_ranges *ranges, uint64_t start, uint64_t end,
		       uint64_t gap_bytes);
/* Joins neighbours until there are at most @most, over the smallest gaps first. */
void heat_ranges_reduce(struct heat_ranges *ranges, size_t most);
/* Makes @into cover what @more covers as well. -ENOMEM. */
int heat_ranges_unite(struct heat_ranges *into, const struct heat_ranges *more);
bool heat_ranges_equal(const struct heat_ranges *a, const struct heat_ranges *b);
uint64_t heat_ranges_bytes(const struct heat_ranges *ranges);
void heat_ranges_done(struct heat_ranges *ranges);

/* A process, or a node's physical memory. */
struct heat_space {
	int pid;  /* 0: of a node */
	int node; /* -1: of a process */
	char name[32];
	struct process_identity identity;
	struct heat_ranges ranges; /* whatever was looked at */
};

/* DAMON's of one snapshot: so many of the looks at it found a page touched. */
struct heat_region {
	uint64_t start, end;
	uint32_t space;
	uint32_t accesses;
};

struct heat_snapshot {
	uint64_t end_usec; /* since the beginning */
	size_t first, count;
};

/* A page that was there at the last look at where pages are. */
struct heat_place {
	uint64_t address;
	uint32_t space;
	int node;
};

struct heat_record {
	char title[160]; /* printable */
	char kind[16];	 /* "process", "cgroup", "host" */
	uint64_t wanted_usec;
	uint64_t sample_usec, aggregate_usec;
	enum tier_heat_end end;
	unsigned hidden, left_out; /* processes: of another PID namespace; too many */
	struct heat_space *spaces;
	size_t space_count;
	struct heat_region *regions;
	size_t region_count;
	struct heat_snapshot *snapshots;
	size_t snapshot_count;
	struct heat_place *places;
	size_t place_count;
	uint64_t place_bytes; /* for how much of memory each stands */
};

void heat_record_done(struct heat_record *record);
/* Most times that a region can be found touched in a snapshot. */
unsigned heat_most_accesses(const struct heat_record *record);

/* ---- how it is measured ---- */

struct heat_pace {
	uint64_t sample_usec, aggregate_usec;
	uint64_t min_regions, max_regions;
};

/* For so long a map, of so much memory. */
void heat_choose_pace(const struct tier_heat_request *request, uint64_t bytes,
		      struct heat_pace *ret);

/*
 * The kernel looks later than it was told, by its timer and by what looking takes: the record's intervals become what its
 * snapshots say. -ENOMEM.
 */
int heat_settle_pace(struct heat_record *record);

/* ---- the map ---- */

/* Addresses that are shown in a row, with a gap before the next of its space. */
struct heat_segment {
	uint32_t space;
	uint64_t start, end;
	size_t first_row, rows;
};

struct heat_row {
	uint32_t segment;
	uint64_t start, end;
	double per_second; /* over the whole time; -1: not looked at */
};

#define HEAT_BINS 6 /* the first: not touched; the last: more than half as often as can be seen */

struct heat_bin {
	double above, most; /* times a second */
	uint64_t bytes;
};

struct heat_node {
	int node;
	uint64_t bytes, hot_bytes;
};

struct tier_heat {
	struct heat_record record;
	uint64_t elapsed_usec;
	size_t columns;
	struct heat_segment *segments;
	size_t segment_count;
	struct heat_row *rows;
	size_t row_count;
	double *cells; /* touches a second: row by row; -1: not looked at */
	double scale;  /* the rate of the highest level, and beyond */
	double hot;    /* a row of so many touches a second is hot; 0: nothing was touched */
	uint64_t hot_bytes;
	struct heat_bin bins[HEAT_BINS];
	struct heat_node *nodes;
	size_t node_count; /* 0: where pages are is not known */
};

/* Takes what @record has. -ENODATA if there is no snapshot; -ENOMEM. */
int heat_map_new(struct heat_record *record, unsigned rows, unsigned columns,
		 struct tier_heat **ret);
/* heat-layout.c: its segments and rows. -ENODATA, -ENOMEM. */
int heat_layout(struct tier_heat *heat, unsigned rows);

/* ---- how it is shown ---- */

#define HEAT_LEVELS 10

/* 0: not touched; 9: as often as what is hot here, or more. */
unsigned heat_level(const struct tier_heat *heat, double per_second);
/* The most that a level stands for. */
double heat_level_most(const struct tier_heat *heat, unsigned level);
/* "12.5M", "not touched", "more than 21.3/s" */
void heat_bin_words(const struct tier_heat *heat, size_t bin, char *text, size_t size);
/* "30.0 s"; "3.2 of 30.0 s, then the process ended" */
void heat_time_words(const struct tier_heat *heat, char *text, size_t size);
/* The whole in a line without a title. */
void heat_summary(const struct tier_heat *heat, char *text, size_t size);

#endif
