/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <sys/mman.h>

#include "world.h"

#define LINE 64
#define PAGE 4096

struct memory memory;

uint64_t sim_random(void)
{
	uint64_t z = (memory.random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static char *map(size_t bytes)
{
	char *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (data == MAP_FAILED)
		abort();
	return data;
}

void memory_new(const struct tier_super *super)
{
	memory.size = super->control_bytes;
	memory.bytes = map(memory.size);
	memory.stamps = calloc(memory.size / PAGE, sizeof(uint32_t));
	for (unsigned host = 0; host < HOSTS; host++) {
		memory.views[host] = map(memory.size);
		memory.seen[host] = calloc(memory.size / PAGE, sizeof(uint32_t));
	}
}

/* Only pages that were written are reset. */
void memory_reset(void)
{
	for (size_t page = 0; page < memory.size / PAGE; page++) {
		bool used = memory.stamps[page] != 0;

		for (unsigned host = 0; host < HOSTS; host++)
			used |= memory.seen[host][page] != 0;
		if (!used)
			continue;
		memset(memory.bytes + page * PAGE, 0, PAGE);
		memory.stamps[page] = 0;
		for (unsigned host = 0; host < HOSTS; host++) {
			memset(memory.views[host] + page * PAGE, 0, PAGE);
			memory.seen[host][page] = 0;
		}
	}
	memset(memory.pending_count, 0, sizeof(memory.pending_count));
	memory.flushes = memory.fault_at = 0;
	memory.fault = FAULT_NONE;
	memory.struck = memory.chosen = false;
}

static void publish(unsigned host, size_t offset, size_t bytes)
{
	memcpy(memory.bytes + offset, memory.views[host] + offset, bytes);
	for (size_t page = offset / PAGE; page <= (offset + bytes - 1) / PAGE; page++) {
		bool current = memory.seen[host][page] == memory.stamps[page];

		memory.stamps[page]++;
		if (current)
			memory.seen[host][page] = memory.stamps[page];
	}
}

static void forget(unsigned host, size_t index)
{
	memory.pending[host][index] = memory.pending[host][--memory.pending_count[host]];
}

static void remember(unsigned host, size_t offset, size_t bytes)
{
	for (; bytes; offset += LINE, bytes -= LINE) {
		if (memory.pending_count[host] == PENDING) {
			publish(host, memory.pending[host][0].offset, LINE);
			forget(host, 0);
		}
		memory.pending[host][memory.pending_count[host]++] = (struct pending){offset, LINE};
	}
}

void memory_evict(unsigned host)
{
	size_t index;

	if (memory.pending_count[host] == 0)
		return;
	index = sim_random() % memory.pending_count[host];
	publish(host, memory.pending[host][index].offset, LINE);
	forget(host, index);
}

void memory_spill(unsigned host, uint64_t lines, bool drop)
{
	struct pending kept[PENDING];
	size_t count = 0;

	for (size_t i = 0; i < memory.pending_count[host]; i++) {
		const struct pending *line = &memory.pending[host][i];

		if (lines & UINT64_C(1) << i)
			publish(host, line->offset, LINE);
		else if (drop)
			memory.seen[host][line->offset / PAGE] = UINT32_MAX;
		else
			kept[count++] = *line;
	}
	memcpy(memory.pending[host], kept, count * sizeof(kept[0]));
	memory.pending_count[host] = count;
}

void memory_lose(unsigned host)
{
	while (memory.pending_count[host]) {
		struct pending *line = &memory.pending[host][0];

		if (chance(500))
			publish(host, line->offset, LINE);
		else
			memory.seen[host][line->offset / PAGE] = UINT32_MAX;
		forget(host, 0);
	}
	/* A cold cache. */
	for (size_t page = 0; page < memory.size / PAGE; page++)
		if (memory.seen[host][page])
			memory.seen[host][page] = UINT32_MAX;
}

static int owner(const void *at, size_t *ret_offset)
{
	for (int host = 0; host < HOSTS; host++) {
		const char *view = memory.views[host];

		if ((const char *)at >= view && (const char *)at < view + memory.size) {
			*ret_offset = (size_t)((const char *)at - view);
			return host;
		}
	}
	return -1;
}

/* What was stored to those lines and never flushed reaches the memory first, as clflush has it. */
static void write_back(unsigned host, size_t offset, size_t bytes)
{
	for (size_t i = memory.pending_count[host]; i-- > 0;) {
		struct pending line = memory.pending[host][i];

		if (line.offset < offset + bytes && offset < line.offset + line.bytes) {
			publish(host, line.offset, line.bytes);
			forget(host, i);
		}
	}
}

static void strike(unsigned host, size_t offset, size_t bytes, bool after)
{
	if (memory.fault_at != memory.flushes || memory.fault_after != after || !memory.escape)
		return;
	memory.fault_host = host;
	memory.struck = true;
	if (!after)
		remember(host, offset, bytes);
	memory.fault_lines = memory.pending_count[host];
	if (memory.fault == FAULT_STALL) {
		memory.fault_at = 0;
		memory.stall(host);
		return;
	}
	longjmp(*memory.escape, 1);
}

int cache_method(bool hardware_coherent, enum cache_method *ret)
{
	*ret = CACHE_CLFLUSH;
	return 0;
}

void cache_flush(enum cache_method method, const void *start, size_t bytes)
{
	size_t offset;
	int host = owner(start, &offset);

	if (host < 0)
		return;
	bytes = ROUND_UP(bytes, LINE);
	memory.flushes++;
	strike((unsigned)host, offset, bytes, false);
	publish((unsigned)host, offset, bytes);
	write_back((unsigned)host, offset, bytes);
	strike((unsigned)host, offset, bytes, true);
}

void cache_invalidate(enum cache_method method, const void *start, size_t bytes)
{
	size_t offset;
	int host = owner(start, &offset);

	if (host < 0)
		return;
	write_back((unsigned)host, offset, bytes);
	for (size_t page = offset / PAGE; page <= (offset + bytes - 1) / PAGE; page++) {
		size_t from = MAX(offset / LINE * LINE, page * PAGE);
		size_t to = MIN(ROUND_UP(offset + bytes, LINE), (page + 1) * PAGE);

		if (memory.seen[host][page] == memory.stamps[page])
			continue;
		memcpy(memory.views[host] + from, memory.bytes + from, to - from);
		/* Other lines of the page are as old as they were. */
		if (from == page * PAGE && to == (page + 1) * PAGE)
			memory.seen[host][page] = memory.stamps[page];
	}
}

static struct tier_portal portal_over(const struct tier_super *super, char *bytes)
{
	static char name[] = "the portal";

	return (struct tier_portal){
		.path = name,
		.writable = true,
		.cache = CACHE_CLFLUSH,
		.super = *super,
		.device = {.fd = -1, .dax = true, .bytes = memory.size},
		.window = {bytes, memory.size},
	};
}

struct tier_portal memory_portal(const struct tier_super *super, unsigned host)
{
	return portal_over(super, memory.views[host]);
}

struct tier_portal memory_oracle(const struct tier_super *super)
{
	return portal_over(super, memory.bytes);
}

/* What libtier/os/portal-map.c has, of which nothing else is needed here. */
const struct tier_super *tier_portal_super(const struct tier_portal *portal)
{
	return &portal->super;
}

const char *tier_portal_path(const struct tier_portal *portal)
{
	return portal->path;
}
