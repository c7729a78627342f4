/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_MACHINE_H
#define TIER_MACHINE_H

/*
 * Virtual machines: QEMU processes that the configuration defines, their RAM in a tmpfs file and
 * their QMP socket at VmDirectory/NAME.qmp.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tier-config.h"
#include "tier-error.h"

struct tier_machine;

/* What a flight needs to know of a running machine. */
struct tier_machine_info {
	char name[64];
	pid_t pid;
	char status[32];       /* QMP query-status */
	char type[64];	       /* versioned machine type, e.g. "pc-q35-11.1" */
	char qemu_version[32]; /* "11.1.3" */
	char memory_id[64];    /* the memory backend */
	char memory_path[256]; /* its file */
	uint64_t memory_bytes;
	uint64_t memory_start; /* where QEMU has it mapped */
};

/**
 * tier_machine_start() - start a machine of the configuration
 * @config: borrowed; its machines are the only ones that may be started
 * @name: section name
 * @incoming: wait for a device state instead of booting
 * @ret: tier_machine_free()
 *
 * QEMU runs as the configured user in its own session, with -sandbox on, RAM in
 * VmDirectory/NAME.ram (share=on, so that its pages can be handed over), and paused if @incoming.
 *
 * Return: 0; TIER_E_NOT_FOUND: not configured; TIER_E_BUSY: already running; TIER_E_REFUSED: QEMU
 * ended, the problem quotes its last words; negative errno.
 */
int tier_machine_start(const struct tier_config *config, const char *name, bool incoming,
		       struct tier_machine **ret, struct tier_problem *problem);

/**
 * tier_machine_attach() - connect to a running machine
 * Return: 0; TIER_E_NOT_FOUND: no such socket or nobody answers; negative errno.
 */
int tier_machine_attach(const struct tier_config *config, const char *name,
			struct tier_machine **ret, struct tier_problem *problem);

/** tier_machine_free() - close the connection; the machine goes on. Return: NULL. */
struct tier_machine *tier_machine_free(struct tier_machine *machine);

/**
 * tier_machine_inspect() - what the machine is, and whether it can fly
 * @ret: filled in also when it cannot fly, as far as it was found
 *
 * Return: 0; TIER_E_REFUSED with the reason and what to change: RAM not shareable or anonymous,
 * several memory backends, locked or pinned memory, VFIO, a device that blocks migration.
 */
int tier_machine_inspect(struct tier_machine *machine, struct tier_machine_info *ret,
			 struct tier_problem *problem);

/** tier_machine_pause() / tier_machine_resume() - QMP stop and cont, waited for */
int tier_machine_pause(struct tier_machine *machine, struct tier_problem *problem);
int tier_machine_resume(struct tier_machine *machine, struct tier_problem *problem);

/**
 * tier_machine_save_state() - the device state without the RAM, of a paused machine
 * @ret, @ret_bytes: new buffer; free()
 */
int tier_machine_save_state(struct tier_machine *machine, void **ret, size_t *ret_bytes,
			    struct tier_problem *problem);

/** tier_machine_load_state() - the same into a machine that was started with @incoming */
int tier_machine_load_state(struct tier_machine *machine, const void *state, size_t bytes,
			    struct tier_problem *problem);

/** tier_machine_alive() - does its process still run? */
bool tier_machine_alive(struct tier_machine *machine);

/**
 * tier_machine_quit() - end the machine, by QMP and after 30 s by SIGKILL to its pidfd
 */
int tier_machine_quit(struct tier_machine *machine, struct tier_problem *problem);

/**
 * tier_machine_kill() - SIGKILL, and wait until it has ended
 *
 * Its QEMU is asked nothing. Return: 0; TIER_E_TIMEOUT: not ended within 2 s; negative errno.
 */
int tier_machine_kill(struct tier_machine *machine, struct tier_problem *problem);

/**
 * tier_machine_running() - does a process listen on the machine's socket?
 */
bool tier_machine_running(const struct tier_config *config, const char *name);

/**
 * tier_machine_kill_by_name() - the same without a connection that QMP must answer
 *
 * The process is the one that listens on the machine's socket, whoever it serves.
 *
 * Return: also TIER_E_NOT_FOUND: it has no process here, or is not configured.
 */
int tier_machine_kill_by_name(const struct tier_config *config, const char *name,
			      struct tier_problem *problem);

/**
 * tier_machine_lock() - keep every other process from starting, sending or settling a machine
 * @ret_fd: close() ends it
 *
 * Return: 0; TIER_E_BUSY: another process has it; TIER_E_NOT_FOUND: not configured.
 */
int tier_machine_lock(const struct tier_config *config, const char *name, int *ret_fd,
		      struct tier_problem *problem);

/** tier_machine_busy() - could that lock be had? Returns what tier_machine_lock() would. */
int tier_machine_busy(const struct tier_config *config, const char *name);

/* ---- the watchdog that ends this host ---------------------------------------------------------- */

struct tier_watchdog;

/**
 * tier_watchdog_open() - arm a watchdog device
 * @path: such as /dev/watchdog0
 * @timeout_sec: what the driver makes of it is tier_watchdog_timeout_sec()
 * @ret: tier_watchdog_disarm() or tier_watchdog_leave()
 *
 * Return: 0; TIER_E_REFUSED: it could not be disarmed again; negative errno, and it is not armed.
 */
int tier_watchdog_open(const char *path, unsigned timeout_sec, struct tier_watchdog **ret,
		       struct tier_problem *problem);
/** tier_watchdog_timeout_sec() - what the driver has made of it */
unsigned tier_watchdog_timeout_sec(const struct tier_watchdog *watchdog);

/** tier_watchdog_feed() - the host is reset when this is not called for longer than the timeout */
int tier_watchdog_feed(struct tier_watchdog *watchdog);

/** tier_watchdog_disarm() - and close it */
int tier_watchdog_disarm(struct tier_watchdog *watchdog);

/** tier_watchdog_leave() - close it armed: another process opens it in time. Return: NULL. */
struct tier_watchdog *tier_watchdog_leave(struct tier_watchdog *watchdog);

#endif
