/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_SINCE_H
#define TIERCTL_SINCE_H

#include <stdint.h>

/* "90s", "10m", "2h", "3d": in microseconds; 0 or -EINVAL. */
int since_parse_duration(const char *text, uint64_t *ret_usec);

/*
 * "90s", "10m", "2h", "3d": that long before @now_usec; "2026-11-21", "2026-11-21 20:15",
 * "2026-11-21 20:15:30": local time. Microseconds since 1970; 0 or -EINVAL.
 */
int since_parse(const char *text, uint64_t now_usec, uint64_t *ret_usec);

#endif
