/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_TIERING_H
#define CXL_TIERD_TIERING_H

#include "util.h"

/*
 * Between the daemon and the process that moves pages: one of these in each packet from it. It ends when the
 * other end is closed.
 */
struct tiering_message {
	int code; /* 0: a step was carried out; else why not */
	struct tier_problem problem;
	bool ignored; /* the problem is of a policy that does not count, and the rest goes on */
	struct tier_tiering_step step;
	struct tier_tiering_result result;
	uint64_t processes; /* that the last pass was over */
	char group[192];    /* whose turn it was; empty: all that have no policy of their own */
	enum tier_share_why why;
	struct tier_tiering_counts counts; /* since it began: a packet that is dropped loses none */
};

struct tiering_request {
	enum tier_mechanism by;
	struct tier_tiering_nodes nodes;
	struct tier_tiering_policy policy;
	uint64_t least_bytes;
	uint64_t config_number; /* policies are the configuration's, too */
};

/* tiering-worker.c: what that process does. */
_Noreturn void tiering_worker(int socket, const struct tiering_request *request,
			      const struct tier_config *config);

#endif
