/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_METRICS_H
#define TIER_CORE_METRICS_H

#include "tier-metrics.h"
#include "util.h"

struct metrics_sample {
	uint64_t value;
	size_t label_count;
	struct {
		const char *name;
		char *value;
	} labels[TIER_METRIC_LABELS_MAX];
};

struct metrics_family {
	struct tier_metric metric;
	struct metrics_sample *samples;
	size_t sample_count;
};

struct tier_metrics {
	struct metrics_family *families;
	size_t family_count;
	char *only;
	bool skips;  /* the family that was begun last */
	bool failed; /* memory ran out */
};

DEFINE_CLEANUP(struct tier_metrics *, tier_metrics_free)
#define _cleanup_metrics_ _cleanup_(tier_metrics_freep)

/* Fills in a node's numbers from the texts of nodeN/meminfo and nodeN/vmstat; NULL: not told. */
void node_stat_parse(const char *meminfo, const char *vmstat, uint64_t page_bytes,
		     struct tier_node_stat *stat);

#endif
