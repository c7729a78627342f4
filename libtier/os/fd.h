/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_FD_H
#define TIER_FD_H

/* Cleanup attributes for what a process holds open. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "util.h"

static inline void closep(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
}
#define _cleanup_close_ _cleanup_(closep)

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}
#define _cleanup_fclose_ _cleanup_(fclosep)

static inline void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static inline int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#endif
