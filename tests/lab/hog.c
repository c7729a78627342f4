/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hog MIB KIND PROCESSES: each of so many processes allocates and touches MIB MiB of KIND (anonymous, shmem, file,
 * slab), says "touched" and stays until it is killed. All of several end with the first.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1UL << 20)

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void touch(const char *kind, unsigned n)
{
	static char block[MIB];
	char path[64];
	char *area;
	int fd;

	if (strcmp(kind, "file") == 0) {
		snprintf(path, sizeof(path), "/var/tmp/hog-%d", getpid());
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		memset(block, (int)n + 1, sizeof(block));
		if (fd < 0 || write(fd, block, sizeof(block)) != sizeof(block))
			die(path);
		close(fd);
		return;
	}
	if (strcmp(kind, "slab") == 0) {
		/* Dentries and inodes that cannot be found again are of no use to anybody, and reclaimed late. */
		for (unsigned i = 0; i < 1024; i++) {
			snprintf(path, sizeof(path), "/var/tmp/hog-%d-%u-%u", getpid(), n, i);
			fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			if (fd < 0)
				die(path);
			close(fd);
		}
		return;
	}
	area = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
		    (strcmp(kind, "shmem") == 0 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		die("mmap");
	memset(area, (int)n + 1, MIB);
}

int main(int argc, char *argv[])
{
	unsigned mib, processes;
	int status;

	if (argc != 4)
		return 2;
	mib = (unsigned)atoi(argv[1]);
	processes = (unsigned)atoi(argv[3]);
	for (unsigned i = 0; processes > 1 && i < processes; i++) {
		pid_t child = fork();

		if (child < 0)
			die("fork");
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			processes = 1;
		}
	}
	if (processes > 1) {
		wait(&status);
		return 1;
	}
	for (unsigned n = 0; n < mib; n++)
		touch(argv[2], n);
	puts("touched");
	fflush(stdout);
	for (;;)
		pause();
}
