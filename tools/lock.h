/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_LOCK_H
#define TIERCTL_LOCK_H

/*
 * What keeps two processes of this host from writing one record. Each ends when *@ret_fd is closed.
 * 0; TIER_E_BUSY: another process has it; negative errno, and @path says of what.
 */

/* As cxl-tierd does, next to its socket: while this is held it does not start. */
int lock_daemon(int *ret_fd, char path[static 300]);

/* fence.lock in the same directory. */
int lock_fences(int *ret_fd, char path[static 300]);

#endif
