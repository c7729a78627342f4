/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/calibra*.c and os/calibra*.c: what is measured, by a back end of tables; the file; when it is stale. */
#include <limits.h>

#include "calibration.h"
#include "fixture.h"
#include "tier-weights.h"
#include "topology.h"
#include "util.h"

static const struct tier_machine_identity here = {"uuid:1", "a processor"};

/* ---- a machine of tables ---- */

#define NODES 4

static struct synthetic {
	uint64_t mbps[NODES][NODES], psec[NODES][NODES]; /* from, to */
	unsigned noise_permille;
	int vanishing;	    /* this node ... */
	unsigned vanishes;  /* ... after so many rounds */
	int busy;	    /* begin() of this node fails */
	unsigned cancelled; /* the caller stops after so many rounds; 0: never */
	uint64_t seed;
	int from, to;
	unsigned rounds, begun, ended;
	uint64_t done, total;
} machine;

static struct tier_topology *topology;

static int begin_pair(void *userdata, int cpu_node, int node, bool *ret_huge_pages)
{
	CHECK(userdata == &machine);
	CHECK_EQ(machine.begun, machine.ended);
	if (node == machine.busy)
		return -ENOMEM;
	machine.from = cpu_node;
	machine.to = node;
	machine.begun++;
	*ret_huge_pages = node == 0;
	return 0;
}

static int measured(uint64_t value, uint64_t *ret)
{
	machine.rounds++;
	if (machine.to == machine.vanishing && machine.rounds > machine.vanishes)
		return -ENODEV;
	machine.seed = machine.seed * UINT64_C(6364136223846793005) + 1;
	*ret = value;
	if (machine.noise_permille)
		*ret = value + value * ((machine.seed >> 33) % machine.noise_permille) / 1000;
	return 0;
}

static int bandwidth(void *userdata, uint64_t *ret)
{
	return measured(machine.mbps[machine.from][machine.to], ret);
}

static int latency(void *userdata, uint64_t *ret)
{
	return measured(machine.psec[machine.from][machine.to], ret);
}

static void end_pair(void *userdata)
{
	machine.ended++;
}

static int progress(void *userdata, uint64_t done, uint64_t total)
{
	CHECK_EQ(done, machine.done + 1);
	machine.done = done;
	machine.total = total;
	return machine.cancelled && done >= machine.cancelled;
}

/* Two sockets, and an expander at the first. */
static void begin(void)
{
	static const uint64_t mbps[2][3] = {{80000, 30000, 25000}, {30000, 80000, 12000}};

	machine = (struct synthetic){.vanishing = -1, .busy = -1, .seed = 1};
	topology = tier_topology_free(topology);
	CHECK_EQ(tier_topology_new(&topology), 0);
	for (int i = 0; i < 3; i++) {
		struct tier_node *node = topology_add_node(topology, i);

		node->online = node->has_memory = true;
		node->has_cpu = i < 2;
		node->present_kernel_bytes = 4 * GIB;
		node->present_movable_bytes = 0;
		for (int from = 0; from < 2; from++) {
			machine.mbps[from][i] = mbps[from][i];
			machine.psec[from][i] = 8000000000 / mbps[from][i];
		}
	}
	struct tier_region *region = topology_add_region(topology, "region0");
	region->bytes = GIB;
	region->target_node = 2;
	region->memdev_count = 2;
	region->memdevs = calloc(2, sizeof(*region->memdevs));
	region->serials = calloc(2, sizeof(*region->serials));
	region->dpa_starts = calloc(2, sizeof(*region->dpa_starts));
	region->serials[0] = 9;
	region->serials[1] = 4;
}

static int calibrate(struct tier_calibration **ret, struct tier_problem *problem)
{
	static const int nodes[] = {0, 1, 2};
	const struct tier_calibrate_request request = {
		.topology = topology,
		.identity = &here,
		.nodes = nodes,
		.node_count = 3,
		.rounds = 5,
		.made_usec = 1234,
		.progress = progress,
	};
	const struct tier_calibrate_backend backend = {&machine, begin_pair, bandwidth, latency,
						       end_pair};

	return tier_calibrate(&request, &backend, ret, problem);
}

static struct tier_calibration *calibrated(void)
{
	struct tier_calibration *calibration = NULL;
	struct tier_problem problem = {};

	if (calibrate(&calibration, &problem) != 0)
		FAIL("%s: %s", problem.object, problem.text);
	return calibration;
}

static void end(void)
{
	topology = tier_topology_free(topology);
}

TEST(every_pair_is_measured_and_the_best_path_counts)
{
	struct tier_calibration *c;

	begin();
	c = calibrated();
	CHECK_EQ(c->pair_count, 6);
	CHECK_EQ(machine.begun, 6);
	CHECK_EQ(machine.ended, 6);
	CHECK_EQ(machine.done, 60);
	CHECK_EQ(machine.total, 60);
	CHECK_EQ(c->pairs[5].cpu_node, 1);
	CHECK_EQ(c->pairs[5].node, 2);
	CHECK_EQ(c->pairs[5].read_mbps, 12000);
	CHECK_EQ(c->pairs[5].latency_psec, machine.psec[1][2]);
	CHECK_EQ(c->pairs[5].read_spread_permille, 0);
	CHECK(c->pairs[0].huge_pages);
	CHECK(!c->pairs[1].huge_pages);
	CHECK_EQ(tier_calibration_mbps(c, 1), 80000);
	CHECK_EQ(tier_calibration_mbps(c, 2), 25000);
	CHECK_EQ(tier_calibration_mbps(c, 3), TIER_UNKNOWN_U64);
	/* What stands behind it, in an order that does not depend on the interleave's. */
	CHECK_EQ(c->nodes[2].serial_count, 2);
	CHECK_EQ(c->nodes[2].serials[0], 4);
	CHECK_EQ(c->nodes[2].serials[1], 9);
	CHECK_EQ(c->nodes[2].bytes, GIB);
	CHECK_EQ(c->nodes[0].serial_count, 0);
	CHECK_EQ(c->nodes[0].bytes, 4 * GIB);
	tier_calibration_free(c);
	end();
}

TEST(noise_shows_in_the_spread_and_hardly_in_the_median)
{
	struct tier_calibration *c;

	begin();
	machine.noise_permille = 200;
	c = calibrated();
	for (size_t i = 0; i < c->pair_count; i++) {
		const struct tier_calibration_pair *p = &c->pairs[i];
		uint64_t right = machine.mbps[p->cpu_node][p->node];

		CHECK(p->read_mbps >= right && p->read_mbps < right * 12 / 10);
		CHECK(p->read_spread_permille > 0 && p->read_spread_permille < 200);
	}
	tier_calibration_free(c);
	end();
}

TEST(the_median_and_the_spread)
{
	uint64_t values[] = {500, 100, 900, 110, 120};
	unsigned spread;

	CHECK_EQ(calibration_median(values, 5, &spread), 120);
	CHECK_EQ(spread, 6666);
	values[0] = 7;
	CHECK_EQ(calibration_median(values, 1, &spread), 7);
	CHECK_EQ(spread, 0);
}

TEST(a_node_that_vanishes_midway_leaves_nothing)
{
	struct tier_calibration *c = NULL;
	struct tier_problem problem = {};

	for (unsigned after = 0; after < 60; after += 7) {
		begin();
		machine.vanishing = 2;
		machine.vanishes = after;
		CHECK_EQ(calibrate(&c, &problem), TIER_E_STALE);
		CHECK(c == NULL);
		CHECK_STR(problem.object, "node2");
		CHECK_HAS(problem.text, "has gone while its");
		CHECK_HAS(problem.text, "nothing is stored");
		CHECK_EQ(machine.begun, machine.ended);
		end();
	}
}

TEST(memory_that_cannot_be_had_and_a_caller_who_stops)
{
	struct tier_calibration *c = NULL;
	struct tier_problem problem = {};

	begin();
	machine.busy = 1;
	CHECK_EQ(calibrate(&c, &problem), -ENOMEM);
	CHECK_STR(problem.object, "node1");
	CHECK_HAS(problem.text, "cannot measure its memory from node 0");
	CHECK_EQ(machine.begun, machine.ended);
	begin();
	machine.cancelled = 13;
	CHECK_EQ(calibrate(&c, &problem), TIER_E_CANCELLED);
	CHECK_EQ(machine.done, 13);
	CHECK_EQ(machine.begun, machine.ended);
	begin();
	/* A clock that stands still. */
	machine.psec[0][1] = 0;
	CHECK_EQ(calibrate(&c, &problem), -ERANGE);
	CHECK_HAS(problem.text, "latency");
	CHECK(c == NULL);
	begin();
	topology->nodes[0].has_cpu = topology->nodes[1].has_cpu = false;
	CHECK_EQ(calibrate(&c, &problem), TIER_E_REFUSED);
	end();
}

TEST(the_order_of_the_chase_is_one_cycle)
{
	static const size_t sizes[] = {1, 2, 3, 64, 1000, 4096};

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		size_t lines = sizes[s], near = 0, steps = 0;
		uint64_t *next = calloc(lines * 8, sizeof(*next)), at = 0;

		CHECK(next != NULL);
		chase_link(next, lines, 8, 42);
		do {
			CHECK(next[at * 8] < lines);
			near += next[at * 8] == at + 1;
			at = next[at * 8];
			steps++;
		} while (at != 0 && steps <= lines);
		CHECK_EQ(steps, lines);
		/* Not in the order of addresses, which prefetchers know. */
		CHECK(lines < 64 || near < lines / 8);
		free(next);
	}
}

/* ---- the file ---- */

static char *formatted(void)
{
	struct tier_calibration *c;
	char *text;

	begin();
	machine.noise_permille = 100;
	c = calibrated();
	CHECK_EQ(tier_calibration_format(c, &text), 0);
	tier_calibration_free(c);
	return text;
}

static int parse(const char *text, size_t bytes)
{
	struct tier_calibration *c = NULL;
	struct tier_problem problem = {};
	int r = tier_calibration_parse(text, bytes, "file", &c, &problem);

	CHECK_EQ(c != NULL, r == 0);
	CHECK(r == 0 || problem.text[0]);
	tier_calibration_free(c);
	return r;
}

TEST(the_file_says_all_of_it)
{
	struct tier_calibration *c = NULL;
	char *text = formatted(), *again;

	CHECK_EQ(tier_calibration_parse(text, strlen(text), "file", &c, NULL), 0);
	CHECK_STR(c->identity.machine, here.machine);
	CHECK_STR(c->identity.cpu, here.cpu);
	CHECK_EQ(c->made_usec, 1234);
	CHECK_EQ(tier_calibration_format(c, &again), 0);
	CHECK_STR(again, text);
	tier_calibration_free(c);
	for (size_t bytes = 0; bytes + 2 < strlen(text); bytes++)
		CHECK_EQ(parse(text, bytes), TIER_E_DAMAGED);
	free(again);
	free(text);
	end();
}

/* The first @from becomes @to. */
static int parse_with(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char changed[8192];

	if (!at)
		FAIL("no \"%s\"", from);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, to,
		 at + strlen(from));
	return parse(changed, strlen(changed));
}

TEST(a_file_that_makes_no_sense_is_refused)
{
	static const char *const bad[][2] = {
		{"\"made_usec\" : 1234", "\"made_usec\" : -1"},
		{"\"made_usec\"", "\"made\""},
		{"uuid:1", ""},
		{"uuid:1", "\\u0007"},
		{"\"rounds\" : 5", "\"rounds\" : 0"},
		{"\"rounds\" : 5", "\"rounds\" : 32"},
		{"\"node\" : 1", "\"node\" : 0"},
		{"\"node\" : 2", "\"node\" : 3"},
		{"\"cpu_node\" : 0", "\"cpu_node\" : 1"},
		{"\"cpu_node\" : 0", "\"cpu_node\" : 99999999999"},
		{"\"read_mbps\" : ", "\"read_mbps\" : 9999999"},
		{"\"read_mbps\" : ", "\"read_mbps\" : \"x\", \"y\" : "},
		{"\"latency_psec\" : ", "\"latency_psec\" : 0, \"y\" : "},
		{"\"huge_pages\" : true", "\"huge_pages\" : 1"},
		{"\"bytes\" : ", "\"bytes\" : 99999999999"},
		{"\"nodes\" : [", "\"nodes\" : 3, \"y\" : ["},
		{"\"pairs\" : [", "\"pairs\" : [7,"},
	};
	char *text = formatted();

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse_with(text, bad[i][0], bad[i][1]) != TIER_E_DAMAGED)
			FAIL("\"%s\" instead of \"%s\" is taken", bad[i][1], bad[i][0]);
	CHECK_EQ(parse_with(text, "\"version\" : 2", "\"version\" : 1"), TIER_E_INCOMPATIBLE);
	free(text);
	end();
}

TEST(a_calibration_is_kept_and_found_again)
{
	struct tier_calibration *c, *again = NULL;
	struct tier_problem problem = {};
	char root[64];

	scratch_new(root);
	scratch_file(root, "var/lib/other", "");
	CHECK_EQ(tier_calibration_load(root, &again, &problem), TIER_E_NOT_FOUND);
	begin();
	c = calibrated();
	CHECK_EQ(tier_calibration_store(root, c, &problem), 0);
	CHECK_EQ(tier_calibration_load(root, &again, &problem), 0);
	CHECK_EQ(again->pair_count, 6);
	tier_calibration_free(again);
	tier_calibration_free(c);
	scratch_file(root, TIER_CALIBRATION_PATH + 1, "{}\n");
	CHECK_EQ(tier_calibration_load(root, &again, &problem), TIER_E_DAMAGED);
	CHECK_HAS(problem.object, "calibration.json");
	scratch_done(root);
	end();
}

/* ---- whether it holds ---- */

TEST(another_machine_or_other_memory_makes_it_stale)
{
	struct tier_machine_identity other = here;
	struct tier_calibration *c;
	char why[160];

	begin();
	c = calibrated();
	for (int node = 0; node < 3; node++)
		CHECK(!tier_calibration_stale(c, &here, topology, node, why));
	CHECK_STR(why, "");
	strcpy(other.machine, "uuid:2");
	CHECK(tier_calibration_stale(c, &other, topology, 0, why));
	CHECK_HAS(why, "another machine");
	other = here;
	strcpy(other.cpu, "a faster one");
	CHECK(tier_calibration_stale(c, &other, topology, 0, why));
	CHECK_HAS(why, "another processor");
	CHECK(tier_calibration_stale(c, &here, topology, 3, why));
	CHECK_HAS(why, "node 3 was not measured");
	topology->regions[0].serials[0] = 10;
	CHECK(tier_calibration_stale(c, &here, topology, 2, why));
	CHECK_HAS(why, "other memory devices stand behind node 2");
	topology->regions[0].serials[0] = 9;
	topology->regions[0].bytes = 2 * GIB;
	CHECK(tier_calibration_stale(c, &here, topology, 2, why));
	CHECK_STR(why, "node 2 had 1G and has 2G");
	/* The region's node is another one now: its memory is not that of node 1. */
	topology->regions[0].target_node = 1;
	CHECK(tier_calibration_stale(c, &here, topology, 1, why));
	CHECK(tier_calibration_stale(c, &here, topology, 2, why));
	/* Of ordinary memory the kernel keeps more or less. */
	topology->nodes[0].present_kernel_bytes = 4 * GIB - 400 * MIB;
	CHECK(!tier_calibration_stale(c, &here, topology, 0, why));
	topology->nodes[0].present_kernel_bytes = 3 * GIB;
	CHECK(tier_calibration_stale(c, &here, topology, 0, why));
	tier_calibration_free(c);
	end();
}

TEST(which_machine_it_is)
{
	struct tier_machine_identity identity;
	struct tier_problem problem = {};
	char root[64];

	scratch_new(root);
	CHECK_EQ(tier_machine_identity_read(root, &identity, &problem), -ENOENT);
	CHECK_HAS(problem.text, "which machine");
	scratch_file(root, "etc/machine-id", "abcdef\n");
	scratch_file(root, "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some\tCPU\n");
	CHECK_EQ(tier_machine_identity_read(root, &identity, &problem), 0);
	/* printf 'cxl-tier calibration' | openssl dgst -sha256 -hmac abcdef */
	CHECK_STR(identity.machine, "machine-id:b041516cf7c94d9519970552b5d0aecb");
	CHECK_STR(identity.cpu, "Some?CPU");
	scratch_file(root, "sys/class/dmi/id/product_uuid", "1-2-3\n");
	CHECK_EQ(tier_machine_identity_read(root, &identity, &problem), 0);
	CHECK_STR(identity.machine, "uuid:3695c1f019c678fb23e9e031e6075b11");
	scratch_done(root);
}

TEST(a_busy_machine_is_not_measured)
{
	char root[64], why[160];
	struct tier_load load;

	scratch_new(root);
	scratch_file(root, "proc/loadavg", "0.99 3.00 3.00 1/99 1234\n");
	scratch_file(root, "sys/devices/system/cpu/online", "0-1,4\n");
	scratch_file(root, "proc/pressure/cpu",
		     "some avg10=9.99 avg60=50.00 avg300=1.00 total=1\n");
	CHECK_EQ(tier_load_read(root, &load), 0);
	CHECK_EQ(load.cpus, 3);
	CHECK_EQ(load.load_centi, 99);
	CHECK_EQ(load.cpu_stall_centi, 999);
	CHECK_EQ(load.memory_stall_centi, UINT_MAX);
	CHECK(!tier_load_busy(&load, why));
	load.load_centi = 101;
	CHECK(tier_load_busy(&load, why));
	CHECK_HAS(why, "1.01 tasks run on 3 CPUs");
	/* A quarter of many. */
	load.cpus = 64;
	load.load_centi = 1600;
	CHECK(!tier_load_busy(&load, why));
	load.cpu_stall_centi = 1001;
	CHECK(tier_load_busy(&load, why));
	CHECK_HAS(why, "wait for a CPU for 10.01 %");
	load.cpu_stall_centi = UINT_MAX;
	load.memory_stall_centi = 150;
	CHECK(tier_load_busy(&load, why));
	CHECK_HAS(why, "wait for memory for 1.50 %");
	scratch_done(root);
}

TEST(the_buffer_is_larger_than_the_caches)
{
#define CACHE "sys/devices/system/cpu/cpu%d/cache/index%d/%s"
	static const struct {
		int cpu, index;
		const char *level, *size, *shared;
	} caches[] = {
		{0, 2, "2", "2048K", "0"},  {0, 3, "3", "98304K", "0-1"},
		{1, 2, "2", "2048K", "1"},  {1, 3, "3", "98304K", "0-1"},
		{2, 3, "3", "98304K", "2"},
	};
	char root[64], path[128];

	begin();
	scratch_new(root);
	CHECK_EQ(tier_measure_bytes(root, topology, 0), 64 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
		snprintf(path, sizeof(path), CACHE, caches[i].cpu, caches[i].index, "level");
		scratch_file(root, path, caches[i].level);
		snprintf(path, sizeof(path), CACHE, caches[i].cpu, caches[i].index, "size");
		scratch_file(root, path, caches[i].size);
		snprintf(path, sizeof(path), CACHE, caches[i].cpu, caches[i].index,
			 "shared_cpu_list");
		scratch_file(root, path, caches[i].shared);
	}
	topology->nodes[0].cpus = strdup("0-1");
	CHECK_EQ(tier_measure_bytes(root, topology, 0), 192 * MIB);
	free(topology->nodes[0].cpus);
	/* As long as it may be where CPUs are numbered in turns. */
	topology->nodes[0].cpus = malloc(4096);
	strcpy(topology->nodes[0].cpus, "0,1,2");
	for (int cpu = 100; cpu < 900; cpu += 2)
		sprintf(topology->nodes[0].cpus + strlen(topology->nodes[0].cpus), ",%d", cpu);
	CHECK_EQ(tier_measure_bytes(root, topology, 0), 384 * MIB);
	/* A gigabyte of it, stacked: the buffer is larger all the same. */
	snprintf(path, sizeof(path), CACHE, caches[0].cpu, caches[0].index, "level");
	scratch_file(root, path, "4\n");
	snprintf(path, sizeof(path), CACHE, caches[0].cpu, caches[0].index, "size");
	scratch_file(root, path, "1179648K\n");
	CHECK(tier_measure_bytes(root, topology, 0) >= 2304 * MIB);
	scratch_done(root);
	end();
}
