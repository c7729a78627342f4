/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heat MIB HOT_MIB PATTERN RATE PHASE_SEC PHASES: touches memory at random, and says where its hot pages are.
 *
 * Of a hundred touches ninety go to the hot pages: HOT_MIB in a row (contiguous), or each anywhere (scattered). Or the
 * page of rank k gets touches as 1/k, ranks being anywhere (zipf); its hot ones are then the first HOT_MIB. RATE
 * is touches a second, 0: as many as the processor has time for. The hot pages change with each phase, none of which
 * has a page of the one before; the last goes on until it is killed. Small pages only.
 *
 * An emulated processor keeps a translation, and does not look at the page tables again, until somebody else has run on
 * it. So somebody does, now and then; a real one has not room for many.
 *
 * Every second a line of JSON: in which phase, since when, which part of the hot pages and of all lies on nodes with
 * processors, and so which share of the touches goes there; touches since the line before; pages that have moved since
 * the beginning from and to such nodes, and how many had to. /proc/self/pagemap says where they are, at a tenth of what
 * move_pages() takes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PAGE	      4096UL
#define HOT_PERMYRIAD 9000
#define BATCH	      4096
#define SLOTS	      4096
#define PRESENT	      (UINT64_C(1) << 63)
#define PFN_MASK      ((UINT64_C(1) << 55) - 1)
#define BLOCKS	      4096

static size_t pages, hot;
static bool zipf;
static char *area;
static uint32_t *order; /* the hot ones of a phase are in a row here */
static float *
	weights; /* of ranks: the share of touches that a page gets; rank 0 is the first hot one's */
static uint64_t
	slots[SLOTS + 1]; /* ranks in 65536ths, between two of which equally many touches go */
static bool *is_fast;
static bool fast_blocks[BLOCKS];
static uint64_t block_pages;
static uint64_t state = 88172645463325252U;
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

static void read_blocks(unsigned node)
{
	char path[64];
	struct dirent *entry;
	DIR *directory;
	unsigned block;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", node);
	directory = opendir(path);
	if (!directory)
		die(path);
	while ((entry = readdir(directory)))
		if (sscanf(entry->d_name, "memory%u", &block) == 1 && block < BLOCKS)
			fast_blocks[block] = true;
	closedir(directory);
}

/* The memory of nodes with processors. What comes and goes meanwhile is none of it. */
static void read_fast(void)
{
	FILE *file = fopen("/sys/devices/system/memory/block_size_bytes", "r");
	unsigned long long bytes;
	unsigned first, last;

	if (!file || fscanf(file, "%llx", &bytes) != 1)
		die("block_size_bytes");
	block_pages = bytes / PAGE;
	fclose(file);
	file = fopen("/sys/devices/system/node/has_cpu", "r");
	if (!file)
		die("has_cpu");
	while (fscanf(file, "%u", &first) == 1) {
		int c = fgetc(file);

		last = first;
		if (c == '-' && fscanf(file, "%u", &last) == 1)
			c = fgetc(file);
		for (unsigned n = first; n <= last; n++)
			read_blocks(n);
		if (c != ',')
			break;
	}
	fclose(file);
}

static void look(void)
{
	static uint64_t entries[BATCH];
	static int fd = -1;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("pagemap");
	for (size_t i = 0; i < pages; i += BATCH) {
		size_t n = pages - i < BATCH ? pages - i : BATCH;
		off_t at = (off_t)(((uintptr_t)area / PAGE + i) * sizeof(*entries));

		if (pread(fd, entries, n * sizeof(*entries), at) != (ssize_t)(n * sizeof(*entries)))
			die("pagemap");
		for (size_t j = 0; j < n; j++) {
			uint64_t block = (entries[j] & PFN_MASK) / block_pages;
			bool fast = block < BLOCKS && fast_blocks[block];

			/* In the middle of a move it is on no node. */
			if (!(entries[j] & PRESENT))
				continue;
			moves += fast != is_fast[i + j];
			is_fast[i + j] = fast;
		}
	}
}

static size_t page_of(size_t start, size_t rank)
{
	size_t at = start + rank;

	return order[at < pages ? at : at - pages];
}

static void report(int phase, double since, size_t start, uint64_t touches, uint64_t necessary)
{
	size_t hot_fast = 0, all_fast = 0;
	double share = 0;

	look();
	for (size_t rank = 0; rank < pages; rank++) {
		if (!is_fast[page_of(start, rank)])
			continue;
		all_fast++;
		hot_fast += rank < hot;
		share += (double)weights[rank];
	}
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
	for (size_t rank = 0; rank < hot; rank++)
		count += !is_fast[page_of(start, rank)];
	return 2 * count;
}

/* The rank r has touches as log((r + 2) / (r + 1)), which is 1/(r + 1.5), nearly. */
static void weigh(void)
{
	double all = log((double)pages + 1);

	for (size_t rank = 0; rank < pages; rank++)
		weights[rank] =
			zipf ? (float)(log1p(1 / ((double)rank + 1)) / all)
			     : (float)((1 - HOT_PERMYRIAD / 1e4) / (double)pages +
				       (rank < hot ? HOT_PERMYRIAD / 1e4 / (double)hot : 0));
	for (size_t i = 0; i <= SLOTS; i++)
		slots[i] = (uint64_t)(expm1(all * (double)i / SLOTS) * 65536);
}

static size_t draw_page(size_t start, uint64_t r)
{
	uint64_t low, high;
	size_t rank;

	if (!zipf)
		return order[r % 10000 < HOT_PERMYRIAD ? start + (r >> 20) % hot
						       : (r >> 20) % pages];
	low = slots[r % SLOTS];
	high = slots[r % SLOTS + 1];
	rank = (low + ((high - low) * (r >> 20 & 65535) >> 16)) >> 16;
	return page_of(start, rank < pages ? rank : pages - 1);
}

static void prepare(bool in_a_row)
{
	area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	order = malloc(pages * sizeof(*order));
	weights = malloc(pages * sizeof(*weights));
	is_fast = calloc(pages, sizeof(*is_fast));
	if (area == MAP_FAILED || !order || !weights || !is_fast)
		die("memory");
	if (madvise(area, pages * PAGE, MADV_NOHUGEPAGE) < 0)
		die("madvise");
	weigh();
	for (size_t i = 0; i < pages; i++) {
		area[i * PAGE] = 1;
		order[i] = (uint32_t)i;
	}
	for (size_t i = pages - 1; !in_a_row && i > 0; i--) {
		size_t other = draw() % (i + 1);
		uint32_t taken = order[i];

		order[i] = order[other];
		order[other] = taken;
	}
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
		fprintf(stderr, "usage: heat MIB HOT_MIB contiguous|scattered|zipf RATE PHASE_SEC "
				"PHASES\n");
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
	zipf = strcmp(argv[3], "zipf") == 0;
	prepare(strcmp(argv[3], "contiguous") == 0);
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

				sink += area[draw_page(start, r) * PAGE + (r >> 14 & 63) * 64];
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
