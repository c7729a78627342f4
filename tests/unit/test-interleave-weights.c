/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/interleave-*.c: which weights, and why; compared with what the kernel computes. */
#include "interleave-machine.h"

/* As reduce_interleave_weights() of Linux 7.2 has it, in its own types. */
static void kernel_reduce(const unsigned *bw, size_t count, uint8_t *new_iw)
{
	uint64_t sum_bw = 0;
	unsigned int cast_sum_bw, scaling_factor = 1, iw_gcd = 0;

	for (size_t nid = 0; nid < count; nid++)
		sum_bw += bw[nid];
	for (size_t nid = 0; nid < count; nid++) {
		scaling_factor = 32 * bw[nid];
		if (bw[nid] && sum_bw < scaling_factor) {
			cast_sum_bw = (unsigned int)sum_bw;
			new_iw[nid] = (uint8_t)(scaling_factor / cast_sum_bw);
		} else {
			new_iw[nid] = 1;
		}
		unsigned a = iw_gcd ?: new_iw[nid], b = new_iw[nid];
		while (b) {
			unsigned rest = a % b;
			a = b;
			b = rest;
		}
		iw_gcd = a;
	}
	for (size_t nid = 0; nid < count; nid++)
		new_iw[nid] = (uint8_t)(new_iw[nid] / iw_gcd);
}

TEST(bandwidths_are_reduced_as_the_kernel_does)
{
	const char *given = getenv("TIER_SEED");
	uint64_t seed = (given ? strtoull(given, NULL, 10) : 1) | 1;

	for (unsigned run = 0; run < 20000; run++) {
		unsigned bw[8], ours[8];
		uint64_t mbps[8];
		uint8_t theirs[8];
		size_t count = 1 + run % 8;

		for (size_t i = 0; i < count; i++) {
			seed = seed * UINT64_C(6364136223846793005) + 1;
			bw[i] = (seed >> 60) == 0 ? 0
						  : (unsigned)(seed >> 33) % (1u << (seed >> 59));
			mbps[i] = bw[i] %= 100000000;
		}
		tier_weights_reduce(mbps, count, ours);
		kernel_reduce(bw, count, theirs);
		for (size_t i = 0; i < count; i++)
			if (ours[i] != theirs[i])
				FAIL("TIER_SEED=%s, run %u: node %zu of %zu gets %u, and %u of the "
				     "kernel",
				     given ?: "1", run, i, count, ours[i], theirs[i]);
	}
}

TEST(a_single_node_and_nodes_that_are_alike_get_1)
{
	const uint64_t alike[] = {70000, 70000, 70000};
	unsigned weights[3];

	tier_weights_reduce(alike, 1, weights);
	CHECK_EQ(weights[0], 1);
	tier_weights_reduce(alike, 3, weights);
	CHECK_EQ(weights[0], 1);
	CHECK_EQ(weights[2], 1);
}

TEST(the_kernels_own_weights_stay_where_they_are_right)
{
	begin();
	add_node(0, 5, 80000);
	add_node(1, 2, 32000);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_EQ(plan->step_count, 0);
	CHECK_HAS(plan->reason, "kernel's own weights are right by firmware");
	CHECK_EQ(plan->weights[1].source, TIER_WEIGHT_FIRMWARE);
	CHECK_EQ(plan->weights[1].mbps, 32000);
	end();
}

/* What it computed when another node was there, or had another bandwidth. */
TEST(one_node_has_nothing_to_be_weighed_against)
{
	begin();
	refreshed = false;
	add_node(0, 21, TIER_UNKNOWN_U64);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_STR(plan->reason, "there is one node only");
	end();
}

TEST(weights_that_do_not_fit_are_written)
{
	begin();
	add_node(0, 1, 80000);
	add_node(1, 1, 32000);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	CHECK_EQ(plan->step_count, 2);
	/* 32 * 80 / 112 = 22, 32 * 32 / 112 = 9 */
	check_step(0, 0, 1, 22);
	check_step(1, 1, 1, 9);
	end();
}

TEST(a_tenth_more_or_less_is_not_written_again)
{
	begin();
	add_node(0, 5, 80000);
	add_node(1, 2, 35000);
	make_plan(false);
	CHECK_EQ(plan->step_count, 0);
	CHECK_EQ(plan->weights[0].wanted, 5);
	topology->nodes[1].cpu_read_bandwidth_mbps = 44000;
	topology->nodes[1].cpu_write_bandwidth_mbps = 44000;
	make_plan(false);
	CHECK_EQ(plan->step_count, 2);
	end();
}

TEST(access_class_1_counts_and_the_slower_direction)
{
	begin();
	add_node(0, 1, 80000);
	add_node(1, 1, 80000);
	/* A device is nearer to node 1 than any CPU. */
	topology->nodes[1].read_bandwidth_mbps = topology->nodes[1].write_bandwidth_mbps = 400000;
	topology->nodes[1].cpu_write_bandwidth_mbps = 40000;
	make_plan(false);
	CHECK_EQ(plan->weights[1].mbps, 40000);
	check_step(0, 0, 1, 21);
	check_step(1, 1, 1, 10);
	/* Without class 1 of one there is class 0 of all, or nothing: that of a device is compared with its like only. */
	topology->nodes[1].cpu_read_bandwidth_mbps = TIER_UNKNOWN_U64;
	topology->nodes[1].cpu_write_bandwidth_mbps = TIER_UNKNOWN_U64;
	make_plan(false);
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_EQUAL);
	CHECK_HAS(plan->reason, "bandwidth of node 1");
	topology->nodes[0].read_bandwidth_mbps = topology->nodes[0].write_bandwidth_mbps = 100000;
	make_plan(false);
	CHECK_EQ(plan->weights[0].mbps, 100000);
	CHECK_EQ(plan->weights[1].mbps, 400000);
	CHECK_EQ(plan->weights[1].source, TIER_WEIGHT_FIRMWARE);
	end();
}

/* The kernel would have sent 32 pages to the one that it knows, for each to the other. */
TEST(if_one_bandwidth_is_not_known_all_are_alike)
{
	begin();
	add_node(0, 1, TIER_UNKNOWN_U64);
	add_node(1, 32, 32000);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	CHECK_EQ(plan->step_count, 1);
	check_step(0, 1, 32, 1);
	CHECK_HAS(plan->reason, "bandwidth of node 0");
	CHECK_HAS(plan->reason, "tierctl calibrate");
	CHECK_EQ(plan->weights[1].source, TIER_WEIGHT_EQUAL);
	end();
}

TEST(a_calibration_goes_before_firmware)
{
	begin();
	add_node(0, 5, 80000);
	add_node(1, 2, 32000);
	add_region(1, 7);
	measured(0, 60000, 0);
	measured(1, 60000, 7);
	make_plan(false);
	CHECK_EQ(plan->weights[1].source, TIER_WEIGHT_CALIBRATION);
	CHECK_EQ(plan->weights[1].mbps, 60000);
	check_step(0, 0, 5, 1);
	check_step(1, 1, 2, 1);
	end();
}

/* Figures of two sources cannot be compared. */
TEST(a_calibration_that_lacks_a_node_or_is_stale_is_none)
{
	begin();
	add_node(0, 5, 80000);
	add_node(1, 2, 32000);
	add_region(1, 7);
	measured(0, 60000, 0);
	make_plan(false);
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_FIRMWARE);
	CHECK_HAS(plan->reason, "node 1 was not measured");
	measured(1, 60000, 8);
	make_plan(false);
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_FIRMWARE);
	CHECK_HAS(plan->reason, "other memory devices stand behind node 1");
	calibration.nodes[1].serials[0] = 7;
	make_plan(false);
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_CALIBRATION);
	end();
}

/* As it is for those who are not root. */
TEST(a_calibration_of_a_machine_that_is_not_known_is_not_called_stale)
{
	const struct tier_problem denied = {"product_uuid",
					    "cannot tell which machine this is: Permission denied",
					    "run it as root"};
	struct tier_weights_input input = {.unidentified = &denied};

	begin();
	add_node(0, 5, 80000);
	add_node(1, 2, 32000);
	measured(0, 60000, 0);
	measured(1, 60000, 0);
	input.topology = topology;
	input.config = config;
	input.calibration = &calibration;
	CHECK_EQ(tier_plan_weights(&input, &plan), 0);
	CHECK(!strstr(plan->reason, "stale"));
	CHECK_HAS(plan->reason, "Permission denied; run it as root");
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_FIRMWARE);
	end();
}

TEST(typed_nodes_are_left_and_do_not_count)
{
	begin();
	add_node(0, 5, 80000);
	add_node(1, 2, 32000);
	add_node(2, 7, TIER_UNKNOWN_U64)->type = TIER_MEMORY_SHARED;
	add_region(2, 9);
	configure("[Region far]\nMatchSerial=9\nInterleaveWeight=20\n");
	make_plan(false);
	CHECK_EQ(plan->step_count, 0);
	CHECK_EQ(plan->weights[2].source, TIER_WEIGHT_LEFT);
	CHECK_EQ(plan->weights[2].wanted, 7);
	CHECK_HAS(plan->weights[2].reason, "Shared: left as the kernel has it");
	CHECK_EQ(plan->weights[1].source, TIER_WEIGHT_FIRMWARE);
	end();
}

TEST(the_configuration_goes_before_all)
{
	begin();
	add_node(0, 5, 80000);
	add_node(1, 2, 32000);
	add_region(1, 7);
	measured(0, 60000, 0);
	measured(1, 60000, 7);
	configure("[Region near]\nMatchSerial=7\nInterleaveWeight=255\n"
		  "[Tiering]\nOrdinaryInterleaveWeight=3\n");
	make_plan(false);
	CHECK_EQ(plan->step_count, 2);
	check_step(0, 0, 5, 3);
	check_step(1, 1, 2, 255);
	CHECK_EQ(plan->weights[1].source, TIER_WEIGHT_FIXED);
	CHECK_HAS(plan->weights[1].reason, "[Region near]");
	CHECK_HAS(plan->reason, "by the configuration, which fixes all of them");
	/* And what is left is weighed by itself. */
	add_node(2, 1, 32000);
	configure("[Region near]\nMatchSerial=7\nInterleaveWeight=255\n");
	measured(2, 30000, 0);
	make_plan(false);
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_CALIBRATION);
	CHECK_EQ(plan->weights[1].source, TIER_WEIGHT_FIXED);
	CHECK_EQ(plan->weights[0].wanted, 21);
	CHECK_EQ(plan->weights[2].wanted, 10);
	end();
}

/* By 10 %, this would stay. */
TEST(a_fixed_weight_is_written_however_near_the_present_one_is)
{
	begin();
	add_node(0, 100, 80000);
	add_node(1, 100, 80000);
	configure("[Tiering]\nOrdinaryInterleaveWeight=101\n");
	make_plan(false);
	CHECK_EQ(plan->step_count, 2);
	end();
}

/* Linux without our series does not tell the bandwidth of a region's node, and weighs it all the same. */
TEST(a_kernel_that_knows_more_than_it_tells_is_left_alone)
{
	begin();
	add_node(0, 6, 80000);
	add_node(1, 3, 40000);
	add_node(2, 1, TIER_UNKNOWN_U64);
	add_region(2, 7);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_HAS(plan->reason, "knows more of node 2 than it tells");
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_LEFT);
	/* Not of node 1, of which it would tell: then it weighs by what it lacks. */
	topology->nodes[1].cpu_read_bandwidth_mbps = TIER_UNKNOWN_U64;
	make_plan(false);
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_EQUAL);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	add_region(1, 8);
	/* A weight that is fixed does not change the others, now or at the next look. */
	configure("[Region x]\nMatchSerial=7\nInterleaveWeight=4\n"
		  "");
	topology->nodes[1].cpu_read_bandwidth_mbps = TIER_UNKNOWN_U64;
	topology->nodes[1].cpu_write_bandwidth_mbps = TIER_UNKNOWN_U64;
	make_plan(false);
	CHECK_EQ(plan->step_count, 1);
	check_step(0, 2, 1, 4);
	wrote(0, 6, 6);
	wrote(1, 3, 3);
	wrote(2, 1, 4);
	topology->hotplug.auto_weights = 0;
	topology->nodes[2].interleave_weight = 4;
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	/* It is asked again when nothing is fixed any more. */
	configure("");
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
	end();
}

/* By a calibration, all were alike; without it that is no reason to keep them so. */
TEST(a_kernel_that_knows_more_has_its_weights_back)
{
	begin();
	add_node(0, 1, 80000);
	add_node(1, 1, 40000);
	add_node(2, 1, TIER_UNKNOWN_U64);
	add_region(2, 7);
	wrote(0, 6, 1);
	wrote(1, 3, 1);
	wrote(2, 1, 1);
	topology->hotplug.auto_weights = 0;
	saved.wrong_figures = 1;
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
	/* Of a node that no region has it knows no more than it tells. */
	topology->regions[0].target_node = 5;
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_EQUAL);
	end();
}

/* It does that once for the node of a region; the second time its memory comes the weights are those without it. */
TEST(the_kernel_is_asked_to_compute_before_anything_is_written)
{
	begin();
	refreshed = false;
	add_node(0, 21, 80000);
	add_node(1, 10, 40000);
	add_node(2, 1, 32000);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_REFRESH);
	CHECK_EQ(plan->step_count, 0);
	/* As it does where it may know more than it tells. */
	topology->nodes[2].cpu_read_bandwidth_mbps = TIER_UNKNOWN_U64;
	topology->nodes[2].cpu_write_bandwidth_mbps = TIER_UNKNOWN_U64;
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_REFRESH);
	refreshed = true;
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_EQUAL);
	/* Not where it would not help, or could not be switched on again. */
	refreshed = false;
	for (int i = 0; i < 3; i++) {
		topology->nodes[i].cpu_read_bandwidth_mbps = TIER_UNKNOWN_U64;
		add_region(i, 7 + (uint64_t)i);
	}
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_HAS(plan->reason, "knows more");
	topology->nodes[0].interleave_weight = topology->nodes[1].interleave_weight = 1;
	measured(0, 60000, 7);
	measured(1, 30000, 8);
	measured(2, 15000, 9);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	end();
}

TEST(policies_of_the_configuration)
{
	begin();
	add_node(0, 1, 80000);
	add_node(1, 1, 32000);
	configure("[Tiering]\nInterleaveWeights=no\n");
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
	configure("[Tiering]\nInterleaveWeights=kernel\n");
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	topology->hotplug.auto_weights = 0;
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	check_step(0, TIER_ABSENT_NODE, 0, 1);
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
	topology->hotplug.auto_weights = TIER_UNKNOWN_INT;
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_HAS(plan->reason, "6.16");
	end();
}

TEST(kernels_without_the_mode_and_without_weights)
{
	begin();
	topology->hotplug.auto_weights = TIER_UNKNOWN_INT;
	add_node(0, 1, 80000);
	add_node(1, 1, 32000);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	CHECK_EQ(plan->step_count, 2);
	topology->nodes[0].interleave_weight = 2;
	make_plan(false);
	CHECK_HAS(plan->reason, "another hand");
	topology->nodes[0].interleave_weight = topology->nodes[1].interleave_weight =
		TIER_UNKNOWN_INT;
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_HAS(plan->reason, "no weighted interleave");
	end();
}

TEST(weights_beyond_the_kernels_range_are_refused_by_file_and_line)
{
	static const char *const bad[] = {"0", "256", "-1", "1.5", "ten", "0x10", "99999999999"};
	char text[96];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (int tiering = 0; tiering < 2; tiering++) {
			struct tier_problem problem = {};
			struct tier_config *fresh;

			snprintf(text, sizeof(text),
				 tiering ? "[Tiering]\n\nOrdinaryInterleaveWeight=%s\n"
					 : "[Region x]\nMatchSerial=1\nInterleaveWeight=%s\n",
				 bad[i]);
			CHECK_EQ(tier_config_new(&fresh), 0);
			CHECK_EQ(tier_config_parse(fresh, text, strlen(text), "a.conf", &problem),
				 -EINVAL);
			CHECK_STR(problem.object, "a.conf:3");
			CHECK_HAS(problem.text, bad[i]);
			CHECK_HAS(problem.text, "from 1 to 255");
			tier_config_free(fresh);
		}
	configure("[Tiering]\nOrdinaryInterleaveWeight=255\nInterleaveWeights=\n");
	CHECK_EQ(config->ordinary_interleave_weight, 255);
	configure("[Tiering]\nOrdinaryInterleaveWeight=1\nOrdinaryInterleaveWeight=\n");
	CHECK_EQ(config->ordinary_interleave_weight, 0);
	end();
}

TEST(a_plan_as_json)
{
	char *text;

	begin();
	add_node(0, 1, 80000);
	add_node(1, 1, 32000);
	make_plan(false);
	CHECK_EQ(tier_weights_plan_to_json(plan, &text), 0);
	CHECK_HAS(text, "\"action\" : \"write\"");
	CHECK_HAS(text, "\"wanted\" : 22");
	CHECK_HAS(text, "\"source\" : \"firmware\"");
	CHECK_HAS(text, "\"auto_weights\" : true");
	free(text);
	end();
}
