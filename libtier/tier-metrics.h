/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_METRICS_H
#define TIER_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier-error.h"
#include "tier-ras.h"
#include "tier-tiering.h"
#include "tier-topology.h"

/*
 * Numbers for Prometheus and what reads its formats: families of samples with labels, which are pure, and what
 * the kernel counts for each node. docs/metrics.md.
 */

/* What the kernel counts of pages that go up and down between memory tiers. */
enum tier_flow {
	TIER_FLOW_PROMOTED,	  /* pgpromote_success: arrived at the node */
	TIER_FLOW_CANDIDATE,	  /* pgpromote_candidate: might have, to this node */
	TIER_FLOW_DEMOTED_KSWAPD, /* pgdemote_kswapd: left the node, by whoever made room */
	TIER_FLOW_DEMOTED_DIRECT,
	TIER_FLOW_DEMOTED_KHUGEPAGED,
	TIER_FLOW_DEMOTED_PROACTIVE,
	_TIER_FLOW_MAX,
};

/**
 * struct tier_node_stat - a node's memory now, and what has gone up and down since boot
 * @total_bytes, @free_bytes: TIER_UNKNOWN_U64 if not told; @total_bytes 0 without memory
 * @flow_bytes: by enum tier_flow; TIER_UNKNOWN_U64 where the kernel does not count it
 */
struct tier_node_stat {
	int node;
	uint64_t total_bytes, free_bytes;
	uint64_t flow_bytes[_TIER_FLOW_MAX];
};

/**
 * tier_node_stats_read() - of every node, ascending
 * @sysroot: as for tier_topology_read()
 * @page_bytes: of that machine
 * @ret: new array; free()
 * @problem: may be NULL
 *
 * Two small files a node: for whoever reads again and again. Source: nodeN/meminfo, nodeN/vmstat, whose counters
 * are in pages.
 *
 * Return: 0; -ENOENT if there are no nodes; other negative errno.
 */
int tier_node_stats_read(const char *sysroot, uint64_t page_bytes, struct tier_node_stat **ret,
			 size_t *ret_count, struct tier_problem *problem);

/** tier_node_stat_find() - that of a node, or NULL */
const struct tier_node_stat *tier_node_stat_find(const struct tier_node_stat *stats, size_t count,
						 int node);

/**
 * tier_node_stats_same() - have the same nodes memory, and as much of it?
 *
 * Else a snapshot from before is not of these nodes any more. Pure.
 */
bool tier_node_stats_same(const struct tier_node_stat *a, size_t a_count,
			  const struct tier_node_stat *b, size_t b_count);

/* ---- families ---------------------------------------------------------------------------------- */

enum tier_metric_kind {
	TIER_METRIC_GAUGE,
	TIER_METRIC_COUNTER,
	TIER_METRIC_INFO, /* a sample is always 1, its labels say something */
};

/**
 * struct tier_metric - a family
 * @name: without _total or _info, ending in the unit if there is one; a constant string, as the others
 * @unit: "bytes", "seconds" or NULL; of seconds the samples are microseconds here
 * @created_usec: CLOCK_REALTIME at which a counter was 0; 0: not known
 */
struct tier_metric {
	enum tier_metric_kind kind;
	const char *name, *unit, *help;
	uint64_t created_usec;
};

struct tier_metric_label {
	const char *name, *value;
};
#define TIER_METRIC_LABELS_MAX 6

struct tier_metrics;

/**
 * tier_metrics_new() - no family yet
 * @only: families whose names begin otherwise are left out; NULL: none is
 * @ret: free with tier_metrics_free()
 *
 * Return: 0, -ENOMEM.
 */
int tier_metrics_new(const char *only, struct tier_metrics **ret);
/** tier_metrics_free() - may be NULL. Return: NULL. */
struct tier_metrics *tier_metrics_free(struct tier_metrics *metrics);

/**
 * tier_metrics_family() - begin a family
 * @metric: copied but for its strings
 *
 * If memory runs out, here or in tier_metrics_add(), tier_metrics_format() says so.
 */
void tier_metrics_family(struct tier_metrics *metrics, const struct tier_metric *metric);

/**
 * tier_metrics_add() - a sample of the family that was begun last
 * @labels: values are copied; of a second sample with the same labels nothing is kept, since a reader would
 *          refuse the whole text. What is neither ASCII nor printable becomes '?'.
 * @count: at most TIER_METRIC_LABELS_MAX
 */
void tier_metrics_add(struct tier_metrics *metrics, uint64_t value,
		      const struct tier_metric_label *labels, size_t count);

/* With labels in place: TIER_METRICS_ADD(m, 1, {"node", "0"}, {"tier", "dram"}). */
#define TIER_METRICS_ADD(metrics, value, ...)                                                      \
	do {                                                                                       \
		const struct tier_metric_label metric_labels_[] = {__VA_ARGS__};                   \
		tier_metrics_add(metrics, value, metric_labels_,                                   \
				 sizeof(metric_labels_) / sizeof(metric_labels_[0]));              \
	} while (0)

enum tier_metrics_dialect {
	TIER_METRICS_OPENMETRICS, /* 1.0 */
	TIER_METRICS_TEXTFILE, /* Prometheus' text format 0.0.4, as node_exporter's textfile collector takes it */
};

/**
 * tier_metrics_format() - as text
 * @ret: new string; free()
 *
 * Families without samples are left out. Pure. Source: the OpenMetrics 1.0 specification; "Exposition formats" of
 * Prometheus' documentation.
 *
 * Return: 0; -ENOMEM.
 */
int tier_metrics_format(const struct tier_metrics *metrics, enum tier_metrics_dialect dialect,
			char **ret);

/** tier_metrics_to_json() - an array of families as JSON text; as tier_metrics_format() */
int tier_metrics_to_json(const struct tier_metrics *metrics, char **ret_json);

/** tier_metrics_wanted() - would a family be kept whose name begins so? Else nothing has to be read for it. */
bool tier_metrics_wanted(const struct tier_metrics *metrics, const char *name);

/* ---- what libtier knows of --------------------------------------------------------------------- */

/**
 * tier_metrics_nodes() - memory, flows and memory tiers of the nodes
 * @topology: with its types, see tier_config_types()
 * @stats, @count: of the same nodes, borrowed
 */
void tier_metrics_nodes(struct tier_metrics *metrics, const struct tier_topology *topology,
			const struct tier_node_stat *stats, size_t count);

/** tier_metrics_retired() - memory that is not to be used again, by device */
void tier_metrics_retired(struct tier_metrics *metrics, const struct tier_retired *retired);

/* As many as there may come to be. */
#define TIER_TIERING_COUNTED_ACTS    4
#define TIER_TIERING_COUNTED_REASONS 16

/* What Tier=auto has done, by enum tier_tiering_act and enum tier_tiering_reason. All zero is nothing yet. */
struct tier_tiering_counts {
	struct tier_tiering_count {
		uint64_t steps, moved_bytes, usec;
	} by[TIER_TIERING_COUNTED_ACTS][TIER_TIERING_COUNTED_REASONS];
	uint64_t failures; /* steps that could not be carried out */
};

/**
 * tier_tiering_count() - note a step
 * @code: what carrying it out came to; not 0: @result has what was moved before it failed
 */
void tier_tiering_count(struct tier_tiering_counts *counts, const struct tier_tiering_step *step,
			const struct tier_tiering_result *result, int code);

/** tier_tiering_counts_add() - add those of another process */
void tier_tiering_counts_add(struct tier_tiering_counts *counts,
			     const struct tier_tiering_counts *others);

/**
 * tier_metrics_tiering() - what Tier=auto has done
 * @counts: since @created_usec, CLOCK_REALTIME
 */
void tier_metrics_tiering(struct tier_metrics *metrics, const struct tier_tiering_counts *counts,
			  uint64_t created_usec);

/**
 * tier_metrics_write() - write a text as a file, as a whole
 * @path: whoever reads it sees the old text or the new one; after a crash of the machine maybe an empty one
 *
 * Return: 0; negative errno, and what was there is as it was.
 */
int tier_metrics_write(const char *path, const char *text, struct tier_problem *problem);

#endif
