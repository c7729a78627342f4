/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "calibration.h"
#include "clock.h"
#include "fd.h"
#include "sysfs.h"
#include "tier-calibration.h"
#include "util.h"

/*
 * The back end that measures this machine. Each CPU of a node streams through a part of a buffer that is bound to the
 * memory node; for the latency one CPU follows pointers through all of it, each of which is known only when the one before has
 * come.
 */

#define LINE_WORDS  8	      /* of 8 bytes: a cache line */
#define CHUNK_BYTES (MIB / 4) /* between two looks at the clock */
#define CHASE_STEPS 1024
#define CPUS_MAX    4096

struct stream {
	struct tier_measure *measure;
	pthread_t thread;
	unsigned cpu;
	const uint64_t *part;
	size_t words;
	uint64_t bytes, usec; /* read, and in how long */
	uint64_t sum;	      /* or the compiler would not read */
	int code;
};

struct tier_measure {
	const struct tier_topology *topology;
	uint64_t round_usec;
	int node;
	uint64_t *buffer;
	size_t bytes;
	size_t mapped;
	struct stream *streams;
	size_t stream_count;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum { WAIT, GO, GIVE_UP } start;
};

static int pin(unsigned cpu)
{
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	int r;

	if (!set)
		return -ENOMEM;
	CPU_ZERO_S(CPU_ALLOC_SIZE(CPUS_MAX), set);
	CPU_SET_S(cpu, CPU_ALLOC_SIZE(CPUS_MAX), set);
	r = sched_setaffinity(0, CPU_ALLOC_SIZE(CPUS_MAX), set) < 0 ? -errno : 0;
	CPU_FREE(set);
	return r;
}

static int bind_to(void *memory, size_t bytes, int node)
{
	unsigned long mask[64] = {};
	unsigned bits = 8 * sizeof(*mask);

	if ((unsigned)node >= ARRAY_SIZE(mask) * bits)
		return -EINVAL;
	mask[(unsigned)node / bits] = 1ul << ((unsigned)node % bits);
	/* The kernel wants one bit more than it looks at. */
	return syscall(SYS_mbind, memory, bytes, MPOL_BIND, mask, ARRAY_SIZE(mask) * bits, 0) < 0
		       ? -errno
		       : 0;
}

/* The memory's nodes, by its first and last page. */
static int check_node(const struct tier_measure *measure)
{
	const size_t at[] = {0, measure->bytes / sizeof(uint64_t) - 1};

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		int node = -1;

		if (syscall(SYS_get_mempolicy, &node, NULL, 0, measure->buffer + at[i],
			    MPOL_F_NODE | MPOL_F_ADDR) < 0)
			return -errno;
		if (node != measure->node)
			return -ENODEV;
	}
	return 0;
}

static bool is_there(const struct tier_measure *measure)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;

	return sysfs_open(&sysfs, NULL) == 0 &&
	       sysfs_list_has(&sysfs, (unsigned)measure->node,
			      "sys/devices/system/node/has_memory");
}

static void end_pair(void *userdata)
{
	struct tier_measure *measure = userdata;

	if (measure->buffer)
		munmap(measure->buffer, measure->mapped);
	free(measure->streams);
	measure->buffer = NULL;
	measure->streams = NULL;
	measure->stream_count = 0;
}

static int add_streams(struct tier_measure *measure, int cpu_node)
{
	const struct tier_node *node = tier_topology_node(measure->topology, cpu_node);
	size_t words;

	for (unsigned cpu = 0; node && node->cpus && cpu < CPUS_MAX; cpu++) {
		struct stream *stream;

		if (!list_has(node->cpus, cpu))
			continue;
		stream = array_grow(&measure->streams, &measure->stream_count, sizeof(*stream));
		if (!stream)
			return -ENOMEM;
		stream->measure = measure;
		stream->cpu = cpu;
	}
	if (measure->stream_count == 0)
		return -ENODEV;
	words = measure->bytes / sizeof(uint64_t) / measure->stream_count;
	words -= words % LINE_WORDS;
	for (size_t i = 0; i < measure->stream_count; i++) {
		measure->streams[i].part = measure->buffer + i * words;
		measure->streams[i].words = words;
	}
	return 0;
}

static int begin_pair(void *userdata, int cpu_node, int node, bool *ret_huge_pages)
{
	struct tier_measure *measure = userdata;
	bool huge;
	void *memory;
	int r;

	measure->node = node;
	measure->bytes = tier_measure_bytes(NULL, measure->topology, cpu_node);
	/* Room to begin where a huge page does. */
	measure->mapped = measure->bytes + 2 * MIB;
	memory = mmap(NULL, measure->mapped, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	measure->buffer = memory;
	r = bind_to(memory, measure->mapped, node);
	huge = madvise(memory, measure->mapped, MADV_HUGEPAGE) == 0;
	if (r == 0)
		r = add_streams(measure, cpu_node);
	if (r == 0) {
		chase_link(measure->buffer, measure->bytes / 64, LINE_WORDS, 1);
		r = check_node(measure);
	}
	if (r < 0) {
		end_pair(measure);
		/* EINVAL: there is no such node with memory. */
		return r == -EINVAL && !is_there(measure) ? -ENODEV : r;
	}
	*ret_huge_pages = huge;
	return 0;
}

static uint64_t read_chunk(const uint64_t *words, size_t count)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;

	/* Four sums: additions do not wait for each other, only for memory. */
	for (size_t i = 0; i + 4 <= count; i += 4) {
		a += words[i];
		b += words[i + 1];
		c += words[i + 2];
		d += words[i + 3];
	}
	return a + b + c + d;
}

/* All at once, or the first would have the memory to itself. False: not all could be started. */
static bool await_start(struct tier_measure *measure)
{
	bool go;

	pthread_mutex_lock(&measure->mutex);
	while (measure->start == WAIT)
		pthread_cond_wait(&measure->changed, &measure->mutex);
	go = measure->start == GO;
	pthread_mutex_unlock(&measure->mutex);
	return go;
}

static void tell_start(struct tier_measure *measure, bool go)
{
	pthread_mutex_lock(&measure->mutex);
	measure->start = go ? GO : GIVE_UP;
	pthread_cond_broadcast(&measure->changed);
	pthread_mutex_unlock(&measure->mutex);
}

static void *run_stream(void *argument)
{
	struct stream *stream = argument;
	struct tier_measure *measure = stream->measure;
	uint64_t start, now;
	size_t at = 0;

	stream->code = pin(stream->cpu);
	if (!await_start(measure))
		return NULL;
	start = now_usec();
	stream->bytes = 0;
	do {
		size_t count = MIN(stream->words - at, CHUNK_BYTES / sizeof(uint64_t));

		stream->sum += read_chunk(stream->part + at, count);
		stream->bytes += count * sizeof(uint64_t);
		at = at + count < stream->words ? at + count : 0;
		now = now_usec();
	} while (now - start < measure->round_usec);
	stream->usec = now - start;
	return NULL;
}

static int measure_bandwidth(void *userdata, uint64_t *ret_mbps)
{
	struct tier_measure *measure = userdata;
	uint64_t mbps = 0;
	size_t started = 0;
	int r = 0;

	if (!is_there(measure))
		return -ENODEV;
	measure->start = WAIT;
	for (; started < measure->stream_count; started++) {
		struct stream *stream = &measure->streams[started];

		r = -pthread_create(&stream->thread, NULL, run_stream, stream);
		if (r < 0)
			break;
	}
	tell_start(measure, r == 0);
	for (size_t i = 0; i < started; i++) {
		struct stream *stream = &measure->streams[i];

		pthread_join(stream->thread, NULL);
		if (r == 0)
			r = stream->code;
		/* Bytes per microsecond are MB/s. */
		if (r == 0)
			mbps += stream->bytes / MAX(stream->usec, 1);
	}
	if (r == 0)
		*ret_mbps = mbps;
	return r;
}

struct chase {
	const struct tier_measure *measure;
	uint64_t psec;
	uint64_t end; /* or the compiler would not follow */
	int code;
};

static void *run_chase(void *argument)
{
	struct chase *chase = argument;
	const struct tier_measure *measure = chase->measure;
	uint64_t start, now, steps = 0, line = 0;

	chase->code = pin(measure->streams[0].cpu);
	start = now_usec();
	do {
		for (unsigned i = 0; i < CHASE_STEPS; i++)
			line = measure->buffer[line * LINE_WORDS];
		steps += CHASE_STEPS;
		now = now_usec();
	} while (now - start < measure->round_usec);
	chase->end = line;
	chase->psec = (now - start) * 1000000 / steps;
	return NULL;
}

static int measure_latency(void *userdata, uint64_t *ret_psec)
{
	struct tier_measure *measure = userdata;
	struct chase chase = {.measure = measure};
	pthread_t thread;
	int r;

	if (!is_there(measure))
		return -ENODEV;
	r = -pthread_create(&thread, NULL, run_chase, &chase);
	if (r < 0)
		return r;
	pthread_join(thread, NULL);
	if (chase.code == 0)
		*ret_psec = MAX(chase.psec, 1);
	return chase.code;
}

int tier_measure_new(const struct tier_topology *topology, uint64_t round_usec,
		     struct tier_measure **ret, struct tier_calibrate_backend *ret_backend)
{
	struct tier_measure *measure = calloc(1, sizeof(*measure));

	if (!measure)
		return -ENOMEM;
	measure->topology = topology;
	measure->round_usec = round_usec;
	pthread_mutex_init(&measure->mutex, NULL);
	pthread_cond_init(&measure->changed, NULL);
	/* If memory runs out, it is this process that has taken it. */
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, "1000", 4);
	*ret_backend = (struct tier_calibrate_backend){
		.userdata = measure,
		.begin = begin_pair,
		.bandwidth = measure_bandwidth,
		.latency = measure_latency,
		.end = end_pair,
	};
	*ret = measure;
	return 0;
}

struct tier_measure *tier_measure_free(struct tier_measure *measure)
{
	if (measure)
		end_pair(measure);
	free(measure);
	return NULL;
}
