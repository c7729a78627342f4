/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_RIVALS_H
#define TIER_RIVALS_H

#include <stdbool.h>
#include <stddef.h>

#include "tier-error.h"

/* Who else onlines memory on this machine, or would as soon as some arrives. */
enum tier_rival_kind {
	TIER_RIVAL_KERNEL,	  /* auto_online_blocks, as it is */
	TIER_RIVAL_COMMAND_LINE,  /* memhp_default_state= */
	TIER_RIVAL_POLICY,	  /* something sets auto_online_blocks */
	TIER_RIVAL_BLOCKS,	  /* a udev rule onlines memory blocks */
	TIER_RIVAL_COMMAND,	  /* a unit or a script runs daxctl or the like */
	TIER_RIVAL_DAXCTL_RULE,	  /* daxctl's udev rule, with the unit that it wants */
	TIER_RIVAL_DAXCTL_CONFIG, /* [reconfigure-device] of daxctl's configuration */
};

struct tier_rival {
	enum tier_rival_kind kind;
	char place[200]; /* "/etc/udev/rules.d/40-vm.rules:3" */
	char what[200];	 /* what it does */
	char next[320];	 /* how to make it stand back; empty if it does */
};

/** tier_rival_stands_back() - as it is set up it leaves new memory alone while cxl-tierd runs */
static inline bool tier_rival_stands_back(const struct tier_rival *rival)
{
	return rival->next[0] == '\0';
}

/* Files and directories that are there and could not be read, mostly for want of privilege. */
struct tier_rivals_unread {
	size_t count;
	char first[200]; /* "/etc/cron.d"; empty if there is none */
	int code;	 /* why: negative errno */
};

/**
 * tier_rivals_read() - who else onlines memory
 * @sysroot: NULL or "/" for this machine, else a dump; of one that has no /etc and /usr only the kernel is known
 * @ret: new array, the kernel first, then in the order of the files' names; free()
 * @ret_count: its length
 * @ret_unread: what may have more of them
 *
 * Reads udev's rules, systemd's units, tmpfiles.d, rc.local, cron, daxctl's configuration and the kernel's
 * command line. Of files with the same name the one that udev and systemd take counts, and one that is masked does not.
 *
 * Return: 0; negative errno.
 */
int tier_rivals_read(const char *sysroot, struct tier_rival **ret, size_t *ret_count,
		     struct tier_rivals_unread *ret_unread, struct tier_problem *problem);

/** tier_rival_cost() - what a rival of that kind costs, for a person; a constant string */
const char *tier_rival_cost(enum tier_rival_kind kind);

/**
 * tier_rivals_likely() - whose hand onlined a memory block, most likely
 *
 * Return: the first that does not stand back, or NULL: then it was somebody by hand. Borrowed.
 */
const struct tier_rival *tier_rivals_likely(const struct tier_rival *rivals, size_t count);

#endif
