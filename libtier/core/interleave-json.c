/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"
#include "json-read.h"
#include "tier-weights.h"

/* Plans for people and tools, and what TIER_WEIGHTS_PATH has. */

#define VERSION 1

DEFINE_CLEANUP(struct tier_weights_saved *, tier_weights_saved_free)

struct tier_weights_saved *tier_weights_saved_free(struct tier_weights_saved *saved)
{
	if (saved)
		free(saved->nodes);
	free(saved);
	return NULL;
}

static int build_weights(const struct tier_weights_plan *plan, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < plan->weight_count; i++) {
		const struct tier_weight *w = &plan->weights[i];

		r = sd_json_variant_append_arraybo(
			ret, SD_JSON_BUILD_PAIR_INTEGER("node", w->node),
			JSON_NODE("present", w->present),
			SD_JSON_BUILD_PAIR_UNSIGNED("wanted", w->wanted),
			SD_JSON_BUILD_PAIR_STRING("source", tier_weight_source_name(w->source)),
			JSON_U64("mbps", w->mbps), SD_JSON_BUILD_PAIR_STRING("reason", w->reason));
	}
	return r;
}

static int build_steps(const struct tier_weights_plan *plan, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < plan->step_count; i++) {
		const struct tier_weight_step *s = &plan->steps[i];

		r = sd_json_variant_append_arraybo(ret, JSON_NODE("node", s->node),
						   SD_JSON_BUILD_PAIR_UNSIGNED("from", s->from),
						   SD_JSON_BUILD_PAIR_UNSIGNED("to", s->to));
	}
	return r;
}

/* Null if the kernel has no such mode. */
#define JSON_MODE(key, value)                                                                      \
	SD_JSON_BUILD_PAIR_CONDITION((value) >= 0, key, SD_JSON_BUILD_BOOLEAN((value) == 1)),      \
		SD_JSON_BUILD_PAIR_CONDITION((value) < 0, key, SD_JSON_BUILD_NULL)

int tier_weights_plan_to_json(const struct tier_weights_plan *plan, char **ret_json)
{
	_cleanup_json_ sd_json_variant *weights = NULL, *steps = NULL, *whole = NULL;
	int r = build_weights(plan, &weights);

	if (r >= 0)
		r = build_steps(plan, &steps);
	if (r >= 0)
		r = sd_json_buildo(
			&whole,
			SD_JSON_BUILD_PAIR_STRING("action", tier_weights_action_name(plan->action)),
			SD_JSON_BUILD_PAIR_STRING("reason", plan->reason),
			JSON_MODE("auto_weights", plan->auto_weights),
			SD_JSON_BUILD_PAIR_VARIANT("weights", weights),
			SD_JSON_BUILD_PAIR_VARIANT("steps", steps));
	return r < 0 ? r : json_format(whole, ret_json);
}

int tier_weights_saved_format(const struct tier_weights_saved *saved, char **ret)
{
	_cleanup_json_ sd_json_variant *nodes = NULL, *whole = NULL;
	int r = sd_json_variant_new_array(&nodes, NULL, 0);

	for (size_t i = 0; r >= 0 && i < saved->node_count; i++) {
		const struct tier_weight_saved *s = &saved->nodes[i];

		r = sd_json_variant_append_arraybo(
			&nodes, SD_JSON_BUILD_PAIR_INTEGER("node", s->node),
			SD_JSON_BUILD_PAIR_UNSIGNED("before", s->before),
			SD_JSON_BUILD_PAIR_UNSIGNED("written", s->written),
			SD_JSON_BUILD_PAIR_UNSIGNED("next", s->next));
	}
	if (r >= 0)
		r = sd_json_buildo(
			&whole, SD_JSON_BUILD_PAIR_UNSIGNED("version", VERSION),
			JSON_MODE("auto_weights", saved->auto_weights),
			SD_JSON_BUILD_PAIR_BOOLEAN("auto_written", saved->auto_written),
			SD_JSON_BUILD_PAIR_BOOLEAN("auto_refused", saved->auto_refused),
			SD_JSON_BUILD_PAIR_UNSIGNED("wrong_figures", saved->wrong_figures),
			SD_JSON_BUILD_PAIR_VARIANT("nodes", nodes));
	return r < 0 ? r : json_format(whole, ret);
}

static int read_node(struct tier_weights_saved *saved, sd_json_variant *object)
{
	struct tier_weight_saved *s = array_grow(&saved->nodes, &saved->node_count, sizeof(*s));
	uint64_t node, before, written, next;

	if (!s)
		return -ENOMEM;
	if (!json_read_number(object, "node", 0, INT_MAX, &node) ||
	    !json_read_number(object, "before", 1, TIER_INTERLEAVE_WEIGHT_MAX, &before) ||
	    !json_read_number(object, "written", 1, TIER_INTERLEAVE_WEIGHT_MAX, &written) ||
	    !json_read_number(object, "next", 1, TIER_INTERLEAVE_WEIGHT_MAX, &next) ||
	    (saved->node_count > 1 && s[-1].node >= (int)node))
		return TIER_E_DAMAGED;
	*s = (struct tier_weight_saved){(int)node, (unsigned)before, (unsigned)written,
					(unsigned)next};
	return 0;
}

int tier_weights_saved_parse(const char *text, size_t bytes, struct tier_weights_saved **ret)
{
	_cleanup_(tier_weights_saved_freep) struct tier_weights_saved *saved =
		calloc(1, sizeof(*saved));
	_cleanup_json_ sd_json_variant *whole = NULL;
	sd_json_variant *nodes, *mode;
	uint64_t version, figures;
	int r;

	if (!saved)
		return -ENOMEM;
	r = json_read(text, bytes, &whole);
	if (r)
		return r;
	mode = sd_json_variant_by_key(whole, "auto_weights");
	nodes = sd_json_variant_by_key(whole, "nodes");
	if (!json_read_number(whole, "version", VERSION, VERSION, &version) || !mode ||
	    !(sd_json_variant_is_null(mode) || sd_json_variant_is_boolean(mode)) ||
	    !json_read_flag(whole, "auto_written", &saved->auto_written) ||
	    !json_read_flag(whole, "auto_refused", &saved->auto_refused) ||
	    !json_read_number(whole, "wrong_figures", 0, UINT32_MAX, &figures) ||
	    !json_is_array(nodes, TIER_CALIBRATION_PAIRS_MAX))
		return TIER_E_DAMAGED;
	saved->wrong_figures = (uint32_t)figures;
	saved->auto_weights =
		sd_json_variant_is_null(mode) ? TIER_UNKNOWN_INT : sd_json_variant_boolean(mode);
	for (size_t i = 0; r == 0 && i < sd_json_variant_elements(nodes); i++)
		r = read_node(saved, sd_json_variant_by_index(nodes, i));
	if (r)
		return r;
	*ret = TAKE(saved);
	return 0;
}
