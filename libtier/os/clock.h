/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CLOCK_H
#define TIER_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in microseconds. */
static inline uint64_t now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* CLOCK_REALTIME in microseconds: for people, never for decisions. */
static inline uint64_t realtime_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Of a processor's time, what this process has used. */
static inline uint64_t process_cpu_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Milliseconds until @deadline for poll(), 0 when it has passed. */
static inline int poll_timeout(uint64_t deadline)
{
	uint64_t now = now_usec();

	return deadline <= now ? 0 : (int)((deadline - now + 999) / 1000);
}

#endif
