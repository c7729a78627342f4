/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_TOP_H
#define TIERCTL_TOP_H

/* What tierctl top reads, and how it is shown. */

#include "tool.h"

struct top_source {
	struct tier_config *config;
	struct tier_topology *topology;
	struct tier_node_stat *stats; /* of the last picture */
	size_t stat_count;
	bool stats_told;			/* there was one */
	uint64_t promoted_bytes, demoted_bytes; /* by Tier=auto until then */
	uint64_t usec;				/* CLOCK_MONOTONIC, of the last picture */
	uint64_t least_bytes;			/* of a process */

	/* Processes are looked at again after ten times as long as the last look took. */
	struct tier_top_rows rows;
	bool rows_of_processes;
	uint64_t rows_until_usec;
	char note[656];
};

int top_source_open(struct top_source *source);
void top_source_done(struct top_source *source);
/* A picture of now; rates are since the one before. Nothing is printed: 0, or not with the problem. */
int top_source_look(struct top_source *source, bool processes, struct tier_top **ret,
		    struct tier_problem *problem);
uint64_t top_now_usec(void);

/* Live, until q, with ncurses; an exit status. */
int top_screen(struct top_source *source, uint64_t interval_usec, bool processes);

#endif
