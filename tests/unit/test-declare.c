/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <systemd/sd-json.h>

#include "declare-machine.h"

/* The plan for a configuration; for one test at a time. */
static struct tier_declared *plan;
static size_t planned;

static const struct tier_declared *planned_of(const struct tier_topology *topology,
					      const char *text)
{
	struct tier_config *config = config_of(text);

	free(plan);
	plan = NULL;
	CHECK_EQ(tier_declared_plan(config, topology, &plan, &planned), 0);
	tier_config_free(config);
	return plan;
}

#define CHECK_STATE(number, wanted)                                                                \
	do {                                                                                       \
		if (plan[number].state != (wanted))                                                \
			FAIL("%s: %s (%s)", plan[number].name,                                     \
			     tier_declared_state_name(plan[number].state),                         \
			     plan[number].problem.text);                                           \
	} while (0)
#define CHECK_REASON(number, wanted_state, words)                                                  \
	do {                                                                                       \
		CHECK_STATE(number, wanted_state);                                                 \
		CHECK_HAS(plan[number].problem.text, words);                                       \
	} while (0)

TEST(one_device_in_the_window_that_reaches_it)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();
	const struct tier_declared *d =
		planned_of(t, "[Region other]\nMatchSerial=9\n[Region a]\nCreate=3\n"
			      "[Region b]\nCreate=0x1\nSize=512M\nType=shared\n");

	CHECK_EQ(planned, 2);
	CHECK_STR(d[0].name, "a");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_STR(d[0].window, "decoder0.1");
	CHECK_STR(d[0].memdevs[0], "mem2");
	CHECK_EQ(d[0].bytes, GIB);
	CHECK_EQ(d[0].granularity_bytes, 256);
	CHECK_EQ(d[0].ways, 1);
	CHECK_EQ(d[0].type, TIER_MEMORY_UNKNOWN);
	CHECK_STATE(1, TIER_DECLARED_CREATE);
	CHECK_STR(d[1].window, "decoder0.0");
	CHECK_EQ(d[1].bytes, 512 * MIB);
	CHECK_EQ(d[1].type, TIER_MEMORY_SHARED);
}

TEST(interleaved_in_the_declared_order)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();
	const struct tier_declared *d = planned_of(t, "[Region below]\nCreate=2, 1\nSize=512M\n"
						      "InterleaveGranularity=1K\n");

	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_STR(d[0].window, "decoder0.0");
	CHECK_STR(d[0].memdevs[0], "mem1");
	CHECK_STR(d[0].memdevs[1], "mem0");
	CHECK_EQ(d[0].granularity_bytes, 1024);
	CHECK_EQ(d[0].ways, 2);
	/* Over two bridges: the window's order, and its granularity. */
	d = planned_of(t, "[Region over]\nCreate=1 3\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_STR(d[0].window, "decoder0.2");
	CHECK_EQ(d[0].granularity_bytes, 512);
	CHECK_EQ(d[0].bytes, 2 * GIB);
	planned_of(t, "[Region over]\nCreate=3 1\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "decoder0.0: it does not reach mem2");
	CHECK_HAS(plan[0].problem.text, "decoder0.2: mem2, device 1 of Create=, is below another");
	CHECK_STR(plan[0].problem.object, "[Region over]");
	planned_of(t, "[Region over]\nCreate=1 3\nInterleaveGranularity=256\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED,
		     "decoder0.2: it interleaves by 512 bytes, not by 256");
	/* Three are no multiple of two bridges. */
	planned_of(t, "[Region over]\nCreate=1 3 2\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "3 devices are not a power of two times that");
}

TEST(devices_below_a_port_take_turns)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();

	/* port2: the switch, the switch, number 3: two of its ports do not take turns. */
	add_memdev(t, 6, "port2", "endpoint9", NULL);
	topology_sort(t);
	planned_of(t, "[Region s]\nCreate=4 5 3 6\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "the devices below port2 do not take turns");
	planned_of(t, "[Region s]\nCreate=4 3 5 6\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "mem5 comes where one next to mem2 is needed");
	planned_of(t, "[Region s]\nCreate=3 4\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	planned_of(t, "[Region s]\nCreate=4 5\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	/* Below both bridges, two by two: 1 4 2 5 takes turns everywhere. */
	planned_of(t, "[Region s]\nCreate=1 4 2 5\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_STR(plan[0].window, "decoder0.2");
	/* 16K by 2 bridges is 32K at the bridge. */
	t->windows[2].interleave_granularity_bytes = 16384;
	planned_of(t, "[Region s]\nCreate=1 4 2 5\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "port1 would interleave by 32K");
	/* Three ports of one bridge. */
	planned_of(t, "[Region s]\nCreate=3 4 6\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED,
		     "decoder0.1: it interleaves over 1 host bridges, and 3 devices are not");
	/* Four that take turns at three of its ports. */
	planned_of(t, "[Region s]\nCreate=4 3 6 5\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "port2 would interleave over 3 of its ports");
}

TEST(what_is_there_is_left_as_it_is)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();
	struct tier_region *region = add_region(t, 16 * GIB, GIB, 1, 2);

	planned_of(t, "[Region a]\nCreate=1 2\nSize=1G\n");
	CHECK_STATE(0, TIER_DECLARED_EXISTS);
	CHECK_STR(plan[0].region, "region0");
	CHECK_STR(plan[0].window, "decoder0.0");
	CHECK_STR(plan[0].problem.text, "");
	planned_of(t, "[Region a]\nCreate=1 2\nSize=1G\nInterleaveGranularity=256\n");
	CHECK_STATE(0, TIER_DECLARED_EXISTS);
	planned_of(t, "[Region a]\nCreate=1 2\nSize=1G\nInterleaveGranularity=512\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "interleaves by 256 bytes, and 512 are declared");
	planned_of(t, "[Region a]\nCreate=1 2\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED,
		     "region0 has 1G, and without Size= all of its devices is meant, 2G");
	/* Another order, another size, a part of the devices: it is another region. */
	planned_of(t, "[Region a]\nCreate=2 1\nSize=1G\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED,
		     "region0, of 1G, is in the way on mem0 (serial number 0x1)");
	CHECK_STR(plan[0].region, "region0");
	CHECK_HAS(plan[0].problem.next, "cxl destroy-region region0");
	planned_of(t, "[Region a]\nCreate=1 2\nSize=512M\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "region0, of 1G, is in the way");
	planned_of(t, "[Region a]\nCreate=2\nSize=512M\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "on mem1 (serial number 0x2), and is not declared");
	/* Declared by another section, it is in nobody's way. */
	planned_of(t, "[Region b]\nCreate=2\nSize=512M\n[Region a]\nCreate=1 2\nSize=1G\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_STATE(1, TIER_DECLARED_EXISTS);
	region->committed = false;
	planned_of(t, "[Region a]\nCreate=1 2\nSize=1G\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "region0 is there and not committed");
	/* Persistent memory is no rival. */
	region->committed = true;
	strcpy(region->mode, "pmem");
	t->memdevs[1].ram_free_bytes = GIB;
	planned_of(t, "[Region a]\nCreate=2\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
}

TEST(missing_devices_are_waited_for)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();

	planned_of(t, "[Region a]\nCreate=1 0x77 0x78 2\n[Region b]\nCreate=3\n");
	CHECK_REASON(0, TIER_DECLARED_WAITS, "not there: serial number 0x77, 0x78");
	CHECK_STR(plan[0].memdevs[0], "mem0");
	CHECK_STR(plan[0].memdevs[1], "");
	CHECK_STATE(1, TIER_DECLARED_CREATE);
	t->memdevs[2].enabled = false;
	planned_of(t, "[Region b]\nCreate=3\n");
	CHECK_REASON(0, TIER_DECLARED_WAITS, "the driver of mem2 (serial number 0x3)");
	t->memdevs[2].enabled = true;
	t->memdevs[1].serial = 3;
	planned_of(t, "[Region b]\nCreate=3\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "two memory devices have the same serial number");
}

TEST(devices_that_are_too_small)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();

	planned_of(t, "[Region a]\nCreate=1 2\nSize=4G\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED,
		     "mem0 (serial number 0x1) is too small: 1G of its 1G are free, and 2G on each "
		     "of 2 devices are needed");
	/* The sum of what is declared on it. */
	planned_of(t, "[Region a]\nCreate=1\nSize=768M\n[Region b]\nCreate=1 2\nSize=1G\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_REASON(1, TIER_DECLARED_REFUSED, "mem0 (serial number 0x1) is too small: it has 1G");
	CHECK_HAS(plan[1].problem.text, "a 768M + b 512M = 1.2G");
	/* What fits, fits, in the order of the configuration. */
	planned_of(t, "[Region a]\nCreate=1\nSize=512M\n[Region b]\nCreate=1 2\nSize=1G\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_STATE(1, TIER_DECLARED_CREATE);
	/* Without Size= as much of each as the smallest has, in steps that can be decoded. */
	t->memdevs[1].ram_bytes = t->memdevs[1].ram_free_bytes = 300 * MIB;
	planned_of(t, "[Region b]\nCreate=1 2\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_EQ(plan[0].bytes, 512 * MIB);
	t->memdevs[1].ram_bytes = t->memdevs[1].ram_free_bytes = 255 * MIB;
	planned_of(t, "[Region b]\nCreate=1 2\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "less than the 256M that CXL decodes");
	/* A part that a decoder has, and no region. */
	t->memdevs[0].ram_free_bytes = 256 * MIB;
	planned_of(t, "[Region a]\nCreate=1\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED,
		     "256M of its 1G are free, and 1G on each of 1 device is");
}

TEST(room_and_order_in_the_window)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();

	t->windows[0].bytes = GIB;
	planned_of(t, "[Region a]\nCreate=1\nSize=768M\n[Region b]\nCreate=2\nSize=512M\n"
		      "[Region c]\nCreate=2\nSize=256M\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_REASON(1, TIER_DECLARED_REFUSED, "decoder0.0: it has no 512M free in one piece");
	CHECK_STATE(2, TIER_DECLARED_CREATE);
	/* The hole is below what its bridge decodes already: Linux would say EBUSY. */
	t->windows[0].bytes = 4 * GIB;
	add_region(t, 17 * GIB, GIB, 2, 0);
	planned_of(t, "[Region b]\nCreate=2\n[Region a]\nCreate=1\n");
	CHECK_STATE(0, TIER_DECLARED_EXISTS);
	CHECK_REASON(1, TIER_DECLARED_REFUSED,
		     "its free space is below region0, and the decoders of port1 have to go up");
	/* Not so for one that is too large for the hole. */
	t->memdevs[0].ram_bytes = t->memdevs[0].ram_free_bytes = 2 * GIB;
	planned_of(t, "[Region b]\nCreate=2\n[Region a]\nCreate=1\n");
	CHECK_STATE(1, TIER_DECLARED_CREATE);
	t->windows[0].start = TIER_UNKNOWN_U64;
	planned_of(t, "[Region a]\nCreate=1\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "its addresses cannot be read without privilege");
	t->windows[0].start = UINT64_MAX - 100;
	planned_of(t, "[Region a]\nCreate=1\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "free in one piece");
	t->windows[0].volatile_capable = false;
	planned_of(t, "[Region a]\nCreate=1\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "decoder0.0: it takes no volatile memory");
	t->window_count = 0;
	planned_of(t, "[Region a]\nCreate=1\n");
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "no window fits: there is none");
}

TEST(decoders_in_use)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();
	struct tier_port *port = (struct tier_port *)tier_topology_port(t, "port1");

	/* One for both devices of a region that go through it, and another one for the next region. */
	port->free_decoders = 2;
	planned_of(t, "[Region a]\nCreate=1 2\nSize=512M\n[Region b]\nCreate=1\nSize=256M\n"
		      "[Region c]\nCreate=2\nSize=256M\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_STATE(1, TIER_DECLARED_CREATE);
	CHECK_REASON(2, TIER_DECLARED_REFUSED,
		     "all 4 decoders of port1, on the way to mem1, are in use");
	port->free_decoders = TIER_UNKNOWN_INT;
	planned_of(t, "[Region c]\nCreate=2\nSize=256M\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
}

TEST(a_portal_is_not_made_where_the_kernel_onlines)
{
	static const char lake[] = "[Region lake]\nCreate=1\n[Portal lake]\nMatchSerial=1\n";
	_cleanup_topology_ struct tier_topology *t = machine_new();
	struct tier_node *node = topology_add_node(t, 0);

	planned_of(t, lake);
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_EQ(plan[0].type, TIER_MEMORY_SHARED);
	strcpy(t->hotplug.auto_online, "online_movable");
	planned_of(t, lake);
	CHECK_REASON(0, TIER_DECLARED_REFUSED, "auto_online_blocks is \"online_movable\"");
	planned_of(t, "[Region own]\nCreate=1\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	/* Blocks of typed memory are closed whatever the kernel onlines. */
	node->type_by_kernel = true;
	planned_of(t, lake);
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	t->memdevs[0].behind_switch = true;
	planned_of(t, lake);
	CHECK_EQ(plan[0].type, TIER_MEMORY_SWITCHED);
}

TEST(dumps_without_ports)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();

	/* What is not known is not held against it: the kernel has the last word. */
	for (size_t i = 0; i < t->memdev_count; i++) {
		t->memdevs[i].port_count = 0;
		memset(t->memdevs[i].ports, 0, sizeof(t->memdevs[i].ports));
		t->memdevs[i].ram_free_bytes = TIER_UNKNOWN_U64;
	}
	t->port_count = 0;
	planned_of(t, "[Region a]\nCreate=1\nSize=512M\n[Region b]\nCreate=1\nSize=768M\n");
	CHECK_STATE(0, TIER_DECLARED_CREATE);
	CHECK_REASON(1, TIER_DECLARED_REFUSED, "too small");
	add_region(t, 16 * GIB, 512 * MIB, 1, 0)->memdev_count = 1;
	t->memdevs[0].ram_free_bytes = TIER_UNKNOWN_U64;
	planned_of(t, "[Region a]\nCreate=1\nSize=512M\n[Region b]\nCreate=1\nSize=768M\n");
	CHECK_STATE(0, TIER_DECLARED_EXISTS);
	CHECK_REASON(1, TIER_DECLARED_REFUSED, "too small");
}

TEST(json)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();
	sd_json_variant *json = NULL, *first;
	char *text = NULL;

	planned_of(t, "[Region a]\nCreate=1 9\n[Region b]\nCreate=2\n");
	CHECK_EQ(tier_declared_to_json(plan, planned, &text), 0);
	CHECK(sd_json_parse(text, 0, &json, NULL, NULL) >= 0);
	free(text);
	CHECK_EQ(sd_json_variant_elements(json), 2);
	first = sd_json_variant_by_index(json, 0);
	CHECK_STR(sd_json_variant_string(sd_json_variant_by_key(first, "state")), "waits");
	CHECK_HAS(sd_json_variant_string(sd_json_variant_by_key(first, "reason")), "0x9");
	CHECK(sd_json_variant_is_null(sd_json_variant_by_key(first, "bytes")));
	first = sd_json_variant_by_index(json, 1);
	CHECK_EQ(sd_json_variant_unsigned(sd_json_variant_by_key(first, "bytes")), GIB);
	CHECK(sd_json_variant_is_null(sd_json_variant_by_key(first, "reason")));
	sd_json_variant_unref(json);
	CHECK_STR(tier_declared_state_name((enum tier_declared_state)9), "unknown");
	free(plan);
	plan = NULL;
}
