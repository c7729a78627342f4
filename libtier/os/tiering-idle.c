// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <inttypes.h>
#include <numaif.h>
#include <poll.h>

#include "clock.h"
#include "fd.h"
#include "idle-pages.h"
#include "node-ranges.h"
#include "tier-tiering-kernel.h"
#include "tiering-carry.h"
#include "tiering-folios.h"
#include "util.h"

/*
 * What a page table's accessed bits say is kept by the kernel's idle page tracking, and pages are moved by move_pages():
 * for a kernel that can do neither of it by itself. A page that is not on the node that is asked for stays where it
 * is if that is full: nothing goes to another one.
 */

#define FRAME_BYTES 4096
#define PRESENT	    (UINT64_C(1) << 63)
#define FRAME_MASK  ((UINT64_C(1) << 55) - 1)

/* So many pages are looked at in a measurement, each for a part of memory of the same size. */
#define SAMPLES 2000
/* When it is but asked whether all is as it was. */
#define SAMPLES_AT_REST 1000

struct work {
	struct idle_pages idle;
	struct node_ranges fast, slow;
};
#define WORK_NONE ((struct work){.idle = IDLE_CLOSED})

static void work_done(struct work *work)
{
	idle_pages_done(&work->idle);
	node_ranges_done(&work->fast);
	node_ranges_done(&work->slow);
}
#define _cleanup_work_ __attribute__((cleanup(work_done)))

static int refuse(int r, struct tier_problem *problem)
{
	if (r == -ENOENT)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "/" IDLE_BITMAP,
					"boot a kernel with CONFIG_IDLE_PAGE_TRACKING",
					"this kernel has no idle page tracking");
	return tier_problem_set(problem, r, "/" IDLE_BITMAP, NULL, "cannot be used");
}

static int begin(const struct tier_tiering_nodes *nodes, struct work *work,
		 struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	r = r ?: idle_pages_open(&work->idle, &sysfs);
	if (r)
		return refuse(r, problem);
	r = node_ranges_read(&sysfs, nodes->fast, true, &work->fast);
	r = r ?: node_ranges_read(&sysfs, nodes->slow, true, &work->slow);
	if (r)
		return tier_problem_set(problem, r < 0 ? r : -ENODEV, "tiering", NULL,
					"cannot see where the nodes' memory is");
	return 0;
}

int tier_tiering_idle_probe(struct tier_problem *problem)
{
	_cleanup_idle_ struct idle_pages idle = IDLE_CLOSED;
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = sysfs_open(&sysfs, NULL);

	r = r ?: idle_pages_open(&idle, &sysfs);
	return r ? refuse(r, problem) : 0;
}

static bool has_frame(const struct node_ranges *ranges, uint64_t frame)
{
	for (size_t i = 0; i < ranges->count; i++)
		if (frame * FRAME_BYTES >= ranges->ranges[i].start &&
		    frame * FRAME_BYTES < ranges->ranges[i].end)
			return true;
	return false;
}

/* ---- a measurement ----------------------------------------------------------------------------------------------- */

/* The frame so many bytes into the memory of all of them. */
static uint64_t frame_at(const struct work *work, uint64_t offset)
{
	const struct node_ranges *all[] = {&work->fast, &work->slow};

	for (size_t n = 0; n < ARRAY_SIZE(all); n++)
		for (size_t i = 0; i < all[n]->count; i++) {
			const struct damon_range *range = &all[n]->ranges[i];

			if (offset < range->end - range->start)
				return (range->start + offset) / FRAME_BYTES;
			offset -= range->end - range->start;
		}
	return 0;
}

/* One of each part, the first of its folio; none where there is nothing that could be touched. Returns how many. */
static ssize_t draw_sample(const struct work *work, uint64_t parts, uint64_t unit, uint64_t *frames)
{
	uint64_t random = now_usec() | 1;
	size_t count = 0;

	for (uint64_t part = 0; part < parts; part++) {
		struct tiering_page page = {};
		struct tiering_folio folio;
		int r = 0;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		page.frame = frame_at(work, part * unit + random % unit);
		r = idle_pages_flags(&work->idle, &page.frame, 1, &page.flags);
		if (r == 0 && page.flags & TIERING_KPF_TAIL) {
			page.frame = ROUND_DOWN(page.frame, TIERING_FOLIO_PAGES);
			r = idle_pages_flags(&work->idle, &page.frame, 1, &page.flags);
			page.flags &= ~TIERING_KPF_HEAD;
		}
		if (r)
			return r;
		if (tiering_folios(&page, 1, &folio))
			frames[count++] = page.frame;
	}
	return (ssize_t)count;
}

static void wait_until(uint64_t until)
{
	for (uint64_t now = now_usec(); now < until; now = now_usec())
		(void)poll(NULL, 0, (int)((until - now) / 1000) + 1);
}

/* Those of the frames that were touched since they were marked. */
static int look(const struct work *work, const uint64_t *frames, size_t count, bool *ret)
{
	bool idle[SAMPLES];
	int r = idle_pages_test(&work->idle, frames, count, idle);

	for (size_t i = 0; r == 0 && i < count; i++) {
		uint64_t flags = 0;

		if (!idle[i])
			r = idle_pages_flags(&work->idle, &frames[i], 1, &flags);
		/* What is on the kernel's lists can be marked. What has gone since is nothing. */
		ret[i] = flags & TIERING_KPF_LRU;
	}
	return r;
}

/*
 * From one page's mark to its test it is as long as from the first mark to the first test, if both are as fast. They are
 * the same pages in the window and in its halves.
 */
static int measure(const struct work *work, const struct tier_tiering_step *step, uint64_t parts,
		   uint64_t unit, struct tier_tiering_result *ret)
{
	uint64_t frames[SAMPLES], window_usec = step->window_usec, begin;
	bool touched[2][SAMPLES] = {};
	ssize_t count = draw_sample(work, parts, unit, frames);
	int r = count < 0 ? (int)count : 0;

	begin = now_usec();
	r = r ?: idle_pages_mark(&work->idle, frames, (size_t)count);
	if (r == 0 && step->halves) {
		wait_until(begin + window_usec / 2);
		r = look(work, frames, (size_t)count, touched[0]);
		r = r ?: idle_pages_mark(&work->idle, frames, (size_t)count);
	}
	if (r == 0) {
		wait_until(begin + window_usec);
		r = look(work, frames, (size_t)count, touched[1]);
	}
	for (ssize_t i = 0; r == 0 && i < count; i++) {
		bool fast = has_frame(&work->fast, frames[i]);
		uint64_t half = unit / 2 * (touched[0][i] + touched[1][i]);

		*(fast ? &ret->half_fast_bytes : &ret->half_slow_bytes) += step->halves ? half : 0;
		if (touched[0][i] || touched[1][i])
			*(fast ? &ret->touched_fast_bytes : &ret->touched_slow_bytes) += unit;
	}
	return r;
}

int tiering_idle_measure(const struct tier_tiering_nodes *nodes,
			 const struct tier_tiering_step *step, struct tier_tiering_result *ret,
			 struct tier_problem *problem)
{
	_cleanup_work_ struct work work = WORK_NONE;
	uint64_t from = now_usec(), worked = process_cpu_usec();
	struct tier_tiering_result result = {.act = step->act};
	uint64_t parts = step->halves ? SAMPLES : SAMPLES_AT_REST;
	int r = begin(nodes, &work, problem);

	if (r)
		return r;
	result.unit_bytes = (node_ranges_bytes(&work.fast) + node_ranges_bytes(&work.slow)) / parts;
	r = measure(&work, step, parts, MAX(result.unit_bytes, FRAME_BYTES), &result);
	if (r)
		return refuse(r, problem);
	result.cpu_usec = process_cpu_usec() - worked;
	result.elapsed_usec = now_usec() - from;
	*ret = result;
	return 0;
}

/* ---- a pass ------------------------------------------------------------------------------------------------------ */

/* As many pages as a huge one has, and what is known of them, by frame. */
struct window {
	int pid;
	uint64_t start;
	size_t count;
	struct tiering_folio folios[TIERING_FOLIO_PAGES];
	uint64_t frames[TIERING_FOLIO_PAGES];
	bool idle[TIERING_FOLIO_PAGES];
};

static int by_frame(const void *a, const void *b)
{
	const struct tiering_folio *x = a, *y = b;

	return x->frame < y->frame ? -1 : x->frame > y->frame;
}

/* Of @from's frames alone; NULL: of all. -ESRCH: the process has ended. */
static int window_read(const struct work *work, int pagemap, uint64_t start, uint64_t end,
		       const struct node_ranges *from, struct window *window)
{
	uint64_t base = ROUND_DOWN(start, TIERING_FOLIO_PAGES * FRAME_BYTES);
	uint64_t entries[TIERING_FOLIO_PAGES], flags[TIERING_FOLIO_PAGES];
	struct tiering_page pages[TIERING_FOLIO_PAGES];
	size_t count = 0, first = (start - base) / FRAME_BYTES;
	ssize_t bytes = pread(pagemap, entries, (end - start) / FRAME_BYTES * sizeof(*entries),
			      (off_t)(start / FRAME_BYTES * sizeof(*entries)));
	int r;

	if (bytes <= 0)
		return bytes < 0 ? -errno : -ESRCH;
	for (size_t i = 0; i < (size_t)bytes / sizeof(*entries); i++)
		if (entries[i] & PRESENT && entries[i] & FRAME_MASK) {
			window->frames[count] = entries[i] & FRAME_MASK;
			pages[count++].index = (unsigned)(first + i);
		}
	r = idle_pages_flags(&work->idle, window->frames, count, flags);
	if (r)
		return r;
	for (size_t i = 0; i < count; i++) {
		pages[i].frame = window->frames[i];
		pages[i].flags = flags[i];
	}
	window->start = base;
	count = tiering_folios(pages, count, window->folios);
	/* Those that share a word of the kernel's are then looked at together. */
	if (count)
		qsort(window->folios, count, sizeof(*window->folios), by_frame);
	window->count = 0;
	for (size_t i = 0; i < count; i++) {
		if (from && !has_frame(from, window->folios[i].frame))
			continue;
		window->frames[window->count] = window->folios[i].frame;
		window->folios[window->count++] = window->folios[i];
	}
	return idle_pages_test(&work->idle, window->frames, window->count, window->idle);
}

static uint64_t touched_bytes(const struct window *window)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < window->count; i++)
		sum += window->idle[i] ? 0 : (uint64_t)window->folios[i].pages * FRAME_BYTES;
	return sum;
}

/* What is there by now is what has moved: for a page that stays, the status may be none. */
static uint64_t move(const struct window *window, const unsigned *chosen, unsigned count, int node)
{
	void *addresses[TIERING_FOLIO_PAGES];
	int nodes[TIERING_FOLIO_PAGES], status[TIERING_FOLIO_PAGES];
	uint64_t moved = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t at =
			window->start + (uint64_t)window->folios[chosen[i]].index * FRAME_BYTES;

		addresses[i] = (void *)(uintptr_t)at; /* NOLINT: of another process */
		nodes[i] = node;
		status[i] = -EBUSY;
	}
	if (count == 0 ||
	    (move_pages(window->pid, count, addresses, nodes, status, MPOL_MF_MOVE) < 0 &&
	     errno != ENOMEM))
		return 0;
	if (move_pages(window->pid, count, addresses, NULL, status, 0) < 0)
		return 0;
	for (unsigned i = 0; i < count; i++)
		if (status[i] == node)
			moved += (uint64_t)window->folios[chosen[i]].pages * FRAME_BYTES;
	return moved;
}

/* @left_bytes: 0 if what comes next is more than that. */
static uint64_t window_move(const struct window *window, enum tier_tiering_act act, int node,
			    uint64_t *left_bytes)
{
	unsigned chosen[TIERING_FOLIO_PAGES], count = 0;
	uint64_t chosen_bytes = 0, moved;
	bool full = false;

	for (unsigned i = 0; i < window->count && !full; i++) {
		uint64_t bytes = (uint64_t)window->folios[i].pages * FRAME_BYTES;

		if (window->idle[i] != (act == TIER_TIERING_DEMOTE))
			continue;
		full = chosen_bytes + bytes > *left_bytes;
		if (full)
			continue;
		chosen_bytes += bytes;
		chosen[count++] = i;
	}
	moved = move(window, chosen, count, node);
	*left_bytes = full && moved == chosen_bytes ? 0 : *left_bytes - moved;
	return moved;
}

/* What a pass has come to. */
struct pass {
	const struct work *work;
	enum tier_tiering_act act;
	const struct node_ranges *from; /* NULL: it moves nothing */
	int to;
	uint64_t left_bytes, moved_bytes, moving_usec;
	struct tiering_looks looks;
};

static int pass_window(struct pass *pass, struct window *window)
{
	uint64_t begin = now_usec();

	if (!pass->from)
		return idle_pages_mark(&pass->work->idle, window->frames, window->count);
	pass->moved_bytes += window_move(window, pass->act, pass->to, &pass->left_bytes);
	pass->moving_usec += now_usec() - begin;
	return 0;
}

/* -ESRCH: its process has ended. */
static int pass_chunk(struct pass *pass, const struct tiering_chunk *chunk)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_close_ int pagemap = -1;
	struct window window = {.pid = chunk->pid};
	struct process_identity now;
	uint64_t touched = 0;
	int r = sysfs_open(&sysfs, NULL);

	if (r)
		return r;
	pagemap = sysfs_open_file(&sysfs, O_RDONLY, "proc/%d/pagemap", chunk->pid);
	if (pagemap < 0)
		return pagemap;
	/* Its number may be another's by now. */
	if (mover_identify(&sysfs, chunk->pid, &now) != 0 ||
	    !process_identity_same(&now, &chunk->identity))
		return -ESRCH;
	for (uint64_t start = chunk->range.start, end;
	     start < chunk->range.end && pass->left_bytes >= FRAME_BYTES; start = end) {
		end = MIN(ROUND_UP(start + 1, TIERING_FOLIO_PAGES * FRAME_BYTES), chunk->range.end);
		r = window_read(pass->work, pagemap, start, end, pass->from, &window);
		touched += r ? 0 : touched_bytes(&window);
		r = r ?: pass_window(pass, &window);
		if (r)
			return r;
	}
	return pass->from ? 0
			  : tiering_looks_add(&pass->looks, chunk->pid, chunk->range.start,
					      chunk->range.end, touched);
}

static void keep_looks(struct tiering_looks *from, struct tiering_looks *to)
{
	tiering_looks_sort(from);
	tiering_looks_done(to);
	*to = *from;
}

int tiering_idle_pass(const struct tier_tiering_nodes *nodes, const struct tiering_pick *pick,
		      const struct tier_tiering_step *step, struct tier_tiering_result *ret,
		      struct tier_problem *problem)
{
	_cleanup_chunks_ struct tiering_chunks chunks = {};
	_cleanup_work_ struct work work = WORK_NONE;
	struct pass pass = {.work = &work, .act = step->act, .left_bytes = UINT64_MAX};
	int r = begin(nodes, &work, problem);

	if (r)
		return r;
	if (step->act != TIER_TIERING_FORGET) {
		bool demotes = step->act == TIER_TIERING_DEMOTE;

		pass.from = demotes ? &work.fast : &work.slow;
		pass.to = __builtin_ctzll(demotes ? nodes->slow : nodes->fast);
		pass.left_bytes = step->quota_bytes;
	}
	r = tiering_chunks_cut(pick, &chunks);
	if (r == 0 && chunks.count)
		tiering_chunks_deal(pick, &chunks);
	for (size_t i = 0; i < chunks.count && r == 0 && pass.left_bytes >= FRAME_BYTES; i++) {
		r = pass_chunk(&pass, &chunks.chunks[i]);
		/* It has ended, or is somebody's by now who must not be looked at. */
		if (r == -ESRCH || r == -ENOENT || r == -EACCES || r == -EPERM)
			r = 0;
	}
	if (r) {
		tiering_looks_done(&pass.looks);
		return tier_problem_set(problem, r, "tiering", NULL, "cannot look at what is used");
	}
	if (!pass.from)
		keep_looks(&pass.looks, &pick->targets->looks);
	*ret = (struct tier_tiering_result){
		.act = step->act,
		.quota_bytes = step->quota_bytes,
		.moved_bytes = pass.moved_bytes,
		/* What a page costs is asked of it. */
		.elapsed_usec = pass.moving_usec,
	};
	return 0;
}
