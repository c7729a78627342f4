/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_TIERING_H
#define TIER_TIERING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tier-error.h"
#include "tier-topology.h"

struct tier_share_groups;
struct tier_share_turn;

/*
 * What is hot stays in DRAM: the policy for a group of processes, which is pure, and how it is carried out.
 *
 * A page that is touched within a window of time is hot, one that is not touched in a few windows is
 * cold; what lies between is left alone. A measurement looks at a sample of the group's pages: how much is
 * hot, and how much of that is on slow nodes. If that is more than what is usually left over, a round
 * follows, of passes over all of the group's pages, each of which sees what was touched since the one
 * before it:
 *
 *	forget -- a few windows --> demote what is cold -- forget -- 1 window --> promote what is hot -- measure
 *
 * Whether the demand has fallen by what was moved decides if more is moved, or nothing for a while. See
 * docs/tiering.md.
 */

enum tier_tiering_act {
	TIER_TIERING_MEASURE, /* a sample, over a window; moves nothing */
	TIER_TIERING_FORGET, /* a pass that moves nothing: what was touched before does not count */
	TIER_TIERING_DEMOTE, /* ... moves what was not touched from fast to slow nodes */
	TIER_TIERING_PROMOTE, /* ... moves what was touched from slow to fast nodes */
};

/* Who finds out what is hot, and moves it. */
enum tier_mechanism {
	TIER_MECHANISM_NONE,
	TIER_MECHANISM_DAMON,
	TIER_MECHANISM_KERNEL, /* its own tiering: tier-tiering-kernel.h */
	TIER_MECHANISM_IDLE,   /* idle page tracking, and move_pages() */
};

/** tier_mechanism_name() - "none", "damon", "kernel", "idle" */
const char *tier_mechanism_name(enum tier_mechanism mechanism);

/**
 * struct tier_tiering_result - what came of a step
 * @act: which
 * @touched_fast_bytes, @touched_slow_bytes: of a measurement: what was touched in the window, by where it
 *                                           is; scaled from the sample to the group
 * @half_fast_bytes, @half_slow_bytes: ... in half the window: the mean of its two halves
 * @unit_bytes: of a measurement: for how much of memory one page of the sample stands
 * @quota_bytes: of a pass: as asked for, as far as the bounds of groups allowed it
 * @moved_bytes: of a pass: what has moved
 * @elapsed_usec: how long it took
 * @cpu_usec: of a measurement: of a processor's time
 */
struct tier_tiering_result {
	enum tier_tiering_act act;
	uint64_t touched_fast_bytes, touched_slow_bytes;
	uint64_t half_fast_bytes, half_slow_bytes;
	uint64_t unit_bytes;
	uint64_t quota_bytes;
	uint64_t moved_bytes;
	uint64_t elapsed_usec, cpu_usec;
};

/**
 * struct tier_tiering_policy - what the configuration says of a group
 * @min_fast_bytes: nothing is demoted below it
 * @max_fast_bytes: nothing is promoted beyond it; UINT64_MAX: all that there is
 * @never_demote, @never_promote: passes of that kind are not asked for
 * @window_min_usec, @window_max_usec: bounds of the window; 0: 20 ms and 2 s
 * @gap_max_usec: the longest time between two measurements; 0: 5 s
 */
struct tier_tiering_policy {
	uint64_t min_fast_bytes, max_fast_bytes;
	bool never_demote, never_promote;
	uint64_t window_min_usec, window_max_usec;
	uint64_t gap_max_usec;
};

/**
 * struct tier_tiering_sample - how things are now
 * @now_usec: CLOCK_MONOTONIC
 * @fast_total_bytes: of the nodes that are promoted to
 * @fast_free_bytes: of these, above their high watermarks: what may be filled
 * @slow_free_bytes: of the nodes that are demoted to, likewise
 * @group_fast_bytes, @group_slow_bytes: where the group's memory is
 * @over_bytes: what groups have of fast memory beyond their DramMax: tier_share_over()
 * @tight_bytes: what groups have in the way of what is hot of them: tier_share_tight()
 * @blocked_bytes: of slow memory, what may not be promoted: tier_share_blocked()
 * @latency_gain_nsec: of an access to a fast node against one to a slow node; 0: not known, 100 is taken
 */
struct tier_tiering_sample {
	uint64_t now_usec;
	uint64_t fast_total_bytes, fast_free_bytes;
	uint64_t slow_free_bytes;
	uint64_t group_fast_bytes, group_slow_bytes;
	uint64_t over_bytes, tight_bytes, blocked_bytes;
	uint64_t latency_gain_nsec;
};

#define TIER_TIERING_TRIES 6

/* Of measurements between which nothing was moved, the newer ones weigh more. */
struct tier_tiering_evidence {
	int64_t hot_bytes; /* what is hot on slow nodes, summed up */
	uint64_t hits;	   /* the sum's variance, in units of the sample */
	uint64_t weight;   /* of all of them, 1024 for the last */
};

/* What is remembered of a group from one step to the next. All zero is one that is new. */
struct tier_tiering_state {
	bool begun;
	uint64_t window_usec;  /* a page that is touched in it is hot */
	unsigned cold_windows; /* a page that is not touched in so many is cold */
	bool short_of_cold;    /* the last demotion found little, and the next will find more */
	bool searching;	       /* another window is sought */
	unsigned tried;	       /* so many were tried, each half of the one before */
	uint64_t first_usec;   /* the first of them */
	uint64_t tried_bytes
		[TIER_TIERING_TRIES]; /* what was touched in them, all measurements together */
	uint64_t tried_half_bytes[TIER_TIERING_TRIES]; /* ... and in half of them */
	unsigned tried_times[TIER_TIERING_TRIES];
	uint64_t usual_touched_bytes; /* what was in the one that was chosen */
	uint64_t gap_usec;	    /* between the last two measurements; 0: they follow a round */
	uint64_t budget_bytes;	    /* at most so much is promoted in a round */
	bool confirmed;		    /* the demand was seen twice */
	uint64_t unit_bytes;	    /* of the last measurement's sample */
	bool halved;		    /* the last measurement is of the window's halves, too */
	uint64_t touched_bytes;	    /* on slow nodes, in the whole window */
	uint64_t touched_all_bytes; /* ... and on fast nodes, too */
	struct tier_tiering_evidence evidence;
	uint64_t quiet_bytes; /* touched on slow nodes when nothing of it was hot; 0: not known */
	unsigned quiet_times; /* that it was the same since, and half the window left out */
	bool changed;	      /* since it was quiet, and nothing hot was found yet */
	uint64_t search_gap_usec;   /* while none of these finds anything */
	uint64_t spent_usec;	    /* of a processor's time, since the last rest */
	uint64_t search_usec;	    /* for that no window is sought before then */
	unsigned looks;		    /* so many measurements more may follow at once, if in doubt */
	uint64_t doubt_bytes;	    /* so much may be hot, with what cannot be told from chance */
	uint64_t demand_bytes;	    /* of that, what is hot */
	bool judge;		    /* a round was made since */
	uint64_t before_bytes;	    /* the demand before that round */
	uint64_t moved_bytes;	    /* promoted since */
	uint64_t aim_bytes;	    /* the demand of which half is to have come */
	uint64_t aimed_bytes;	    /* when twice as much has been moved */
	uint64_t usual_bytes;	    /* a demand that moves have not lessened; 0: none */
	bool made_room;		    /* what is hot is next */
	uint64_t forgot_usec;	    /* what was touched since then is known; 0: nothing is */
	bool for_over;		    /* the round is for what is beyond a DramMax */
	uint64_t over_gap_usec;	    /* how long that rests, since it is all in use */
	uint64_t over_at_usec;	    /* not before that */
	uint64_t over_seen_bytes;   /* so much it was then; if it is more, at once */
	bool over_last;		    /* the last round was for it, and the next is for what is hot */
	uint64_t page_cost_nsec;    /* of moving a page, measured; 0: not known */
	uint64_t measure_cost_usec; /* of a measurement, of a processor's time */
};

enum tier_tiering_reason {
	TIER_TIERING_FIRST,	/* nothing is known of the group yet */
	TIER_TIERING_FITTING,	/* another window shows better what is hot */
	TIER_TIERING_QUIET,	/* what is hot is in fast memory */
	TIER_TIERING_WANTED,	/* there is something hot on slow nodes */
	TIER_TIERING_ROOM,	/* room is made for it */
	TIER_TIERING_HOT,	/* it is fetched */
	TIER_TIERING_MOVED,	/* did that help? */
	TIER_TIERING_DOUBT,	/* that may be chance, or not */
	TIER_TIERING_FRUITLESS, /* moves have not lessened the demand */
	TIER_TIERING_ALL_WARM,	/* nothing in fast memory is cold */
	TIER_TIERING_OVER,	/* a group has more than its DramMax */
	TIER_TIERING_FORBIDDEN, /* the configuration allows no move */
};

/**
 * struct tier_tiering_step - what to do next
 * @act: what
 * @at_usec: when, of CLOCK_MONOTONIC
 * @window_usec: how long a measurement takes
 * @halves: it is of the window's halves, too
 * @quota_bytes: at most so much is moved by a pass
 * @room_bytes: of these, what a demotion is to make room for, apart from the bounds of groups
 * @reason: why
 */
struct tier_tiering_step {
	enum tier_tiering_act act;
	uint64_t at_usec;
	uint64_t window_usec;
	bool halves;
	uint64_t quota_bytes, room_bytes;
	enum tier_tiering_reason reason;
};

/**
 * tier_tiering_next() - the next step for a group
 * @policy: borrowed
 * @sample: borrowed; taken after the step that @result is of
 * @result: of the step that was asked for last; NULL at first, or if it could not be carried out
 * @state: changed
 * @ret: what to do next
 *
 * Pure. A clock that jumps costs a round, no more.
 */
void tier_tiering_next(const struct tier_tiering_policy *policy,
		       const struct tier_tiering_sample *sample,
		       const struct tier_tiering_result *result, struct tier_tiering_state *state,
		       struct tier_tiering_step *ret);

/* Nodes as bit masks, bit N for node N; of the first 64. */
struct tier_tiering_nodes {
	uint64_t fast; /* with processors, and memory */
	uint64_t slow; /* without processors, for ordinary use */
};

/**
 * tier_tiering_nodes() - which nodes take part
 * @topology: borrowed
 * @by: TIER_MECHANISM_DAMON or TIER_MECHANISM_IDLE
 * @ret: the masks
 * @problem: may be NULL
 *
 * Typed nodes take no part: what is there was put there by name. Pure.
 *
 * Return: 0; TIER_E_NOT_FOUND if there is no slow node, or no fast one; TIER_E_REFUSED if there are several,
 * or if memory of a shared node is online and the kernel does not keep ordinary memory off it: what DAMON moves goes to any
 * other node if its own is full.
 */
int tier_tiering_nodes(const struct tier_topology *topology, enum tier_mechanism by,
		       struct tier_tiering_nodes *ret, struct tier_problem *problem);

/**
 * tier_tiering_sample_read() - how full the nodes are now
 * @nodes: borrowed
 * @ret: the sample; the group is all that is in use on the nodes
 * @problem: may be NULL
 *
 * Source: /proc/zoneinfo. Return: 0 or a negative errno.
 */
int tier_tiering_sample_read(const struct tier_tiering_nodes *nodes,
			     struct tier_tiering_sample *ret, struct tier_problem *problem);

/* Why memory of a process is left where it is. */
enum tier_tiering_stay {
	TIER_STAY_NOT,	      /* it may be moved */
	TIER_STAY_POLICY,     /* a memory policy says where it is to be */
	TIER_STAY_HUGETLB,    /* huge pages of hugetlbfs */
	TIER_STAY_SHARED,     /* another process has it as well */
	TIER_STAY_OTHER_NODE, /* some of the mapping is on a node that takes no part */
	TIER_STAY_SMALL,      /* a mapping of less than 256 KiB */
	TIER_STAY_SPARSE,     /* ... of which less than a 64th is there */
	/* of the process as a whole */
	TIER_STAY_LEAST,  /* it has less than LeastMemory= */
	TIER_STAY_CPUSET, /* its cpuset does not allow all of the nodes */
	TIER_STAY_LOCKED, /* it has memory locked */
	TIER_STAY_PINNED, /* it has memory pinned for devices */
	_TIER_STAY_MAX,
};

/** tier_tiering_stay_name() - "may-move", "memory-policy" and so on, as in JSON */
const char *tier_tiering_stay_name(enum tier_tiering_stay stay);

/**
 * struct tier_tiering_outline - where a process' memory is, and what of it Tier=auto may move
 * @whole: why the process as a whole stays, or TIER_STAY_NOT
 * @bytes: by the reason why the mapping stays
 * @fast_bytes, @slow_bytes, @other_bytes: by where it is
 * @group: of the groups, the one whose policy counts; -1: none
 */
struct tier_tiering_outline {
	enum tier_tiering_stay whole;
	uint64_t bytes[_TIER_STAY_MAX];
	uint64_t fast_bytes, slow_bytes, other_bytes;
	int group;
};

/**
 * tier_tiering_explain() - what Tier=auto may do with a process, and why not more
 * @nodes: borrowed
 * @least_bytes: of memory that a process must have
 * @groups: borrowed; may be NULL
 * @problem: may be NULL
 *
 * Source: /proc/PID/numa_maps. Return: 0; TIER_E_NOT_FOUND: no such process; other negative errno.
 */
int tier_tiering_explain(pid_t pid, const struct tier_tiering_nodes *nodes, uint64_t least_bytes,
			 const struct tier_share_groups *groups, struct tier_tiering_outline *ret,
			 struct tier_problem *problem);

/*
 * The memory of processes that may be moved: of each that has enough of it, all mappings with the default
 * memory policy that it shares with nobody. What a process has locked or pinned or placed by a policy, and whose
 * cpuset does not allow all of these nodes, stays.
 */
struct tier_tiering_targets;

/**
 * tier_tiering_targets_new() - look at the processes
 * @nodes: borrowed; mappings that have pages on any other node are left out
 * @least_bytes: of memory that a process must have
 * @groups: borrowed; which of them each belongs to is noted
 * @ret: new; free with tier_tiering_targets_free()
 * @problem: may be NULL
 *
 * Source: /proc/PID/numa_maps. A process that ends meanwhile is no error.
 *
 * Return: 0 or a negative errno.
 */
int tier_tiering_targets_new(const struct tier_tiering_nodes *nodes, uint64_t least_bytes,
			     const struct tier_share_groups *groups,
			     struct tier_tiering_targets **ret, struct tier_problem *problem);
/**
 * tier_tiering_targets_renew() - leave out what does not belong to it any more
 * @targets: shrinks; what has been bound, locked, mapped anew or has ended since is no part of it
 *
 * Before each pass that moves: DAMON takes addresses as they are then.
 *
 * Return: 0 or a negative errno.
 */
int tier_tiering_targets_renew(const struct tier_tiering_nodes *nodes, uint64_t least_bytes,
			       const struct tier_share_groups *groups,
			       struct tier_tiering_targets *targets, struct tier_problem *problem);
struct tier_tiering_targets *tier_tiering_targets_free(struct tier_tiering_targets *targets);
/* How many processes. */
size_t tier_tiering_targets_processes(const struct tier_tiering_targets *targets);

/**
 * tier_tiering_begin() - make the kernel ready for it
 * @problem: may be NULL
 *
 * Ends the kernel's own monitoring (DAMON_STAT), which lets nobody else have DAMON. That it was on is noted
 * in /run/cxl-tier/tiering first.
 *
 * Return: 0 or a negative errno.
 */
int tier_tiering_begin(struct tier_problem *problem);

/**
 * tier_tiering_end() - put things back, for a process that was killed as well
 * @wait: up to a minute, for one that was killed and is not gone: it waits in the kernel for its step's end
 * @problem: may be NULL
 *
 * Return: 0, also if there is nothing to put back; a negative errno.
 */
int tier_tiering_end(bool wait, struct tier_problem *problem);

/** tier_tiering_left() - is there something that tier_tiering_end() would put back? */
bool tier_tiering_left(void);

/**
 * tier_tiering_carry_out() - a step
 * @by: TIER_MECHANISM_DAMON or TIER_MECHANISM_IDLE
 * @nodes: borrowed
 * @targets: what a pass is over; not needed for a measurement
 * @groups, @turn: of the targets, those whose turn it is; NULL: all
 * @step: borrowed; it is begun at once, whatever its time
 * @ret: what came of it
 * @problem: may be NULL
 *
 * Takes as long as it takes: a measurement's window, a pass' moves.
 * Source: admin-guide/mm/damon/usage; fvaddr with migrate_hot, migrate_cold, the filter "young",
 * destinations and charges for what failed is there in Linux 7.2. admin-guide/mm/idle_page_tracking.
 *
 * Return: 0; TIER_E_BUSY if somebody else uses DAMON; TIER_E_NOT_FOUND if the kernel has neither DAMON
 * with what this needs, nor idle page tracking; other negative errno.
 */
int tier_tiering_carry_out(enum tier_mechanism by, const struct tier_tiering_nodes *nodes,
			   struct tier_tiering_targets *targets,
			   const struct tier_share_groups *groups,
			   const struct tier_share_turn *turn, const struct tier_tiering_step *step,
			   struct tier_tiering_result *ret, struct tier_problem *problem);

/** tier_tiering_act_name() - "measure", "forget", "demote", "promote" */
const char *tier_tiering_act_name(enum tier_tiering_act act);
/** tier_tiering_reason_name() - "first", "quiet", "room" and so on, as in JSON */
const char *tier_tiering_reason_name(enum tier_tiering_reason reason);

#endif
