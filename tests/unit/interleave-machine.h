/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_INTERLEAVE_MACHINE_H
#define TIER_TEST_INTERLEAVE_MACHINE_H

/* Machines whose interleave weights are planned: nodes, regions, a calibration, and what cxl-tierd has saved. */
#include "test.h"
#include "tier-weights.h"
#include "topology.h"
#include "util.h"

static const struct tier_machine_identity here = {"uuid:1", "a processor"};

static struct tier_topology *topology;
static struct tier_config *config;
static struct tier_calibration calibration;
static struct tier_weights_saved saved;
static struct tier_weight_saved saved_nodes[4];
static struct tier_weights_plan *plan;
static bool refreshed;

static inline struct tier_node *add_node(int id, int present, uint64_t mbps)
{
	struct tier_node *node = topology_add_node(topology, id);

	node->online = node->has_memory = true;
	node->has_cpu = id == 0;
	node->interleave_weight = present;
	node->present_kernel_bytes = 4 * GIB;
	node->present_movable_bytes = 0;
	node->type = TIER_MEMORY_LOCAL;
	node->cpu_read_bandwidth_mbps = node->cpu_write_bandwidth_mbps = mbps;
	return node;
}

static inline struct tier_region *add_region(int node, uint64_t serial)
{
	char name[32];
	struct tier_region *region;

	snprintf(name, sizeof(name), "region%d", node);
	region = topology_add_region(topology, name);
	region->bytes = GIB;
	region->target_node = node;
	region->memdev_count = 1;
	region->memdevs = calloc(1, sizeof(*region->memdevs));
	region->serials = calloc(1, sizeof(*region->serials));
	region->dpa_starts = calloc(1, sizeof(*region->dpa_starts));
	region->serials[0] = serial;
	return region;
}

/* In the configuration's words. */
static void configure(const char *text)
{
	struct tier_problem problem = {};

	tier_config_free(config);
	CHECK_EQ(tier_config_new(&config), 0);
	if (tier_config_parse(config, text, strlen(text), "test.conf", &problem) != 0)
		FAIL("%s: %s", problem.object, problem.text);
}

static void begin(void)
{
	plan = tier_weights_plan_free(plan);
	topology = tier_topology_free(topology);
	CHECK_EQ(tier_topology_new(&topology), 0);
	topology->hotplug.auto_weights = 1;
	free(calibration.nodes);
	free(calibration.pairs);
	calibration = (struct tier_calibration){.identity = here};
	saved = (struct tier_weights_saved){.auto_weights = 1, .nodes = saved_nodes};
	refreshed = true;
	configure("");
}

static void end(void)
{
	begin();
	topology = tier_topology_free(topology);
	config = tier_config_free(config);
	free(calibration.nodes);
	free(calibration.pairs);
	calibration = (struct tier_calibration){};
}

static void measured(int node, uint64_t mbps, uint64_t serial)
{
	struct tier_calibration_node *n =
		array_grow(&calibration.nodes, &calibration.node_count, sizeof(*n));
	struct tier_calibration_pair *p =
		array_grow(&calibration.pairs, &calibration.pair_count, sizeof(*p));

	*n = (struct tier_calibration_node){.node = node, .bytes = serial ? GIB : 4 * GIB};
	if (serial) {
		n->serials[0] = serial;
		n->serial_count = 1;
	}
	*p = (struct tier_calibration_pair){.node = node, .rounds = 5, .read_mbps = mbps};
}

static void wrote(int node, unsigned before, unsigned written)
{
	saved_nodes[saved.node_count++] =
		(struct tier_weight_saved){node, before, written, written};
}

static void make_plan(bool ours)
{
	const struct tier_weights_input input = {
		.topology = topology,
		.config = config,
		.calibration = calibration.node_count ? &calibration : NULL,
		.identity = &here,
		.saved = ours ? &saved : NULL,
		.refreshed = refreshed,
	};

	plan = tier_weights_plan_free(plan);
	CHECK_EQ(tier_plan_weights(&input, &plan), 0);
}

static void check_step(size_t i, int node, unsigned from, unsigned to)
{
	CHECK(i < plan->step_count);
	CHECK_EQ(plan->steps[i].node, node);
	CHECK_EQ(plan->steps[i].from, from);
	CHECK_EQ(plan->steps[i].to, to);
}

#endif
