/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mover-model.h"
#include "test.h"

/* What must come out, page by page, when the target has room. */
static void expect(const struct run *run, uint64_t start, uint64_t end,
		   struct tier_move_result *ret)
{
	*ret = (struct tier_move_result){};
	for (uint64_t at = start; at < end; at += MODEL_PAGE) {
		const struct model_folio *folio =
			&run->k->folios[run->k->folio_of[(at - run->k->base) / MODEL_PAGE]];

		ret->scanned_pages++;
		if (folio->kind == MODEL_ABSENT || folio->kind == MODEL_ZERO)
			ret->absent_pages++;
		else if (folio->origin == run->request.to)
			ret->already_pages++;
		else if (run->request.from && !(run->request.from >> folio->origin & 1))
			ret->elsewhere_pages++;
		else if (folio->kind == MODEL_UNMIGRATABLE)
			ret->failed_pages++;
		else if (folio->shared && !run->request.shared)
			ret->shared_pages++;
		else if (folio->pinned)
			ret->pinned_pages++;
		else
			ret->moved_pages++;
	}
}

static void one_random_layout(uint64_t seed)
{
	struct tier_move_result want;
	uint64_t start, end;
	struct run run;
	int r;

	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	run = new_run(random_model(), (int)pick(3));
	run.request.from = chance(50) ? 0 : 1 + pick(7);
	run.request.shared = chance(30);
	run.request.batch_pages = (unsigned[]){0, 512, 64, 1, 4096, 7}[pick(6)];
	start = run.k->base;
	end = model_end(run.k);
	if (chance(30)) {
		start += pick(512) * MODEL_PAGE;
		end -= pick((unsigned)((end - start) / MODEL_PAGE)) * MODEL_PAGE;
	}
	expect(&run, start, end, &want);
	r = go(&run, start, end);

#define SAME(field)                                                                                \
	if (run.result.field != want.field)                                                        \
	FAIL("TIER_TEST_SEED=%" PRIu64 ": " #field " %" PRIu64 ", should be %" PRIu64, seed,       \
	     run.result.field, want.field)
	SAME(scanned_pages);
	SAME(moved_pages);
	SAME(already_pages);
	SAME(elsewhere_pages);
	SAME(absent_pages);
	SAME(shared_pages);
	SAME(pinned_pages);
	SAME(failed_pages);
	SAME(no_memory_pages);
	if (r != 0)
		FAIL("TIER_TEST_SEED=%" PRIu64 ": returned %d", seed, r);
	if (sum(&run.result) != run.result.scanned_pages)
		FAIL("TIER_TEST_SEED=%" PRIu64 ": a page is counted twice or not at all", seed);
	if (run.k->largest_move > (run.request.batch_pages ?: 512))
		FAIL("TIER_TEST_SEED=%" PRIu64 ": a call of %u pages", seed, run.k->largest_move);
	/* Not only counted: the kernel agrees. */
	for (unsigned i = 0; i < run.k->folio_count; i++) {
		const struct model_folio *folio = &run.k->folios[i];

		if (folio->isolated)
			FAIL("TIER_TEST_SEED=%" PRIu64 ": folio %u left isolated", seed, i);
		if (folio->node != folio->origin && folio->node != run.request.to)
			FAIL("TIER_TEST_SEED=%" PRIu64 ": folio %u on node %d", seed, i,
			     folio->node);
	}
	model_free(run.k);
}

TEST(random_layouts)
{
	const char *given = getenv("TIER_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 1, count = given ? 1 : 1500;

	printf("# TIER_TEST_SEED %" PRIu64 " to %" PRIu64 "\n", seed, seed + count - 1);
	for (uint64_t i = 0; i < count; i++)
		one_random_layout(seed + i);
}

TEST(a_folio_moves_by_one_address)
{
	struct run run = new_run(model_new(1024), 1);

	model_add(run.k, MODEL_FOLIO, 512, 0);
	model_add(run.k, MODEL_FOLIO, 512, 0);
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, 1024);
	CHECK_EQ(run.result.huge_folios, 2);
	CHECK_EQ(run.k->largest_move, 1);
	CHECK_EQ(run.k->moves, 2);
	model_free(run.k);
}

TEST(busy_tails_of_a_folio_that_moved_are_moved)
{
	struct run run = new_run(model_new(512), 1);

	/* Folios of 64 KiB: each call names all their pages, and the kernel says EBUSY of 15. */
	for (unsigned i = 0; i < 32; i++)
		model_add(run.k, MODEL_FOLIO, 16, 0);
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, 512);
	CHECK_EQ(run.result.pinned_pages, 0);
	CHECK_EQ(run.k->moves, 1);
	model_free(run.k);
}

TEST(a_pinned_folio_costs_few_calls)
{
	struct run run = new_run(model_new(512), 1);

	model_add(run.k, MODEL_FOLIO, 512, 0)->pinned = true;
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.pinned_pages, 512);
	CHECK(run.k->moves <= 4);
	model_free(run.k);
}

TEST(a_busy_page_is_tried_again)
{
	struct run run = new_run(model_new(16), 1);

	for (unsigned i = 0; i < 16; i++)
		model_add(run.k, MODEL_FOLIO, 1, 0)->busy = i == 3 ? 2 : i == 5 ? 3 : 0;
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, 15);
	CHECK_EQ(run.result.pinned_pages, 1);
	CHECK_EQ(run.k->moves, 3);
	model_free(run.k);
}

TEST(calls_in_vain_do_not_end_the_retries)
{
	struct run run = new_run(model_new(512), 1);

	for (unsigned i = 0; i < 512; i++)
		model_add(run.k, MODEL_FOLIO, 1, 0)->busy = 1;
	run.request.batch_pages = 1;
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, 512);
	model_free(run.k);
}

static unsigned calls_for_pinned(unsigned pages, bool flags)
{
	struct run run = new_run(model_new(512), 1);
	unsigned moves;

	/* Every call ends at the second page of a folio, and one page may go. */
	while (run.k->page_count < 512) {
		struct model_folio *folio = model_add(run.k, MODEL_FOLIO, pages, 0);

		folio->pinned = pages == 512 || run.k->page_count != 256;
		folio->whole = false;
	}
	run.k->flags = flags;
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, pages == 512 ? 0 : pages);
	CHECK_EQ(run.result.pinned_pages, 512 - run.result.moved_pages);
	moves = run.k->moves;
	model_free(run.k);
	return moves;
}

TEST(pinned_folios_of_many_pages_cost_few_calls)
{
	CHECK(calls_for_pinned(16, true) <= 4);
	CHECK(calls_for_pinned(512, true) <= 4);
	CHECK(calls_for_pinned(512, false) <= 256);
	CHECK(calls_for_pinned(16, false) <= 768);
}

TEST(a_shared_page_is_not_tried_again)
{
	struct run run = new_run(model_new(512), 1);

	for (unsigned i = 0; i < 512; i++)
		model_add(run.k, MODEL_FOLIO, 1, 0)->shared = true;
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.shared_pages, 512);
	CHECK_EQ(run.k->moves, 1);
	model_free(run.k);
}

TEST(the_rest_of_a_folio_that_was_split_moves_too)
{
	struct run run = new_run(model_new(512), 1);

	for (unsigned i = 0; i < 32; i++) {
		struct model_folio *folio = model_add(run.k, MODEL_FOLIO, 16, 0);

		folio->pinned = i == 0;
		folio->splits = i == 9;
	}
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, 496);
	CHECK_EQ(run.result.pinned_pages, 16);
	model_free(run.k);
}

TEST(pages_behind_a_pinned_one_are_reached)
{
	struct run run = new_run(model_new(512), 1);

	/* Each pair ends the call at its second page, before the kernel looks at what follows. */
	for (unsigned i = 0; i < 512; i++) {
		struct model_folio *folio = model_add(run.k, MODEL_FOLIO, 1, 0);

		folio->pinned = i % 4 == 0;
		folio->shared = i % 4 == 1;
	}
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, 256);
	CHECK_EQ(run.result.pinned_pages, 128);
	CHECK_EQ(run.result.shared_pages, 128);
	model_free(run.k);
}

static void fill_a_node(bool blind)
{
	struct run run = new_run(model_new(2048), 1);

	for (unsigned i = 0; i < 4; i++)
		model_add(run.k, MODEL_FOLIO, 512, 0);
	run.k->blind = blind;
	run.k->free_pages[1] = 1100;
	CHECK_EQ(go_all(&run), TIER_E_NO_SPACE);
	CHECK_EQ(run.result.moved_pages, 1024);
	CHECK_EQ(run.result.no_memory_pages, 512);
	CHECK_EQ(run.result.scanned_pages, 1536);
	CHECK_EQ(run.k->failed_allocations, blind);
	model_free(run.k);

	/* Small pages fill what is left, and what was moved before the failure counts. */
	run = new_run(model_new(512), 1);
	for (unsigned i = 0; i < 512; i++)
		model_add(run.k, MODEL_FOLIO, 1, 0)->shared = i == 3;
	run.k->blind = blind;
	run.k->free_pages[1] = 100;
	CHECK_EQ(go_all(&run), TIER_E_NO_SPACE);
	CHECK_EQ(run.result.moved_pages, 100);
	CHECK_EQ(run.result.shared_pages, 1);
	CHECK_EQ(run.result.no_memory_pages, 411);
	CHECK_EQ(run.k->free_pages[1], 0);
	CHECK_EQ(run.k->failed_allocations, blind);
	model_free(run.k);
}

TEST(a_full_node_stops_the_move)
{
	fill_a_node(false);
}

TEST(a_node_that_fills_up_meanwhile_stops_the_move)
{
	fill_a_node(true);
}

TEST(the_rate_is_kept)
{
	struct run run = new_run(model_new(64 * 512), 1);
	uint64_t began = run.k->now, bytes = UINT64_C(64) << 21;
	double seconds, want;

	for (unsigned i = 0; i < 64; i++)
		if (i % 2)
			model_add(run.k, MODEL_FOLIO, 512, 0);
		else
			for (unsigned j = 0; j < 512; j++)
				model_add(run.k, MODEL_FOLIO, 1, 0);
	run.request.rate_bytes_per_sec = 4 << 20;
	want = (double)bytes / (4 << 20);
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, 64 * 512);
	seconds = (double)(run.k->now - began) / 1e6;
	if (seconds < want * 0.95 || seconds > want * 1.05)
		FAIL("%.3f s, should be %.3f s", seconds, want);
	CHECK(run.k->longest_sleep <= 100000);
	CHECK(run.longest_silence <= 100000 + 512 * run.k->move_usec);
	model_free(run.k);
}

TEST(no_burst_after_idle_time)
{
	struct run run = new_run(model_new(1024), 1);
	uint64_t began;

	for (unsigned i = 0; i < 2; i++)
		model_add(run.k, MODEL_FOLIO, 512, 0)->whole = true;
	run.request.rate_bytes_per_sec = 1 << 20;
	/* The first batch owes 2 s; an hour passes; the one after the next must wait all the same. */
	CHECK_EQ(go(&run, run.k->base, run.k->base + (2 << 20)), 0);
	run.k->now += UINT64_C(3600) * 1000000;
	run.k->folios[0].node = 0;
	began = run.k->now;
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, 3 * 512);
	CHECK(run.k->now - began >= 1900000);
	model_free(run.k);
}

TEST(cancelling_leaves_true_counts)
{
	for (unsigned after = 1; after < 40; after++) {
		struct run run = new_run(model_new(8 * 512), 1);
		uint64_t there = 0;
		int r;

		for (unsigned i = 0; i < 8; i++)
			for (unsigned j = 0; j < 512; j++) {
				struct model_folio *folio = model_add(run.k, MODEL_FOLIO, 1, 0);

				folio->pinned = j % 50 == 7;
				folio->shared = j % 50 == 9;
			}
		run.request.batch_pages = 200;
		run.cancel_after = after;
		r = go_all(&run);
		CHECK(r == TIER_E_CANCELLED || (r == 0 && run.asked < after));
		CHECK_EQ(run.asked, r ? after : run.asked);
		for (unsigned i = 0; i < run.k->folio_count; i++)
			there += run.k->folios[i].node == 1;
		CHECK_EQ(run.result.moved_pages, there);
		/* A page that was not tried is in no counter: 80 of the 4096 are pinned. */
		CHECK(run.result.pinned_pages <= 88);
		CHECK_EQ(sum(&run.result), run.result.scanned_pages);
		model_free(run.k);
	}
}

TEST(an_empty_area_costs_no_query)
{
	/* 64 GiB with a page at the beginning, one in the middle and one at the end. */
	const unsigned pages = 64u << 18;
	struct run run = new_run(model_new(pages), 1);

	model_add(run.k, MODEL_FOLIO, 1, 0);
	model_add(run.k, MODEL_ABSENT, pages / 2 - 1, 0);
	model_add(run.k, MODEL_FOLIO, 1, 0);
	model_add(run.k, MODEL_ABSENT, pages / 2 - 2, 0);
	model_add(run.k, MODEL_FOLIO, 1, 0);
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.result.moved_pages, 3);
	CHECK_EQ(run.result.absent_pages, pages - 3);
	CHECK_EQ(run.result.scanned_pages, pages);
	CHECK(run.k->queries <= 6);
	CHECK(run.k->scans <= 32);
	CHECK(run.asked >= 16);
	model_free(run.k);
}

TEST(a_process_that_ends)
{
	for (unsigned after = 1; after < 30; after++) {
		struct run run = new_run(model_new(8 * 512), 1);

		for (unsigned i = 0; i < 8; i++)
			model_add(run.k, MODEL_FOLIO, 512, 0)->whole = i % 2;
		run.k->die_after = after;
		CHECK_EQ(go_all(&run), after < 24 ? -ESRCH : 0);
		CHECK_EQ(sum(&run.result), run.result.scanned_pages);
		model_free(run.k);
	}
}

TEST(a_dry_run_moves_nothing)
{
	struct run run = new_run(model_new(1024), 1);

	model_add(run.k, MODEL_FOLIO, 512, 0);
	model_add(run.k, MODEL_FOLIO, 256, 1);
	model_add(run.k, MODEL_ABSENT, 256, 1);
	run.request.dry_run = true;
	CHECK_EQ(go_all(&run), 0);
	CHECK_EQ(run.k->moves, 0);
	CHECK_EQ(run.result.moved_pages, 512);
	CHECK_EQ(run.result.already_pages, 256);
	CHECK_EQ(run.result.absent_pages, 256);
	model_free(run.k);
}
