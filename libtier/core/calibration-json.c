/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calibration.h"
#include "json-read.h"

/* The file of a calibration. A later version may mean something else by the same names. */
#define VERSION 2

DEFINE_CLEANUP(struct tier_calibration *, tier_calibration_free)

static int build_node(const struct tier_calibration_node *node, sd_json_variant **array)
{
	_cleanup_json_ sd_json_variant *serials = NULL;
	int r = sd_json_variant_new_array(&serials, NULL, 0);

	for (size_t i = 0; r >= 0 && i < node->serial_count; i++)
		r = sd_json_variant_append_arrayb(&serials,
						  SD_JSON_BUILD_UNSIGNED(node->serials[i]));
	if (r < 0)
		return r;
	return sd_json_variant_append_arraybo(array, SD_JSON_BUILD_PAIR_INTEGER("node", node->node),
					      SD_JSON_BUILD_PAIR_UNSIGNED("bytes", node->bytes),
					      SD_JSON_BUILD_PAIR_VARIANT("serials", serials));
}

static int build_pair(const struct tier_calibration_pair *pair, sd_json_variant **array)
{
	return sd_json_variant_append_arraybo(
		array, SD_JSON_BUILD_PAIR_INTEGER("cpu_node", pair->cpu_node),
		SD_JSON_BUILD_PAIR_INTEGER("node", pair->node),
		SD_JSON_BUILD_PAIR_UNSIGNED("rounds", pair->rounds),
		SD_JSON_BUILD_PAIR_UNSIGNED("read_mbps", pair->read_mbps),
		SD_JSON_BUILD_PAIR_UNSIGNED("read_spread_permille", pair->read_spread_permille),
		SD_JSON_BUILD_PAIR_UNSIGNED("latency_psec", pair->latency_psec),
		SD_JSON_BUILD_PAIR_UNSIGNED("latency_spread_permille",
					    pair->latency_spread_permille),
		SD_JSON_BUILD_PAIR_BOOLEAN("huge_pages", pair->huge_pages));
}

int tier_calibration_format(const struct tier_calibration *calibration, char **ret)
{
	_cleanup_json_ sd_json_variant *nodes = NULL, *pairs = NULL, *whole = NULL;
	int r = sd_json_variant_new_array(&nodes, NULL, 0);

	if (r >= 0)
		r = sd_json_variant_new_array(&pairs, NULL, 0);
	for (size_t i = 0; r >= 0 && i < calibration->node_count; i++)
		r = build_node(&calibration->nodes[i], &nodes);
	for (size_t i = 0; r >= 0 && i < calibration->pair_count; i++)
		r = build_pair(&calibration->pairs[i], &pairs);
	if (r >= 0)
		r = sd_json_buildo(
			&whole, SD_JSON_BUILD_PAIR_UNSIGNED("version", VERSION),
			SD_JSON_BUILD_PAIR_UNSIGNED("made_usec", calibration->made_usec),
			SD_JSON_BUILD_PAIR_STRING("machine", calibration->identity.machine),
			SD_JSON_BUILD_PAIR_STRING("cpu", calibration->identity.cpu),
			SD_JSON_BUILD_PAIR_VARIANT("nodes", nodes),
			SD_JSON_BUILD_PAIR_VARIANT("pairs", pairs));
	return r < 0 ? r : json_format(whole, ret);
}

static int damaged(struct tier_problem *problem, const char *name, const char *what)
{
	return tier_problem_set(problem, TIER_E_DAMAGED, name,
				"tierctl calibrate makes another one", "is no calibration: %s",
				what);
}

static bool read_node(struct tier_calibration *calibration, sd_json_variant *object)
{
	struct tier_calibration_node *node = &calibration->nodes[calibration->node_count - 1];
	sd_json_variant *serials = sd_json_variant_by_key(object, "serials");
	uint64_t id;

	if (!json_read_number(object, "node", 0, INT_MAX, &id) ||
	    !json_read_number(object, "bytes", 0, UINT64_C(1) << 60, &node->bytes) ||
	    !json_is_array(serials, TIER_WAYS_MAX) ||
	    (calibration->node_count > 1 && node[-1].node >= (int)id))
		return false;
	node->node = (int)id;
	node->serial_count = sd_json_variant_elements(serials);
	for (size_t i = 0; i < node->serial_count; i++) {
		sd_json_variant *serial = sd_json_variant_by_index(serials, i);

		if (!sd_json_variant_is_unsigned(serial))
			return false;
		node->serials[i] = sd_json_variant_unsigned(serial);
		if (i > 0 && node->serials[i] <= node->serials[i - 1])
			return false;
	}
	return true;
}

static bool is_described(const struct tier_calibration *calibration, uint64_t id)
{
	for (size_t i = 0; i < calibration->node_count; i++)
		if (calibration->nodes[i].node == (int)id)
			return true;
	return false;
}

static bool read_pair(struct tier_calibration *calibration, sd_json_variant *object)
{
	struct tier_calibration_pair *pair = &calibration->pairs[calibration->pair_count - 1];
	uint64_t cpu_node, node, rounds, spreads[2];

	if (!json_read_number(object, "cpu_node", 0, INT_MAX, &cpu_node) ||
	    !json_read_number(object, "node", 0, INT_MAX, &node) ||
	    !json_read_number(object, "rounds", 1, TIER_CALIBRATION_ROUNDS_MAX, &rounds) ||
	    !json_read_number(object, "read_mbps", 1, TIER_CALIBRATION_MBPS_MAX,
			      &pair->read_mbps) ||
	    !json_read_number(object, "read_spread_permille", 0, TIER_CALIBRATION_SPREAD_MAX,
			      &spreads[0]) ||
	    !json_read_number(object, "latency_psec", 1, TIER_CALIBRATION_PSEC_MAX,
			      &pair->latency_psec) ||
	    !json_read_number(object, "latency_spread_permille", 0, TIER_CALIBRATION_SPREAD_MAX,
			      &spreads[1]) ||
	    !json_read_flag(object, "huge_pages", &pair->huge_pages) ||
	    !is_described(calibration, node))
		return false;
	pair->cpu_node = (int)cpu_node;
	pair->node = (int)node;
	pair->rounds = (unsigned)rounds;
	pair->read_spread_permille = (unsigned)spreads[0];
	pair->latency_spread_permille = (unsigned)spreads[1];
	if (calibration->pair_count == 1)
		return true;
	return pair[-1].cpu_node < pair->cpu_node ||
	       (pair[-1].cpu_node == pair->cpu_node && pair[-1].node < pair->node);
}

int tier_calibration_parse(const char *text, size_t bytes, const char *name,
			   struct tier_calibration **ret, struct tier_problem *problem)
{
	_cleanup_(tier_calibration_freep) struct tier_calibration *calibration =
		calloc(1, sizeof(*calibration));
	_cleanup_json_ sd_json_variant *whole = NULL;
	sd_json_variant *nodes, *pairs;
	uint64_t version;
	int r = calibration ? json_read(text, bytes, &whole) : -ENOMEM;

	if (r < 0)
		return tier_problem_set(problem, r, name, NULL, "cannot read it");
	if (r)
		return damaged(problem, name, "not a JSON object");
	if (!json_read_number(whole, "version", 0, UINT64_MAX, &version))
		return damaged(problem, name, "no version");
	if (version != VERSION)
		return tier_problem_set(problem, TIER_E_INCOMPATIBLE, name,
					"tierctl calibrate makes another one",
					"is a calibration in version %llu, and this one reads "
					"version %d",
					(unsigned long long)version, VERSION);
	nodes = sd_json_variant_by_key(whole, "nodes");
	pairs = sd_json_variant_by_key(whole, "pairs");
	if (!json_read_number(whole, "made_usec", 0, INT64_MAX, &calibration->made_usec) ||
	    !json_read_text(whole, "machine", calibration->identity.machine,
			    sizeof(calibration->identity.machine)) ||
	    !json_read_text(whole, "cpu", calibration->identity.cpu,
			    sizeof(calibration->identity.cpu)))
		return damaged(problem, name, "no machine, processor or time");
	if (!json_is_array(nodes, TIER_CALIBRATION_NODES_MAX) ||
	    !json_is_array(pairs, TIER_CALIBRATION_PAIRS_MAX))
		return damaged(problem, name, "no nodes or pairs");
	for (size_t i = 0; i < sd_json_variant_elements(nodes); i++) {
		if (!array_grow(&calibration->nodes, &calibration->node_count,
				sizeof(*calibration->nodes)))
			return tier_problem_set(problem, -ENOMEM, name, NULL, "cannot read it");
		if (!read_node(calibration, sd_json_variant_by_index(nodes, i)))
			return damaged(problem, name, "a node that makes no sense");
	}
	for (size_t i = 0; i < sd_json_variant_elements(pairs); i++) {
		if (!array_grow(&calibration->pairs, &calibration->pair_count,
				sizeof(*calibration->pairs)))
			return tier_problem_set(problem, -ENOMEM, name, NULL, "cannot read it");
		if (!read_pair(calibration, sd_json_variant_by_index(pairs, i)))
			return damaged(problem, name, "a pair that makes no sense");
	}
	*ret = TAKE(calibration);
	return 0;
}
