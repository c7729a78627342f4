/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cxl-tierd/weights.c: when it writes, restores and tells; the kernel's weights are the test's. */
#include "test.h"
#include "manager.h"

static struct manager manager;
static struct tier_config config;
static bool dry_run;
static int load_code, apply_code, restore_code, calibration_code;
static unsigned applied, restored, refreshes, rescans;
static bool refresh_helps;
static bool automatic;
static int weights[2]; /* of nodes 0 and 1 */
static struct weights_outcome outcome;
static char told[4096]; /* "DECISION OBJECT: TEXT" */

static void tell(const char *decision, const char *object, const char *text)
{
	size_t used = strlen(told);

	snprintf(told + used, sizeof(told) - used, "%s %s: %s\n", decision, object, text);
}

void log_decision(int priority, const char *object, const char *decision, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tell(decision, object, text);
}

void log_problem(int priority, const char *decision, const struct tier_problem *problem)
{
	tell(decision, problem->object, problem->text);
}

int monitor_rescan(struct manager *asked)
{
	rescans++;
	return 0;
}

bool manager_dry_run(const struct manager *asked)
{
	return dry_run;
}

/* Something is there that must be freed, as the real one has it. */
static struct tier_weights_saved *saved_new(void)
{
	struct tier_weights_saved *saved = calloc(1, sizeof(*saved));

	if (!saved)
		abort();
	saved->auto_weights = 1;
	return saved;
}

int __wrap_tier_weights_saved_load(const char *sysroot, struct tier_weights_saved **ret,
				   struct tier_problem *problem);
int __wrap_tier_weights_saved_load(const char *sysroot, struct tier_weights_saved **ret,
				   struct tier_problem *problem)
{
	if (load_code)
		return tier_problem_set(problem, load_code, TIER_WEIGHTS_PATH, NULL, "not known");
	*ret = saved_new();
	return 0;
}

int __wrap_tier_weights_apply(const char *sysroot, const struct tier_weights_plan *plan,
			      struct tier_weights_saved **saved, struct tier_problem *problem);
int __wrap_tier_weights_apply(const char *sysroot, const struct tier_weights_plan *plan,
			      struct tier_weights_saved **saved, struct tier_problem *problem)
{
	applied++;
	if (apply_code)
		return tier_problem_set(problem, apply_code, "node0", NULL, "cannot set it");
	for (size_t i = 0; i < plan->step_count; i++)
		weights[plan->steps[i].node] = (int)plan->steps[i].to;
	automatic = false;
	if (!*saved)
		*saved = saved_new();
	return 0;
}

int __wrap_tier_weights_refresh(const char *sysroot, const struct tier_weights_plan *plan,
				struct tier_weights_saved **saved, struct tier_problem *problem);
int __wrap_tier_weights_refresh(const char *sysroot, const struct tier_weights_plan *plan,
				struct tier_weights_saved **saved, struct tier_problem *problem)
{
	refreshes++;
	if (!refresh_helps)
		return 0;
	weights[0] = 5;
	weights[1] = 2;
	return 0;
}

int __wrap_tier_weights_restore(const char *sysroot, struct tier_weights_saved **saved,
				char ret_left[static 160], struct tier_problem *problem);
int __wrap_tier_weights_restore(const char *sysroot, struct tier_weights_saved **saved,
				char ret_left[static 160], struct tier_problem *problem)
{
	restored++;
	ret_left[0] = '\0';
	if (restore_code)
		return tier_problem_set(problem, restore_code, "node0", NULL, "cannot restore it");
	automatic = true;
	weights[0] = 5;
	weights[1] = 2;
	*saved = tier_weights_saved_free(*saved);
	return 0;
}

int __wrap_tier_calibration_load(const char *sysroot, struct tier_calibration **ret,
				 struct tier_problem *problem);
int __wrap_tier_calibration_load(const char *sysroot, struct tier_calibration **ret,
				 struct tier_problem *problem)
{
	return tier_problem_set(problem, calibration_code, TIER_CALIBRATION_PATH, NULL,
				"is no calibration");
}

int __wrap_tier_machine_identity_read(const char *sysroot, struct tier_machine_identity *ret,
				      struct tier_problem *problem);
int __wrap_tier_machine_identity_read(const char *sysroot, struct tier_machine_identity *ret,
				      struct tier_problem *problem)
{
	FAIL("nobody has a calibration here");
}

int __wrap_tier_topology_read(const char *sysroot, struct tier_topology **ret,
			      struct tier_problem *problem);
int __wrap_tier_topology_read(const char *sysroot, struct tier_topology **ret,
			      struct tier_problem *problem)
{
	static const uint64_t mbps[] = {80000, 32000};

	if (tier_topology_new(ret) != 0)
		abort();
	(*ret)->hotplug.auto_weights = automatic;
	(*ret)->nodes = calloc(2, sizeof(*(*ret)->nodes));
	if (!(*ret)->nodes)
		abort();
	(*ret)->node_count = 2;
	for (int i = 0; i < 2; i++)
		(*ret)->nodes[i] = (struct tier_node){.id = i,
						      .has_memory = true,
						      .type = TIER_MEMORY_LOCAL,
						      .interleave_weight = weights[i],
						      .cpu_read_bandwidth_mbps = mbps[i],
						      .cpu_write_bandwidth_mbps = mbps[i]};
	return 0;
}

static void begin(void)
{
	weights_stop(&manager);
	manager = (struct manager){.config = &config};
	config = (struct tier_config){};
	dry_run = false;
	load_code = calibration_code = TIER_E_NOT_FOUND;
	apply_code = restore_code = 0;
	applied = restored = refreshes = rescans = 0;
	refresh_helps = true;
	automatic = true;
	weights[0] = 5;
	weights[1] = 2;
	told[0] = '\0';
}

static void look(void)
{
	struct tier_problem problem = {};

	CHECK_EQ(weights_apply(&manager, &outcome, &problem), 0);
}

static void end(void)
{
	begin();
	restored = 0;
}

TEST(the_kernels_own_weights_are_told_once_and_left)
{
	begin();
	weights_start(&manager);
	look();
	CHECK_HAS(told, "weights weighted interleave: the kernel's own weights are right");
	told[0] = '\0';
	look();
	CHECK_STR(told, "");
	weights_stop(&manager);
	CHECK_EQ(applied, 0);
	CHECK_EQ(restored, 0);
	end();
}

TEST(the_kernel_computes_its_own_anew_and_is_written_over_only_if_that_does_not_help)
{
	begin();
	weights_start(&manager);
	weights[0] = weights[1] = 1;
	look();
	CHECK_EQ(refreshes, 1);
	CHECK_EQ(applied, 0);
	CHECK_EQ(weights[0], 5);
	weights[0] = weights[1] = 1;
	refresh_helps = false;
	look();
	CHECK_EQ(refreshes, 2);
	CHECK_EQ(applied, 1);
	CHECK_EQ(weights[0], 22);
	look();
	end();
}

TEST(each_write_is_told_with_its_reason_and_goes_with_the_daemon)
{
	begin();
	weights_start(&manager);
	config.ordinary_interleave_weight = 9;
	look();
	CHECK_EQ(weights[0], 9);
	CHECK_EQ(weights[1], 9);
	CHECK_HAS(told, "weighed node0: interleave weight 9, was 5: OrdinaryInterleaveWeight=");
	CHECK_HAS(told, "weighed node1: interleave weight 9, was 2");
	told[0] = '\0';
	look();
	CHECK_EQ(applied, 1);
	CHECK_STR(told, "");
	weights_stop(&manager);
	CHECK_EQ(restored, 1);
	CHECK_EQ(weights[0], 5);
	CHECK_HAS(told, "weights-restored");
	end();
}

TEST(a_refusal_is_told_once_and_tried_again)
{
	begin();
	weights_start(&manager);
	config.ordinary_interleave_weight = 9;
	apply_code = -EBUSY;
	look();
	CHECK_HAS(told, "weights-failed node0: cannot set it");
	CHECK_STR(outcome.problem.object, "node0");
	CHECK_HAS(outcome.problem.text, "cannot set it");
	told[0] = '\0';
	/* A node may have gone meanwhile. */
	CHECK_EQ(rescans, 1);
	look();
	CHECK_STR(told, "");
	CHECK_EQ(applied, 2);
	CHECK_EQ(rescans, 1);
	/* Whoever asks is told all the same. */
	CHECK_HAS(outcome.problem.text, "cannot set it");
	apply_code = 0;
	look();
	CHECK_STR(outcome.problem.text, "");
	CHECK_STR(outcome.action, "write");
	CHECK_HAS(told, "weighed node0");
	CHECK_EQ(weights[0], 9);
	end();
}

TEST(a_dry_run_tells_and_writes_nothing)
{
	begin();
	load_code = 0;
	dry_run = true;
	weights_start(&manager);
	config.ordinary_interleave_weight = 9;
	look();
	look();
	CHECK_HAS(told, "would-weigh node0: interleave weight would be 9, was 5");
	CHECK_HAS(outcome.reason, "nothing is changed with --dry-run");
	/* Once. */
	CHECK(!strstr(strstr(told, "would-weigh node0") + 1, "would-weigh node0"));
	weights_stop(&manager);
	CHECK_EQ(applied, 0);
	CHECK_EQ(restored, 0);
	end();
}

TEST(what_a_killed_daemon_has_left_is_put_back)
{
	begin();
	load_code = 0;
	automatic = false;
	weights[0] = weights[1] = 9;
	CHECK_EQ(weights_release(&manager), 0);
	CHECK_EQ(restored, 1);
	/* By the next one: nothing is saved of nodes that the kernel's mode would not get right. */
	automatic = false;
	weights[0] = weights[1] = 1;
	weights_start(&manager);
	look();
	CHECK_EQ(restored, 2);
	CHECK(automatic);
	end();
}

/* Or somebody's own weights would be lost for good. */
TEST(if_what_was_there_is_not_known_nothing_is_written)
{
	begin();
	load_code = TIER_E_DAMAGED;
	weights_start(&manager);
	CHECK_HAS(told, "weights-failed " TIER_WEIGHTS_PATH);
	config.ordinary_interleave_weight = 9;
	look();
	CHECK_EQ(applied, 0);
	CHECK_HAS(outcome.problem.text, "what was there before cannot be told");
	weights_stop(&manager);
	CHECK_EQ(restored, 0);
	CHECK_EQ(weights_release(&manager), -EIO);
	end();
}

TEST(what_cannot_be_put_back_is_told)
{
	begin();
	weights_start(&manager);
	config.ordinary_interleave_weight = 9;
	look();
	restore_code = -EBUSY;
	weights_stop(&manager);
	CHECK_HAS(told, "weights-failed node0: cannot restore it");
	CHECK(manager.weights == NULL);
	end();
}

TEST(a_calibration_that_cannot_be_read_is_told_once)
{
	begin();
	calibration_code = TIER_E_DAMAGED;
	weights_start(&manager);
	look();
	CHECK_HAS(told, "calibration " TIER_CALIBRATION_PATH ": is no calibration");
	told[0] = '\0';
	look();
	CHECK_STR(told, "");
	end();
}

TEST(dumps_and_plain_files_have_nothing_to_do_with_this_machine)
{
	begin();
	manager.options.files_only = true;
	weights_start(&manager);
	look();
	CHECK_STR(told, "");
	CHECK_STR(outcome.action, "nothing");
	CHECK_HAS(outcome.reason, "nothing to do with");
	begin();
	manager.options.sysroot = "/tmp";
	weights_start(&manager);
	look();
	weights_stop(&manager);
	CHECK_STR(told, "");
	end();
}
