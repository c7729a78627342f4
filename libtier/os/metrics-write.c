/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>

#include "fd.h"
#include "file-replace.h"
#include "tier-metrics.h"

/* Without fsync(): it is of no use after a reboot, and is written again and again. */
static int write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = -1;
	char temporary[PATH_MAX];
	int r;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		return -ENAMETOOLONG;
	/* The directory may be another user's: never through a link that is there already. */
	if (unlink(temporary) < 0 && errno != ENOENT)
		return -errno;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = file_write_all(fd, text, strlen(text));
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

int tier_metrics_write(const char *path, const char *text, struct tier_problem *problem)
{
	int r = write_file(path, text);

	if (r == -EROFS || r == -EACCES)
		return tier_problem_set(problem, r, path,
					"systemctl edit cxl-tierd: ReadWritePaths= of [Service]",
					"cannot write the metrics");
	return r ? tier_problem_set(problem, r, path, "see MetricsFile= in cxl-tierd.conf(5)",
				    "cannot write the metrics")
		 : 0;
}
