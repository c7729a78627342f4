// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>

#include "clock.h"
#include "tiering-carry.h"
#include "tiering-chunks.h"
#include "util.h"

/* The kernel makes a directory for each region that it tells of. */
#define LOOKS_MAX 1024

/*
 * The pass comes after two of DAMON's own looks. After the third its figures are asked for, and before the
 * fourth, which would bring another pass, it is ended.
 */
#define SAMPLE_USEC 10000
#define APPLY_USEC  20000

/* A process that ends in between makes the kernel refuse all of them. */
#define ATTEMPTS 3

static bool same_target(const struct tiering_chunk *a, const struct tiering_chunk *b)
{
	return a->heap == b->heap && a->pid == b->pid;
}

/* A target for each process in each heap. */
static int add_targets(struct damon *damon, const struct tiering_chunks *chunks,
		       size_t *ret_targets, struct tier_problem *problem)
{
	_cleanup_free_ struct damon_range *ranges = calloc(chunks->count, sizeof(*ranges));
	size_t targets = 0, index = 0;
	int r = ranges ? 0 : -ENOMEM;

	for (size_t i = 0; i < chunks->count; i++)
		targets += i == 0 || !same_target(&chunks->chunks[i - 1], &chunks->chunks[i]);
	r = r ?: damon_targets(damon, targets, problem);
	for (size_t first = 0, end; first < chunks->count && r == 0; first = end) {
		for (end = first; end < chunks->count &&
				  same_target(&chunks->chunks[first], &chunks->chunks[end]);
		     end++)
			ranges[end - first] = chunks->chunks[end].range;
		r = damon_target(damon, index++, chunks->chunks[first].pid, ranges, end - first,
				 problem);
	}
	*ret_targets = targets;
	return r;
}

static uint64_t span(const struct tiering_chunks *chunks)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < chunks->count; i++)
		sum += chunks->chunks[i].range.end - chunks->chunks[i].range.start;
	return sum;
}

static int node_of(uint64_t mask)
{
	return mask ? __builtin_ctzll(mask) : -1;
}

static int add_scheme(struct damon *damon, const struct tier_tiering_nodes *nodes,
		      const struct tier_tiering_step *step, size_t targets, uint64_t span_bytes,
		      struct tier_problem *problem)
{
	bool promote = step->act == TIER_TIERING_PROMOTE, moves = step->act != TIER_TIERING_FORGET;
	const char *action = !moves ? "stat" : promote ? "migrate_hot" : "migrate_cold";
	int r = damon_schemes(damon, 1, problem);

	r = r ?: damon_scheme(damon, 0, action, APPLY_USEC, problem);
	r = r ?: damon_scheme_set(damon, 0, problem, "ops_filters/nr_filters", "2");
	/* Of a folio of several pages that are mapped one by one, each would be looked at, and one decide. */
	r = r ?: damon_scheme_set(damon, 0, problem, "ops_filters/0/type", "hugepage_size");
	r = r ?: damon_scheme_set(damon, 0, problem, "ops_filters/0/min", "8192");
	r = r ?: damon_scheme_set(damon, 0, problem, "ops_filters/0/max", "2097151");
	r = r ?: damon_scheme_set(damon, 0, problem, "ops_filters/0/matching", "Y");
	r = r ?: damon_scheme_set(damon, 0, problem, "ops_filters/0/allow", "N");
	/* It forgets what it sees, whatever becomes of the page. */
	r = r ?: damon_scheme_set(damon, 0, problem, "ops_filters/1/type", "young");
	r = r
		    ?: damon_scheme_set(damon, 0, problem, "ops_filters/1/matching",
					step->act == TIER_TIERING_DEMOTE ? "N" : "Y");
	r = r ?: damon_scheme_set(damon, 0, problem, "ops_filters/1/allow", "Y");
	/* Once: DAMON counts each target's end. */
	r = r ?: damon_scheme_set(damon, 0, problem, "stats/max_nr_snapshots", "%zu", targets);
	if (!moves)
		return r;
	/* With a list of destinations, what is there already is left alone. */
	r = r ?: damon_scheme_set(damon, 0, problem, "dests/nr_dests", "1");
	r = r
		    ?: damon_scheme_set(damon, 0, problem, "dests/0/id", "%d",
					node_of(promote ? nodes->fast : nodes->slow));
	r = r ?: damon_scheme_set(damon, 0, problem, "dests/0/weight", "1");
	r = r ?: damon_scheme_set(damon, 0, problem, "quotas/bytes", "%" PRIu64, step->quota_bytes);
	r = r ?: damon_scheme_set(damon, 0, problem, "quotas/reset_interval_ms", "3600000");
	/*
	 * What was looked at and not moved counts a little, else the last bytes would be sought for long; all of it as
	 * much as an eighth of the quota, so that what is to be moved is found wherever it is.
	 */
	r = r ?: damon_scheme_set(damon, 0, problem, "quotas/fail_charge_num", "1");
	return r
		       ?: damon_scheme_set(
				  damon, 0, problem, "quotas/fail_charge_denom", "%" PRIu64,
				  MIN(MAX(8 * (span_bytes / MAX(step->quota_bytes, 1)), 64),
				      UINT32_MAX));
}

struct looking {
	const struct tiering_chunks *chunks;
	size_t at;
	uint64_t end; /* of the last region */
	struct tiering_looks looks;
};

/* DAMON cuts a range where that makes more regions than it asks for, and keeps their order. */
static int each_region(void *userdata, const struct damon_region *region)
{
	struct looking *looking = userdata;
	const struct tiering_chunk *chunks = looking->chunks->chunks;

	/* Another target's, whose addresses may be the same. */
	if (region->start < looking->end) {
		size_t last = looking->at;

		while (looking->at < looking->chunks->count &&
		       same_target(&chunks[last], &chunks[looking->at]))
			looking->at++;
	}
	looking->end = region->end;
	while (looking->at < looking->chunks->count &&
	       (region->start < chunks[looking->at].range.start ||
		region->end > chunks[looking->at].range.end))
		looking->at++;
	if (looking->at == looking->chunks->count)
		return 0;
	return tiering_looks_add(&looking->looks, chunks[looking->at].pid, region->start,
				 region->end, region->number);
}

/* It is no more than where to begin: without it, that is anywhere. */
static void look(const struct damon *damon, const struct tiering_chunks *chunks,
		 struct tiering_looks *ret)
{
	struct looking looking = {.chunks = chunks};

	tiering_looks_done(ret);
	if (damon_regions(damon, 0, "sz_filter_passed", each_region, &looking) != 0) {
		tiering_looks_done(&looking.looks);
		return;
	}
	tiering_looks_sort(&looking.looks);
	*ret = looking.looks;
}

/* -EINVAL, -ECANCELED: a process, or the last of them, has ended. */
static int attempt(const struct tier_tiering_nodes *nodes, const struct tiering_pick *pick,
		   const struct tier_tiering_step *step, uint64_t *ret_moved_bytes,
		   struct tier_problem *problem)
{
	_cleanup_chunks_ struct tiering_chunks chunks = {};
	_cleanup_damon_ struct damon damon = DAMON_CLOSED;
	size_t count = 0;
	int r = tiering_chunks_cut(pick, &chunks);
	bool looks = step->act == TIER_TIERING_FORGET && chunks.count <= LOOKS_MAX &&
		     pick->targets->processes <= TIERING_HEAPED_PROCESSES;

	if (r == 0 && chunks.count == 0) {
		*ret_moved_bytes = 0;
		return 0;
	}
	if (r == 0)
		tiering_chunks_deal(pick, &chunks);
	r = r ?: damon_claim(&damon, problem);
	r = r ?: damon_begin(&damon, "fvaddr", SAMPLE_USEC, 0, problem);
	r = r ?: add_targets(&damon, &chunks, &count, problem);
	r = r ?: add_scheme(&damon, nodes, step, count, span(&chunks), problem);
	if (looks) {
		r = r ?: damon_start(&damon, problem);
		r = r ?: damon_look(&damon, problem);
		if (r == 0)
			look(&damon, &chunks, &pick->targets->looks);
	} else {
		r = r ?: damon_run(&damon, problem);
	}
	r = r ?: damon_stats(&damon, problem);
	return r ?: damon_scheme_get(&damon, 0, "stats/sz_applied", ret_moved_bytes, problem);
}

int tiering_pass(const struct tier_tiering_nodes *nodes, const struct tiering_pick *pick,
		 const struct tier_tiering_step *step, struct tier_tiering_result *ret,
		 struct tier_problem *problem)
{
	struct tier_tiering_result result = {.act = step->act, .quota_bytes = step->quota_bytes};
	uint64_t begin = now_usec();
	int r = -EINVAL;

	for (int i = 0; i < ATTEMPTS && (r == -EINVAL || r == -ECANCELED); i++)
		r = attempt(nodes, pick, step, &result.moved_bytes, problem);
	if (r == -ECANCELED)
		r = 0;
	if (r)
		return r;
	result.elapsed_usec = now_usec() - begin;
	*ret = result;
	return 0;
}
