/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core/interleave-*.c: whose weights are there, and when those of before come back. */
#include "interleave-machine.h"

TEST(what_another_hand_has_written_stays)
{
	begin();
	topology->hotplug.auto_weights = 0;
	add_node(0, 9, 80000);
	add_node(1, 1, 32000);
	add_region(1, 7);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_HAS(plan->reason, "another hand");
	CHECK_EQ(plan->weights[0].source, TIER_WEIGHT_LEFT);
	/* Nor is it touched for the sake of a node that the configuration has a weight for. */
	configure("[Region near]\nMatchSerial=7\nInterleaveWeight=4\n");
	make_plan(false);
	CHECK_EQ(plan->step_count, 1);
	check_step(0, 1, 1, 4);
	end();
}

TEST(what_cxl_tierd_has_written_is_its_own_to_change)
{
	begin();
	topology->hotplug.auto_weights = 0;
	add_node(0, 1, TIER_UNKNOWN_U64);
	add_node(1, 1, TIER_UNKNOWN_U64);
	wrote(0, 2, 1);
	wrote(1, 1, 1);
	measured(0, 60000, 0);
	measured(1, 20000, 0);
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	check_step(0, 0, 1, 3);
	/* Until somebody else writes one. */
	topology->nodes[1].interleave_weight = 77;
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_HAS(plan->reason, "another hand");
	end();
}

TEST(the_kernel_gets_them_back_when_it_is_right)
{
	begin();
	topology->hotplug.auto_weights = 0;
	add_node(0, 1, 80000);
	add_node(1, 1, 32000);
	wrote(0, 5, 1);
	wrote(1, 2, 1);
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
	CHECK_HAS(plan->reason, "kernel's own weights are right");
	/* Not if the kernel does not know what is known: it wants class 1. */
	topology->nodes[1].cpu_write_bandwidth_mbps = TIER_UNKNOWN_U64;
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	end();
}

/* Somebody's own weights, over which InterleaveWeights=kernel has switched the mode on. */
TEST(a_mode_that_nobody_asks_for_any_more_goes)
{
	begin();
	add_node(0, 5, 80000);
	add_node(1, 2, 32000);
	saved.auto_weights = 0;
	saved.auto_written = true;
	wrote(0, 9, 9);
	wrote(1, 1, 1);
	configure("[Tiering]\nInterleaveWeights=kernel\n");
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	configure("");
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
	end();
}

/* The one that docs/tiering.md names: DRAM without HMAT, and an expander whose bandwidth Linux has and does not tell. */
TEST(a_kernel_that_knows_the_expander_alone_is_wrong_and_is_not_asked_again_and_again)
{
	begin();
	add_node(0, 1, TIER_UNKNOWN_U64);
	add_node(1, 32, TIER_UNKNOWN_U64);
	add_region(1, 7);
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	CHECK_EQ(plan->weights[1].source, TIER_WEIGHT_EQUAL);
	CHECK_EQ(plan->step_count, 1);
	check_step(0, 1, 32, 1);
	/* By what it tells it would be right now. It was seen to be wrong. */
	saved.wrong_figures = plan->figures;
	topology->hotplug.auto_weights = 0;
	topology->nodes[1].interleave_weight = 1;
	wrote(0, 1, 1);
	wrote(1, 32, 1);
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	/* With another node it is asked once more, and so it is with other bandwidths. */
	add_node(2, 1, TIER_UNKNOWN_U64);
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
	saved.wrong_figures = plan->figures;
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	for (int i = 0; i < 3; i++)
		topology->nodes[i].cpu_read_bandwidth_mbps =
			topology->nodes[i].cpu_write_bandwidth_mbps = 32000;
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
	/* Beside a fixed weight nobody has seen what is wrong. */
	configure("[Region x]\nMatchSerial=7\nInterleaveWeight=4\n");
	make_plan(true);
	CHECK_EQ(plan->figures, 0);
	end();
}

/* Else they would be written and put back at every other look. */
TEST(equal_weights_of_ours_stay_while_nothing_is_known)
{
	begin();
	add_node(0, 1, TIER_UNKNOWN_U64);
	add_node(1, 1, 32000);
	topology->hotplug.auto_weights = 0;
	wrote(0, 1, 1);
	wrote(1, 32, 1);
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_HAS(plan->reason, "bandwidth of node 0");
	end();
}

/* The kernel's mode was off and on again by another hand: those are not cxl-tierd's. */
TEST(a_mode_that_somebody_else_has_switched_off_is_theirs)
{
	begin();
	topology->hotplug.auto_weights = 0;
	add_node(0, 5, 80000);
	add_node(1, 5, 32000);
	saved.auto_weights = 0;
	saved.auto_written = true;
	wrote(0, 5, 5);
	wrote(1, 5, 5);
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	CHECK_HAS(plan->reason, "another hand");
	end();
}

/* It may have been killed before or after it wrote. */
TEST(both_of_a_write_that_was_killed_are_cxl_tierds)
{
	for (int present = 1; present <= 6; present++) {
		begin();
		topology->hotplug.auto_weights = 0;
		add_node(0, 1, TIER_UNKNOWN_U64);
		add_node(1, present, TIER_UNKNOWN_U64);
		wrote(0, 1, 1);
		wrote(1, 2, 3);
		saved_nodes[1].next = 4;
		make_plan(true);
		CHECK_EQ(!strstr(plan->reason, "another hand"), present >= 2 && present <= 4);
		end();
	}
}

/* With nothing told, manual mode with 1 for all is what the kernel's own would be, and nobody can leave it. */
TEST(weights_that_nobody_has_set_are_set_in_manual_mode_too)
{
	begin();
	topology->hotplug.auto_weights = 0;
	add_node(0, 1, TIER_UNKNOWN_U64);
	add_node(1, 2, TIER_UNKNOWN_U64);
	measured(0, 60000, 0);
	measured(1, 20000, 0);
	make_plan(false);
	CHECK_HAS(plan->reason, "another hand");
	/* The kernel would refuse its own mode. */
	CHECK_HAS(plan->reason, "echo 1 to each node's file");
	topology->nodes[1].interleave_weight = 1;
	make_plan(false);
	CHECK_EQ(plan->action, TIER_WEIGHTS_WRITE);
	check_step(0, 0, 1, 3);
	/* And they stay set. */
	saved.auto_weights = 0;
	wrote(0, 1, 3);
	wrote(1, 1, 1);
	topology->nodes[0].interleave_weight = 3;
	make_plan(true);
	CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
	/* With bandwidths, somebody has chosen it. */
	topology->nodes[0].interleave_weight = 1;
	topology->nodes[0].cpu_read_bandwidth_mbps = 80000;
	topology->nodes[0].cpu_write_bandwidth_mbps = 80000;
	make_plan(false);
	CHECK_HAS(plan->reason, "another hand");
	CHECK_HAS(plan->reason, "echo 1 > /sys/kernel/mm/mempolicy/weighted_interleave/auto");
	end();
}

/* Or the kernel would be asked, and what it refuses told, at every look. */
TEST(a_mode_that_the_kernel_refuses_is_asked_for_when_it_knows_bandwidths)
{
	static const char *const policies[] = {"", "[Tiering]\nInterleaveWeights=no\n",
					       "[Tiering]\nInterleaveWeights=kernel\n"};

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		begin();
		configure(policies[i]);
		topology->hotplug.auto_weights = 0;
		add_node(0, 1, TIER_UNKNOWN_U64);
		add_node(1, 1, TIER_UNKNOWN_U64);
		wrote(0, 1, 1);
		wrote(1, 1, 1);
		make_plan(true);
		CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
		saved.auto_refused = true;
		make_plan(true);
		CHECK_EQ(plan->action, TIER_WEIGHTS_NOTHING);
		for (int n = 0; n < 2; n++)
			topology->nodes[n].cpu_read_bandwidth_mbps =
				topology->nodes[n].cpu_write_bandwidth_mbps = 32000;
		make_plan(true);
		CHECK_EQ(plan->action, TIER_WEIGHTS_RESTORE);
		end();
	}
}

TEST(what_was_there_before_survives_its_file)
{
	struct tier_weights_saved *again = NULL;
	char *text;

	begin();
	wrote(0, 1, 21);
	wrote(3, 255, 10);
	saved_nodes[1].next = 11;
	saved.auto_refused = true;
	saved.wrong_figures = UINT32_MAX;
	CHECK_EQ(tier_weights_saved_format(&saved, &text), 0);
	CHECK_EQ(tier_weights_saved_parse(text, strlen(text), &again), 0);
	CHECK_EQ(again->auto_weights, 1);
	CHECK_EQ(again->node_count, 2);
	CHECK_EQ(again->nodes[1].node, 3);
	CHECK_EQ(again->nodes[1].before, 255);
	CHECK_EQ(again->nodes[1].written, 10);
	CHECK_EQ(again->nodes[1].next, 11);
	CHECK(again->auto_refused);
	CHECK_EQ(again->wrong_figures, UINT32_MAX);
	tier_weights_saved_free(again);
	/* Every shorter file is damaged. */
	for (size_t bytes = 0; bytes + 2 < strlen(text); bytes++)
		CHECK_EQ(tier_weights_saved_parse(text, bytes, &again), TIER_E_DAMAGED);
	free(text);
	end();
}
