/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_SHARE_H
#define TIER_CORE_SHARE_H

#include "tier-share.h"

/* Values as in the configuration; empty: unsaid. 0, or -EINVAL with the reason. */
int share_parse_amount(const char *value, struct tier_share_amount *ret, const char **ret_reason);
int share_parse_answer(const char *value, enum tier_share_answer *ret, const char **ret_reason);

/* What @inner does not say is as @outer says. */
void share_merge(const struct tier_share *outer, struct tier_share *inner);

uint64_t share_amount_bytes(const struct tier_share_amount *share, uint64_t total_bytes,
			    uint64_t unsaid);

/*
 * Adds what a source says of a cgroup (@pid 0) or a process; what another has said of the same, and this one does
 * not, stays. Sources come in ascending order. 0 or -ENOMEM.
 */
int share_add(struct tier_share_groups *groups, const char *path, pid_t pid,
	      enum tier_share_source source, const struct tier_share *policy);

/*
 * Puts parents before their children, and finds out what follows for each. Processes have their cgroup's path
 * by then.
 */
void share_resolve(struct tier_share_groups *groups);

/*
 * "anon N0=4096 N1=0\nfile N0=...": bytes on the nodes of a mask, of what is in a cgroup's memory.numa_stat and can
 * be on another node. 0 if there is none.
 */
uint64_t share_numa_stat(const char *text, uint64_t nodes);

#endif
