/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_TIERING_KERNEL_H
#define CXL_TIERD_TIERING_KERNEL_H

#include "util.h"

/* The kernel's own settings, while they are ours: tiering-kernel.c. */
struct tiering_knobs {
	struct tier_knobs_saved saved;
	struct tier_limit_state limit;
	uint64_t fast_bytes; /* of nodes with processors */
	bool on, promotes;   /* all of it is on, or demotion alone */
	bool unknown;	     /* what was there before cannot be told: hands off */
	char failed[384];    /* told once */
};

/* Who moves pages, and why: tiering-choice.c. */
struct tiering_choice {
	struct manager *manager;
	sd_event_source *timer; /* while it is the kernel */
	struct tier_mechanism_state state;
	struct tier_mechanism_choice choice;
	enum tier_tiering_by wanted;
	bool typed;  /* this kernel keeps ordinary memory off shared nodes */
	bool probed; /* DAMON has what is needed */
	/* By the nodes, by what DAMON lacks, by what came of it: 0, or why not. */
	int nodes, lacks, heard, kernel;
	struct tier_problem nodes_problem, lacks_problem, heard_problem, kernel_problem;
	/* For idle page tracking: by the nodes, and what came of it. */
	int idle, trouble;
	struct tier_problem idle_problem, trouble_problem;
	char told[640];
	struct tiering_knobs knobs;
};

/* Has the kernel tier, or looks at how it does. */
void tiering_kernel_run(struct manager *manager, struct tiering_knobs *knobs);
/* Has it demote where memory is short, and no more: what is hot is fetched by DAMON. */
void tiering_kernel_demote(struct manager *manager, struct tiering_knobs *knobs);
/* Puts back what was there. 0 or negative errno, told. */
int tiering_kernel_end(struct tiering_knobs *knobs, const char *why);

#endif
