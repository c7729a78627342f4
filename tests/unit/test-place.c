/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which nodes somebody means by tier, type and region, and the policy for them. */
#include "fixture.h"
#include "place.h"
#include "topology.h"

static struct tier_problem problem;

static struct tier_node *add_node(struct tier_topology *t, int id, int tier, bool cpu, bool memory)
{
	struct tier_node *node = topology_add_node(t, id);

	node->tier = tier;
	node->has_cpu = cpu;
	node->has_memory = memory;
	node->total_bytes = node->free_bytes = memory ? GIB : 0;
	return node;
}

static void add_region(struct tier_topology *t, unsigned number, int node, bool online)
{
	char name[32];

	snprintf(name, sizeof(name), "region%u", number);
	struct tier_region *region = topology_add_region(t, name);
	region->start = (number + 1) * 64 * GIB;
	region->bytes = 128 * MIB;
	region->target_node = node;
	CHECK_EQ(topology_region_add_memdev(region, "mem0", number, 0), 0);
	snprintf(name, sizeof(name), "dax%u.0", number);
	struct tier_dax *dax = topology_add_dax(t, name);
	copy_string(dax->region, sizeof(dax->region), region->name);
	dax->start = region->start;
	dax->bytes = region->bytes;
	dax->mode = TIER_DAX_SYSTEM_RAM;
	topology_add_block(t, region->start / (128 * MIB))->state =
		online ? TIER_BLOCK_ONLINE : TIER_BLOCK_OFFLINE;
}

/*
 * Node 0 has CPUs, node 1 is DRAM without, 2 has region2, 3 the Switched region3, 4 the offline region4,
 * 5 regions 5 and 6, 7 is neither.
 */
static struct tier_topology *machine(void)
{
	struct tier_topology *t = NULL;

	CHECK_EQ(tier_topology_new(&t), 0);
	t->block_bytes = 128 * MIB;
	add_node(t, 0, 4, true, true)->type = TIER_MEMORY_LOCAL;
	add_node(t, 1, 4, false, true)->type = TIER_MEMORY_LOCAL;
	add_node(t, 2, 22, false, true)->type = TIER_MEMORY_LOCAL;
	add_node(t, 3, 22, false, true)->type = TIER_MEMORY_SWITCHED;
	add_node(t, 4, TIER_UNKNOWN_INT, false, false)->type = TIER_MEMORY_LOCAL;
	add_node(t, 5, 22, false, true);
	add_node(t, 7, 30, false, true);
	add_region(t, 2, 2, true);
	add_region(t, 3, 3, true);
	add_region(t, 4, 4, false);
	add_region(t, 5, 5, true);
	add_region(t, 6, 5, true);
	topology_sort(t);
	return t;
}

static struct tier_config *config_of(const char *text)
{
	struct tier_config *config;

	CHECK_EQ(tier_config_new(&config), 0);
	CHECK_EQ(tier_config_parse(config, text, strlen(text), "t.conf", &problem), 0);
	return config;
}

/* What is taken, as a list; "" if nothing is. The code is in @ret. */
static const char *select_of(const struct tier_place_request *request, int *ret)
{
	static char list[128];
	_cleanup_topology_ struct tier_topology *t = machine();
	struct tier_config *config = config_of("[Region near]\nMatchSerial=2\n"
					       "[Region pair]\nMatchSerial=5\n"
					       "[Region other]\nMatchSerial=6\n");
	_cleanup_place_ struct tier_place *place = NULL;
	char *text;

	memset(&problem, 0, sizeof(problem));
	*ret = tier_place_select(request, t, config, &place, &problem);
	tier_config_free(config);
	if (!place)
		return "";
	CHECK_EQ(place->node_count, t->node_count);
	CHECK_EQ(*ret == 0, place->taken_count > 0);
	CHECK_EQ(tier_node_set_list(&place->taken, &text), 0);
	snprintf(list, sizeof(list), "%s", text);
	free(text);
	return list;
}

#define TAKES(wanted, ...)                                                                         \
	do {                                                                                       \
		struct tier_place_request request_ = {__VA_ARGS__};                                \
		int r_;                                                                            \
		CHECK_STR(select_of(&request_, &r_), wanted);                                      \
		CHECK_EQ(r_, 0);                                                                   \
	} while (0)

#define REFUSES(code, of, words, ...)                                                              \
	do {                                                                                       \
		struct tier_place_request request_ = {__VA_ARGS__};                                \
		int r_;                                                                            \
		CHECK_STR(select_of(&request_, &r_), "");                                          \
		CHECK_EQ(r_, code);                                                                \
		CHECK_STR(problem.object, of);                                                     \
		CHECK_HAS(problem.text, words);                                                    \
		CHECK(problem.next[0] != '\0');                                                    \
	} while (0)

#define REGIONS(...)                                                                               \
	.regions = (const char *const[]){__VA_ARGS__},                                             \
	.region_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

#define SWITCHED .types = 1U << TIER_MEMORY_SWITCHED

TEST(tiers)
{
	/* What regions 5 and 6 are nobody has told. */
	TAKES("0,1,2,7", .tier = TIER_PLACE_ANY);
	TAKES("0,1", .tier = TIER_PLACE_DRAM);
	TAKES("2", .tier = TIER_PLACE_CXL);
	TAKES("0,1,2,7", .tier = TIER_PLACE_AUTO);
	TAKES("2", .tier = TIER_PLACE_NUMBER, .tier_number = 22);
	TAKES("7", .tier = TIER_PLACE_NUMBER, .tier_number = 30);
	REFUSES(TIER_E_NOT_FOUND, "nodes", "memory tier 5; there are tiers 4, 22, 30",
		.tier = TIER_PLACE_NUMBER, .tier_number = 5);
}

TEST(types)
{
	TAKES("0,1,2", .types = 1U << TIER_MEMORY_LOCAL);
	TAKES("2", .tier = TIER_PLACE_CXL, .types = 1U << TIER_MEMORY_LOCAL);
	/* A type names what is of it. */
	TAKES("3", .tier = TIER_PLACE_CXL, SWITCHED);
	REFUSES(TIER_E_NOT_FOUND, "nodes", "none fits", .types = 1U << TIER_MEMORY_SHARED);
}

TEST(regions)
{
	TAKES("2", REGIONS("region2"));
	TAKES("2", REGIONS("near"));
	TAKES("3", REGIONS("region3"));
	TAKES("2,3", .tier = TIER_PLACE_CXL, REGIONS("region2", "region3"));
	/* DRAM beside it. */
	TAKES("0,1,3", .tier = TIER_PLACE_AUTO, REGIONS("region3"));
	REFUSES(TIER_E_NOT_FOUND, "nodes", "none fits", .tier = TIER_PLACE_DRAM,
		REGIONS("region2"));
	REFUSES(TIER_E_NOT_FOUND, "region9", "no region", REGIONS("region2", "region9"));
	REFUSES(TIER_E_REFUSED, "region4", "none of its memory is online", REGIONS("region4"));
}

TEST(regions_that_share_a_node)
{
	REFUSES(TIER_E_REFUSED, "region5", "shares node 5 with region6", REGIONS("region5"));
	REFUSES(TIER_E_REFUSED, "region6", "shares node 5 with region5", REGIONS("other"));
	TAKES("5", REGIONS("region5", "region6"));
	TAKES("5", REGIONS("other", "pair"));
}

TEST(typed_node_that_nobody_named)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	const struct tier_place_request request = {.tier = TIER_PLACE_CXL};
	_cleanup_place_ struct tier_place *place = NULL;

	/* Everything else goes. */
	for (size_t i = 0; i < t->node_count; i++)
		t->nodes[i].has_memory = t->nodes[i].id == 0 || t->nodes[i].id == 3;
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.object, "node3");
	CHECK_HAS(problem.text, "Switched");
	CHECK_STR(problem.next, "name it: --region region3, or --type Switched");
	CHECK_EQ(place->nodes[3].verdict, TIER_PLACE_NOT_NAMED);
	CHECK_EQ(place->nodes[2].verdict, TIER_PLACE_NO_MEMORY);
	CHECK_EQ(place->nodes[0].verdict, TIER_PLACE_NOT_TIER);
}

/* Which may be a portal: only its name will do, whatever type is asked for. */
TEST(region_of_unknown_type)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	struct tier_config *config = config_of("[Region five]\nMatchSerial=5\n");
	struct tier_place_request request = {.tier = TIER_PLACE_CXL};
	struct tier_place *place = NULL;

	for (size_t i = 0; i < t->node_count; i++)
		t->nodes[i].has_memory = t->nodes[i].id == 0 || t->nodes[i].id == 5;
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.object, "node5");
	CHECK_HAS(problem.text, "may be a portal");
	CHECK_STR(problem.next,
		  "name it: --region region5 --region region6; or give it a [Region] section");
	tier_place_free(place);
	TAKES("5", .tier = TIER_PLACE_CXL, REGIONS("region5", "region6"));
	REFUSES(TIER_E_NOT_FOUND, "nodes", "none fits", .types = 1U << TIER_MEMORY_LOCAL,
		REGIONS("region5", "region6"));
	/* One of the two is told of. */
	tier_config_types(config, t);
	CHECK_EQ(tier_place_select(&request, t, config, &place, &problem), TIER_E_REFUSED);
	tier_place_free(place);
	CHECK_EQ(tier_config_parse(config, "[Region six]\nMatchSerial=6\n", 27, "u.conf", &problem),
		 0);
	tier_config_types(config, t);
	CHECK_EQ(tier_place_select(&request, t, config, &place, &problem), 0);
	CHECK(tier_node_set_has(&place->taken, 5));
	tier_place_free(place);
	tier_config_free(config);
}

/* A portal that is offline is nothing to be onlined for somebody who did not name it. */
TEST(offline_and_typed)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	const struct tier_place_request request = {.tier = TIER_PLACE_CXL};
	struct tier_place *place = NULL;

	for (size_t i = 0; i < t->node_count; i++) {
		t->nodes[i].has_memory = t->nodes[i].id == 0;
		if (t->nodes[i].id == 2 || t->nodes[i].id == 4)
			t->nodes[i].type = TIER_MEMORY_SHARED;
	}
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), TIER_E_REFUSED);
	CHECK(strstr(problem.next, "online") == NULL);
	CHECK_EQ(place->nodes[2].verdict, TIER_PLACE_NOT_NAMED);
	tier_place_free(place);
	/* Beside one that can be onlined. */
	t->nodes[4].type = TIER_MEMORY_LOCAL;
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.next, "tierctl online region4");
	tier_place_free(place);
}

TEST(nodes_without_memory)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	const struct tier_place_request request = {.tier = TIER_PLACE_CXL};
	_cleanup_place_ struct tier_place *place = NULL;

	for (size_t i = 0; i < t->node_count; i++)
		t->nodes[i].has_memory = t->nodes[i].id == 0;
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.object, "node2");
	CHECK_HAS(problem.text, "has no memory");
	CHECK_STR(problem.next, "tierctl online region2");
}

TEST(cpusets)
{
	struct tier_node_set allowed = {};

	tier_node_set_add(&allowed, 0);
	tier_node_set_add(&allowed, 2);
	TAKES("0,2", .allowed = &allowed);
	TAKES("2", .tier = TIER_PLACE_CXL, .allowed = &allowed);
	REFUSES(TIER_E_REFUSED, "region3", "does not allow node 3", REGIONS("region3"),
		.allowed = &allowed);
	REFUSES(TIER_E_REFUSED, "node7", "cpuset", .tier = TIER_PLACE_NUMBER, .tier_number = 30,
		.allowed = &allowed);
}

/* No addresses without privilege: what the node has is what counts. */
TEST(hidden_addresses)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	const char *const name = "region2", *const offline = "region4";
	struct tier_place_request request = {.regions = &name, .region_count = 1};
	struct tier_place *place = NULL;

	for (size_t i = 0; i < t->dax_count; i++)
		t->daxs[i].start = TIER_UNKNOWN_U64;
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), 0);
	tier_place_free(place);
	request.regions = &offline;
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), TIER_E_REFUSED);
	CHECK(place == NULL);
}

/* Online by firmware: a region without a device, whose memory has been there since boot. */
TEST(firmwares_region)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	const char *const name = "region2";
	struct tier_place_request request = {.regions = &name, .region_count = 1};
	struct tier_region *region = (struct tier_region *)tier_topology_region(t, name);
	struct tier_block *block;
	struct tier_place *place = NULL;
	size_t count;

	for (size_t i = 0; i < t->dax_count; i++)
		if (streq(t->daxs[i].region, name))
			t->daxs[i].region[0] = '\0';
	block = (struct tier_block *)tier_topology_range_blocks(t, region->start, region->bytes,
								&count);
	CHECK_EQ(count, 1);
	CHECK_EQ(topology_range_node(t, region->start, region->bytes), TIER_ABSENT_NODE);
	block->node = 2;
	CHECK_EQ(topology_range_node(t, region->start, region->bytes), 2);
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), 0);
	CHECK(tier_node_set_has(&place->taken, 2));
	CHECK_EQ(place->nodes[2].class, TIER_PLACE_CLASS_CXL);
	tier_place_free(place);
	block->state = TIER_BLOCK_OFFLINE;
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), TIER_E_REFUSED);
	CHECK(place == NULL);
	/* With the next block, which is another node's. */
	topology_add_block(t, block->index + 1)->node = 5;
	topology_sort(t);
	CHECK_EQ(topology_range_node(t, region->start, 2 * region->bytes), TIER_ABSENT_NODE);
}

static void expect_policy(enum tier_place_tier tier, enum tier_place_how how,
			  const struct tier_policy_kernel *kernel, enum tier_policy_mode mode,
			  const char *nodes)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	const struct tier_place_request request = {.tier = tier};
	_cleanup_place_ struct tier_place *place = NULL;
	struct tier_policy policy;
	char *list;

	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), 0);
	CHECK_EQ(tier_place_policy(place, how, kernel, &policy, &problem), 0);
	CHECK_STR(tier_policy_mode_name(policy.mode), tier_policy_mode_name(mode));
	CHECK_EQ(tier_node_set_list(&policy.nodes, &list), 0);
	CHECK_STR(list, nodes);
	free(list);
}

TEST(policies)
{
	struct tier_policy_kernel kernel = {.weighted = true};

	expect_policy(TIER_PLACE_CXL, TIER_PLACE_BIND, &kernel, TIER_POLICY_BIND, "2");
	expect_policy(TIER_PLACE_CXL, TIER_PLACE_PREFERRED, &kernel, TIER_POLICY_PREFERRED_MANY,
		      "2");
	expect_policy(TIER_PLACE_AUTO, TIER_PLACE_BIND, &kernel, TIER_POLICY_PREFERRED_MANY, "0,1");
	expect_policy(TIER_PLACE_CXL, TIER_PLACE_WEIGHTED, &kernel, TIER_POLICY_WEIGHTED_INTERLEAVE,
		      "2");
	/* Whatever the weights are when it begins: they may change while it runs. */
	expect_policy(TIER_PLACE_AUTO, TIER_PLACE_INTERLEAVE, &kernel,
		      TIER_POLICY_WEIGHTED_INTERLEAVE, "0,1,2,7");
	kernel.weighted = false;
	expect_policy(TIER_PLACE_AUTO, TIER_PLACE_INTERLEAVE, &kernel, TIER_POLICY_INTERLEAVE,
		      "0,1,2,7");
}

TEST(policies_that_cannot_be)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	struct tier_node_set allowed = {};
	const struct tier_place_request request = {.tier = TIER_PLACE_AUTO, .allowed = &allowed};
	const struct tier_policy_kernel kernel = {};
	_cleanup_place_ struct tier_place *place = NULL;
	struct tier_policy policy;

	tier_node_set_add(&allowed, 2);
	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), 0);
	CHECK_EQ(tier_place_policy(place, TIER_PLACE_BIND, &kernel, &policy, &problem),
		 TIER_E_REFUSED);
	CHECK_HAS(problem.text, "DRAM");
	CHECK_EQ(tier_place_policy(place, TIER_PLACE_WEIGHTED, &kernel, &policy, &problem),
		 TIER_E_REFUSED);
	CHECK_HAS(problem.text, "weighted");
}

TEST(lists)
{
	struct tier_node_set set = {};
	char *text;

	tier_node_set_add(&set, 2);
	tier_node_set_add(&set, 64);
	tier_node_set_add(&set, 1023);
	tier_node_set_add(&set, 1024);
	CHECK(!tier_node_set_has(&set, 1024) && !tier_node_set_has(&set, -1));
	CHECK_EQ(tier_node_set_list(&set, &text), 0);
	CHECK_STR(text, "2,64,1023");
	free(text);
	CHECK_EQ(tier_node_set_qemu(&set, &text), 0);
	CHECK_STR(text, "host-nodes=2,host-nodes=64,host-nodes=1023,policy=bind");
	free(text);
}

/* A list for numactl, or the problem's text. */
static const char *listed_on(const struct tier_topology *t, struct tier_node_list request)
{
	static char text[512];
	struct tier_config *config = config_of("[Region near-by]\nMatchSerial=2\n");
	char *done = NULL;
	int r = tier_place_node_list(&request, t, config, &done, &problem);

	CHECK_EQ(r == 0, done != NULL);
	snprintf(text, sizeof(text), "%s", r == 0 ? done : problem.text);
	free(done);
	tier_config_free(config);
	return text;
}

/* The same machine without a node that has to be named. */
static struct tier_topology *local_machine(void)
{
	struct tier_topology *t = machine();

	for (size_t i = 0; i < t->node_count; i++)
		t->nodes[i].type = TIER_MEMORY_LOCAL;
	return t;
}

static const char *listed(const char *list, bool for_cpus)
{
	_cleanup_topology_ struct tier_topology *t = local_machine();

	return listed_on(t, (struct tier_node_list){.list = list, .for_cpus = for_cpus});
}

/* Nodes 3 and 5 have to be named: Switched, and of regions of which nobody has told the type. */
TEST(node_lists_where_some_have_to_be_named)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	struct tier_node_set allowed = {};

#define LIST(...) listed_on(t, (struct tier_node_list){__VA_ARGS__})
	CHECK_STR(LIST("all"), "0,1,2,7");
	CHECK_STR(LIST("region3,all"), "3,0,1,2,7");
	CHECK_STR(LIST("0,all"), "0,0,1,2,7");
	CHECK_STR(LIST("!near-by"), "0,1,7");
	CHECK_STR(LIST("!0-1"), "2,7");
	CHECK_STR(LIST("!0x1,07"), "0,2");
	CHECK_STR(LIST("!3"), "0,1,2,7");
	CHECK_STR(LIST("!region3"), "0,1,2,7");
	CHECK_STR(LIST("!all"), "!all");
	CHECK_STR(LIST("same"), "same");
	CHECK_STR(LIST("0,file:/x"), "0,file:/x");
	CHECK_HAS(LIST("!0,1,2,7"), "leaves no node");
	CHECK_HAS(LIST("!file:/x"), "have to be named");
	CHECK_HAS(LIST("+0"), "position");
	CHECK_HAS(LIST("!+0", .typed = true), "position");
	CHECK_STR(LIST("+0", .typed = true), "+0");
	/* A number, as one of a range, too. */
	for (const char *const *at = (const char *const[]){"3", "0,3", "0-3", "4-2", "0x3", NULL};
	     *at; at++) {
		CHECK_HAS(LIST(*at), "node 3 is Switched memory");
		CHECK_HAS(problem.next, "region3");
		CHECK_HAS(problem.next, "--typed");
		CHECK_STR(LIST(*at, .typed = true), *at);
		CHECK_STR(LIST(*at, .for_cpus = true), *at);
	}
	CHECK_STR(LIST("0-2,5"), "0-2,5");
	/* Those are not about memory. */
	CHECK_STR(LIST("all", .for_cpus = true), "all");
	CHECK_STR(LIST("!0", .for_cpus = true), "!0");
	/* numactl refuses what the cpuset does not allow. */
	tier_node_set_add(&allowed, 0);
	tier_node_set_add(&allowed, 2);
	tier_node_set_add(&allowed, 3);
	CHECK_STR(LIST("all", .allowed = &allowed), "0,2");
	CHECK_STR(LIST("!0", .allowed = &allowed), "2");
#undef LIST
}

TEST(node_lists)
{
	static const char *const kept[] = {"",
					   "0",
					   "0-3",
					   "!0",
					   "+0",
					   "!+0-1",
					   "all",
					   "!all",
					   "same",
					   "0,,1",
					   "0x3",
					   "0,all",
					   "file:/x,region2",
					   "pci:0,1",
					   "netdev:region2",
					   "ip:a",
					   "block:b",
					   "3-"};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		CHECK_STR(listed(kept[i], false), kept[i]);
	CHECK_STR(listed("region2", false), "2");
	CHECK_STR(listed("0,region2", false), "0,2");
	CHECK_STR(listed("region3,0-1,near-by", false), "3,0-1,2");
	CHECK_STR(listed("!region2", false), "!2");
	CHECK_STR(listed("region5,region6", false), "5,5");
	CHECK_STR(listed("region2,all", false), "2,all");
	CHECK_STR(listed("0-1", true), "0-1");
	CHECK_HAS(listed("region5", false), "shares node 5");
	CHECK_HAS(listed("region4", false), "none of its memory is online");
	CHECK_HAS(listed("0,far", false), "no region has this name");
	CHECK_STR(problem.object, "far");
	CHECK_HAS(listed("region2-region3", false), "range");
	CHECK_HAS(listed("0-region3", false), "range");
	CHECK_HAS(listed("+region2", false), "position");
	CHECK_HAS(listed("0,region2", true), "no CPUs");
}

TEST(destinations)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	struct tier_config *config =
		config_of("[Region all]\nMatchPath=/sys/bus/cxl/devices/region*\n"
			  "[Region near]\nMatchSerial=2\n");
	int node = -1;

	CHECK_EQ(tier_place_destination("0", false, t, config, &node, &problem), 0);
	CHECK_EQ(node, 0);
	CHECK_EQ(tier_place_destination("near", false, t, config, &node, &problem), 0);
	CHECK_EQ(node, 2);
	CHECK_EQ(tier_place_destination("region3", false, t, config, &node, &problem), 0);
	CHECK_EQ(node, 3);
	CHECK_EQ(tier_place_destination("3", false, t, config, &node, &problem), TIER_E_REFUSED);
	CHECK_STR(problem.object, "node3");
	CHECK_HAS(problem.next, "region3");
	CHECK_EQ(tier_place_destination("3", true, t, config, &node, &problem), 0);
	/* Refused by who uses it, as before. */
	CHECK_EQ(tier_place_destination("99", false, t, config, &node, &problem), 0);
	CHECK_EQ(node, 99);
	CHECK_EQ(tier_place_destination("region4", false, t, config, &node, &problem),
		 TIER_E_REFUSED);
	CHECK_EQ(tier_place_destination("5x", false, t, config, &node, &problem), -EINVAL);
	CHECK_EQ(tier_place_destination("", false, t, config, &node, &problem), -EINVAL);
	CHECK_EQ(tier_place_destination("nowhere", false, t, config, &node, &problem),
		 TIER_E_NOT_FOUND);
	tier_config_free(config);
}

TEST(json)
{
	_cleanup_topology_ struct tier_topology *t = machine();
	const struct tier_place_request request = {.tier = TIER_PLACE_CXL};
	_cleanup_place_ struct tier_place *place = NULL;
	char *text;

	CHECK_EQ(tier_place_select(&request, t, NULL, &place, &problem), 0);
	CHECK_EQ(tier_place_to_json(place, &text), 0);
	CHECK_HAS(text, "\"numactl\" : \"2\"");
	CHECK_HAS(text, "\"qemu\" : \"host-nodes=2,policy=bind\"");
	CHECK_HAS(text, "\"why_not\" : \"is typed, and nobody named it\"");
	free(text);
}
