/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MOVER_MODEL_H
#define MOVER_MODEL_H

/*
 * A model of what move_pages(2) does, to move pages where there is one node or none: folios of
 * many sizes, isolation that fails for a folio already isolated (EBUSY of tails), migration in
 * batches that is cut short by a pinned page and leaves statuses unwritten, mapping by others,
 * full nodes, zero pages. Source: do_pages_move() in mm/migrate.c of Linux 6.12 to 7.2.
 */

#include <errno.h>
#include <stdlib.h>

#include "mover-engine.h"

#define MODEL_PAGE UINT64_C(4096)

enum model_kind {
	MODEL_FOLIO,
	MODEL_ABSENT,
	MODEL_ZERO,	    /* EFAULT when looked at */
	MODEL_UNMIGRATABLE, /* shown on a node; EFAULT when moved */
};

struct model_folio {
	unsigned first, pages;
	int node, origin;
	enum model_kind kind;
	bool shared, pinned;
	bool splits; /* when it is moved, and only its first page goes */
	bool whole;  /* mapped by one entry for 2 MiB */
	int busy;    /* isolation fails so often */
	bool isolated;
};

struct model {
	uint64_t base; /* address of page 0 */
	unsigned page_count;
	unsigned *folio_of; /* per page */
	struct model_folio *folios;
	unsigned folio_count;
	int64_t free_pages[8]; /* per node */
	int target;	       /* the node that is asked for room */
	bool blind;	       /* that cannot be told */
	bool flags;	       /* folios() works */
	bool can_scan, hints;  /* next_present() works; it tells of whole folios */
	uint64_t now;
	uint64_t move_usec; /* per page moved */
	/* What happened. */
	unsigned queries, moves, largest_move, scans, failed_allocations;
	uint64_t longest_sleep;
	unsigned die_after; /* calls until the process is gone; 0: never */
};

static struct model_folio *model_at(struct model *k, const void *address)
{
	uint64_t page = ((uintptr_t)address - k->base) / MODEL_PAGE;

	if ((uintptr_t)address % MODEL_PAGE != 0 || page >= k->page_count)
		abort(); /* outside the range that was asked for */
	return &k->folios[k->folio_of[page]];
}

static bool model_died(struct model *k)
{
	return k->die_after && k->queries + k->moves >= k->die_after;
}

static int model_query(void *userdata, unsigned count, void **addresses, int *status)
{
	struct model *k = userdata;

	if (model_died(k))
		return -ESRCH;
	k->queries++;
	for (unsigned i = 0; i < count; i++) {
		struct model_folio *folio = model_at(k, addresses[i]);

		status[i] = folio->kind == MODEL_ABSENT ? -ENOENT
			    : folio->kind == MODEL_ZERO ? -EFAULT
							: folio->node;
	}
	return 0;
}

static void model_split(struct model *k, struct model_folio *folio)
{
	struct model_folio *rest = &k->folios[k->folio_count];

	*rest = *folio;
	rest->splits = false;
	rest->first++;
	rest->pages--;
	folio->pages = 1;
	for (unsigned i = 0; i < rest->pages; i++)
		k->folio_of[rest->first + i] = k->folio_count;
	k->folio_count++;
}

/* Migrates what was isolated for addresses [start, end). */
static int model_flush(struct model *k, void **addresses, unsigned start, unsigned end, int node,
		       int *status)
{
	int stayed = 0, code = 0;

	for (unsigned i = start; i < end; i++) {
		struct model_folio *folio = model_at(k, addresses[i]);

		if (!folio->isolated)
			abort();
		folio->isolated = false;
		if (code < 0)
			continue;
		if (folio->pinned) {
			stayed++;
		} else if (k->free_pages[node] < folio->pages) {
			code = -ENOMEM;
			k->failed_allocations++;
		} else {
			if (folio->splits)
				model_split(k, folio);
			k->free_pages[node] -= folio->pages;
			k->free_pages[folio->node] += folio->pages;
			folio->node = node;
			k->now += k->move_usec * folio->pages;
		}
	}
	if (code == 0 && stayed == 0)
		for (unsigned i = start; i < end; i++)
			status[i] = node;
	return code ?: stayed;
}

static int model_move(void *userdata, unsigned count, void **addresses, int node, bool shared,
		      int *status)
{
	struct model *k = userdata;
	unsigned start = 0;
	int r;

	if (model_died(k))
		return -ESRCH;
	k->moves++;
	if (count > k->largest_move)
		k->largest_move = count;
	for (unsigned i = 0; i < count; i++) {
		struct model_folio *folio = model_at(k, addresses[i]);

		if (folio->kind == MODEL_ABSENT) {
			status[i] = -ENOENT;
		} else if (folio->kind != MODEL_FOLIO) {
			status[i] = -EFAULT;
		} else if (folio->node == node) {
			status[i] = node;
		} else if (folio->shared && !shared) {
			status[i] = -EACCES;
		} else if (folio->isolated || folio->busy > 0) {
			folio->busy -= !folio->isolated;
			status[i] = -EBUSY;
		} else {
			folio->isolated = true;
			continue;
		}
		r = model_flush(k, addresses, start, i, node, status);
		if (r)
			return r > 0 ? r + (int)(count - i - 1) : r;
		start = i + 1;
	}
	return model_flush(k, addresses, start, count, node, status);
}

static int model_next_present(void *userdata, uint64_t start, uint64_t end, uint64_t *ret_page,
			      enum mover_huge *ret_huge)
{
	struct model *k = userdata;

	k->scans++;
	if (!k->can_scan)
		return -EOPNOTSUPP;
	for (uint64_t at = start; at < end; at += MODEL_PAGE) {
		struct model_folio *folio = model_at(k, (void *)(uintptr_t)at);

		if (folio->kind == MODEL_ABSENT || folio->kind == MODEL_ZERO) {
			at = k->base + (folio->first + folio->pages - 1) * MODEL_PAGE;
			continue;
		}
		*ret_page = at;
		if (k->hints)
			*ret_huge = folio->whole ? MOVER_HUGE_YES : MOVER_HUGE_NO;
		return 1;
	}
	return 0;
}

static int model_folios(void *userdata, uint64_t start, unsigned count, uint64_t *ret_folio)
{
	struct model *k = userdata;

	if (!k->flags)
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < count; i++) {
		struct model_folio *folio =
			model_at(k, (void *)(uintptr_t)(start + i * MODEL_PAGE));

		ret_folio[i] = folio->kind == MODEL_ABSENT || folio->kind == MODEL_ZERO
				       ? MOVER_NO_FOLIO
				       : folio->first;
	}
	return 0;
}

static uint64_t model_room(void *userdata)
{
	struct model *k = userdata;

	return k->blind ? UINT64_MAX : (uint64_t)k->free_pages[k->target];
}

static uint64_t model_now(void *userdata)
{
	return ((struct model *)userdata)->now;
}

static void model_sleep_until(void *userdata, uint64_t usec)
{
	struct model *k = userdata;

	if (usec <= k->now)
		abort();
	if (usec - k->now > k->longest_sleep)
		k->longest_sleep = usec - k->now;
	k->now = usec;
}

static const struct mover_ops model_ops = {
	.query = model_query,
	.move = model_move,
	.next_present = model_next_present,
	.folios = model_folios,
	.room = model_room,
	.now = model_now,
	.sleep_until = model_sleep_until,
};

/* An address space of @pages pages from 2 MiB-aligned @base on, to be filled in order. */
static struct model *model_new(unsigned pages)
{
	struct model *k = calloc(1, sizeof(*k));

	*k = (struct model){
		.base = UINT64_C(0x7f0000000000),
		.folio_of = calloc(pages, sizeof(unsigned)),
		.folios = calloc(pages, sizeof(struct model_folio)),
		.can_scan = true,
		.hints = true,
		.flags = true,
		.now = 5000000,
		.move_usec = 10,
	};
	for (size_t i = 0; i < sizeof(k->free_pages) / sizeof(k->free_pages[0]); i++)
		k->free_pages[i] = INT64_C(1) << 40;
	return k;
}

static void model_free(struct model *k)
{
	free(k->folio_of);
	free(k->folios);
	free(k);
}

/* Adds a folio behind what is there; fields of the result may be changed. */
static struct model_folio *model_add(struct model *k, enum model_kind kind, unsigned pages,
				     int node)
{
	struct model_folio *folio = &k->folios[k->folio_count];

	*folio = (struct model_folio){
		.first = k->page_count, .pages = pages, .node = node, .origin = node, .kind = kind};
	folio->whole = kind == MODEL_FOLIO && pages == 512;
	for (unsigned i = 0; i < pages; i++)
		k->folio_of[k->page_count++] = k->folio_count;
	k->folio_count++;
	return folio;
}

static uint64_t model_end(const struct model *k)
{
	return k->base + k->page_count * MODEL_PAGE;
}

/* xorshift64*: the same everywhere for the same seed. */
static uint64_t random_state;

static unsigned pick(unsigned below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (unsigned)((random_state * UINT64_C(2685821657736338717) >> 32) % below);
}

static bool chance(unsigned percent)
{
	return pick(100) < percent;
}

static struct model *random_model(void)
{
	unsigned pinned = (unsigned[]){0, 3, 50}[pick(3)],
		 shared = (unsigned[]){0, 10, 50}[pick(3)];
	unsigned absent = (unsigned[]){0, 10, 60}[pick(3)],
		 whole = (unsigned[]){0, 50, 100}[pick(3)];
	unsigned busy = pinned < 50 ? (unsigned[]){0, 20}[pick(2)] : 0, order = pick(10);
	unsigned chunks = 1 + pick(5);
	struct model *k = model_new(chunks * 512);

	k->can_scan = chance(70);
	k->hints = chance(70);
	k->flags = chance(50);
	while (k->page_count < chunks * 512) {
		unsigned pages = 1u << pick(order + 1);
		struct model_folio *folio;

		if (k->page_count % 512 == 0 && chance(whole))
			pages = 512;
		while (k->page_count % pages)
			pages /= 2;
		folio = model_add(k,
				  chance(absent) ? (chance(80) ? MODEL_ABSENT : MODEL_ZERO)
				  : chance(1)	 ? MODEL_UNMIGRATABLE
						 : MODEL_FOLIO,
				  pages, (int)pick(chance(50) ? 1 : 3));
		folio->pinned = chance(pinned);
		folio->shared = chance(shared);
		folio->busy = chance(busy) ? 1 + (int)pick(2) : 0;
		folio->whole = folio->whole && chance(90);
	}
	return k;
}

/* One move, with what the caller saw of it. */
struct run {
	struct model *k;
	struct tier_move_request request;
	struct tier_move_result result;
	unsigned asked, cancel_after;
	uint64_t asked_usec, longest_silence, ready_usec;
};

static int on_progress(void *userdata, const struct tier_move_result *so_far, uint64_t total)
{
	struct run *run = userdata;

	if (run->asked_usec && run->k->now - run->asked_usec > run->longest_silence)
		run->longest_silence = run->k->now - run->asked_usec;
	run->asked_usec = run->k->now;
	run->asked++;
	return run->cancel_after && run->asked >= run->cancel_after;
}

static int go(struct run *run, uint64_t start, uint64_t end)
{
	struct mover mover = {
		.ops = &model_ops,
		.userdata = run->k,
		.request = &run->request,
		.page_bytes = MODEL_PAGE,
		.total_pages = (end - start) / MODEL_PAGE,
		.progress = on_progress,
		.progress_userdata = run,
		.result = &run->result,
		.ready_usec = run->ready_usec,
	};
	int r = mover_range(&mover, start, end);

	run->ready_usec = mover.ready_usec;
	return r;
}

static int go_all(struct run *run)
{
	return go(run, run->k->base, model_end(run->k));
}

static uint64_t sum(const struct tier_move_result *r)
{
	return r->moved_pages + r->already_pages + r->elsewhere_pages + r->absent_pages +
	       r->shared_pages + r->pinned_pages + r->failed_pages + r->no_memory_pages;
}

static struct run new_run(struct model *k, int to)
{
	k->target = to;
	return (struct run){.k = k, .request = {.pid = 1, .to = to}};
}

#endif
