/* SPDX-License-Identifier: GPL-2.0-or-later */
/* [Region] sections that declare a region: Create=, Size=, InterleaveGranularity=. */
#include "declare-machine.h"

static struct tier_problem problem;

static int parse(const char *text, bool check)
{
	struct tier_config *config;
	int r;

	memset(&problem, 0, sizeof(problem));
	CHECK_EQ(tier_config_new(&config), 0);
	r = tier_config_parse(config, text, strlen(text), "t.conf", &problem);
	if (r == 0 && check)
		r = config_check(config, &problem);
	tier_config_free(config);
	return r;
}

#define REFUSED(config, line, words)                                                               \
	do {                                                                                       \
		CHECK_EQ(parse((config), true), -EINVAL);                                          \
		CHECK_STR(problem.object, "t.conf:" #line);                                        \
		CHECK_HAS(problem.text, words);                                                    \
	} while (0)

TEST(keys)
{
	struct tier_config *config =
		config_of("[Region a]\nCreate=0x10, 7\t3 1\nSize=2G\n"
			  "InterleaveGranularity=4096\nOnline=auto\n"
			  "[Region b]\nCreate=9\n"
			  "[Region c]\nCreate=11\nCreate=12\nSize=1G\nSize=\n");
	const struct tier_config_region *rules = config->regions;

	CHECK_EQ(rules[0].create.count, 4);
	CHECK_EQ(rules[0].create.serials[0], 16);
	CHECK_EQ(rules[0].create.serials[1], 7);
	CHECK_EQ(rules[0].create.serials[3], 1);
	CHECK_EQ(rules[0].size_bytes, 2 * GIB);
	CHECK_EQ(rules[0].granularity_bytes, 4096);
	CHECK_EQ(rules[1].size_bytes + rules[1].granularity_bytes, 0);
	CHECK_EQ(rules[2].create.count, 1);
	CHECK_EQ(rules[2].create.serials[0], 12);
	CHECK_EQ(rules[2].size_bytes, 0);
	tier_config_free(config);
}

TEST(bad_values)
{
	REFUSED("[Region r]\nCreate=1 x\n", 2, "not serial numbers");
	REFUSED("[Region r]\nCreate=1 -2\n", 2, "not serial numbers");
	REFUSED("[Region r]\nCreate=0x10000000000000000\n", 2, "not serial numbers");
	REFUSED("[Region r]\nCreate=1111111111111111111111111111111111111111\n", 2,
		"not serial numbers");
	REFUSED("[Region r]\nCreate=1 0x2 2\n", 2, "twice");
	REFUSED("[Region r]\nCreate=1 2 3 4 5\n", 2, "1, 2, 3, 4, 6, 8, 12 or 16");
	REFUSED("[Region r]\nCreate=1 2 3 4 5 6 7 8 9\n", 2, "1, 2, 3, 4, 6, 8, 12 or 16");
	REFUSED("[Region r]\nCreate=1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n", 2,
		"more than 16");
	REFUSED("[Region r]\nSize=big\n", 2, "not a size");
	REFUSED("[Region r]\nSize=0\n", 2, "not a size");
	REFUSED("[Region r]\nSize=300M\n", 2, "256M");
	REFUSED("[Region r]\nInterleaveGranularity=128\n", 2, "256, 512");
	REFUSED("[Region r]\nInterleaveGranularity=32K\n", 2, "256, 512");
	REFUSED("[Region r]\nInterleaveGranularity=768\n", 2, "256, 512");
	/* Six and twelve are fine, and so is an empty list, which declares nothing. */
	CHECK_EQ(parse("[Region r]\nCreate=1 2 3 4 5 6\n", true), 0);
	CHECK_EQ(parse("[Region r]\nCreate=1 2 3 4 5 6 7 8 9 10 11 12\n", true), 0);
	CHECK_EQ(parse("[Region r]\nMatchSerial=1\nCreate=1\nCreate=\n", true), 0);
	CHECK_EQ(parse("[Region r]\nCreate=1\nCreate=\n", true), -EINVAL);
	CHECK_STR(problem.object, "[Region r]");
	CHECK_HAS(problem.text, "or Create=");
}

TEST(keys_that_do_not_go_together)
{
	REFUSED("[Region r]\nMatchSerial=1\nSize=1G\n", 3,
		"Size= of [Region r] is for a region that Create= declares");
	REFUSED("[Region r]\nMatchSerial=1\nInterleaveGranularity=256\n", 3,
		"InterleaveGranularity= of [Region r] is for a region");
	REFUSED("[Region r]\nMatchSerial=1\nCreate=1\n", 3, "no Match beside it (t.conf:2)");
	REFUSED("[Region r]\nCreate=1\nInterleaveGranularity=512\n", 3,
		"contradicts Create= (t.conf:2), which names one device");
	REFUSED("[Region r]\nCreate=1 2 3\nSize=1G\n", 3,
		"not a multiple of 768M: 256M on each of the 3 devices of Create= (t.conf:2)");
}

TEST(two_sections_with_one_device)
{
	REFUSED("[Region a]\nCreate=1 2\n[Region b]\nCreate=2\nSize=256M\n", 4,
		"contradicts that of [Region a] (t.conf:2): both have device 0x2, and without "
		"Size= [Region a] takes all of it");
	REFUSED("[Region a]\nCreate=1 2\nSize=1G\n[Region b]\nCreate=2\n", 5,
		"without Size= [Region b] takes all of it");
	REFUSED("[Region a]\nCreate=2\nSize=1G\n[Region b]\nCreate=2\nSize=1G\n", 5,
		"are those of [Region a] (t.conf:2): nobody could tell their regions apart");
	CHECK_EQ(parse("[Region a]\nCreate=2\nSize=1G\n[Region b]\nCreate=2\nSize=512M\n", true),
		 0);
	CHECK_EQ(parse("[Region a]\nCreate=2 1\nSize=1G\n[Region b]\nCreate=1 2\nSize=1G\n", true),
		 0);
	/* A section of the same name goes on with the first one. */
	CHECK_EQ(parse("[Region a]\nCreate=2\n[Region a]\nCreate=2\nSize=512M\n", true), 0);
}

TEST(beside_other_rules_and_portals)
{
	/* An earlier rule that has the region says something else. */
	REFUSED("[Region first]\nMatchSerial=2\nOnline=movable\n[Region a]\nCreate=1 "
		"2\nOnline=auto\n",
		6, "Online=auto of [Region a] contradicts Online=movable of [Region first]");
	CHECK_EQ(parse("[Region first]\nMatchSerial=3\nOnline=movable\n[Region a]\nCreate=1 2\n"
		       "Online=auto\n",
		       true),
		 0);
	/* One that comes later, and has more regions than the declared one, is no contradiction. */
	CHECK_EQ(parse("[Region a]\nCreate=1 2\nOnline=auto\n[Region late]\nMatchSerial=2\n", true),
		 0);
	REFUSED("[Region lake]\nCreate=1 2\nOnline=auto\n[Portal lake]\nMatchSerial=2\n", 3,
		"Online=auto of [Region lake] contradicts [Portal lake] (t.conf:5)");
	REFUSED("[Region lake]\nCreate=1\nType=local\n[Portal lake]\nMatchSerial=1\n", 3,
		"Type=Local of [Region lake] contradicts [Portal lake] (t.conf:5)");
	REFUSED("[Region lake]\nCreate=1\nType=shared\n[Portal lake]\nMatchSerial=1\n"
		"Type=switched\n",
		3, "(t.conf:6): its region is a portal, which is Switched");
	CHECK_EQ(
		parse("[Region lake]\nCreate=1\nType=shared\n[Portal lake]\nMatchSerial=1\n", true),
		0);
	CHECK_EQ(parse("[Region own]\nCreate=1\nType=local\n[Portal lake]\nMatchSerial=2\n", true),
		 0);
}

TEST(the_rule_of_a_declared_region)
{
	_cleanup_topology_ struct tier_topology *t = machine_new();
	struct tier_config *config =
		config_of("[Region pair]\nCreate=2 1\nSize=1G\nOnline=movable\n"
			  "[Region all]\nCreate=3\nOnline=kernel\n");
	struct tier_region *pair = add_region(t, 16 * GIB, GIB, 2, 1);
	const struct tier_config_region *rule = tier_config_region_rule(config, pair);

	CHECK(rule != NULL);
	CHECK_STR(rule->name, "pair");
	/* Another size, another order, more devices, persistent: somebody else's. */
	pair->bytes = 512 * MIB;
	CHECK(!tier_config_region_rule(config, pair));
	pair->bytes = GIB;
	strcpy(pair->mode, "pmem");
	CHECK(!tier_config_region_rule(config, pair));
	CHECK(!tier_config_region_rule(config, add_region(t, 17 * GIB, GIB, 1, 2)));
	CHECK(!tier_config_region_rule(config, add_region(t, 18 * GIB, 512 * MIB, 1, 0)));
	rule = tier_config_region_rule(config, add_region(t, 32 * GIB, 256 * MIB, 3, 0));
	CHECK(rule != NULL);
	CHECK_STR(rule->name, "all");
	tier_config_free(config);
}
