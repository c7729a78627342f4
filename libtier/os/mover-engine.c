/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mover-engine.h"
#include "util.h"

/* The largest folio that the mover knows of, and what it works through at a time. */
#define CHUNK_BYTES (2 * MIB)
#define CHUNK_PAGES MOVER_BATCH_MAX

/* How often a page is tried before it counts as pinned, and the pause before it is tried again. */
#define TRIES	   3
#define RETRY_USEC 1000

/* After a round of so many calls more than it has batches, none of which moved a page, no other. */
#define VAIN_CALLS 64

/* How long the caller may go without being asked whether to go on. */
#define ASK_USEC 100000

/* By how much a batch that came late may be made up for under a rate limit. */
#define RATE_SLACK_USEC 20000

/* A part of an empty area that is looked through at once. */
#define SCAN_BYTES (4 * GIB)

struct chunk {
	unsigned count;
	void *address[CHUNK_PAGES];
	int before[CHUNK_PAGES];  /* as queried at first: a node or a negative errno */
	int now[CHUNK_PAGES];	  /* as queried last */
	int outcome[CHUNK_PAGES]; /* what move_pages() said last of a page that stayed */
	unsigned tries[CHUNK_PAGES];
	uint16_t leader[CHUNK_PAGES]; /* the page by which a page's folio is moved; often itself */
};

static bool on_source(const struct mover *m, int node)
{
	if (node < 0 || node == m->request->to)
		return false;
	if (m->request->from == 0)
		return true;
	return node < 64 && (m->request->from >> node & 1);
}

static bool pending(const struct mover *m, const struct chunk *c, unsigned i)
{
	return c->leader[i] == i && on_source(m, c->before[i]) && on_source(m, c->now[i]) &&
	       c->outcome[i] != -EACCES && c->tries[i] < TRIES;
}

static int ask(struct mover *m)
{
	if (m->progress && m->progress(m->progress_userdata, m->result, m->total_pages) != 0)
		return TIER_E_CANCELLED;
	return 0;
}

static int wait_until(struct mover *m, uint64_t usec)
{
	for (;;) {
		uint64_t now = m->ops->now(m->userdata);
		int r = ask(m);

		if (r || now >= usec)
			return r;
		m->ops->sleep_until(m->userdata, MIN(usec, now + ASK_USEC));
	}
}

static unsigned batch_pages(const struct mover *m)
{
	return m->request->batch_pages ? MIN(m->request->batch_pages, CHUNK_PAGES) : CHUNK_PAGES;
}

static int query(struct mover *m, struct chunk *c)
{
	return m->ops->query(m->userdata, c->count, c->address, c->now);
}

/* Pages that were moved, by what they say now. */
static uint64_t arrived(const struct mover *m, const struct chunk *c)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < c->count; i++)
		pages += on_source(m, c->before[i]) && c->now[i] == m->request->to;
	return pages;
}

/*
 * How many of the pages of a call were dealt with, from the front. The kernel collects pages and
 * migrates what it has whenever one cannot be collected, whose status it writes first; when such a
 * migration leaves pages behind, the call ends there, without a status for the pages migrated and
 * for the rest. So the last status written, with pages without one right before it, is the end of
 * what was tried; without such, all was. Source: do_pages_move() in mm/migrate.c.
 */
static unsigned dealt_with(int code, unsigned count, const int *status)
{
	unsigned last = count;

	if (code <= 0)
		return count;
	while (last > 0 && status[last - 1] == MOVER_NO_STATUS)
		last--;
	if (last >= 2 && status[last - 2] == MOVER_NO_STATUS)
		return last;
	return count;
}

/*
 * One move_pages() of the given pages of a chunk, at the pace that the rate allows. Every page that
 * was dealt with has one more try, at least the first one; then all of them are queried. Without
 * room for @need pages nothing is tried; with room for fewer than @count, only so many.
 * Return: as move_pages(), once more than that: TIER_E_CANCELLED, before anything was moved.
 */
static int move(struct mover *m, struct chunk *c, unsigned need, unsigned count,
		const unsigned *indices)
{
	uint64_t rate = m->request->rate_bytes_per_sec, here = arrived(m, c), now, room;
	void *address[CHUNK_PAGES];
	int status[CHUNK_PAGES], code, r;
	unsigned dealt;

	r = wait_until(m, m->ready_usec);
	if (r)
		return r;
	room = m->ops->room(m->userdata);
	if (room < need)
		return -ENOMEM;
	count = (unsigned)MIN(count, room);
	for (unsigned i = 0; i < count; i++) {
		address[i] = c->address[indices[i]];
		status[i] = MOVER_NO_STATUS;
	}
	now = m->ops->now(m->userdata);
	code = m->ops->move(m->userdata, count, address, m->request->to, m->request->shared,
			    status);
	if (code < 0 && code != -ENOMEM)
		return code;
	dealt = dealt_with(code, count, status);
	for (unsigned i = 0; i < count; i++) {
		if (i < dealt)
			c->tries[indices[i]]++;
		if (i < dealt || status[i] != MOVER_NO_STATUS)
			c->outcome[indices[i]] = status[i];
		if (status[i] == -ENOMEM)
			code = -ENOMEM;
	}
	r = query(m, c);
	if (r < 0)
		return r;
	if (rate) {
		uint64_t bytes = (arrived(m, c) - here) * m->page_bytes;

		/* Time that went by unused is not made up for later, or a burst would follow. */
		m->ready_usec = MAX(m->ready_usec, now - MIN(now, RATE_SLACK_USEC));
		m->ready_usec += (uint64_t)((double)bytes * 1e6 / (double)rate);
	}
	return code;
}

/*
 * Moves a chunk by one of its addresses, if it may be a folio. Tells by c->now what came of it.
 * Other addresses would only make the kernel report EBUSY for each.
 */
static int move_folio(struct mover *m, struct chunk *c, enum mover_huge huge)
{
	unsigned indices[CHUNK_PAGES] = {0}, count = 0;
	uint64_t here;
	int code = 0;

	for (int try = 0; try < TRIES; try++) {
		if (try > 0) {
			code = wait_until(m, m->ops->now(m->userdata) + RETRY_USEC);
			if (code)
				return code;
		}
		code = move(m, c, huge == MOVER_HUGE_YES ? c->count : 1, 1, indices);
		if (code < 0 || code == TIER_E_CANCELLED)
			return code;
		here = arrived(m, c);
		if (here == c->count)
			m->result->huge_folios++;
		if (here > 0)
			return 0;
		/* A small page that stays is no reason to wait: the others may go at once. */
		if (huge != MOVER_HUGE_YES)
			return 0;
		if (c->outcome[0] == -EACCES)
			break;
	}
	/* The others share its fate, unless the folio was split meanwhile: one call tells. */
	if (c->outcome[0] != -EACCES) {
		for (unsigned i = 1; i < c->count && count < batch_pages(m); i++)
			indices[count++] = i;
		code = move(m, c, 1, count, indices);
		if (code < 0 || code == TIER_E_CANCELLED || arrived(m, c) > 0)
			return code < 0 || code == TIER_E_CANCELLED ? code : 0;
	}
	for (unsigned i = 1; i < c->count; i++) {
		c->tries[i] = TRIES;
		c->outcome[i] = c->outcome[0];
	}
	return 0;
}

/* Of each folio whose pages have not all been tried only the first such page is named further on. */
static void learn_folios(struct mover *m, struct chunk *c)
{
	uint64_t folio[CHUNK_PAGES];

	if (m->ops->folios(m->userdata, (uintptr_t)c->address[0], c->count, folio) < 0)
		return;
	for (unsigned i = 0; i < c->count; i++)
		for (unsigned j = 0; j < i && folio[i] != MOVER_NO_FOLIO; j++)
			if (folio[j] == folio[i] && pending(m, c, j)) {
				c->leader[i] = (uint16_t)j;
				break;
			}
}

/* What became of a page became of its folio, unless the folio was split. */
static void follow_leaders(const struct mover *m, struct chunk *c)
{
	for (unsigned i = 0; i < c->count; i++) {
		unsigned leader = c->leader[i];

		if (leader == i)
			continue;
		if (on_source(m, c->now[i]) && !on_source(m, c->now[leader])) {
			c->leader[i] = (uint16_t)i;
			continue;
		}
		c->tries[i] = c->tries[leader];
		c->outcome[i] = c->outcome[leader];
	}
}

/* Moves the pages that are pending, in batches, in rounds. */
static int move_pages_of(struct mover *m, struct chunk *c)
{
	unsigned indices[CHUNK_PAGES], batch = batch_pages(m);
	bool learnt = false;

	for (unsigned round = 0; round < TRIES; round++) {
		uint64_t here = arrived(m, c);
		unsigned calls = 0;

		for (;; calls++) {
			unsigned count = 0;
			int code;

			for (unsigned i = 0; i < c->count && count < batch; i++)
				if (pending(m, c, i) && c->tries[i] == round)
					indices[count++] = i;
			if (count == 0)
				break;
			if (calls == 0 && round > 0) {
				code = wait_until(m, m->ops->now(m->userdata) + RETRY_USEC);
				if (code)
					return code;
			}
			code = move(m, c, 1, count, indices);
			if (code < 0 || code == TIER_E_CANCELLED)
				return code;
			/* Pages that stay cut calls short, at each other page of their folios. */
			if (code > 0 && !learnt) {
				learn_folios(m, c);
				learnt = true;
			}
			follow_leaders(m, c);
		}
		/* Without that knowledge a pinned folio costs a call for two pages: once is enough. */
		if (calls > VAIN_CALLS + c->count / batch && arrived(m, c) == here)
			break;
	}
	return 0;
}

/* Counts every page of the chunk once. @code: what ended it; pages not tried are then left out. */
static void count_chunk(struct mover *m, const struct chunk *c, int code)
{
	struct tier_move_result *result = m->result;

	for (unsigned i = 0; i < c->count; i++) {
		int before = c->before[i], now = c->now[i];
		uint64_t *counter;

		if (before == m->request->to)
			counter = &result->already_pages;
		else if (on_source(m, before) && now == m->request->to)
			counter = &result->moved_pages;
		else if (before == -ENOENT || before == -EFAULT || now == -ENOENT || now == -EFAULT)
			/* EFAULT: the zero page, or no longer mapped. */
			counter = &result->absent_pages;
		else if (before < 0 || now < 0)
			counter = &result->failed_pages;
		else if (!on_source(m, before) || !on_source(m, now))
			counter = &result->elsewhere_pages;
		else if (m->request->dry_run)
			counter = &result->moved_pages;
		else if (c->outcome[i] == -EACCES)
			counter = &result->shared_pages;
		else if (code == -ENOMEM)
			counter = &result->no_memory_pages;
		else if (code)
			continue;
		else if (c->outcome[i] == -EBUSY || c->outcome[i] == MOVER_NO_STATUS)
			counter = &result->pinned_pages;
		else
			counter = &result->failed_pages;
		++*counter;
		result->scanned_pages++;
	}
}

/* A whole folio may lie here: all pages are present, on one source node. */
static bool may_be_folio(const struct mover *m, const struct chunk *c)
{
	if (c->count * m->page_bytes != CHUNK_BYTES || c->count == 1 || !on_source(m, c->before[0]))
		return false;
	for (unsigned i = 1; i < c->count; i++)
		if (c->before[i] != c->before[0])
			return false;
	return true;
}

static int move_chunk(struct mover *m, uint64_t start, uint64_t end, enum mover_huge huge)
{
	struct chunk c = {.count = (unsigned)((end - start) / m->page_bytes)};
	int code;

	for (unsigned i = 0; i < c.count; i++) {
		c.address[i] = (void *)(uintptr_t)(start + i * m->page_bytes);
		c.outcome[i] = MOVER_NO_STATUS;
		c.leader[i] = (uint16_t)i;
	}
	code = query(m, &c);
	if (code < 0)
		return code;
	memcpy(c.before, c.now, sizeof(c.before));
	if (!m->request->dry_run) {
		if (huge != MOVER_HUGE_NO && may_be_folio(m, &c))
			code = move_folio(m, &c, huge);
		if (code == 0)
			code = move_pages_of(m, &c);
		/* What the failed call moved has to be seen; if not even that works, nothing is. */
		if (code < 0 && query(m, &c) < 0)
			return code;
	}
	count_chunk(m, &c, code);
	if (code == -ENOMEM)
		return TIER_E_NO_SPACE;
	return code ?: ask(m);
}

int mover_range(struct mover *m, uint64_t start, uint64_t end)
{
	uint64_t at = start, stop, page;
	enum mover_huge huge;
	int r;

	while (at < end) {
		page = at;
		huge = MOVER_HUGE_UNKNOWN;
		if (!m->no_scan) {
			stop = MIN(end, ROUND_UP(at + 1, SCAN_BYTES));
			r = m->ops->next_present(m->userdata, at, stop, &page, &huge);
			if (r == -EOPNOTSUPP) {
				m->no_scan = true;
				continue;
			}
			if (r < 0)
				return r;
			if (r == 0)
				page = stop;
			m->result->absent_pages += (page - at) / m->page_bytes;
			m->result->scanned_pages += (page - at) / m->page_bytes;
			if (r == 0) {
				at = stop;
				r = ask(m);
				if (r)
					return r;
				continue;
			}
		}
		stop = MIN(end, ROUND_UP(page + 1, CHUNK_BYTES));
		r = move_chunk(m, page, stop, huge);
		if (r)
			return r;
		at = stop;
	}
	return 0;
}
