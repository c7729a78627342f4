/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_RAM_FILE_H
#define TIER_RAM_FILE_H

#include <sys/types.h>

#include "cache.h"
#include "checksum.h"
#include "tier-error.h"
#include "util.h"

/*
 * A VM's RAM file, mapped by us too: QEMU's page tables lack what it has not touched itself (RAM
 * filled by an earlier flight, pages that were swapped out), so neither move_pages() nor pagemap of
 * QEMU tells all that the file holds. Our own mapping, populated over the file's data, does.
 */
struct ram_file {
	int fd;
	char path[256];
	uint8_t *map;
	uint64_t bytes, page_bytes, pages;
	uint64_t *pfns;		 /* per page; 0: the file has no such page */
	uint32_t *checksums;	 /* CRC-32C per page */
	crc32c_function crc32c;	 /* how they are taken */
	uint8_t *stale;		 /* per page: the checksum must be taken again */
	bool watched;		 /* soft-dirty bits tell what was written since ram_file_watch() */
	struct ram_hold *hold;	 /* what keeps the pages where they are; NULL: nothing does */
	enum cache_method cache; /* how a page is written back once its checksum is taken */
};

int ram_file_open(const char *path, uint64_t bytes, bool writable, struct ram_file **ret,
		  struct tier_problem *problem);
struct ram_file *ram_file_free(struct ram_file *ram);
DEFINE_CLEANUP(struct ram_file *, ram_file_free)

/* Maps every page that the file holds, and reads where each lies. */
int ram_file_locate(struct ram_file *ram, struct tier_problem *problem);

/*
 * Keeps the pages that ram_file_locate() has found where they are, until they are released: neither
 * compaction nor move_pages() moves them. Costs a pipe per 16 MiB and 40 bytes per page.
 */
int ram_file_hold(struct ram_file *ram);
void ram_file_release(struct ram_file *ram);

/* Reads the placement again; TIER_E_STALE if a page lies elsewhere than ->pfns says. */
int ram_file_verify_placement(struct ram_file *ram, struct tier_problem *problem);

/*
 * Starts to watch what @pid writes: until the next call of this, writes set the soft-dirty bit. A
 * kernel without CONFIG_MEM_SOFT_DIRTY accepts the request and never sets the bit, so that is tried
 * on a page of our own first.
 */
int ram_file_watch(struct ram_file *ram, pid_t pid, struct tier_problem *problem);

/*
 * Marks as stale what @pid has written to its mapping at @start since ram_file_watch(), and what it
 * has not mapped, of which nothing is known. If writes cannot be watched, everything is stale.
 */
int ram_file_mark_written(struct ram_file *ram, pid_t pid, uint64_t start,
			  struct tier_problem *problem);

/*
 * Takes the checksums that are stale and writes those pages back from the caches, so that the other
 * host reads what was summed; progress in pages; a non-zero return of it cancels.
 */
int ram_file_checksum(struct ram_file *ram,
		      int (*progress)(void *userdata, uint64_t done, uint64_t total),
		      void *userdata, uint64_t *ret_taken);

/*
 * Writes every page back from the caches. After the stop: a write that the soft-dirty bits missed
 * would else stay in this host's caches, and the other would find the old contents, with a sum that
 * fits them.
 */
void ram_file_flush(const struct ram_file *ram);

#endif
