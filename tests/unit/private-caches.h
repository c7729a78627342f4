/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_PRIVATE_CACHES_H
#define TIER_PRIVATE_CACHES_H

/*
 * Hosts whose caches do not know of each other. Each host has a file of its own, which is what it sees
 * through its cache; one more file is the memory. Nothing gets from one to the other but by the functions
 * below, which take the place of libtier/os/cache.c: a line that was stored to reaches the memory when it
 * is flushed, and a line that was ever loaded stays as it was until it is invalidated.
 */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cache.h"
#include "portal-file.h"
#include "test.h"

#define CACHE_LINE  64
#define CACHE_CHUNK 65536
#define MAX_CACHES  4

struct private_cache {
	char path[128];
	int seen, clean; /* as the host sees it; as it was when it was last the memory's */
};

static struct private_cache private_caches[MAX_CACHES];
static size_t private_cache_count;
static int memory_fd = -1;
static unsigned dirty_invalidated; /* lines, against the contract of cache_invalidate() */
static void (*before_flush)(void); /* a look at what a crash would leave */

static int cache_file(const char *name, uint64_t bytes)
{
	int fd = open(file_path(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		abort();
	return fd;
}

/* A memory of zeros, and no host. */
static void memory_start(uint64_t bytes)
{
	before_flush = NULL;
	while (private_cache_count) {
		struct private_cache *cache = &private_caches[--private_cache_count];

		close(cache->seen);
		close(cache->clean);
	}
	if (memory_fd >= 0)
		close(memory_fd);
	memory_fd = cache_file("memory", bytes);
	dirty_invalidated = 0;
}

/* A host that has seen nothing but zeros so far; the path of its file. */
static const char *memory_host(const char *name)
{
	struct private_cache *cache = &private_caches[private_cache_count];
	struct stat status;
	char clean[64];

	if (private_cache_count == MAX_CACHES || fstat(memory_fd, &status) < 0)
		abort();
	snprintf(clean, sizeof(clean), "%s.clean", name);
	cache->seen = cache_file(name, (uint64_t)status.st_size);
	cache->clean = cache_file(clean, (uint64_t)status.st_size);
	strcpy(cache->path, file_path(name));
	private_cache_count++;
	return cache->path;
}

static void line_get(int fd, uint64_t at, void *data, size_t bytes)
{
	if (pread(fd, data, bytes, (off_t)at) != (ssize_t)bytes)
		abort();
}

static void line_put(int fd, uint64_t at, const void *data, size_t bytes)
{
	if (pwrite(fd, data, bytes, (off_t)at) != (ssize_t)bytes)
		abort();
}

/* Which host's file is mapped there, and where in it; NULL: none. */
static struct private_cache *cache_of(const void *address, uint64_t *ret_at)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct private_cache *found = NULL;
	char line[512];

	while (maps && !found && fgets(line, sizeof(line), maps)) {
		uint64_t start, end, offset;
		char path[256] = "";

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %255s", &start,
			   &end, &offset, path) != 4 ||
		    (uintptr_t)address < start || (uintptr_t)address >= end)
			continue;
		for (size_t i = 0; i < private_cache_count; i++)
			if (strcmp(private_caches[i].path, path) == 0)
				found = &private_caches[i];
		*ret_at = offset + (uintptr_t)address - start;
	}
	if (maps)
		fclose(maps);
	return found;
}

/* Lines of the range that were stored to reach the memory; returns how many there were. */
static unsigned write_back(struct private_cache *cache, uint64_t at, uint64_t end)
{
	static uint8_t seen[CACHE_CHUNK], clean[CACHE_CHUNK];
	unsigned lines = 0;

	for (; at < end; at += CACHE_CHUNK) {
		size_t bytes = MIN(end - at, (uint64_t)CACHE_CHUNK);

		line_get(cache->seen, at, seen, bytes);
		line_get(cache->clean, at, clean, bytes);
		if (memcmp(seen, clean, bytes) == 0)
			continue;
		for (size_t i = 0; i < bytes; i += CACHE_LINE) {
			if (memcmp(seen + i, clean + i, CACHE_LINE) == 0)
				continue;
			line_put(memory_fd, at + i, seen + i, CACHE_LINE);
			line_put(cache->clean, at + i, seen + i, CACHE_LINE);
			lines++;
		}
	}
	return lines;
}

static void load(struct private_cache *cache, uint64_t at, uint64_t end)
{
	static uint8_t seen[CACHE_CHUNK], memory[CACHE_CHUNK];

	for (; at < end; at += CACHE_CHUNK) {
		size_t bytes = MIN(end - at, (uint64_t)CACHE_CHUNK);

		line_get(cache->seen, at, seen, bytes);
		line_get(memory_fd, at, memory, bytes);
		if (memcmp(seen, memory, bytes) == 0)
			continue;
		line_put(cache->seen, at, memory, bytes);
		line_put(cache->clean, at, memory, bytes);
	}
}

int cache_method(bool hardware_coherent, enum cache_method *ret)
{
	*ret = CACHE_CLFLUSH;
	return 0;
}

void cache_flush(enum cache_method method, const void *start, size_t bytes)
{
	uint64_t at;
	struct private_cache *cache = cache_of(start, &at);

	if (before_flush)
		before_flush();
	if (cache)
		write_back(cache, at / CACHE_LINE * CACHE_LINE, ROUND_UP(at + bytes, CACHE_LINE));
}

void cache_invalidate(enum cache_method method, const void *start, size_t bytes)
{
	uint64_t at, from, end;
	struct private_cache *cache = cache_of(start, &at);

	if (!cache)
		return;
	from = at / CACHE_LINE * CACHE_LINE;
	end = ROUND_UP(at + bytes, CACHE_LINE);
	dirty_invalidated += write_back(cache, from, end);
	load(cache, from, end);
}

#endif
