// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * To be preloaded: lets one write to sysfs fail. The file INJECT_CONTROL holds "ROUND NUMBER ERRNO": of the
 * writes in this process since ROUND was first seen, the one of that number fails so; 0: none. Each of them is
 * appended to INJECT_LOG as "ROUND NUMBER PATH".
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef ssize_t write_t(int fd, const void *data, size_t size);

static int count(const char *path, int *ret_errno)
{
	static int round, number;
	int now = 0, wanted = 0, error = 0;
	char text[64] = "", line[400];
	int fd = open(getenv("INJECT_CONTROL"), O_RDONLY | O_CLOEXEC);
	int log = open(getenv("INJECT_LOG"), O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		sscanf(text, "%d %d %d", &now, &wanted, &error);
	if (now != round) {
		round = now;
		number = 0;
	}
	number++;
	snprintf(line, sizeof(line), "%d %d %.300s\n", round, number, path);
	if (log >= 0)
		((write_t *)dlsym(RTLD_NEXT, "write"))(log, line, strlen(line));
	if (fd >= 0)
		close(fd);
	if (log >= 0)
		close(log);
	*ret_errno = error;
	return number == wanted;
}

ssize_t write(int fd, const void *data, size_t size)
{
	char name[64], path[300];
	int kept = errno, error;
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, path, sizeof(path) - 1);
	errno = kept;
	if (n > 0) {
		path[n] = '\0';
		if (strncmp(path, "/sys/", 5) == 0 && count(path, &error)) {
			errno = error;
			return -1;
		}
		errno = kept;
	}
	return ((write_t *)dlsym(RTLD_NEXT, "write"))(fd, data, size);
}
