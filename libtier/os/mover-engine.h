/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_MOVER_ENGINE_H
#define TIER_MOVER_ENGINE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "tier-mover.h"

/*
 * How pages are moved, apart from the system calls that do it: everything the engine knows of a
 * process comes through these, so that tests can put a model of the kernel in their place.
 */

/* A status that move_pages() did not write: the page was not reached, or its folio was left. */
#define MOVER_NO_STATUS INT_MIN

#define MOVER_NO_FOLIO UINT64_MAX

/* The most pages of one call: those of a 2 MiB folio. */
#define MOVER_BATCH_MAX 512

enum mover_huge {
	MOVER_HUGE_UNKNOWN,
	MOVER_HUGE_NO,
	MOVER_HUGE_YES, /* the page belongs to a folio mapped by one entry for 2 MiB */
};

struct mover_ops {
	/* The node of each page, or its negative errno. Returns 0; negative errno. */
	int (*query)(void *userdata, unsigned count, void **addresses, int *status);
	/*
	 * As move_pages(2): 0; how many were not moved; negative errno. @status comes in filled with
	 * MOVER_NO_STATUS.
	 */
	int (*move)(void *userdata, unsigned count, void **addresses, int node, bool shared,
		    int *status);
	/*
	 * The first page present in [start, end). Returns 1 and the page; 0 if there is none;
	 * -EOPNOTSUPP if this cannot be told; other negative errno.
	 */
	int (*next_present)(void *userdata, uint64_t start, uint64_t end, uint64_t *ret_page,
			    enum mover_huge *ret_huge);
	/*
	 * To which folio each of the pages from @start on belongs: any number that pages of one folio
	 * share and no others; MOVER_NO_FOLIO for a page of which nothing is known. Returns 0;
	 * -EOPNOTSUPP without the privilege, when all works as well but slower.
	 */
	int (*folios)(void *userdata, uint64_t start, unsigned count, uint64_t *ret_folio);
	/* How many more pages the destination can take. */
	uint64_t (*room)(void *userdata);
	uint64_t (*now)(void *userdata); /* monotonic, microseconds */
	/* May return early. */
	void (*sleep_until)(void *userdata, uint64_t usec);
};

struct mover {
	const struct mover_ops *ops;
	void *userdata;
	const struct tier_move_request *request;
	uint64_t page_bytes; /* a power of two, at most 2 MiB */
	uint64_t total_pages;
	tier_move_progress progress; /* may be NULL */
	void *progress_userdata;
	struct tier_move_result *result;
	/* Of the engine: zero at first. */
	uint64_t ready_usec; /* when the rate allows the next batch */
	bool no_scan;	     /* next_present() is of no use */
};

/* Moves what lies in [start, end). Returns as tier_move() does. */
int mover_range(struct mover *mover, uint64_t start, uint64_t end);

#endif
