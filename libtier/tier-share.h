/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_SHARE_H
#define TIER_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tier-config.h"
#include "tier-error.h"
#include "tier-tiering.h"

/*
 * What a cgroup, or one process, may have of DRAM, and what Tier=auto leaves alone of it.
 *
 * A policy comes from a [Policy] section, from an attribute of the cgroup's directory (tierctl policy set), or,
 * for a process, from a file in /run/cxl-tier/policy. Where several say something of the same, the process' own
 * counts before the attribute, and the attribute before the section; and what is said of a cgroup counts for
 * those below it, unless they say something else. A DramMax of a cgroup and of one above it both hold, since
 * memory of the one is memory of the other.
 */

#define TIER_SHARE_XATTR "trusted.cxl-tier"

/** tier_share_set() - one assignment
 * @key: "DramMin", "DramMax", "Demote", "Promote" or "LatencySensitive"
 * @value: as in the configuration; empty: nothing is said
 * @ret_reason: what is wrong with it; static
 *
 * Pure. Return: 0; -ENOENT if there is no such key; -EINVAL.
 */
int tier_share_set(struct tier_share *policy, const char *key, const char *value,
		   const char **ret_reason);

/** tier_share_parse() - "DramMin=1G Demote=no"
 * @text: assignments, separated by blanks or newlines
 *
 * Pure. Return: 0; -EINVAL, and @ret is untouched then.
 */
int tier_share_parse(const char *text, struct tier_share *ret, const char **ret_reason);

#define TIER_SHARE_TEXT_MAX 192

/** tier_share_format() - what tier_share_parse() reads; empty if nothing is said. Pure. */
const char *tier_share_format(const struct tier_share *policy,
			      char text[static TIER_SHARE_TEXT_MAX]);

/** tier_share_says() - anything at all? Pure. */
bool tier_share_says(const struct tier_share *policy);

/** tier_share_check() - does it contradict itself?
 * Pure. Return: NULL, or what is wrong; static.
 */
const char *tier_share_check(const struct tier_share *policy);

/** enum tier_share_source - where a policy is from, the later ones count first */
enum tier_share_source {
	TIER_SHARE_CONFIG,
	TIER_SHARE_CGROUP,
	TIER_SHARE_PROCESS,
};
/** tier_share_source_name() - "configuration", "cgroup", "process" */
const char *tier_share_source_name(enum tier_share_source source);

/**
 * struct tier_share_group - a cgroup or a process of which something is said
 * @path: of the cgroup, below the root of the hierarchy and with the slash: "/system.slice/db.service"
 * @pid: of the process; 0: it is a cgroup
 * @sources: bits, by enum tier_share_source
 * @own: what is said of it, all sources together
 * @parent: the nearest cgroup above it of which something is said; -1: none
 * @fast_bytes, @slow_bytes: its memory on nodes with processors, and on slow ones
 * @demote, @promote, @latency_sensitive, @min_bytes, @max_bytes: what follows, with those above it
 */
struct tier_share_group {
	char *path;
	pid_t pid;
	unsigned sources;
	struct tier_share own;
	int parent;
	uint64_t fast_bytes, slow_bytes;
	bool demote, promote, latency_sensitive;
	uint64_t min_bytes, max_bytes;
};

/* A cgroup's parent comes before it. */
struct tier_share_groups {
	struct tier_share_group *groups;
	size_t count;
	uint64_t fast_total_bytes;
};

/**
 * tier_share_groups_read() - who has a policy, and how much memory where
 * @config: borrowed
 * @nodes: borrowed; which are fast, and which slow
 * @fast_total_bytes: what a percentage is of
 * @all: also how much memory those have that have no bound, and no memory controller counts: that is to be read from
 *       the page tables; 0 else
 * @ret: new; free with tier_share_groups_free()
 * @problem: may be NULL
 *
 * A policy that cannot be read, or contradicts itself, is left out, and @problem says which; that is no error.
 * Source: cgroups of version 2, memory.numa_stat of each, numa_maps of processes where there is none.
 *
 * Return: 0 or a negative errno.
 */
int tier_share_groups_read(const struct tier_config *config, const struct tier_tiering_nodes *nodes,
			   uint64_t fast_total_bytes, bool all, struct tier_share_groups **ret,
			   struct tier_problem *problem);
struct tier_share_groups *tier_share_groups_free(struct tier_share_groups *groups);

/**
 * tier_share_group_of() - the innermost group that a process belongs to
 * @cgroup: its path; "" if it is not known
 *
 * Pure. Return: an index, or -1.
 */
int tier_share_group_of(const struct tier_share_groups *groups, pid_t pid, const char *cgroup);

/** tier_share_over() - what groups have beyond their DramMax, is worth a round, and may be demoted. Pure. */
uint64_t tier_share_over(const struct tier_share_groups *groups);

/**
 * tier_share_contradiction() - do the groups' DramMin leave room for one another?
 * @text: says which, if not
 *
 * Pure. Return: true if they ask for more than there is.
 */
bool tier_share_contradiction(const struct tier_share_groups *groups, char *text, size_t size);

/** tier_share_tight() - what groups would have to give away to have room below their DramMax for what is hot of them
 *
 * A quarter of it is enough, and no more than what they have on slow nodes. Pure.
 */
uint64_t tier_share_tight(const struct tier_share_groups *groups);

/** tier_share_blocked() - what groups have on slow nodes and may not have promoted, as things are. Pure. */
uint64_t tier_share_blocked(const struct tier_share_groups *groups);

/* What a turn is for. */
enum tier_share_why {
	TIER_SHARE_ANY,	  /* what the step is for */
	TIER_SHARE_OVER,  /* the group has more than its DramMax */
	TIER_SHARE_TIGHT, /* room below its DramMax, for what is hot of it */
};

/**
 * struct tier_share_turn - a part of a step
 * @group: of the processes of which group; -1: all that have no turn of their own
 * @why: what it is for
 */
struct tier_share_turn {
	int group;
	enum tier_share_why why;
};

/**
 * tier_share_turns() - in which order a step goes over the groups
 * @act: TIER_TIERING_DEMOTE or TIER_TIERING_PROMOTE
 * @only_over: it is for what is beyond a DramMax, and others have no turn
 * @number: of the round: who comes first among equals changes with it
 * @ret: free()
 *
 * Each has one turn. What is in the way of the same group's own is demoted first, and last what is latency-sensitive, which
 * is promoted first. Groups to which nothing may be done have no turn, and belong to no other. Pure.
 *
 * Return: how many; -ENOMEM.
 */
ssize_t tier_share_turns(const struct tier_share_groups *groups, enum tier_tiering_act act,
			 bool only_over, uint64_t number, struct tier_share_turn **ret);

/**
 * tier_share_limit() - at most so many bytes in the turn; UINT64_MAX: no matter how many
 * @room_bytes: of a demotion: what there is too little room for, apart from the groups' own bounds
 *
 * Pure.
 */
uint64_t tier_share_limit(const struct tier_share_groups *groups, enum tier_tiering_act act,
			  const struct tier_share_turn *turn, uint64_t room_bytes);

/** tier_share_moved() - so much was moved in the turn: it counts for the limits of those that follow. Pure. */
void tier_share_moved(struct tier_share_groups *groups, enum tier_tiering_act act,
		      const struct tier_share_turn *turn, uint64_t bytes);

/** tier_share_in_turn() - do processes of @group (-1: none) belong to the turn? Pure. */
bool tier_share_in_turn(const struct tier_share_groups *groups, enum tier_tiering_act act,
			const struct tier_share_turn *turn, int group);

/**
 * tier_share_store() - say something of a cgroup or a process, until it ends
 * @cgroup: path of its directory, from tier_cgroup_find(); NULL: @pid
 * @policy: borrowed; one that says nothing takes it back
 * @problem: may be NULL
 *
 * Return: 0; -EPERM; -ESRCH; other negative errno.
 */
int tier_share_store(const char *cgroup, pid_t pid, const struct tier_share *policy,
		     struct tier_problem *problem);

/** tier_share_load() - what tier_share_store() has stored; one that says nothing if nothing was */
int tier_share_load(const char *cgroup, pid_t pid, struct tier_share *ret,
		    struct tier_problem *problem);

#endif
