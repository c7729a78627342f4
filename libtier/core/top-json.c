/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"
#include "top.h"

#define JSON_RATES(rates)                                                                          \
	JSON_U64("promoted_bytes_per_second", (rates).promoted),                                   \
		JSON_U64("demoted_bytes_per_second", (rates).demoted)

static int append_node(sd_json_variant **array, const struct tier_top_node *node)
{
	return sd_json_variant_append_arraybo(
		array, SD_JSON_BUILD_PAIR_INTEGER("node", node->id), JSON_NODE("tier", node->tier),
		SD_JSON_BUILD_PAIR_STRING("class", tier_place_class_name(node->class)),
		JSON_MEMORY_TYPE("type", node->type), JSON_TEXT("regions", node->regions),
		SD_JSON_BUILD_PAIR_UNSIGNED("total_bytes", node->total_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("used_bytes", node->used_bytes),
		JSON_RATES(node->rates));
}

static int append_tier(sd_json_variant **array, const struct tier_top_tier *tier)
{
	return sd_json_variant_append_arraybo(
		array, SD_JSON_BUILD_PAIR_INTEGER("tier", tier->tier),
		SD_JSON_BUILD_PAIR_STRING("nodes", tier->nodes),
		SD_JSON_BUILD_PAIR_UNSIGNED("total_bytes", tier->total_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("used_bytes", tier->used_bytes),
		JSON_RATES(tier->rates));
}

static enum tier_memory_type type_of(const struct tier_top *top, int node)
{
	for (size_t i = 0; i < top->node_count; i++)
		if (top->nodes[i].id == node)
			return top->nodes[i].type;
	return TIER_MEMORY_UNKNOWN;
}

static int append_row(sd_json_variant **array, const struct tier_top *top,
		      const struct tier_top_row *row)
{
	_cleanup_json_ sd_json_variant *parts = NULL;
	int r = sd_json_variant_new_array(&parts, NULL, 0);

	for (size_t i = 0; r >= 0 && i < row->part_count; i++) {
		enum tier_memory_type type = type_of(top, row->parts[i].node);

		r = sd_json_variant_append_arraybo(
			&parts, SD_JSON_BUILD_PAIR_INTEGER("node", row->parts[i].node),
			JSON_MEMORY_TYPE("type", type),
			SD_JSON_BUILD_PAIR_UNSIGNED("bytes", row->parts[i].bytes));
	}
	if (r < 0)
		return r;
	return sd_json_variant_append_arraybo(
		array, SD_JSON_BUILD_PAIR_STRING("name", row->name),
		SD_JSON_BUILD_PAIR_CONDITION(row->pid != 0, "pid", SD_JSON_BUILD_INTEGER(row->pid)),
		SD_JSON_BUILD_PAIR_CONDITION(row->pid == 0, "cgroup",
					     SD_JSON_BUILD_STRING(row->path)),
		SD_JSON_BUILD_PAIR_UNSIGNED("total_bytes", row->total_bytes),
		SD_JSON_BUILD_PAIR_VARIANT("nodes", parts));
}

int tier_top_to_json(const struct tier_top *top, char **ret_json)
{
	_cleanup_json_ sd_json_variant *nodes = NULL, *tiers = NULL, *rows = NULL, *whole = NULL;
	int r = sd_json_variant_new_array(&nodes, NULL, 0);

	for (size_t i = 0; r >= 0 && i < top->node_count; i++)
		r = append_node(&nodes, &top->nodes[i]);
	if (r >= 0)
		r = sd_json_variant_new_array(&tiers, NULL, 0);
	for (size_t i = 0; r >= 0 && i < top->tier_count; i++)
		r = append_tier(&tiers, &top->tiers[i]);
	if (r >= 0)
		r = sd_json_variant_new_array(&rows, NULL, 0);
	for (size_t i = 0; r >= 0 && i < top->rows.count; i++)
		r = append_row(&rows, top, &top->rows.rows[i]);
	if (r >= 0)
		r = sd_json_buildo(
			&whole, JSON_TEXT("host", top->hostname),
			SD_JSON_BUILD_PAIR_UNSIGNED("elapsed_usec", top->elapsed_usec),
			JSON_U64("tiering_promoted_bytes_per_second", top->tiering.promoted),
			JSON_U64("tiering_demoted_bytes_per_second", top->tiering.demoted),
			SD_JSON_BUILD_PAIR_VARIANT("nodes", nodes),
			SD_JSON_BUILD_PAIR_VARIANT("tiers", tiers),
			SD_JSON_BUILD_PAIR_VARIANT(top->processes ? "processes" : "units", rows),
			SD_JSON_BUILD_PAIR_UNSIGNED("unread", top->rows.unread),
			JSON_TEXT("note", top->note));
	if (r >= 0)
		r = json_format(whole, ret_json);
	return r < 0 ? -ENOMEM : 0;
}
