/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_TOP_H
#define TIER_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tier-error.h"
#include "tier-metrics.h"
#include "tier-place.h"
#include "tier-topology.h"

/*
 * Nodes, what goes up and down between them, and who lives where: what tierctl top shows. What is read, what is
 * made of it, and the lines that it becomes are three steps; the latter two are pure.
 */

struct tier_top_part {
	int node;
	uint64_t bytes;
};

/* Somebody's memory by node. */
struct tier_top_row {
	char name[64];		     /* of the cgroup, or the process' comm; printable */
	char path[256];		     /* of the cgroup below the root; printable; empty: a process */
	pid_t pid;		     /* 0: a cgroup */
	struct tier_top_part *parts; /* nodes ascending, without those that it has nothing on */
	size_t part_count;
	uint64_t total_bytes;
};

struct tier_top_rows {
	struct tier_top_row *rows;
	size_t count;
	size_t unread; /* so many could not be looked at */
};

/** tier_top_rows_done() - empty it */
void tier_top_rows_done(struct tier_top_rows *rows);

/**
 * tier_top_units() - which units have memory on which nodes
 * @sysroot: as for tier_topology_read()
 * @ret: empty; a row for each cgroup of version 2 that is no slice and lies in none but slices; what is below it
 *       counts as its own
 * @problem: may be NULL
 *
 * What counts is on the LRU lists, or is hugetlbfs' as far as cgroups are charged for it: anonymous memory, page
 * cache, shared memory; not the kernel's own. Source: memory.numa_stat.
 *
 * Return: 0; TIER_E_NOT_FOUND if no cgroup tells where its memory is; negative errno.
 */
int tier_top_units(const char *sysroot, struct tier_top_rows *ret, struct tier_problem *problem);

/**
 * tier_top_processes() - which processes have memory on which nodes
 * @least_bytes: those with less resident memory are left out
 *
 * Page by page, which takes the kernel a while; memory that several map is each one's. Source:
 * /proc/PID/numa_maps. Return: as tier_top_units().
 */
int tier_top_processes(const char *sysroot, uint64_t page_bytes, uint64_t least_bytes,
		       struct tier_top_rows *ret, struct tier_problem *problem);

/* Kinds of nodes; what a node's type keeps others from counts before what it is made of. */
enum tier_top_group {
	TIER_TOP_DRAM,
	TIER_TOP_CXL,
	TIER_TOP_OTHER,
	TIER_TOP_SHARED,
	TIER_TOP_SWITCHED,
	_TIER_TOP_GROUP_MAX,
};

/* Bytes a second; TIER_UNKNOWN_U64 if there is only one sample, or the kernel does not count it. */
struct tier_top_rates {
	uint64_t promoted; /* that arrive */
	uint64_t demoted;  /* that leave */
};

struct tier_top_node {
	int id;
	int tier; /* TIER_UNKNOWN_INT */
	enum tier_place_class class;
	enum tier_memory_type type;
	enum tier_top_group group;
	char regions[128];
	uint64_t total_bytes, used_bytes;
	struct tier_top_rates rates;
};

struct tier_top_tier {
	int tier;
	char nodes[64]; /* "0,2" */
	uint64_t total_bytes, used_bytes;
	struct tier_top_rates rates;
};

/**
 * struct tier_top_input - what was read
 * @topology: with types and memory tiers
 * @stats, @before: now, and @elapsed_usec ago; NULL and 0: there is no before
 * @tiering: what Tier=auto moves
 * @rows: taken over; of processes if @processes
 * @note: why there are no rows, or empty
 */
struct tier_top_input {
	const struct tier_topology *topology;
	const struct tier_node_stat *stats, *before;
	size_t stat_count, before_count;
	uint64_t elapsed_usec;
	struct tier_top_rates tiering;
	struct tier_top_rows *rows;
	bool processes;
	const char *note;
};

struct tier_top {
	char hostname[64];
	uint64_t elapsed_usec;
	struct tier_top_node *nodes; /* those with memory */
	size_t node_count;
	struct tier_top_tier *tiers; /* fastest first */
	size_t tier_count;
	struct tier_top_rates tiering;
	struct tier_top_rows rows;
	bool processes;
	bool groups[_TIER_TOP_GROUP_MAX]; /* there is such a node */
	char note[656];
};

/** tier_top_rate() - bytes a second of a counter; unknown if it is not told or has begun anew */
uint64_t tier_top_rate(uint64_t now, uint64_t before, uint64_t elapsed_usec);

/** tier_top_new() - the picture. Pure. @ret: free with tier_top_free(). Return: 0, -ENOMEM. */
int tier_top_new(const struct tier_top_input *input, struct tier_top **ret);
struct tier_top *tier_top_free(struct tier_top *top);

/** tier_top_row_bytes() - what a row has on nodes of a kind */
uint64_t tier_top_row_bytes(const struct tier_top *top, const struct tier_top_row *row,
			    enum tier_top_group group);
/** tier_top_group_name() - "DRAM", "CXL", "OTHER", "SHARED", "SWITCHED" */
const char *tier_top_group_name(enum tier_top_group group);

/* What rows are sorted by: all of it, or what is on nodes of a kind. */
#define TIER_TOP_BY_TOTAL ((int)_TIER_TOP_GROUP_MAX)

/** tier_top_sort() - the most first; of as much, by name. @by: enum tier_top_group or TIER_TOP_BY_TOTAL */
void tier_top_sort(struct tier_top *top, int by);
/** tier_top_next_sort() - another kind that there is, or all of it again */
int tier_top_next_sort(const struct tier_top *top, int by);

/**
 * struct tier_top_view - how it is shown
 * @width: no line is longer
 * @height: so many lines, of which the last one says what the keys do; 0: as many as there are, and no keys
 * @by_node: a column for each node, as far as there is room, instead of for each kind
 * @by: as rows were sorted
 * @first: the first row that is shown; taken back if that is beyond the end
 */
struct tier_top_view {
	unsigned width, height;
	bool by_node;
	int by;
	size_t first;
};

enum tier_top_style {
	TIER_TOP_PLAIN,
	TIER_TOP_TITLE,
	TIER_TOP_HEAD,
	TIER_TOP_TYPED, /* of a Shared or Switched node, or of who has memory there */
	TIER_TOP_NOTE,
	TIER_TOP_KEYS,
};

struct tier_top_lines {
	struct tier_top_line {
		char *text;
		enum tier_top_style style;
	} *lines;
	size_t count;
	size_t rows; /* of them, those of units or processes */
};

/** tier_top_lines() - the picture as lines of printable ASCII. Pure. Return: 0, -ENOMEM. */
int tier_top_lines(const struct tier_top *top, struct tier_top_view *view,
		   struct tier_top_lines *ret);
void tier_top_lines_done(struct tier_top_lines *lines);

/** tier_top_to_json() - the picture as JSON text; unknown rates are null. Return: 0, -ENOMEM. */
int tier_top_to_json(const struct tier_top *top, char **ret_json);

#endif
