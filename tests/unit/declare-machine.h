/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_DECLARE_MACHINE_H
#define TIER_TEST_DECLARE_MACHINE_H

#include "config-keys.h"
#include "test.h"
#include "tier-declare.h"
#include "topology.h"

/*
 * Two host bridges, 4 decoders each: below port1 (target 12) the devices with serial numbers 1 and 2, below port2
 * (target 13) number 3, and, behind the switch port6, 4 and 5. Each has 1 GiB. A window for each bridge, and one that
 * interleaves over both by 512 bytes.
 */
static inline struct tier_memdev *add_memdev(struct tier_topology *t, uint64_t serial,
					     const char *first, const char *second,
					     const char *third)
{
	const char *ports[] = {first, second, third};
	char name[32];

	snprintf(name, sizeof(name), "mem%d", (int)serial - 1);
	struct tier_memdev *memdev = topology_add_memdev(t, name);

	CHECK(memdev != NULL);
	memdev->serial = serial;
	memdev->ram_bytes = memdev->ram_free_bytes = GIB;
	memdev->enabled = true;
	for (unsigned i = 0; i < 3 && ports[i]; i++)
		strcpy(memdev->ports[memdev->port_count++], ports[i]);
	return memdev;
}

static inline struct tier_topology *machine_new(void)
{
	static const char *const ports[] = {"port1",	 "port2", "endpoint3", "endpoint4",
					    "endpoint5", "port6", "endpoint7", "endpoint8"};
	struct tier_topology *t;

	CHECK_EQ(tier_topology_new(&t), 0);
	strcpy(t->hotplug.auto_online, "offline");
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		struct tier_port *port = topology_add_port(t, ports[i]);

		port->decoders = port->free_decoders = 4;
		port->target = i < 2 ? 12 + (int)i : TIER_UNKNOWN_INT;
	}
	add_memdev(t, 1, "port1", "endpoint3", NULL);
	add_memdev(t, 2, "port1", "endpoint4", NULL);
	add_memdev(t, 3, "port2", "endpoint5", NULL);
	add_memdev(t, 4, "port2", "port6", "endpoint7");
	add_memdev(t, 5, "port2", "port6", "endpoint8");
	for (unsigned i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof(name), "decoder0.%u", i);
		struct tier_window *window = topology_add_window(t, name);

		window->start = (i + 1) * 16 * GIB;
		window->bytes = 4 * GIB;
		window->volatile_capable = true;
		window->interleave_ways = window->target_count = i == 2 ? 2 : 1;
		window->interleave_granularity_bytes = i == 2 ? 512 : 256;
		window->targets[0] = i == 1 ? 13 : 12;
		window->targets[1] = 13;
	}
	topology_sort(t);
	return t;
}

/* A region that is there, of devices by serial number; 0 ends them. */
static inline struct tier_region *add_region(struct tier_topology *t, uint64_t start,
					     uint64_t bytes, uint64_t serial, uint64_t second)
{
	uint64_t serials[] = {serial, second};
	unsigned ways = second ? 2 : 1;
	char name[32], memdev[32];

	snprintf(name, sizeof(name), "region%zu", t->region_count);
	struct tier_region *region = topology_add_region(t, name);

	region->start = start;
	region->bytes = bytes;
	region->committed = true;
	region->interleave_ways = ways;
	region->interleave_granularity_bytes = 256;
	strcpy(region->mode, "ram");
	snprintf(region->window, sizeof(region->window), "decoder0.%d",
		 (int)(start / (16 * GIB)) - 1);
	for (unsigned i = 0; i < ways; i++) {
		snprintf(memdev, sizeof(memdev), "mem%d", (int)serials[i] - 1);
		CHECK_EQ(topology_region_add_memdev(region, memdev, serials[i], 0), 0);
		((struct tier_memdev *)tier_topology_memdev(t, memdev))->ram_free_bytes -=
			bytes / ways;
	}
	return region;
}

static inline struct tier_config *config_of(const char *text)
{
	struct tier_problem problem = {};
	struct tier_config *config;

	CHECK_EQ(tier_config_new(&config), 0);
	if (tier_config_parse(config, text, strlen(text), "t.conf", &problem) != 0 ||
	    config_check(config, &problem) != 0)
		FAIL("%s: %s", problem.object, problem.text);
	return config;
}

#endif
