/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "fuzz.h"
#include "tier-tiering-kernel.h"
#include "tier-weights.h"

/*
 * The first byte says which: a calibration ('C'), how the kernel's tiering was set before ('K'), or what was there
 * before weights were written.
 */

static void check_numbers(const struct tier_calibration *c)
{
	HOLDS(c->node_count <= TIER_CALIBRATION_NODES_MAX);
	HOLDS(c->pair_count <= TIER_CALIBRATION_PAIRS_MAX);
	for (size_t i = 0; i < c->node_count; i++) {
		HOLDS(c->nodes[i].node >= 0 && c->nodes[i].serial_count <= TIER_WAYS_MAX);
		HOLDS(i == 0 || c->nodes[i - 1].node < c->nodes[i].node);
	}
	for (size_t i = 0; i < c->pair_count; i++) {
		const struct tier_calibration_pair *p = &c->pairs[i];

		HOLDS(p->rounds >= 1 && p->rounds <= TIER_CALIBRATION_ROUNDS_MAX);
		HOLDS(p->read_mbps >= 1 && p->read_mbps <= TIER_CALIBRATION_MBPS_MAX);
		HOLDS(p->latency_psec >= 1 && p->latency_psec <= TIER_CALIBRATION_PSEC_MAX);
		HOLDS(tier_calibration_mbps(c, p->node) >= p->read_mbps);
	}
}

/* Whatever the file says, weights are within the kernel's range. */
static void check_plan(const struct tier_calibration *c)
{
	struct tier_node nodes[TIER_CALIBRATION_NODES_MAX] = {};
	struct tier_topology topology = {.nodes = nodes, .node_count = c->node_count};
	struct tier_config config = {};
	struct tier_weights_input input = {&topology, &config, c, &c->identity, NULL};
	struct tier_weights_plan *plan;

	topology.hotplug.auto_weights = 1;
	for (size_t i = 0; i < c->node_count; i++)
		nodes[i] = (struct tier_node){.id = c->nodes[i].node,
					      .has_memory = true,
					      .interleave_weight = 1,
					      .present_kernel_bytes = c->nodes[i].bytes,
					      .cpu_read_bandwidth_mbps = TIER_UNKNOWN_U64,
					      .cpu_write_bandwidth_mbps = TIER_UNKNOWN_U64,
					      .read_bandwidth_mbps = TIER_UNKNOWN_U64,
					      .write_bandwidth_mbps = TIER_UNKNOWN_U64};
	HOLDS(tier_plan_weights(&input, &plan) == 0);
	for (size_t i = 0; i < plan->step_count; i++)
		HOLDS(plan->steps[i].to >= 1 && plan->steps[i].to <= TIER_INTERLEAVE_WEIGHT_MAX);
	tier_weights_plan_free(plan);
}

static void try_calibration(const char *text, size_t size)
{
	struct tier_problem problem = {};
	struct tier_calibration *c, *again;
	char *formatted, *twice;
	int r = tier_calibration_parse(text, size, "file", &c, &problem);

	HOLDS(r == 0 || r == TIER_E_DAMAGED || r == TIER_E_INCOMPATIBLE);
	if (r) {
		HOLDS(problem.text[0]);
		return;
	}
	check_numbers(c);
	check_plan(c);
	HOLDS(tier_calibration_format(c, &formatted) == 0);
	HOLDS(tier_calibration_parse(formatted, strlen(formatted), "file", &again, NULL) == 0);
	HOLDS(tier_calibration_format(again, &twice) == 0);
	HOLDS(strcmp(formatted, twice) == 0);
	free(formatted);
	free(twice);
	tier_calibration_free(again);
	tier_calibration_free(c);
}

static void try_saved(const char *text, size_t size)
{
	struct tier_weights_saved *saved, *again;
	char *formatted;
	int r = tier_weights_saved_parse(text, size, &saved);

	HOLDS(r == 0 || r == TIER_E_DAMAGED);
	if (r)
		return;
	for (size_t i = 0; i < saved->node_count; i++) {
		HOLDS(saved->nodes[i].before >= 1 && saved->nodes[i].before <= 255);
		HOLDS(saved->nodes[i].written >= 1 && saved->nodes[i].written <= 255);
	}
	HOLDS(tier_weights_saved_format(saved, &formatted) == 0);
	HOLDS(tier_weights_saved_parse(formatted, strlen(formatted), &again) == 0);
	HOLDS(again->node_count == saved->node_count);
	HOLDS(again->auto_weights == saved->auto_weights);
	free(formatted);
	tier_weights_saved_free(again);
	tier_weights_saved_free(saved);
}

static void try_knobs(const char *text, size_t size)
{
	struct tier_knobs_saved saved = {}, again = {};
	char terminated[4096], *formatted;

	if (size >= sizeof(terminated))
		return;
	memcpy(terminated, text, size);
	terminated[size] = '\0';
	if (tier_knobs_parse(terminated, &saved) != 0)
		return;
	HOLDS(tier_knobs_format(&saved, &formatted) == 0);
	HOLDS(tier_knobs_parse(formatted, &again) == 0);
	for (int i = 0; i < TIER_KNOBS; i++) {
		HOLDS(saved.knobs[i].ours == again.knobs[i].ours);
		HOLDS(saved.knobs[i].before == again.knobs[i].before);
		HOLDS(saved.knobs[i].next == again.knobs[i].next);
		HOLDS(saved.knobs[i].before <= TIER_KNOB_MAX);
	}
	free(formatted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 'C')
		try_calibration((const char *)data + 1, size - 1);
	else if (data[0] == 'K')
		try_knobs((const char *)data + 1, size - 1);
	else
		try_saved((const char *)data + 1, size - 1);
	return 0;
}
