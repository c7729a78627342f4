/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_FUZZ_MEMORY_PORTAL_H
#define TIER_FUZZ_MEMORY_PORTAL_H

/*
 * A portal in memory, and a peer that writes to it while it is read: the functions below take the
 * place of libtier/os/cache.c, and every read of libtier begins with cache_invalidate().
 */

#include <sys/mman.h>

#include "fuzz.h"
#include "portal-map.h"
#include "records.h"

#define MEMORY_STRIKES 4
#define MEMORY_TOUCHED 64

/* Before a certain read something else stands there. */
struct strike {
	unsigned at; /* which call of cache_invalidate() */
	uint64_t offset;
	size_t bytes;
	uint8_t image[TIER_RECORD_MAX_BYTES];
};

struct memory_portal {
	struct tier_portal portal;
	unsigned reads;
	struct strike strikes[MEMORY_STRIKES];
	unsigned strike_count;
	/* What was written, to be zeroed before the next input. */
	struct {
		uint64_t offset;
		size_t bytes;
	} touched[MEMORY_TOUCHED];
	unsigned touched_count;
};

static struct memory_portal memory; /* one for all inputs: libFuzzer has one thread */

static void memory_put(uint64_t offset, const void *data, size_t bytes)
{
	HOLDS(offset <= memory.portal.window.bytes && bytes <= memory.portal.window.bytes - offset);
	HOLDS(memory.touched_count < MEMORY_TOUCHED);
	memory.touched[memory.touched_count].offset = offset;
	memory.touched[memory.touched_count++].bytes = bytes;
	memcpy(memory.portal.window.data + offset, data, bytes);
}

int cache_method(bool hardware_coherent, enum cache_method *ret)
{
	*ret = CACHE_COHERENT;
	return 0;
}

void cache_flush(enum cache_method method, const void *start, size_t bytes)
{
	HOLDS(!"a reader writes");
}

void cache_invalidate(enum cache_method method, const void *start, size_t bytes)
{
	const struct portal_window *window = &memory.portal.window;
	uint64_t offset = (uint64_t)((const char *)start - window->data);
	const struct tier_super *super = &memory.portal.super;

	/* Nothing is read but what lies in one host's area. */
	HOLDS((const char *)start >= window->data && offset <= window->bytes &&
	      bytes <= window->bytes - offset);
	HOLDS(offset >= super->host_area_offset);
	HOLDS((offset - super->host_area_offset) / super->host_area_bytes < super->host_count);
	HOLDS((offset - super->host_area_offset) % super->host_area_bytes + bytes <=
	      super->host_area_bytes);
	memory.reads++;
	for (unsigned i = 0; i < memory.strike_count; i++)
		if (memory.strikes[i].at == memory.reads)
			memory_put(memory.strikes[i].offset, memory.strikes[i].image,
				   memory.strikes[i].bytes);
}

/* Empty again, with no key or with one. */
static void memory_reset(bool keyed)
{
	static char path[] = "memory";

	if (!memory.portal.window.data) {
		size_t bytes = 16 * MIB;
		/* Nothing before and after it can be touched. */
		char *guarded = mmap(NULL, bytes + 2 * MIB, PROT_NONE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		HOLDS(guarded != MAP_FAILED);
		HOLDS(mprotect(guarded + MIB, bytes, PROT_READ | PROT_WRITE) == 0);
		memory.portal.window = (struct portal_window){guarded + MIB, bytes};
		memory.portal.path = path;
		memory.portal.device = (struct portal_device){.fd = -1};
	}
	for (unsigned i = 0; i < memory.touched_count; i++)
		memset(memory.portal.window.data + memory.touched[i].offset, 0,
		       memory.touched[i].bytes);
	memory.touched_count = memory.strike_count = memory.reads = 0;
	memory.portal.super = fuzz_super(keyed);
	HOLDS(memory.portal.super.host_area_offset +
		      FUZZ_HOSTS * memory.portal.super.host_area_bytes <=
	      memory.portal.window.bytes);
}

/* As the peer writes it: to both copies, or to one; sealed, or with a wrong byte. */
static void memory_record(struct tape *tape, enum tier_record_kind kind, uint32_t host,
			  uint32_t index, uint8_t *bytes)
{
	const struct tier_super *super = &memory.portal.super;
	size_t size = tier_record_bytes(kind);
	unsigned how = tape_byte(tape);

	/* Usually both copies, at once, as they are. */
	if (how >= 0xc0 && break_bytes(tape, bytes, size) && (how & 1))
		reseal(super, bytes, size);
	for (unsigned copy = 0; copy < 2; copy++) {
		uint64_t offset = tier_record_offset(super, kind, host, index, copy);
		struct strike *strike = &memory.strikes[memory.strike_count];

		if (how >= 0x60 && (how >> (1 + copy) & 1))
			continue;
		if ((how & 0x08) == 0 || memory.strike_count == MEMORY_STRIKES) {
			memory_put(offset, bytes, size);
			continue;
		}
		/* Early ones hit the records that are read first. */
		strike->at = 1 + (unsigned)tape_raw(tape, 2) % 512;
		strike->offset = offset;
		strike->bytes = size;
		if (how & 0x10)
			strike->bytes = 64u * (1 + tape_below(tape, (uint32_t)size / 64));
		memcpy(strike->image, bytes, size);
		memory.strike_count++;
	}
}

#endif
