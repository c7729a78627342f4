/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_HEAT_H
#define TIER_HEAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tier-error.h"

/*
 * Which memory is touched how often: a map of time and addresses, by way of DAMON. It looks at one page of each
 * of a few hundred parts of memory, many times a second, and cuts and joins the parts so that pages of one part are
 * touched alike. So the rates of a map are of looks that found a page touched: a page that is touched more often
 * than it is looked at counts as often as that.
 */

#define TIER_HEAT_ROWS_MIN    4
#define TIER_HEAT_ROWS_MAX    200
#define TIER_HEAT_COLUMNS_MIN 8
#define TIER_HEAT_COLUMNS_MAX 400
#define TIER_HEAT_USEC_MIN    UINT64_C(1000000)
#define TIER_HEAT_USEC_MAX    (UINT64_C(3600) * 1000000)

/**
 * struct tier_heat_request - of whom, and how finely
 * @pid: of this process; 0: see @cgroup
 * @cgroup: of all processes of this cgroup and those below it, see tier_cgroup_find(); NULL and no @pid: of the
 *          whole machine, by physical addresses
 * @for_usec: how long, from TIER_HEAT_USEC_MIN to TIER_HEAT_USEC_MAX
 * @rows: of addresses, from TIER_HEAT_ROWS_MIN to _MAX; more if there are more ranges than that
 * @columns: of time, from TIER_HEAT_COLUMNS_MIN to _MAX; fewer if there are not as many snapshots
 * @wait_usec: at most so long for cxl-tierd to end what it does with DAMON
 */
struct tier_heat_request {
	pid_t pid;
	const char *cgroup;
	uint64_t for_usec;
	unsigned rows, columns;
	uint64_t wait_usec;
};

/* Called after each snapshot, and while waiting. Returning non-zero ends the map with what there is. */
typedef int (*tier_heat_progress)(void *userdata, uint64_t done_usec, uint64_t total_usec);

/* Why a map is as long as it is. */
enum tier_heat_end {
	TIER_HEAT_DONE,
	TIER_HEAT_PROCESS_ENDED, /* all that it was of have ended, or run another program */
	TIER_HEAT_STOPPED,	 /* the caller asked for it */
};

struct tier_heat;

/**
 * tier_heat_take() - watch memory for a while
 * @request: borrowed
 * @progress: may be NULL
 * @ret: new map; free with tier_heat_free(); untouched on failure
 * @problem: may be NULL
 *
 * Uses one kdamond, which is gone afterwards. While it runs nobody else of cxl-tier has DAMON. What a process
 * that was killed meanwhile has left is put back by tier_tiering_end(), and by whoever uses DAMON next.
 * Source: admin-guide/mm/damon/usage, admin-guide/mm/pagemap; what this needs of them is there in Linux 7.2.
 *
 * Return: 0, also if it was cut short after at least one snapshot; TIER_E_BUSY if somebody else uses DAMON;
 * TIER_E_NOT_FOUND if the kernel has none, or the process or cgroup is not there; TIER_E_REFUSED if it has no
 * memory of its own; TIER_E_CANCELLED; -EINVAL; other negative errno.
 */
int tier_heat_take(const struct tier_heat_request *request, tier_heat_progress progress,
		   void *userdata, struct tier_heat **ret, struct tier_problem *problem);
struct tier_heat *tier_heat_free(struct tier_heat *heat);

/** tier_heat_ended() - why it is as long as it is */
enum tier_heat_end tier_heat_ended(const struct tier_heat *heat);

/**
 * tier_heat_to_text() - the map for a terminal
 * @colours: by escapes for 256 colours; else by characters
 * @ret: new string; free()
 *
 * As wide as the columns and TIER_HEAT_LABEL. Pure. Return: 0 or -ENOMEM.
 */
int tier_heat_to_text(const struct tier_heat *heat, bool colours, char **ret);
/* Characters of a line beside its columns. */
#define TIER_HEAT_LABEL 28

/** tier_heat_to_svg() - the map as a picture that needs nothing else; otherwise as tier_heat_to_text() */
int tier_heat_to_svg(const struct tier_heat *heat, char **ret);

/** tier_heat_to_json() - the map's figures; otherwise as tier_heat_to_text() */
int tier_heat_to_json(const struct tier_heat *heat, char **ret);

/** tier_heat_runs() - does a process take a map at this moment? */
bool tier_heat_runs(void);

#endif
