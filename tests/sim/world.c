/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The world as it is: what everybody asks of it, and what must hold of it at any time. */
#include <stdarg.h>
#include <stdlib.h>

#include "hosts.h"

struct world w;
bool tracing;

void trace(const char *format, ...)
{
	va_list arguments;

	if (!tracing)
		return;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

void fail(const char *format, ...)
{
	va_list arguments;

	if (w.failure)
		return;
	va_start(arguments, format);
	vsnprintf(w.text, sizeof(w.text), format, arguments);
	va_end(arguments);
	w.failure = w.text;
	trace("VIOLATION: %s", w.text);
}

unsigned number(const struct host *host)
{
	return (unsigned)(host - w.hosts);
}

uint64_t tag(const struct tier_uuid *flight)
{
	uint64_t value;

	memcpy(&value, flight->bytes, sizeof(value));
	return value;
}

bool open_offer(enum tier_flight_state state)
{
	return state != TIER_FLIGHT_NONE && state != TIER_FLIGHT_ABORTED &&
	       state != TIER_FLIGHT_CLOSED;
}

/* The one flight that is open, if one is. */
bool find_open(uint32_t *ret_host, uint32_t *ret_slot, struct tier_offer *ret)
{
	for (*ret_host = 0; *ret_host < HOSTS; ++*ret_host)
		for (*ret_slot = 0; *ret_slot < 2; ++*ret_slot)
			if (tier_portal_read_offer(&w.oracle, *ret_host, *ret_slot, ret) == 0 &&
			    open_offer(ret->state))
				return true;
	return false;
}

bool lists(const struct tier_offer *offer, uint32_t extent)
{
	for (uint32_t i = 0; i < offer->range_count; i++)
		if (extent - offer->ranges[i].first < offer->ranges[i].count)
			return true;
	return false;
}

struct host *runner(void)
{
	for (unsigned i = 0; i < HOSTS; i++)
		if (w.hosts[i].process == PROCESS_RUNNING)
			return &w.hosts[i];
	return NULL;
}

unsigned claimed(void)
{
	struct tier_extent_record record;
	unsigned count = 0;

	for (uint32_t e = 0; e < EXTENTS; e++)
		count += tier_portal_read_extent(&w.oracle, e, &record) == 0 &&
			 record.state != TIER_EXTENT_FREE && record.state != TIER_EXTENT_RETIRED;
	return count;
}

void check_runners(void)
{
	unsigned running = 0;

	/* What a host does that was taken for dead, and is not, nobody can prevent. */
	for (unsigned i = 0; i < HOSTS; i++)
		running += w.hosts[i].process == PROCESS_RUNNING && !w.hosts[i].lied_about;
	if (running > 1)
		fail("the VM runs on %u hosts", running);
	if (running && w.dead)
		fail("the VM runs though it has ended");
}

void world_free(void)
{
	for (unsigned i = 0; i < HOSTS; i++)
		free(w.hosts[i].tasks);
}

void world_new(uint64_t seed, void (*turn)(void))
{
	struct tier_super super = w.super;
	unsigned outcomes[ARRAY_SIZE(w.outcomes)];

	memcpy(outcomes, w.outcomes, sizeof(outcomes));
	world_free();
	memset(&w, 0, sizeof(w));
	memcpy(w.outcomes, outcomes, sizeof(outcomes));
	w.super = super;
	w.turn = turn;
	w.oracle = memory_oracle(&super);
	memory_reset();
	memory.random = seed;
	memory.escape = NULL;
	for (unsigned i = 0; i < HOSTS; i++) {
		w.hosts[i].portal = memory_portal(&super, i);
		boot(&w.hosts[i]);
	}
	w.hosts[0].process = PROCESS_RUNNING;
}
