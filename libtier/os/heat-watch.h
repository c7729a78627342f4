/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_HEAT_WATCH_H
#define TIER_OS_HEAT_WATCH_H

#include "heat.h"
#include "sysfs.h"

/* A process whose memory is watched. */
struct heat_watch {
	int pid;
	struct process_identity identity;
	struct heat_ranges present; /* where it has pages, to a fraction of a megabyte */
	struct heat_ranges ranges;  /* few of them, with what lies between */
};

struct heat_watches {
	struct heat_watch *list; /* by pid */
	size_t count;
	unsigned hidden, left_out;
};

/*
 * The request's process, or the largest of its cgroup's. 0; TIER_E_NOT_FOUND: nobody is there; TIER_E_REFUSED: no
 * memory; -EPERM, other negative errno.
 */
int heat_watch_read(const struct tier_heat_request *request, const struct sysfs *root,
		    struct heat_watches *ret, struct tier_problem *problem);
/* Is it still that program? */
bool heat_watch_lives(const struct sysfs *root, const struct heat_watch *watch);
void heat_watches_done(struct heat_watches *watches);

/*
 * On which nodes a few thousand of their pages are. @spaces: the record's of each. Keeps what was known if
 * nothing is seen. -ENOMEM.
 */
int heat_watch_places(const struct heat_watches *watches, const uint32_t *spaces,
		      struct heat_record *record);

#endif
