/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"
#include "place.h"

static int build_regions(const struct tier_place *place, int node, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < place->topology->region_count; i++)
		if (place->topology->regions[i].target_node == node)
			r = sd_json_variant_append_arrayb(
				ret, SD_JSON_BUILD_STRING(place->topology->regions[i].name));
	return r;
}

static int append_node(sd_json_variant **array, const struct tier_place *place,
		       const struct tier_place_node *it)
{
	_cleanup_json_ sd_json_variant *regions = NULL;
	const struct tier_node *node = it->node;
	int r = build_regions(place, node->id, &regions);

	if (r < 0)
		return r;
	return sd_json_variant_append_arraybo(
		array, SD_JSON_BUILD_PAIR_INTEGER("node", node->id),
		SD_JSON_BUILD_PAIR_STRING("class", tier_place_class_name(it->class)),
		JSON_NODE("tier", node->tier), JSON_MEMORY_TYPE("type", node->type),
		SD_JSON_BUILD_PAIR_VARIANT("regions", regions),
		JSON_U64("total_bytes", node->total_bytes),
		JSON_U64("free_bytes", node->free_bytes),
		SD_JSON_BUILD_PAIR_BOOLEAN("taken", it->verdict == TIER_PLACE_TAKEN),
		JSON_TEXT("why_not", tier_place_verdict_text(it->verdict)));
}

int tier_place_to_json(const struct tier_place *place, char **ret_json)
{
	_cleanup_json_ sd_json_variant *nodes = NULL, *taken = NULL, *whole = NULL;
	_cleanup_free_ char *list = NULL, *qemu = NULL;
	int r = sd_json_variant_new_array(&nodes, NULL, 0);

	if (r >= 0)
		r = sd_json_variant_new_array(&taken, NULL, 0);
	for (size_t i = 0; r >= 0 && i < place->node_count; i++) {
		r = append_node(&nodes, place, &place->nodes[i]);
		if (r >= 0 && place->nodes[i].verdict == TIER_PLACE_TAKEN)
			r = sd_json_variant_append_arrayb(
				&taken, SD_JSON_BUILD_INTEGER(place->nodes[i].node->id));
	}
	if (r >= 0)
		r = tier_node_set_list(&place->taken, &list);
	if (r >= 0)
		r = tier_node_set_qemu(&place->taken, &qemu);
	if (r < 0)
		return -ENOMEM;
	if (place->taken_count == 0)
		qemu[0] = '\0';
	r = sd_json_buildo(&whole, SD_JSON_BUILD_PAIR_VARIANT("taken", taken),
			   JSON_TEXT("numactl", list), JSON_TEXT("qemu", qemu),
			   SD_JSON_BUILD_PAIR_VARIANT("nodes", nodes));
	if (r >= 0)
		r = json_format(whole, ret_json);
	return r < 0 ? -ENOMEM : 0;
}
