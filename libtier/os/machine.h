/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_MACHINE_H
#define TIER_OS_MACHINE_H

#include "qmp.h"
#include "tier-machine.h"

/* A connection to a running machine. */
struct tier_machine {
	char name[64];
	char directory[320]; /* VmDirectory/NAME: qmp, ram, log, state of the guest's consoles */
	struct qmp *qmp;
	int pidfd;
};

DEFINE_CLEANUP(struct tier_machine *, tier_machine_free)

/* Fills in @directory and connects; used by start (after the spawn) and attach. */
int machine_connect(const struct tier_config *config, const char *name, struct tier_machine **ret,
		    struct tier_problem *problem);

/* Removes the RAM file of a machine that has no process here. */
int machine_forget_ram(const struct tier_config *config, const char *name,
		       struct tier_problem *problem);

/* A lock beside the machines, until the descriptor is closed. TIER_E_BUSY: somebody has it. */
int file_lock(const struct tier_config *config, const char *name, int *ret_fd,
	      struct tier_problem *problem);

/*
 * One process at a time starts a machine, carries a flight of it out, or settles one: a lock on
 * VmDirectory/.NAME.lock, which is root's, that ends with the process. TIER_E_BUSY if it is held.
 */
int machine_lock(const struct tier_config *config, const char *name, int *ret_fd,
		 struct tier_problem *problem);

enum machine_start {
	MACHINE_BOOT,
	MACHINE_INCOMING,	   /* waits for a device state */
	MACHINE_INCOMING_KEEP_RAM, /* the same, on the RAM that an earlier process has left */
};

/* tier_machine_start() for a caller that holds the lock. */
int machine_start_locked(const struct tier_config *config, const char *name, enum machine_start how,
			 struct tier_machine **ret, struct tier_problem *problem);

/* VmDirectory/NAME */
int machine_directory(const struct tier_config *config, const char *name,
		      char directory[static 320], struct tier_problem *problem);

/*
 * Removes the RAM file of a machine that has ended. Only one that lies in the machine's own
 * directory: the path was told by QEMU, whose guest is not trusted.
 */
int machine_remove_ram(const struct tier_machine *machine, const struct tier_machine_info *info,
		       struct tier_problem *problem);

#endif
