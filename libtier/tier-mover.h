/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_MOVER_H
#define TIER_MOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tier-error.h"

/**
 * struct tier_move_request - pages of one process, from nodes to a node
 * @pid: whose pages
 * @start, @end: virtual address range, page aligned; 0, 0: the whole address space
 * @from: bit mask of source nodes (bit N = node N, first 64 nodes); 0: every node but @to
 * @to: destination node
 * @batch_pages: pages per move_pages() call; 0: 512, where larger ones gain little and stall longer
 * @rate_bytes_per_sec: upper limit, 0: none
 * @shared: also move pages mapped by several processes (MPOL_MF_MOVE_ALL, needs CAP_SYS_NICE)
 * @dry_run: move nothing; moved_pages then says how many would be tried
 */
struct tier_move_request {
	pid_t pid;
	uint64_t start, end;
	uint64_t from;
	int to;
	unsigned batch_pages;
	uint64_t rate_bytes_per_sec;
	bool shared;
	bool dry_run;
};

/* Every page of the range is counted in exactly one of these (base pages, of page_bytes each). */
struct tier_move_result {
	uint64_t page_bytes;
	uint64_t scanned_pages;
	uint64_t moved_pages;
	uint64_t already_pages;	  /* on @to before */
	uint64_t elsewhere_pages; /* on a node outside @from */
	uint64_t absent_pages;	  /* never touched or swapped out: ENOENT */
	uint64_t shared_pages;	  /* mapped by other processes too: EACCES */
	uint64_t pinned_pages;	  /* still EBUSY after the retries */
	uint64_t failed_pages;	  /* anything else: EIO, EINVAL, EFAULT */
	uint64_t no_memory_pages; /* ENOMEM on @to; the move stops */
	uint64_t huge_folios;	  /* 2 MiB ranges that moved by one address */
	uint64_t elapsed_usec;
};

/* Called at least once per batch. Returning non-zero cancels after the batch in hand. */
typedef int (*tier_move_progress)(void *userdata, const struct tier_move_result *so_far,
				  uint64_t total_pages);

/**
 * tier_move() - move a process's pages to a node
 * @request: borrowed
 * @ret: counts, valid also when the move was cut short
 * @problem: may be NULL
 *
 * A 2 MiB folio is moved whole by one of its addresses; the state of every page is queried again
 * before it is retried or counted, because other addresses of a folio that moved report EBUSY.
 * Source: move_pages(2).
 *
 * Return: 0; TIER_E_CANCELLED; TIER_E_NO_SPACE when @to is full; -ESRCH if the process is gone;
 * -EPERM; -ENODEV if a node does not exist; other negative errno.
 */
int tier_move(const struct tier_move_request *request, tier_move_progress progress, void *userdata,
	      struct tier_move_result *ret, struct tier_problem *problem);

/* What became of all processes of a cgroup. */
struct tier_move_group_result {
	struct tier_move_result
		pages;	    /* summed up; a page that several processes map counts for each */
	unsigned processes; /* moved, as far as their pages could be */
	unsigned gone;	    /* ended meanwhile, or without memory of their own */
	unsigned refused;   /* could not be looked at or moved, as for want of permission */
	unsigned hidden;    /* belong to another PID namespace, and cannot be named from here */
};

/**
 * tier_move_group() - move the pages of all processes of a cgroup to a node
 * @cgroup: directory of a cgroup of version 2, see tier_cgroup_find(); those below it are meant as well
 * @request: as for tier_move(), but for @pid, @start and @end, which are 0; the rate is that of all together
 * @progress: told the sums, and of how many pages; these become more when processes come
 * @ret: counts, valid also when the move was cut short
 * @problem: may be NULL
 *
 * The cgroup is looked at again until it has no process that is not known. One that executes another
 * program counts as another. A process that is refused does not keep others from being moved.
 *
 * Return: 0; TIER_E_CANCELLED; TIER_E_NO_SPACE when the node is full; TIER_E_NOT_FOUND if the cgroup has no
 * process or does not exist; TIER_E_BUSY if new processes do not cease to come; as tier_move() for the first
 * process that was refused, after all others have been moved; other negative errno.
 */
int tier_move_group(const char *cgroup, const struct tier_move_request *request,
		    tier_move_progress progress, void *userdata, struct tier_move_group_result *ret,
		    struct tier_problem *problem);

/**
 * tier_cgroup_find() - the directory of a cgroup
 * @name: with a slash a path, below the mount of cgroup2 or as in /proc/PID/cgroup; else the name of a unit or
 * another cgroup that root made, wherever it is
 * @ret: new string; free()
 *
 * Return: 0; TIER_E_NOT_FOUND; TIER_E_REFUSED if several have the name, or it is one of threads; -ENOMEM.
 */
int tier_cgroup_find(const char *name, char **ret, struct tier_problem *problem);

#endif
