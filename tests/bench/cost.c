// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The only program of a machine that counts instructions: its time stamp counter is QEMU's -icount. Prints, for each
 * loop, the fewest instructions of its rounds, in all and for each page, and turns the machine off.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE   4096
#define PAGES  2048
#define ROUNDS 40
#define PIPE   16 /* pages that a pipe takes before it is full */

static char *area;
static int ends[2];

static void die(const char *what)
{
	perror(what);
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void prepare_faults(void)
{
	area = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (area == MAP_FAILED || madvise(area, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE) != 0)
		die("mmap");
}

static void faults(void)
{
	for (size_t i = 0; i < PAGES; i++)
		((volatile char *)area)[i * PAGE] = 1;
}

static void finish_faults(void)
{
	munmap(area, (size_t)PAGES * PAGE);
}

/* A pipe of packets takes a page for each of them, however short, and gives it back when it is read. */
static void allocations(void)
{
	char packet = 0;

	for (size_t i = 0; i < PAGES; i += PIPE) {
		for (size_t n = 0; n < PIPE; n++)
			if (write(ends[1], &packet, 1) != 1)
				die("write");
		for (size_t n = 0; n < PIPE; n++)
			if (read(ends[0], &packet, 1) != 1)
				die("read");
	}
}

/* What no page is allocated for: how exactly the two machines can be compared. */
static void calls(void)
{
	for (size_t i = 0; i < PAGES; i++)
		if (getppid() < 0)
			die("getppid");
}

static void nothing(void)
{
}

int main(void)
{
	static const struct {
		const char *name;
		void (*prepare)(void), (*run)(void), (*finish)(void);
	} loops[] = {
		{"page-faults", prepare_faults, faults, finish_faults},
		{"allocations", nothing, allocations, nothing},
		{"system-calls", nothing, calls, nothing},
	};

	if (pipe2(ends, O_DIRECT) != 0)
		die("pipe");
	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
		uint64_t best = UINT64_MAX;

		for (int round = 0; round < ROUNDS; round++) {
			uint64_t before, used;

			loops[i].prepare();
			before = __rdtsc();
			loops[i].run();
			used = __rdtsc() - before;
			loops[i].finish();
			best = used < best ? used : best;
		}
		printf("cost %s %d %llu\n", loops[i].name, PAGES, (unsigned long long)best);
	}
	printf("cost end\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
