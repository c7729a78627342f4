/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_QMP_H
#define TIER_QMP_H

#include <sys/types.h>
#include <systemd/sd-json.h>

#include "tier-error.h"
#include "util.h"

/* A QMP connection that waits for each command's answer. Events are read and dropped. */
struct qmp;

/* TIER_E_NOT_FOUND: nobody listens; TIER_E_TIMEOUT: no greeting (QMP serves one client). */
int qmp_connect(const char *path, struct qmp **ret, struct tier_problem *problem);
struct qmp *qmp_free(struct qmp *qmp);
DEFINE_CLEANUP(struct qmp *, qmp_free)

/* The process that listens, from the socket's credentials. */
pid_t qmp_peer(const struct qmp *qmp);

/* A pidfd of that process, once; the caller closes it. */
int qmp_take_pidfd(struct qmp *qmp);

/*
 * Runs a command. @arguments is borrowed and may be NULL; @fd is passed along unless negative;
 * @ret may be NULL and is borrowed until the next command. An error answer is TIER_E_REFUSED with
 * QEMU's description; -EPIPE if QEMU has gone; TIER_E_TIMEOUT after 60 s.
 */
int qmp_command(struct qmp *qmp, const char *command, sd_json_variant *arguments, int fd,
		sd_json_variant **ret, struct tier_problem *problem);

/* qmp_command() with SD_JSON_BUILD arguments. */
#define qmp_commandb(qmp, command, fd, ret, problem, ...)                                          \
	({                                                                                         \
		sd_json_variant *arguments_ = NULL;                                                \
		int r_ = sd_json_build(&arguments_, SD_JSON_BUILD_OBJECT(__VA_ARGS__));            \
		if (r_ >= 0)                                                                       \
			r_ = qmp_command(qmp, command, arguments_, fd, ret, problem);              \
		sd_json_variant_unref(arguments_);                                                 \
		r_;                                                                                \
	})

#endif
