/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os/interleave-apply.c: on files, with a kernel of the test's own behind the writes. */
#include "fixture.h"
#include "sysfs.h"
#include "tier-weights.h"
#include "util.h"

#define WEIGHTED "sys/kernel/mm/mempolicy/weighted_interleave/"
#define NODES	 3
#define OFF	 99 /* as the refused node: switching the kernel's mode off */

static char root[64];
static int refused_node, refused_code;
static bool knows_bandwidths;
static unsigned writes;
/* What the kernel computes by itself. */
static const unsigned own[NODES] = {5, 2, 1};

static int weight_of(int node)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int weight = -1;

	CHECK_EQ(sysfs_open(&sysfs, root), 0);
	(void)sysfs_read_int(&sysfs, &weight, WEIGHTED "node%d", node);
	return weight;
}

static bool is_auto(void)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	bool mode = false;

	CHECK_EQ(sysfs_open(&sysfs, root), 0);
	CHECK_EQ(sysfs_read_bool(&sysfs, &mode, WEIGHTED "auto"), 0);
	return mode;
}

static void set(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), WEIGHTED "%s", name);
	scratch_file(root, path, value);
}

static void set_weight(int node, unsigned weight)
{
	char name[16], value[16];

	snprintf(name, sizeof(name), "node%d", node);
	snprintf(value, sizeof(value), "%u\n", weight);
	set(name, value);
}

int __wrap_sysfs_write(const struct sysfs *to, const char *value, const char *format, ...);
int __wrap_sysfs_write(const struct sysfs *to, const char *value, const char *format, ...)
{
	char path[256];
	va_list arguments;
	uint64_t weight;
	int node;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	writes++;
	if (streq(path, WEIGHTED "auto") && streq(value, "0")) {
		if (refused_node == OFF)
			return refused_code;
		set("auto", "false\n");
		return 0;
	}
	if (streq(path, WEIGHTED "auto")) {
		CHECK_STR(value, "1");
		if (!knows_bandwidths)
			return -ENODEV;
		set("auto", "true\n");
		for (int i = 0; i < NODES; i++)
			if (weight_of(i) > 0)
				set_weight(i, own[i]);
		return 0;
	}
	CHECK_EQ(sscanf(path, WEIGHTED "node%d", &node), 1);
	if (!sysfs_exists(to, "%s", path))
		return -ENOENT;
	if (node == refused_node)
		return refused_code;
	CHECK_EQ(parse_u64(value, &weight), 0);
	CHECK(weight >= 1 && weight <= TIER_INTERLEAVE_WEIGHT_MAX);
	set_weight(node, (unsigned)weight);
	set("auto", "false\n");
	return 0;
}

static struct tier_weight weights[NODES];
static struct tier_weight_step steps[NODES];
static struct tier_weights_plan plan;

/* Writes 30, 20, 10 over what is there. */
static void set_up(bool automatic, bool bandwidths)
{
	scratch_new(root);
	refused_node = -1;
	refused_code = 0;
	writes = 0;
	knows_bandwidths = bandwidths;
	scratch_file(root, "run/other", "");
	set("auto", automatic ? "true\n" : "false\n");
	plan = (struct tier_weights_plan){
		.action = TIER_WEIGHTS_WRITE,
		.auto_weights = automatic,
		.weights = weights,
		.weight_count = NODES,
		.steps = steps,
		.step_count = NODES,
	};
	for (int i = 0; i < NODES; i++) {
		unsigned before = bandwidths ? own[i] : 1;

		set_weight(i, before);
		weights[i] = (struct tier_weight){.node = i, .present = (int)before};
		steps[i] = (struct tier_weight_step){i, before, 30 - 10 * (unsigned)i};
	}
}

static bool remembered(void)
{
	struct tier_weights_saved *saved = NULL;
	int r = tier_weights_saved_load(root, &saved, NULL);

	tier_weights_saved_free(saved);
	return r == 0;
}

static void check_weights(int first, int second, int third)
{
	CHECK_EQ(weight_of(0), first);
	CHECK_EQ(weight_of(1), second);
	CHECK_EQ(weight_of(2), third);
}

TEST(weights_are_written_and_the_kernels_mode_comes_back)
{
	struct tier_weights_saved *saved = NULL;
	struct tier_problem problem = {};
	char left[160];

	set_up(true, true);
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, &problem), 0);
	check_weights(30, 20, 10);
	CHECK(remembered());
	CHECK_EQ(tier_weights_restore(root, &saved, left, &problem), 0);
	CHECK(saved == NULL);
	CHECK(is_auto());
	check_weights(5, 2, 1);
	CHECK_STR(left, "");
	CHECK(!remembered());
	scratch_done(root);
}

/* As in a new process, by the file. */
TEST(what_a_killed_daemon_has_left_is_put_back_by_the_next)
{
	struct tier_weights_saved *saved = NULL;
	char left[160];

	set_up(false, true);
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	tier_weights_saved_free(saved);
	saved = NULL;
	CHECK_EQ(tier_weights_saved_load(root, &saved, NULL), 0);
	/* And a second write does not take the first one's for what was there. */
	for (int i = 0; i < NODES; i++) {
		weights[i].present = 30 - 10 * i;
		steps[i].from = steps[i].to;
		steps[i].to = 7;
	}
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	check_weights(7, 7, 7);
	CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
	check_weights(5, 2, 1);
	CHECK(!is_auto());
	scratch_done(root);
}

TEST(a_kernel_that_refuses_a_weight_has_the_others_as_before)
{
	static const int codes[] = {-EBUSY, -EINVAL};

	for (size_t c = 0; c < ARRAY_SIZE(codes); c++)
		for (int automatic = 0; automatic < 2; automatic++)
			for (int node = 0; node < NODES; node++) {
				struct tier_weights_saved *saved = NULL;
				struct tier_problem problem = {};
				char object[16];

				set_up(automatic, true);
				refused_node = node;
				refused_code = codes[c];
				CHECK_EQ(tier_weights_apply(root, &plan, &saved, &problem),
					 codes[c]);
				snprintf(object, sizeof(object), "node%d", node);
				CHECK_STR(problem.object, object);
				CHECK_HAS(problem.text, "cannot set its interleave weight");
				CHECK_HAS(problem.text, strerror(-codes[c]));
				CHECK(problem.next[0]);
				check_weights(5, 2, 1);
				CHECK_EQ(is_auto(), automatic);
				CHECK(saved == NULL);
				CHECK(!remembered());
				scratch_done(root);
			}
}

TEST(nothing_is_written_that_could_not_be_put_back)
{
	struct tier_weights_saved *saved = NULL;
	struct tier_problem problem = {};

	set_up(true, true);
	scratch_file(root, "run/cxl-tier", "a file where the directory should be\n");
	CHECK(tier_weights_apply(root, &plan, &saved, &problem) < 0);
	CHECK_HAS(problem.text, "cannot write down");
	CHECK_EQ(writes, 0);
	CHECK(saved == NULL);
	scratch_done(root);
}

TEST(a_kernel_without_bandwidths_gets_the_weights_of_before)
{
	struct tier_weights_saved *saved = NULL;
	char left[160];

	set_up(true, false);
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
	check_weights(1, 1, 1);
	CHECK_HAS(left, "refuses its own mode");
	CHECK(!remembered());
	scratch_done(root);
}

TEST(what_somebody_has_written_since_stays)
{
	struct tier_weights_saved *saved = NULL;
	char left[160];

	for (int automatic = 0; automatic < 2; automatic++) {
		set_up(automatic, true);
		CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
		set_weight(1, 99);
		CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
		CHECK_EQ(weight_of(1), 99);
		CHECK_HAS(left, "another hand");
		/* Without the kernel's mode each is on its own. */
		CHECK_EQ(weight_of(0), automatic ? 30 : 5);
		CHECK(!remembered());
		scratch_done(root);
	}
}

TEST(a_node_that_has_gone_is_nobodys)
{
	struct tier_weights_saved *saved = NULL;
	struct tier_problem problem = {};
	char left[160], path[256];

	set_up(false, true);
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	snprintf(path, sizeof(path), "%s/" WEIGHTED "node2", root);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(tier_weights_restore(root, &saved, left, &problem), 0);
	CHECK_EQ(weight_of(0), 5);
	CHECK_EQ(weight_of(1), 2);
	CHECK_EQ(weight_of(2), -1);
	scratch_done(root);
}

TEST(what_cannot_be_put_back_is_still_known)
{
	struct tier_weights_saved *saved = NULL;
	struct tier_problem problem = {};
	char left[160];

	set_up(false, true);
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	refused_node = 1;
	refused_code = -EBUSY;
	CHECK_EQ(tier_weights_restore(root, &saved, left, &problem), -EBUSY);
	CHECK_STR(problem.object, "node1");
	CHECK(saved != NULL);
	CHECK(remembered());
	/* The others are done. */
	CHECK_EQ(weight_of(0), 5);
	CHECK_EQ(weight_of(2), 1);
	refused_node = -1;
	CHECK_EQ(tier_weights_restore(root, &saved, left, &problem), 0);
	check_weights(5, 2, 1);
	scratch_done(root);
}

TEST(the_kernels_mode_that_was_switched_on_goes_again)
{
	struct tier_weights_saved *saved = NULL;
	struct tier_problem problem = {};
	char left[160];

	set_up(false, true);
	set_weight(0, 9);
	weights[0].present = 9;
	steps[0] = (struct tier_weight_step){TIER_ABSENT_NODE, 0, 1};
	plan.step_count = 1;
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, &problem), 0);
	CHECK(is_auto());
	CHECK_EQ(weight_of(0), 5);
	CHECK_EQ(tier_weights_restore(root, &saved, left, &problem), 0);
	CHECK(!is_auto());
	CHECK_EQ(weight_of(0), 9);
	scratch_done(root);
	set_up(false, false);
	steps[0] = (struct tier_weight_step){TIER_ABSENT_NODE, 0, 1};
	plan.step_count = 1;
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, &problem), -ENODEV);
	CHECK_HAS(problem.text, "cannot leave the interleave weights to the kernel");
	CHECK_HAS(problem.next, "firmware tells no bandwidths");
	CHECK(!remembered());
	scratch_done(root);
}

TEST(the_kernel_computes_its_own_anew)
{
	struct tier_weights_saved *saved = NULL;
	struct tier_problem problem = {};
	char left[160];

	set_up(true, true);
	plan.step_count = 0;
	set_weight(0, 21);
	weights[0].present = 21;
	CHECK_EQ(tier_weights_refresh(root, &plan, &saved, &problem), 0);
	CHECK(is_auto());
	check_weights(5, 2, 1);
	CHECK(saved == NULL);
	CHECK(!remembered());
	refused_node = OFF;
	refused_code = -EBUSY;
	set_weight(0, 21);
	CHECK_EQ(tier_weights_refresh(root, &plan, &saved, &problem), -EBUSY);
	CHECK(is_auto());
	CHECK_EQ(weight_of(0), 21);
	CHECK(!remembered());
	/* Its mode does not come back: that is known, and tried again. */
	refused_node = -1;
	knows_bandwidths = false;
	CHECK_EQ(tier_weights_refresh(root, &plan, &saved, &problem), -ENODEV);
	CHECK(!is_auto());
	CHECK(saved != NULL);
	CHECK(remembered());
	knows_bandwidths = true;
	CHECK_EQ(tier_weights_restore(root, &saved, left, &problem), 0);
	CHECK(is_auto());
	CHECK(!remembered());
	scratch_done(root);
}

/* A second write, over weights of ours: the kernel's mode is still what comes back. */
TEST(the_first_write_is_what_counts)
{
	struct tier_weights_saved *saved = NULL;
	char left[160];

	set_up(true, true);
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	plan.auto_weights = 0;
	for (int i = 0; i < NODES; i++) {
		weights[i].present = 30 - 10 * i;
		steps[i].from = steps[i].to;
		steps[i].to = 7;
	}
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	check_weights(7, 7, 7);
	CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
	CHECK(is_auto());
	scratch_done(root);
}

TEST(a_damaged_file_is_told)
{
	struct tier_weights_saved *saved = NULL;
	struct tier_problem problem = {};

	set_up(true, true);
	scratch_file(root, TIER_WEIGHTS_PATH + 1, "{\"version\":1}\n");
	CHECK_EQ(tier_weights_saved_load(root, &saved, &problem), TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "the file is damaged");
	CHECK(problem.next[0]);
	scratch_done(root);
}
