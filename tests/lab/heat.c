/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heat MIB HOT_MIB PATTERN RATE PHASE_SEC PHASES: touches memory at random, and says where its hot pages are.
 *
 * Of a hundred touches ninety go to the hot pages: HOT_MIB in a row (contiguous), or each anywhere (scattered). RATE
 * is touches a second, 0: as many as the processor has time for. The hot pages change with each phase, none of which
 * has a page of the one before; the last goes on until it is killed. Small pages only.
 *
 * An emulated processor keeps a translation, and does not look at the page tables again, until somebody else has run on
 * it. So somebody does, now and then; a real one has not room for many.
 *
 * Every second a line of JSON: in which phase, since when, which part of the hot pages and of all lies on nodes with
 * processors, and so which share of the touches goes there; touches since the line before; pages that have moved since
 * the beginning from and to such nodes, and how many had to.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE	      4096UL
#define HOT_PERMYRIAD 9000
#define BATCH	      1024

static size_t pages, hot;
static char *area;
static uint32_t *order; /* the hot ones of a phase are in a row here */
static void **addresses;
static int *where, *before;
static uint64_t state = 88172645463325252U;
static uint64_t fast_nodes;
static uint64_t moves;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nodes with processors, of the first 64. */
static void read_fast(void)
{
	FILE *file = fopen("/sys/devices/system/node/has_cpu", "r");
	unsigned first, last;

	if (!file)
		die("has_cpu");
	while (fscanf(file, "%u", &first) == 1) {
		int c = fgetc(file);

		last = first;
		if (c == '-' && fscanf(file, "%u", &last) == 1)
			c = fgetc(file);
		for (unsigned n = first; n <= last && n < 64; n++)
			fast_nodes |= UINT64_C(1) << n;
		if (c != ',')
			break;
	}
	fclose(file);
}

static bool fast(int node)
{
	return node >= 0 && node < 64 && (fast_nodes >> node & 1);
}

static void look(void)
{
	for (size_t i = 0; i < pages; i += BATCH) {
		size_t n = pages - i < BATCH ? pages - i : BATCH;

		if (syscall(SYS_move_pages, 0, n, addresses + i, NULL, where + i, 0) < 0)
			die("move_pages");
	}
	for (size_t i = 0; i < pages; i++) {
		/* In the middle of a move it is on no node. */
		if (where[i] < 0)
			where[i] = before[i];
		moves += fast(where[i]) != fast(before[i]);
		before[i] = where[i];
	}
}

static void report(int phase, double since, size_t start, uint64_t touches, uint64_t necessary)
{
	size_t hot_fast = 0, all_fast = 0;
	double share;

	look();
	for (size_t i = 0; i < pages; i++) {
		all_fast += fast(where[i]);
		hot_fast += i >= start && i < start + hot && fast(where[i]);
	}
	share = HOT_PERMYRIAD / 1e4 * (double)hot_fast / (double)hot +
		(1 - HOT_PERMYRIAD / 1e4) * (double)all_fast / (double)pages;
	printf("{\"phase\":%d,\"seconds\":%.2f,\"hot\":%.4f,\"all\":%.4f,\"share\":%.4f,"
	       "\"touches\":%llu,"
	       "\"moves\":%llu,\"necessary\":%llu}\n",
	       phase, now() - since, (double)hot_fast / (double)hot,
	       (double)all_fast / (double)pages, share, (unsigned long long)touches,
	       (unsigned long long)moves, (unsigned long long)necessary);
}

/* Those that are hot from now on and on a slow node, twice: something else has to make room. */
static uint64_t misplaced(size_t start)
{
	uint64_t count = 0;

	look();
	for (size_t i = start; i < start + hot; i++)
		count += !fast(where[i]);
	return 2 * count;
}

static void prepare(bool scattered)
{
	area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	order = malloc(pages * sizeof(*order));
	addresses = malloc(pages * sizeof(*addresses));
	where = malloc(pages * sizeof(*where));
	before = calloc(pages, sizeof(*before));
	if (area == MAP_FAILED || !order || !addresses || !where || !before)
		die("memory");
	if (madvise(area, pages * PAGE, MADV_NOHUGEPAGE) < 0)
		die("madvise");
	for (size_t i = 0; i < pages; i++) {
		area[i * PAGE] = 1;
		order[i] = (uint32_t)i;
	}
	for (size_t i = pages - 1; scattered && i > 0; i--) {
		size_t other = draw() % (i + 1);
		uint32_t taken = order[i];

		order[i] = order[other];
		order[other] = taken;
	}
	for (size_t i = 0; i < pages; i++)
		addresses[i] = area + order[i] * PAGE;
	look();
	moves = 0;
}

static void share_processor(void)
{
	struct timespec pause_time = {.tv_nsec = 50 * 1000 * 1000};
	cpu_set_t last;

	CPU_ZERO(&last);
	CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &last);
	if (sched_setaffinity(0, sizeof(last), &last) < 0)
		die("sched_setaffinity");
	if (fork() > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		nanosleep(&pause_time, NULL);
}

int main(int argc, char **argv)
{
	double rate, phase_seconds;
	uint64_t necessary = 0;
	int phases;

	if (argc != 7) {
		fprintf(stderr,
			"usage: heat MIB HOT_MIB contiguous|scattered RATE PHASE_SEC PHASES\n");
		return 2;
	}
	pages = strtoul(argv[1], NULL, 10) << 8;
	hot = strtoul(argv[2], NULL, 10) << 8;
	rate = strtod(argv[4], NULL);
	phase_seconds = strtod(argv[5], NULL);
	phases = atoi(argv[6]);
	if (pages < 2 * hot || hot == 0 || phases < 1)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	read_fast();
	share_processor();
	prepare(strcmp(argv[3], "scattered") == 0);
	puts("touched");
	for (int phase = 0;; phase++) {
		/* From the end, where first touch has put what did not fit any more. */
		size_t start = (pages / hot - 1 - (size_t)phase % (pages / hot)) * hot;
		double begin = now(), told = begin;
		uint64_t done = 0, done_before = 0;
		volatile char sink = 0;

		necessary += misplaced(start);
		while (phase == phases - 1 || now() - begin < phase_seconds) {
			for (int i = 0; i < 256; i++) {
				uint64_t r = draw();
				size_t page = r % 10000 < HOT_PERMYRIAD ? start + (r >> 20) % hot
									: (r >> 20) % pages;

				sink += *((char *)addresses[page] + (r >> 14 & 63) * 64);
			}
			done += 256;
			if (rate > 0 && (double)done / rate - (now() - begin) > 0.002) {
				struct timespec rest = {
					.tv_nsec = (long)(((double)done / rate - (now() - begin)) *
							  1e9)};

				nanosleep(&rest, NULL);
			}
			if (now() - told >= 1) {
				report(phase, begin, start, done - done_before, necessary);
				done_before = done;
				told = now();
			}
		}
	}
}
