/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERING_MODEL_H
#define TIERING_MODEL_H

/*
 * A machine in memory only, for the tiering policy: pages with rates at which they are touched, on a fast
 * or the slow node, and passes as the kernel carries them out. The seed decides which touches fall into a
 * window.
 */

#include <math.h>

#include "test.h"
#include "tier-tiering.h"
#include "util.h"

#define MODEL_PAGE    4096
#define MODEL_SAMPLE  2000
#define MODEL_AT_REST 1000
#define MODEL_CHUNK   100 /* pages; divides their number */

struct model_page {
	double rate;	      /* touches per second */
	uint64_t forgot_usec; /* when its accessed bit was cleared */
	bool fast;
};

struct model {
	struct model_page *pages;
	size_t count;
	unsigned *touched;   /* in each chunk, by the last pass that moved nothing */
	uint64_t *order;     /* of chunks in a pass */
	uint64_t fast_pages; /* that the fast node has above its watermark */
	uint64_t max_pages;  /* of these, what all processes may have: a DramMax */
	uint64_t now_usec;
	uint64_t random;
	struct tier_tiering_policy policy;
	struct tier_tiering_state state;
	struct tier_tiering_step step;
	uint64_t moves, passes, busy_usec;
	uint64_t stutter_usec; /* so long the load is as busy as chance wants it; 0: always */
	uint64_t seed;
};

static inline double model_random(struct model *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (double)(m->random >> 11) / (double)(UINT64_C(1) << 53);
}

static inline void model_init(struct model *m, size_t count, uint64_t fast_pages, uint64_t seed)
{
	*m = (struct model){
		.count = count,
		.fast_pages = fast_pages,
		.max_pages = fast_pages,
		.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
		.seed = seed,
		.now_usec = 1000000000,
		.policy = {.max_fast_bytes = UINT64_MAX},
	};
	m->pages = calloc(count, sizeof(*m->pages));
	m->touched = calloc(count / MODEL_CHUNK, sizeof(*m->touched));
	m->order = calloc(count / MODEL_CHUNK, sizeof(*m->order));
	if (!m->pages || !m->touched || !m->order)
		abort();
	/* First touch, in the order of addresses. */
	for (size_t i = 0; i < count; i++)
		m->pages[i].fast = i < fast_pages;
}

static inline void model_done(struct model *m)
{
	free(m->pages);
	free(m->touched);
	free(m->order);
}

static inline uint64_t model_fast_used(const struct model *m)
{
	uint64_t used = 0;

	for (size_t i = 0; i < m->count; i++)
		used += m->pages[i].fast;
	return used;
}

static inline void model_sample(const struct model *m, struct tier_tiering_sample *ret)
{
	uint64_t used = model_fast_used(m), slow = m->count - used;
	uint64_t may_get = m->max_pages > used ? m->max_pages - used : 0;
	uint64_t wanted = MIN(m->max_pages / 4, slow);
	bool bound = m->max_pages < m->fast_pages;

	*ret = (struct tier_tiering_sample){
		.now_usec = m->now_usec,
		.fast_total_bytes = m->fast_pages * MODEL_PAGE,
		.fast_free_bytes = (m->fast_pages - used) * MODEL_PAGE,
		.slow_free_bytes = UINT64_C(1) << 40,
		.tight_bytes = bound && wanted > may_get ? (wanted - may_get) * MODEL_PAGE : 0,
		.blocked_bytes = bound ? (slow - MIN(slow, may_get)) * MODEL_PAGE : 0,
		.over_bytes = used > m->max_pages + MAX(256, m->max_pages / 64)
				      ? (used - m->max_pages) * MODEL_PAGE
				      : 0,
		.group_fast_bytes = used * MODEL_PAGE,
		.group_slow_bytes = (m->count - used) * MODEL_PAGE,
	};
}

/* For so many seconds of that time, the load ran. */
static inline double model_ran(const struct model *m, uint64_t from_usec, uint64_t to_usec)
{
	double usec = 0;

	if (!m->stutter_usec)
		return (double)(to_usec - from_usec) / 1e6;
	from_usec = MAX(from_usec, to_usec - MIN(to_usec, 32 * m->stutter_usec));
	while (from_usec < to_usec) {
		uint64_t slot = from_usec / m->stutter_usec;
		uint64_t until = MIN((slot + 1) * m->stutter_usec, to_usec);
		uint64_t mixed = (slot + m->seed * 1000003) * UINT64_C(0x9e3779b97f4a7c15);

		mixed = (mixed ^ mixed >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
		usec += (double)(until - from_usec) * (double)(mixed >> 40) / (1 << 24);
		from_usec = until;
	}
	return usec / 1e6;
}

/* Was it touched meanwhile? */
static inline bool model_touched(struct model *m, const struct model_page *page, uint64_t from_usec,
				 uint64_t to_usec)
{
	return model_random(m) < 1 - exp(-page->rate * model_ran(m, from_usec, to_usec));
}

/* Of a sample, what was touched meanwhile: bytes on the fast node, and on the slow one. */
static inline void model_look(struct model *m, size_t sample, uint64_t from_usec, uint64_t to_usec,
			      uint64_t *fast, uint64_t *slow)
{
	uint64_t hits[2] = {};

	for (size_t i = 0; i < sample; i++) {
		const struct model_page *page =
			&m->pages[(size_t)(model_random(m) * (double)m->count)];

		if (model_touched(m, page, from_usec, to_usec))
			hits[page->fast]++;
	}
	*slow += hits[0] * m->count / sample * MODEL_PAGE;
	*fast += hits[1] * m->count / sample * MODEL_PAGE;
}

static inline void model_measure(struct model *m, const struct tier_tiering_step *step,
				 struct tier_tiering_result *ret)
{
	size_t sample = step->halves ? MODEL_SAMPLE : MODEL_AT_REST;
	uint64_t half = step->window_usec / 2, begin = m->now_usec;
	/* The second kdamond begins a little later. */
	uint64_t later = begin + MIN(MAX(half / 4, 10000), 60000);
	struct tier_tiering_result result = {
		.act = step->act,
		.unit_bytes = m->count * MODEL_PAGE / sample,
		.elapsed_usec = step->window_usec + 5 * sample,
		.cpu_usec = (step->halves ? 15 : 5) * sample,
	};

	m->now_usec += step->window_usec;
	model_look(m, sample, begin, m->now_usec, &result.touched_fast_bytes,
		   &result.touched_slow_bytes);
	if (step->halves) {
		model_look(m, sample, later, later + half, &result.half_fast_bytes,
			   &result.half_slow_bytes);
		model_look(m, sample, later + half, later + 2 * half, &result.half_fast_bytes,
			   &result.half_slow_bytes);
		result.half_fast_bytes /= 2;
		result.half_slow_bytes /= 2;
	}
	*ret = result;
}

static inline int model_by_rank(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Chunks in which most was touched first, or last; those that are alike in any order. */
static inline void model_deal(struct model *m, enum tier_tiering_act act)
{
	size_t chunks = m->count / MODEL_CHUNK;

	for (size_t i = 0; i < chunks; i++) {
		uint64_t rank = m->touched[i] * 16 / MODEL_CHUNK;

		if (act == TIER_TIERING_PROMOTE)
			rank = 16 - rank;
		m->order[i] = rank << 56 | (uint64_t)(model_random(m) * (1 << 20)) << 32 | i;
	}
	qsort(m->order, chunks, sizeof(*m->order), model_by_rank);
}

static inline void model_pass(struct model *m, const struct tier_tiering_step *step,
			      struct tier_tiering_result *ret)
{
	uint64_t moved = 0, used = model_fast_used(m);
	uint64_t free_pages = m->max_pages > used ? m->max_pages - used : 0;

	model_deal(m, step->act);
	for (size_t i = 0; i < m->count; i++) {
		size_t chunk = m->order[i / MODEL_CHUNK] & UINT32_MAX;
		struct model_page *page = &m->pages[chunk * MODEL_CHUNK + i % MODEL_CHUNK];
		uint64_t now_usec;
		bool touched;

		if (step->act != TIER_TIERING_FORGET && moved * MODEL_PAGE >= step->quota_bytes)
			break;
		now_usec = m->now_usec + 1000 + i / 10 + moved * 20;
		touched = model_touched(m, page, page->forgot_usec, now_usec);
		page->forgot_usec = now_usec;
		if (step->act == TIER_TIERING_FORGET)
			m->touched[chunk] = (i % MODEL_CHUNK ? m->touched[chunk] : 0) + touched;
		if (step->act == TIER_TIERING_DEMOTE && !touched && page->fast) {
			page->fast = false;
			free_pages += --used < m->max_pages;
			moved++;
		} else if (step->act == TIER_TIERING_PROMOTE && touched && !page->fast &&
			   free_pages) {
			page->fast = true;
			used++;
			free_pages--;
			moved++;
		}
	}
	*ret = (struct tier_tiering_result){
		.act = step->act,
		.quota_bytes = step->quota_bytes,
		.moved_bytes = moved * MODEL_PAGE,
		.elapsed_usec = 1000 + m->count / 10 + moved * 20,
	};
	m->moves += moved;
	m->passes++;
	m->now_usec += ret->elapsed_usec;
}

/* The share of touches that fast memory serves: as things are, and at best. */
static inline double model_share(const struct model *m)
{
	double fast = 0, all = 0;

	for (size_t i = 0; i < m->count; i++) {
		all += m->pages[i].rate;
		fast += m->pages[i].fast ? m->pages[i].rate : 0;
	}
	return fast / all;
}

static inline int model_by_rate(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

static inline double model_ideal(const struct model *m)
{
	double *rates = calloc(m->count, sizeof(*rates)), fast = 0, all = 0;

	if (!rates)
		abort();
	for (size_t i = 0; i < m->count; i++)
		rates[i] = m->pages[i].rate;
	qsort(rates, m->count, sizeof(*rates), model_by_rate);
	for (size_t i = 0; i < m->count; i++) {
		all += rates[i];
		fast += i < m->fast_pages ? rates[i] : 0;
	}
	free(rates);
	return fast / all;
}

/* Goes on until @seconds have passed; returns when @share of the ideal was reached first, or -1. */
static inline double model_run(struct model *m, double seconds, double share, bool verbose)
{
	uint64_t begin_usec = m->now_usec, end_usec = begin_usec + (uint64_t)(seconds * 1e6);
	double ideal = model_ideal(m), reached = -1;
	struct tier_tiering_sample sample;
	struct tier_tiering_result result;

	if (!m->state.begun) {
		model_sample(m, &sample);
		tier_tiering_next(&m->policy, &sample, NULL, &m->state, &m->step);
	}
	while (m->step.at_usec < end_usec) {
		m->now_usec = MAX(m->now_usec, m->step.at_usec);
		if (m->step.act == TIER_TIERING_MEASURE)
			model_measure(m, &m->step, &result);
		else
			model_pass(m, &m->step, &result);
		m->busy_usec +=
			result.act == TIER_TIERING_MEASURE ? result.cpu_usec : result.elapsed_usec;
		if (reached < 0 && model_share(m) >= share * ideal)
			reached = (double)(m->now_usec - begin_usec) / 1e6;
		model_sample(m, &sample);
		if (verbose)
			printf("# %8.2f s %-7s %-9s quota %6.1f moved %6.1f M touched %.1f + %.1f "
			       "share %.3f of %.3f window %.2f gap %.2f budget %.1f usual %.1f\n",
			       (double)(m->now_usec - begin_usec) / 1e6,
			       tier_tiering_act_name(result.act),
			       tier_tiering_reason_name(m->step.reason),
			       (double)result.quota_bytes / 1048576,
			       (double)result.moved_bytes / 1048576,
			       (double)result.touched_fast_bytes / 1048576,
			       (double)result.touched_slow_bytes / 1048576, model_share(m), ideal,
			       (double)m->state.window_usec / 1e6, (double)m->state.gap_usec / 1e6,
			       (double)m->state.budget_bytes / 1048576,
			       (double)m->state.usual_bytes / 1048576);
		tier_tiering_next(&m->policy, &sample, &result, &m->state, &m->step);
	}
	m->now_usec = MAX(m->now_usec, end_usec);
	return reached;
}

#endif
