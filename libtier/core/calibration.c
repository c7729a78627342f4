/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "calibration.h"
#include "util.h"

/* Does a calibration hold for what is there now? */

struct tier_calibration *tier_calibration_free(struct tier_calibration *calibration)
{
	if (!calibration)
		return NULL;
	free(calibration->nodes);
	free(calibration->pairs);
	free(calibration);
	return NULL;
}

static void add_serial(struct tier_calibration_node *node, uint64_t serial)
{
	size_t at = 0;

	while (at < node->serial_count && node->serials[at] < serial)
		at++;
	if (node->serial_count == TIER_WAYS_MAX ||
	    (at < node->serial_count && node->serials[at] == serial))
		return;
	memmove(&node->serials[at + 1], &node->serials[at],
		(node->serial_count - at) * sizeof(node->serials[0]));
	node->serials[at] = serial;
	node->serial_count++;
}

void calibration_describe(const struct tier_topology *topology, int id,
			  struct tier_calibration_node *ret)
{
	const struct tier_node *node = tier_topology_node(topology, id);

	*ret = (struct tier_calibration_node){.node = id};
	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];

		if (region->target_node != id)
			continue;
		ret->bytes += region->bytes;
		for (size_t m = 0; m < region->memdev_count; m++)
			add_serial(ret, region->serials[m]);
	}
	if (ret->serial_count > 0 || !node || node->present_kernel_bytes == TIER_UNKNOWN_U64)
		return;
	ret->bytes = node->present_kernel_bytes + node->present_movable_bytes;
}

static const struct tier_calibration_node *find(const struct tier_calibration *calibration, int id)
{
	for (size_t i = 0; i < calibration->node_count; i++)
		if (calibration->nodes[i].node == id)
			return &calibration->nodes[i];
	return NULL;
}

static bool same_bytes(const struct tier_calibration_node *was,
		       const struct tier_calibration_node *is)
{
	uint64_t less = MIN(was->bytes, is->bytes), more = MAX(was->bytes, is->bytes);

	return is->serial_count ? less == more : more - less <= was->bytes / 8;
}

bool tier_calibration_stale(const struct tier_calibration *calibration,
			    const struct tier_machine_identity *identity,
			    const struct tier_topology *topology, int node, char why[static 160])
{
	const struct tier_calibration_node *was = find(calibration, node);
	struct tier_calibration_node is;
	char before[16], now[16];

	calibration_describe(topology, node, &is);
	if (!streq(calibration->identity.machine, identity->machine))
		snprintf(why, 160, "it was made on another machine");
	else if (!streq(calibration->identity.cpu, identity->cpu))
		snprintf(why, 160, "it was made with another processor");
	else if (!was || tier_calibration_mbps(calibration, node) == TIER_UNKNOWN_U64)
		snprintf(why, 160, "node %d was not measured", node);
	else if (was->serial_count != is.serial_count ||
		 memcmp(was->serials, is.serials, is.serial_count * sizeof(is.serials[0])) != 0)
		snprintf(why, 160, "other memory devices stand behind node %d", node);
	else if (!same_bytes(was, &is))
		snprintf(why, 160, "node %d had %s and has %s", node,
			 format_bytes(before, was->bytes), format_bytes(now, is.bytes));
	else
		why[0] = '\0';
	return why[0] != '\0';
}

uint64_t tier_calibration_mbps(const struct tier_calibration *calibration, int node)
{
	uint64_t best = TIER_UNKNOWN_U64;

	for (size_t i = 0; i < calibration->pair_count; i++) {
		const struct tier_calibration_pair *pair = &calibration->pairs[i];

		if (pair->node == node && (best == TIER_UNKNOWN_U64 || pair->read_mbps > best))
			best = pair->read_mbps;
	}
	return best;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

uint64_t calibration_median(uint64_t *values, size_t count, unsigned *ret_spread_permille)
{
	uint64_t median, spread;

	qsort(values, count, sizeof(*values), compare);
	median = values[count / 2];
	spread = median ? (values[count - 1] - values[0]) * 1000 / median : 0;
	*ret_spread_permille = (unsigned)MIN(spread, TIER_CALIBRATION_SPREAD_MAX);
	return median;
}

bool tier_load_busy(const struct tier_load *load, char why[static 160])
{
	unsigned allowed = MAX(100, load->cpus * 25);

	why[0] = '\0';
	if (load->load_centi != UINT32_MAX && load->load_centi > allowed)
		snprintf(why, 160, "%u.%02u tasks run on %u CPUs on average, more than %u.%02u",
			 load->load_centi / 100, load->load_centi % 100, load->cpus, allowed / 100,
			 allowed % 100);
	else if (load->cpu_stall_centi != UINT32_MAX && load->cpu_stall_centi > 1000)
		snprintf(why, 160, "tasks wait for a CPU for %u.%02u %% of the time",
			 load->cpu_stall_centi / 100, load->cpu_stall_centi % 100);
	else if (load->memory_stall_centi != UINT32_MAX && load->memory_stall_centi > 100)
		snprintf(why, 160, "tasks wait for memory for %u.%02u %% of the time",
			 load->memory_stall_centi / 100, load->memory_stall_centi % 100);
	return why[0] != '\0';
}
