/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_METRICS_H
#define CXL_TIERD_METRICS_H

#include "events.h"

struct metrics {
	uint64_t started_usec; /* CLOCK_REALTIME */
	/* Of Tier=auto: by processes that have ended, and by the one that runs. */
	struct tier_tiering_counts ended, running;
	/* The snapshot is read again when the nodes' memory is not what it was. */
	struct tier_topology *topology;
	struct tier_node_stat *stats;
	size_t stat_count;
	bool stale;

	/* metrics-file.c */
	sd_event_source *timer;
	char path[256]; /* that is being written; empty: none */
	uint64_t every_usec;
	char failed[384]; /* told once */
};

#endif
