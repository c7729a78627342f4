// SPDX-License-Identifier: LGPL-2.1-or-later
#include "clock.h"
#include "tiering-chunks.h"
#include "util.h"

/*
 * The addresses are cut into chunks, and the chunks are dealt out to a few heaps, one pass' heaps after the
 * other: first those in which most was touched, or least, by the last pass that moved nothing, and among such
 * that are alike in another order each time, so that a pass which ends when its quota is used up has seen a
 * fair part of all. DAMON looks at one page of each chunk by itself, and forgets that it was touched, so there
 * are not many.
 */
#define CHUNKS	    128
#define CHUNK_BYTES (2 * MIB)
#define HEAPS	    8

void tiering_chunks_done(struct tiering_chunks *chunks)
{
	free(chunks->chunks);
}

/* Neither good nor secret: another one for each chunk, and each pass. */
static uint32_t draw(uint64_t number, uint64_t salt)
{
	uint64_t x = (number + 1) * UINT64_C(0x9e3779b97f4a7c15) ^
		     (salt | 1) * UINT64_C(0xc2b2ae3d27d4eb4f);

	x ^= x >> 32;
	return (uint32_t)(x * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static bool picked(const struct tiering_pick *pick, const struct tiering_piece *piece)
{
	return !pick->turn || tier_share_in_turn(pick->groups, pick->act, pick->turn, piece->group);
}

static uint64_t chunk_bytes(const struct tiering_pick *pick)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < pick->targets->count; i++) {
		const struct tiering_piece *piece = &pick->targets->pieces[i];

		if (picked(pick, piece))
			sum += piece->range.end - piece->range.start;
	}
	return MAX(ROUND_UP(sum / CHUNKS, CHUNK_BYTES), CHUNK_BYTES);
}

int tiering_chunks_cut(const struct tiering_pick *pick, struct tiering_chunks *ret)
{
	const struct tier_tiering_targets *targets = pick->targets;
	uint64_t bytes = chunk_bytes(pick);

	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	for (size_t i = 0; i < targets->count && r == 0; i++) {
		const struct tiering_piece *piece = &targets->pieces[i];
		struct process_identity now;

		if (!picked(pick, piece) || mover_identify(&sysfs, piece->pid, &now) != 0 ||
		    !process_identity_same(&now, &piece->identity))
			continue;
		for (uint64_t start = piece->range.start, end; start < piece->range.end;
		     start = end) {
			struct tiering_chunk *chunk;

			/* Aligned, so that a huge page is in one. */
			end = MIN(ROUND_UP(start + 1, bytes), piece->range.end);
			chunk = array_grow(&ret->chunks, &ret->count, sizeof(*chunk));
			if (!chunk)
				return -ENOMEM;
			*chunk = (struct tiering_chunk){
				.range = {start, end},
				.pid = piece->pid,
				.identity = piece->identity,
				.order = ret->count,
			};
		}
	}
	return r;
}

static int by_rank(const void *a, const void *b)
{
	const struct tiering_chunk *x = a, *y = b;

	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static int by_heap(const void *a, const void *b)
{
	const struct tiering_chunk *x = a, *y = b;

	if (x->heap != y->heap)
		return x->heap < y->heap ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static uint64_t rank(const struct tiering_pick *pick, const struct tiering_chunk *chunk,
		     uint64_t salt)
{
	unsigned density;

	if (pick->targets->processes > TIERING_HEAPED_PROCESSES)
		return draw((uint64_t)chunk->pid, salt);
	density = tiering_looks_density(&pick->targets->looks, chunk->pid, chunk->range.start,
					chunk->range.end);
	if (pick->act == TIER_TIERING_PROMOTE)
		density = TIERING_DENSITY_MAX - density;
	return (uint64_t)density << 32 | draw(chunk->order, salt);
}

void tiering_chunks_deal(const struct tiering_pick *pick, struct tiering_chunks *chunks)
{
	uint64_t salt = now_usec();

	if (chunks->count == 0)
		return;
	for (size_t i = 0; i < chunks->count; i++)
		chunks->chunks[i].rank = rank(pick, &chunks->chunks[i], salt);
	qsort(chunks->chunks, chunks->count, sizeof(*chunks->chunks), by_rank);
	for (size_t i = 0; i < chunks->count; i++)
		chunks->chunks[i].heap = (unsigned)(i * HEAPS / chunks->count);
	qsort(chunks->chunks, chunks->count, sizeof(*chunks->chunks), by_heap);
}
