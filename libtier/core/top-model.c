/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture of who has memory where, from what was read. */
#include <inttypes.h>

#include "place.h"
#include "top.h"

static void top_freep(struct tier_top **top)
{
	tier_top_free(*top);
}

struct tier_top *tier_top_free(struct tier_top *top)
{
	if (!top)
		return NULL;
	tier_top_rows_done(&top->rows);
	free(top->nodes);
	free(top->tiers);
	free(top);
	return NULL;
}

uint64_t tier_top_rate(uint64_t now, uint64_t before, uint64_t elapsed_usec)
{
	if (now == TIER_UNKNOWN_U64 || before == TIER_UNKNOWN_U64 || now < before ||
	    elapsed_usec == 0)
		return TIER_UNKNOWN_U64;
	return (uint64_t)((double)(now - before) * 1e6 / (double)elapsed_usec);
}

static uint64_t add_known(uint64_t a, uint64_t b)
{
	return a == TIER_UNKNOWN_U64 ? b : b == TIER_UNKNOWN_U64 ? a : a + b;
}

static uint64_t demoted_of(const struct tier_node_stat *stat)
{
	uint64_t sum = TIER_UNKNOWN_U64;

	for (size_t i = TIER_FLOW_DEMOTED_KSWAPD; i < _TIER_FLOW_MAX; i++)
		sum = add_known(sum, stat->flow_bytes[i]);
	return sum;
}

static struct tier_top_rates rates_of(const struct tier_top_input *input,
				      const struct tier_node_stat *now)
{
	const struct tier_node_stat *before =
		tier_node_stat_find(input->before, input->before_count, now->node);

	if (!before)
		return (struct tier_top_rates){TIER_UNKNOWN_U64, TIER_UNKNOWN_U64};
	return (struct tier_top_rates){
		.promoted =
			tier_top_rate(now->flow_bytes[TIER_FLOW_PROMOTED],
				      before->flow_bytes[TIER_FLOW_PROMOTED], input->elapsed_usec),
		.demoted = tier_top_rate(demoted_of(now), demoted_of(before), input->elapsed_usec),
	};
}

static enum tier_top_group group_of(const struct tier_place_node *it)
{
	if (it->node->type == TIER_MEMORY_SHARED)
		return TIER_TOP_SHARED;
	if (it->node->type == TIER_MEMORY_SWITCHED)
		return TIER_TOP_SWITCHED;
	return it->class == TIER_PLACE_CLASS_DRAM  ? TIER_TOP_DRAM
	       : it->class == TIER_PLACE_CLASS_CXL ? TIER_TOP_CXL
						   : TIER_TOP_OTHER;
}

static int add_nodes(const struct tier_top_input *input, const struct tier_place *place,
		     struct tier_top *top)
{
	for (size_t i = 0; i < place->node_count; i++) {
		const struct tier_place_node *it = &place->nodes[i];
		const struct tier_node_stat *stat =
			tier_node_stat_find(input->stats, input->stat_count, it->node->id);
		struct tier_top_node *node;

		if (!stat || stat->total_bytes == 0 || stat->total_bytes == TIER_UNKNOWN_U64)
			continue;
		node = array_grow(&top->nodes, &top->node_count, sizeof(*node));
		if (!node)
			return -ENOMEM;
		*node = (struct tier_top_node){
			.id = it->node->id,
			.tier = it->node->tier,
			.class = it->class,
			.type = it->node->type,
			.group = group_of(it),
			.total_bytes = stat->total_bytes,
			.used_bytes = stat->free_bytes < stat->total_bytes
					      ? stat->total_bytes - stat->free_bytes
					      : 0,
			.rates = rates_of(input, stat),
		};
		place_node_regions(input->topology, node->id, ",", node->regions);
		top->groups[node->group] = true;
	}
	return 0;
}

static int compare_tiers(const void *a, const void *b)
{
	const struct tier_top_tier *left = a, *right = b;

	return (left->tier > right->tier) - (left->tier < right->tier);
}

static int add_tiers(struct tier_top *top)
{
	for (size_t i = 0; i < top->node_count; i++) {
		const struct tier_top_node *node = &top->nodes[i];
		struct tier_top_tier *tier = NULL;
		size_t used;

		if (node->tier < 0)
			continue;
		for (size_t t = 0; t < top->tier_count && !tier; t++)
			if (top->tiers[t].tier == node->tier)
				tier = &top->tiers[t];
		if (!tier) {
			tier = array_grow(&top->tiers, &top->tier_count, sizeof(*tier));
			if (!tier)
				return -ENOMEM;
			tier->tier = node->tier;
			tier->rates.promoted = tier->rates.demoted = TIER_UNKNOWN_U64;
		}
		used = strlen(tier->nodes);
		snprintf(tier->nodes + used, sizeof(tier->nodes) - used, "%s%d", used ? "," : "",
			 node->id);
		tier->total_bytes += node->total_bytes;
		tier->used_bytes += node->used_bytes;
		tier->rates.promoted = add_known(tier->rates.promoted, node->rates.promoted);
		tier->rates.demoted = add_known(tier->rates.demoted, node->rates.demoted);
	}
	if (top->tier_count)
		qsort(top->tiers, top->tier_count, sizeof(*top->tiers), compare_tiers);
	return 0;
}

int tier_top_new(const struct tier_top_input *input, struct tier_top **ret)
{
	_cleanup_(top_freep) struct tier_top *top = calloc(1, sizeof(*top));
	_cleanup_place_ struct tier_place *place = NULL;
	int r;

	if (!top)
		return -ENOMEM;
	/* For the classes; which of them fit is nobody's question. */
	r = tier_place_select(&(struct tier_place_request){}, input->topology, NULL, &place, NULL);
	if (r < 0)
		return r;
	copy_string(top->hostname, sizeof(top->hostname), input->topology->hostname);
	make_printable(top->hostname);
	top->elapsed_usec = input->elapsed_usec;
	top->tiering = input->tiering;
	top->processes = input->processes;
	copy_string(top->note, sizeof(top->note), input->note ?: "");
	make_printable(top->note);
	r = place ? add_nodes(input, place, top) : 0;
	if (r == 0)
		r = add_tiers(top);
	if (r < 0)
		return r;
	if (input->rows) {
		top->rows = *input->rows;
		*input->rows = (struct tier_top_rows){};
	}
	tier_top_sort(top, TIER_TOP_BY_TOTAL);
	*ret = TAKE(top);
	return 0;
}

uint64_t tier_top_row_bytes(const struct tier_top *top, const struct tier_top_row *row,
			    enum tier_top_group group)
{
	uint64_t sum = 0;

	for (size_t n = 0; n < top->node_count; n++)
		for (size_t p = 0; p < row->part_count && top->nodes[n].group == group; p++)
			if (row->parts[p].node == top->nodes[n].id)
				sum += row->parts[p].bytes;
	return sum;
}

const char *tier_top_group_name(enum tier_top_group group)
{
	static const char *const names[] = {
		[TIER_TOP_DRAM] = "DRAM",	  [TIER_TOP_CXL] = "CXL",
		[TIER_TOP_OTHER] = "OTHER",	  [TIER_TOP_SHARED] = "SHARED",
		[TIER_TOP_SWITCHED] = "SWITCHED",
	};

	return names[group];
}

struct key {
	uint64_t bytes;
	struct tier_top_row row;
};

static int compare_keys(const void *a, const void *b)
{
	const struct key *left = a, *right = b;
	int r;

	if (left->bytes != right->bytes)
		return left->bytes < right->bytes ? 1 : -1;
	if (left->row.total_bytes != right->row.total_bytes)
		return left->row.total_bytes < right->row.total_bytes ? 1 : -1;
	r = strcmp(left->row.name, right->row.name);
	if (r == 0)
		r = strcmp(left->row.path, right->row.path);
	return r ?: (left->row.pid > right->row.pid) - (left->row.pid < right->row.pid);
}

void tier_top_sort(struct tier_top *top, int by)
{
	/* Without memory for it they stay as they are. */
	_cleanup_free_ struct key *keys = calloc(top->rows.count ?: 1, sizeof(*keys));

	if (!keys)
		return;
	for (size_t i = 0; i < top->rows.count; i++) {
		const struct tier_top_row *row = &top->rows.rows[i];

		keys[i].row = *row;
		keys[i].bytes = by >= 0 && by < TIER_TOP_BY_TOTAL
					? tier_top_row_bytes(top, row, (enum tier_top_group)by)
					: row->total_bytes;
	}
	qsort(keys, top->rows.count, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < top->rows.count; i++)
		top->rows.rows[i] = keys[i].row;
}

int tier_top_next_sort(const struct tier_top *top, int by)
{
	for (int next = by >= TIER_TOP_BY_TOTAL ? 0 : by + 1; next < TIER_TOP_BY_TOTAL; next++)
		if (top->groups[next])
			return next;
	return TIER_TOP_BY_TOTAL;
}
