/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_OFFLINE_H
#define CXL_TIERD_OFFLINE_H

#include "util.h"

/*
 * Between the daemon and the process that takes a region offline: one of these in each packet from it.
 * The result's JSON is in a memfd. The daemon answers with single bytes.
 */
struct offline_message {
	enum {
		OFFLINE_PROGRESS,
		OFFLINE_PAUSED,
		OFFLINE_RESULT,
	} kind;
	struct tier_offline_progress progress;
	int code;
	struct tier_problem problem;
};

enum {
	OFFLINE_CANCEL = 'c',
	OFFLINE_PAUSE = 'p', /* between two blocks or attempts, and say so */
	OFFLINE_GO = 'g',
};

struct offline_request {
	const char *region;
	bool to_devdax, keep_partial, dry_run;
	uint64_t deadline_usec; /* 0: by the size */
};

/* offline-talk.c: takes in one message, without waiting. False: none is there; errno 0: nor comes any more. */
bool offline_receive(int socket, struct offline_message *ret);

/* offline-worker.c: what that process does. @report: the memfd. */
_Noreturn void offline_worker(int socket, int report, const struct tier_plan *plan,
			      const struct offline_request *request);

#endif
