/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fixture.h"
#include "json.h"
#include "topology.h"

/*
 * tests/fixtures/expanders was captured from an emulated host with 2 GiB of DRAM, HMAT, a direct
 * 1 GiB expander (region0, onlined as Movable) and a 512 MiB one behind a switch (region1, bound
 * to kmem, offline).
 */
static struct tier_topology *read_fixture(void)
{
	struct tier_topology *topology = NULL;
	struct tier_problem problem = {};

	if (tier_topology_read(fixture("expanders"), &topology, &problem) != 0)
		FAIL("%s: %s", problem.object, problem.text);
	return topology;
}

TEST(dump_regions)
{
	_cleanup_topology_ struct tier_topology *t = read_fixture();
	const struct tier_region *region = tier_topology_region(t, "region0");
	const struct tier_dax *dax = tier_topology_region_dax(t, "region0", NULL);

	CHECK_EQ(t->region_count, 2);
	CHECK(region && dax);
	CHECK_STR(region->window, "decoder0.0");
	CHECK_STR(region->mode, "ram");
	CHECK_STR(region->uuid, "");
	CHECK_EQ(region->start, 0x590000000);
	CHECK_EQ(region->bytes, GIB);
	CHECK(region->committed);
	CHECK_EQ(region->interleave_ways, 1);
	CHECK_EQ(region->memdev_count, 1);
	CHECK_STR(region->memdevs[0], "mem1");
	CHECK_EQ(region->serials[0], 1);
	CHECK_EQ(region->target_node, 2);
	CHECK(!region->shares_node && !region->type_by_kernel);
	CHECK_EQ(region->type, TIER_MEMORY_UNKNOWN);
	CHECK_STR(dax->name, "dax0.0");
	CHECK_EQ(dax->mode, TIER_DAX_SYSTEM_RAM);
	CHECK_EQ(dax->start, region->start);
	CHECK_EQ(dax->align_bytes, 2 * MIB);
	CHECK(tier_topology_region_dax(t, "region0", dax) == NULL);
	CHECK(tier_topology_region(t, "region9") == NULL);
}

TEST(dump_memdevs_and_windows)
{
	_cleanup_topology_ struct tier_topology *t = read_fixture();
	const struct tier_memdev *direct = tier_topology_memdev(t, "mem1");
	const struct tier_memdev *switched = tier_topology_memdev(t, "mem0");

	CHECK(direct && switched);
	CHECK_EQ(direct->serial, 1);
	CHECK_EQ(direct->ram_bytes, GIB);
	CHECK_EQ(direct->pmem_bytes, 0);
	CHECK_STR(direct->host, "0000:21:00.0");
	CHECK(direct->enabled && !direct->behind_switch);
	CHECK(switched->enabled && switched->behind_switch);
	CHECK_EQ(t->window_count, 2);
	CHECK_EQ(t->windows[0].bytes, 4 * GIB);
	CHECK_EQ(t->windows[0].available_bytes, 3 * GIB);
	CHECK(t->windows[0].volatile_capable);
	CHECK_EQ(t->windows[0].interleave_granularity_bytes, 256);
	CHECK_EQ(t->windows[0].target_count, 1);
	CHECK_EQ(t->windows[0].targets[0], 32);
	CHECK_EQ(t->windows[1].targets[0], 64);
}

TEST(dump_ports)
{
	_cleanup_topology_ struct tier_topology *t = read_fixture();
	const struct tier_memdev *direct = tier_topology_memdev(t, "mem1");
	const struct tier_memdev *switched = tier_topology_memdev(t, "mem0");
	const struct tier_port *port;

	CHECK_EQ(direct->port_count, 2);
	CHECK_STR(direct->ports[0], "port2");
	CHECK_STR(direct->ports[1], "endpoint4");
	CHECK_EQ(direct->ram_free_bytes, 0);
	CHECK_EQ(switched->port_count, 3);
	CHECK_STR(switched->ports[0], "port1");
	CHECK_STR(switched->ports[1], "port3");
	CHECK_STR(switched->ports[2], "endpoint5");
	CHECK_EQ(t->port_count, 5);
	/* The window's list has the host bridges' numbers, and only those of host bridges are there. */
	port = tier_topology_port(t, "port2");
	CHECK(port != NULL);
	CHECK_EQ(port->target, 32);
	CHECK_EQ(port->decoders, 4);
	CHECK_EQ(port->free_decoders, 3);
	CHECK_EQ(tier_topology_port(t, "port1")->target, 64);
	CHECK_EQ(tier_topology_port(t, "port3")->target, TIER_UNKNOWN_INT);
	CHECK_EQ(tier_topology_port(t, "port3")->free_decoders, 3);
	CHECK_EQ(tier_topology_port(t, "endpoint5")->free_decoders, 3);
	CHECK(tier_topology_port(t, "port9") == NULL);
}

/* What is free of a device, and which of its decoders, in a dump without and with privilege. */
TEST(memory_that_decoders_have)
{
	static const struct {
		const char *dpa_size, *dpa_resource, *mode, *region;
		int free_decoders;
		uint64_t free_bytes;
	} cases[] = {
		{"0x0", "0xffffffffffffffff", "none", "", 2, GIB},
		{"0x10000000", "0x0", "ram", "region0", 1, GIB - 256 * MIB},
		/* Memory without a region; a hole before it; without privilege; of the other kind. */
		{"0x10000000", "0x0", "ram", "", 1, GIB - 256 * MIB},
		{"0x10000000", "0x20000000", "ram", "region0", 1, 256 * MIB},
		{"0x10000000", NULL, "ram", "region0", 1, GIB - 256 * MIB},
		{"0x10000000", "0x40000000", "pmem", "region0", 1, GIB},
		/* As kernels and dumps without these files have it. */
		{NULL, NULL, NULL, "region0", TIER_UNKNOWN_INT, TIER_UNKNOWN_U64},
		{"0x0", NULL, "ram", NULL, TIER_UNKNOWN_INT, GIB},
	};
	static const char decoder[] = "sys/bus/cxl/devices/decoder3.0";

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_topology_ struct tier_topology *t = NULL;
		const char *files[] = {
			"dpa_size", cases[i].dpa_size, "dpa_resource", cases[i].dpa_resource,
			"mode",	    cases[i].mode,     "region",       cases[i].region};
		char root[64], path[512], text[64];

		scratch_new(root);
		scratch_file(root, "sys/devices/system/node/node0/cpulist", "0\n");
		scratch_file(root, "sys/bus/cxl/devices/mem0/serial", "0x1\n");
		scratch_file(root, "sys/bus/cxl/devices/mem0/ram/size", "0x40000000\n");
		scratch_file(root, "sys/devices/root0/port1/endpoint3/devtype", "cxl_port\n");
		scratch_file(root, "sys/bus/cxl/devices/decoder3.0/devtype", "endpoint\n");
		scratch_file(root, "sys/bus/cxl/devices/decoder3.1/dpa_size", "0x0\n");
		scratch_file(root, "sys/bus/cxl/devices/decoder3.1/mode", "none\n");
		scratch_file(root, "sys/bus/cxl/devices/decoder3.1/region", "\n");
		snprintf(path, sizeof(path), "%s/sys/bus/cxl/devices/endpoint3", root);
		CHECK_EQ(symlink("../../../devices/root0/port1/endpoint3", path), 0);
		snprintf(path, sizeof(path), "%s/sys/devices/root0/port1/endpoint3/uport", root);
		CHECK_EQ(symlink("../../../../pci0000:0c/0000:0d:00.0/mem0", path), 0);
		for (size_t f = 0; f < ARRAY_SIZE(files); f += 2) {
			snprintf(path, sizeof(path), "%s/%s", decoder, files[f]);
			snprintf(text, sizeof(text), "%s\n", files[f + 1] ?: "");
			if (files[f + 1])
				scratch_file(root, path, text);
		}
		CHECK_EQ(tier_topology_read(root, &t, NULL), 0);
		CHECK_EQ(t->memdevs[0].port_count, 2);
		CHECK_STR(t->memdevs[0].ports[1], "endpoint3");
		if (t->memdevs[0].ram_free_bytes != cases[i].free_bytes ||
		    t->ports[0].free_decoders != cases[i].free_decoders)
			FAIL("case %zu: %" PRIu64 " bytes and %d decoders are free", i,
			     t->memdevs[0].ram_free_bytes, t->ports[0].free_decoders);
		scratch_done(root);
	}
}

TEST(dump_nodes)
{
	_cleanup_topology_ struct tier_topology *t = read_fixture();
	const struct tier_node *dram = tier_topology_node(t, 0), *cxl = tier_topology_node(t, 2);

	CHECK(dram && cxl);
	CHECK(dram->has_cpu && dram->has_memory && dram->online);
	CHECK_STR(dram->cpus, "0-1");
	CHECK_EQ(dram->read_latency_nsec, 80);
	CHECK_EQ(dram->present_movable_bytes, 0);
	CHECK(dram->present_kernel_bytes > GIB && dram->present_kernel_bytes <= 2 * GIB);
	CHECK(!cxl->has_cpu && cxl->has_memory);
	CHECK_EQ(cxl->present_movable_bytes, GIB);
	CHECK_EQ(cxl->present_kernel_bytes, 0);
	CHECK_EQ(cxl->read_latency_nsec, TIER_UNKNOWN_U64);
	CHECK_EQ(dram->tier, TIER_UNKNOWN_INT);
	CHECK_EQ(tier_topology_read_tiers(fixture("expanders"), t), 0);
	CHECK(dram->tier >= 0 && cxl->tier > dram->tier);
	CHECK_EQ(dram->distance_count, t->node_count);
	CHECK_EQ(dram->distances[1].node, 2);
	CHECK_EQ(dram->distances[1].distance, 20);
	/* Online, but without memory: total is zero, which is not unknown. */
	CHECK_EQ(tier_topology_node(t, 3)->total_bytes, 0);
	CHECK_EQ(tier_topology_node(t, 3)->tier, TIER_UNKNOWN_INT);
	CHECK(tier_topology_node(t, 1) == NULL);
}

/* Of this machine they are not read while a block goes offline. */
TEST(tiers_wait_for_an_offline)
{
	_cleanup_topology_ struct tier_topology *t = read_fixture();

	t->blocks[0].state = TIER_BLOCK_GOING_OFFLINE;
	CHECK_EQ(tier_topology_read_tiers(NULL, t), TIER_E_BUSY);
	CHECK_EQ(tier_topology_read_tiers(fixture("expanders"), t), 0);
}

TEST(dump_blocks)
{
	_cleanup_topology_ struct tier_topology *t = read_fixture();
	const struct tier_block *block;
	size_t count;

	CHECK_EQ(t->block_bytes, 128 * MIB);
	block = tier_topology_range_blocks(t, 0x590000000, GIB, &count);
	CHECK(block != NULL);
	CHECK_EQ(count, 8);
	CHECK_EQ(block->index, 178);
	CHECK_EQ(block->state, TIER_BLOCK_ONLINE);
	CHECK_EQ(block->zone, TIER_ZONE_MOVABLE);
	CHECK_EQ(block->node, 2);
	block = tier_topology_range_blocks(t, 0x690000000, 512 * MIB, &count);
	CHECK_EQ(count, 4);
	CHECK_EQ(block->state, TIER_BLOCK_OFFLINE);
	CHECK_EQ(block->zone, TIER_ZONE_NONE);
	CHECK(block->can_movable && block->can_kernel);
	/* A range that ends inside a block touches it; an empty or absurd one touches none. */
	CHECK(tier_topology_range_blocks(t, 0x590000000, 1, &count) && count == 1);
	CHECK(tier_topology_range_blocks(t, 0x597ffffff, 2, &count) && count == 2);
	CHECK(!tier_topology_range_blocks(t, 0x590000000, 0, &count) && count == 0);
	CHECK(!tier_topology_range_blocks(t, UINT64_MAX - 10, 100, &count) && count == 0);
	CHECK(!tier_topology_range_blocks(t, TIER_UNKNOWN_U64, GIB, &count) && count == 0);
}

TEST(dump_switches)
{
	_cleanup_topology_ struct tier_topology *t = read_fixture();

	CHECK_STR(t->hotplug.auto_online, "offline");
	CHECK_STR(t->hotplug.online_policy, "contig-zones");
	CHECK_EQ(t->hotplug.ratio_percent, 301);
	CHECK(t->hotplug.numa_aware && t->hotplug.init_on_free && !t->hotplug.memmap_on_memory);
	CHECK_EQ(t->hotplug.numa_balancing, 0);
	CHECK_STR(t->hostname, "dump");
	CHECK_HAS(t->kernel, "7.2");
	CHECK_EQ(t->page_bytes, 4096);
}

TEST(json)
{
	_cleanup_topology_ struct tier_topology *t = read_fixture();
	_cleanup_json_ sd_json_variant *whole = NULL;
	_cleanup_free_ char *text = NULL;
	sd_json_variant *node, *region;

	CHECK_EQ(tier_topology_to_json(t, &text), 0);
	CHECK(sd_json_parse(text, 0, &whole, NULL, NULL) >= 0);
	node = sd_json_variant_by_index(sd_json_variant_by_key(whole, "nodes"), 2);
	CHECK_EQ(sd_json_variant_integer(sd_json_variant_by_key(node, "id")), 3);
	/* Zero is a number, unknown is null. */
	CHECK(sd_json_variant_is_unsigned(sd_json_variant_by_key(node, "total_bytes")));
	CHECK(sd_json_variant_is_null(sd_json_variant_by_key(node, "read_latency_nsec")));
	CHECK(sd_json_variant_is_null(sd_json_variant_by_key(node, "tier")));
	region = sd_json_variant_by_index(sd_json_variant_by_key(whole, "regions"), 0);
	CHECK_EQ(sd_json_variant_unsigned(sd_json_variant_by_key(region, "start")), 0x590000000);
	CHECK(sd_json_variant_is_null(sd_json_variant_by_key(region, "uuid")));
	CHECK_EQ(sd_json_variant_elements(sd_json_variant_by_key(whole, "blocks")), t->block_count);
}

TEST(no_dump)
{
	struct tier_topology *topology = (void *)1;
	struct tier_problem problem = {};
	char root[64];

	scratch_new(root);
	CHECK_EQ(tier_topology_read(root, &topology, &problem), -ENOENT);
	CHECK(topology == (void *)1);
	CHECK_STR(problem.object, root);
	CHECK_HAS(problem.next, "capture");
	scratch_done(root);
}

/* Nothing but a node: everything else is absent, which is no error and no zero. */
TEST(bare_dump)
{
	_cleanup_topology_ struct tier_topology *t = NULL;
	char root[64];

	scratch_new(root);
	scratch_file(root, "sys/devices/system/node/node0/cpulist", "0\n");
	/* What the kernel says for a figure that no table gave it. */
	scratch_file(root, "sys/devices/system/node/node0/access0/initiators/read_latency", "0\n");
	CHECK_EQ(tier_topology_read(root, &t, NULL), 0);
	CHECK_EQ(t->node_count, 1);
	CHECK_EQ(t->nodes[0].read_latency_nsec, TIER_UNKNOWN_U64);
	CHECK_EQ(t->nodes[0].total_bytes, TIER_UNKNOWN_U64);
	CHECK_EQ(t->nodes[0].present_kernel_bytes, TIER_UNKNOWN_U64);
	CHECK_EQ(t->block_bytes, 0);
	CHECK_EQ(t->region_count + t->dax_count + t->block_count + t->memdev_count, 0);
	CHECK_EQ(t->hotplug.numa_balancing, TIER_UNKNOWN_INT);
	CHECK_STR(t->hotplug.auto_online, "");
	scratch_done(root);
}

/* Interleaved over two memdevs: the order is the position, and mem10 sorts after mem2. */
TEST(interleaved_dump)
{
	static const char bus[] = "../../../devices/platform/ACPI0017:00/root0";
	_cleanup_topology_ struct tier_topology *t = NULL;
	char root[64], path[512], target[256];

	scratch_new(root);
	scratch_file(root, "sys/devices/system/node/node0/cpulist", "0\n");
	scratch_file(root, "sys/devices/system/node/node0/memory_type", "Local\n");
	scratch_file(root, "sys/devices/platform/ACPI0017:00/root0/decoder0.0/region0/memory_type",
		     "Switched\n");
	scratch_file(root, "sys/devices/platform/ACPI0017:00/root0/decoder0.0/region0/target_node",
		     "5\n");
	scratch_file(root, "sys/bus/cxl/devices/mem10/serial", "0xa\n");
	scratch_file(root, "sys/bus/cxl/devices/mem2/serial", "0x2\n");
	scratch_file(root, "sys/devices/platform/ACPI0017:00/root0/decoder0.0/region0/size",
		     "0x80000000\n");
	scratch_file(root, "sys/devices/platform/ACPI0017:00/root0/decoder0.0/region0/target0",
		     "decoder5.0\n");
	scratch_file(root, "sys/devices/platform/ACPI0017:00/root0/decoder0.0/region0/target1",
		     "decoder3.0\n");
	scratch_file(root,
		     "sys/devices/platform/ACPI0017:00/root0/decoder0.0/region0/interleave_ways",
		     "2\n");
	scratch_file(root, "sys/bus/cxl/devices/endpoint5/devtype", "cxl_port\n");
	scratch_file(root, "sys/bus/cxl/devices/endpoint3/devtype", "cxl_port\n");
	snprintf(path, sizeof(path), "%s/sys/bus/cxl/devices/endpoint5/uport", root);
	CHECK_EQ(symlink("../../../pci0000:0c/0000:0c:00.0/0000:0d:00.0/mem10", path), 0);
	snprintf(path, sizeof(path), "%s/sys/bus/cxl/devices/endpoint3/uport", root);
	CHECK_EQ(symlink("../../../pci0000:0c/0000:0c:01.0/0000:0e:00.0/mem2", path), 0);
	snprintf(path, sizeof(path), "%s/sys/bus/cxl/devices/region0", root);
	snprintf(target, sizeof(target), "%s/decoder0.0/region0", bus);
	CHECK_EQ(symlink(target, path), 0);
	CHECK_EQ(tier_topology_read(root, &t, NULL), 0);
	CHECK_EQ(t->nodes[0].type, TIER_MEMORY_LOCAL);
	CHECK(t->nodes[0].type_by_kernel);
	CHECK_EQ(t->regions[0].type, TIER_MEMORY_SWITCHED);
	CHECK(t->regions[0].type_by_kernel && !t->regions[0].shares_node);
	CHECK_STR(t->memdevs[0].name, "mem2");
	CHECK_STR(t->memdevs[1].name, "mem10");
	CHECK_EQ(t->region_count, 1);
	CHECK_STR(t->regions[0].window, "decoder0.0");
	CHECK_EQ(t->regions[0].memdev_count, 2);
	CHECK_STR(t->regions[0].memdevs[0], "mem10");
	CHECK_EQ(t->regions[0].serials[0], 10);
	CHECK_STR(t->regions[0].memdevs[1], "mem2");
	/* Without a dax device: the kernel tells of the region itself. */
	CHECK_EQ(t->regions[0].target_node, 5);
	CHECK_EQ(t->regions[0].start, TIER_UNKNOWN_U64);
	scratch_done(root);
}

TEST(window_gaps)
{
	_cleanup_topology_ struct tier_topology *t = NULL;
	const struct {
		uint64_t start, bytes;
	} used[] = {{5 * GIB, GIB}, {2 * GIB, GIB}};
	struct tier_window *window;

	CHECK_EQ(tier_topology_new(&t), 0);
	window = topology_add_window(t, "decoder0.0");
	window->start = GIB;
	window->bytes = 6 * GIB;
	CHECK_EQ(topology_window_available(t, window), 6 * GIB);
	for (size_t i = 0; i < ARRAY_SIZE(used); i++) {
		struct tier_region *region = topology_add_region(t, i ? "region1" : "region0");

		copy_string(region->window, sizeof(region->window), "decoder0.0");
		region->start = used[i].start;
		region->bytes = used[i].bytes;
	}
	CHECK_EQ(topology_window_available(t, window), 2 * GIB);
	/* In a dump there may be anything; this one has an end. */
	t->regions[0].bytes = UINT64_MAX - GIB;
	CHECK_EQ(topology_window_available(t, window), 2 * GIB);
	t->regions[0].start = TIER_UNKNOWN_U64;
	CHECK_EQ(topology_window_available(t, window), TIER_UNKNOWN_U64);
}

/* Without a device the blocks tell the node, as for what the firmware gave out as RAM. */
TEST(regions_without_a_device)
{
	_cleanup_topology_ struct tier_topology *t = NULL;
	char command[8192], root[64];

	scratch_new(root);
	snprintf(command, sizeof(command), "cp -r '%s'/. '%s' && rm -r '%s'/sys/bus/dax",
		 fixture("expanders"), root, root);
	CHECK_EQ(system(command), 0);
	CHECK_EQ(tier_topology_read(root, &t, NULL), 0);
	CHECK_EQ(t->dax_count, 0);
	CHECK_EQ(tier_topology_region(t, "region0")->target_node, 2);
	CHECK_EQ(tier_topology_region(t, "region1")->target_node, 3);
	scratch_done(root);
}

TEST(names)
{
	CHECK_STR(tier_zone_name(TIER_ZONE_MOVABLE), "Movable");
	CHECK_STR(tier_zone_name((enum tier_zone)99), "unknown");
	CHECK_STR(tier_block_state_name(TIER_BLOCK_GOING_OFFLINE), "going-offline");
	CHECK_STR(tier_dax_mode_name(TIER_DAX_SYSTEM_RAM), "system-ram");
	CHECK(tier_topology_free(NULL) == NULL);
}
