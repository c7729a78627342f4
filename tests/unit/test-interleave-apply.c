/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os/interleave-apply.c: on files, with a kernel of the test's own behind the writes. */
#include <sys/wait.h>

#include "file-replace.h"
#include "fixture.h"
#include "sysfs.h"
#include "tier-weights.h"
#include "killed.h"
#include "util.h"

DEFINE_CLEANUP(struct tier_topology *, tier_topology_free)
DEFINE_CLEANUP(struct tier_config *, tier_config_free)

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
		live_on();
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
		live_on();
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
	live_on();
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
	writes = lives = 0;
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

/* Who comes next must know whose the manual mode is. */
TEST(a_kernel_without_bandwidths_gets_the_weights_of_before)
{
	struct tier_weights_saved *saved = NULL;
	char left[160];

	set_up(true, false);
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
	check_weights(1, 1, 1);
	CHECK(!is_auto());
	CHECK_HAS(left, "refuses its own mode");
	CHECK(saved != NULL && saved->auto_refused);
	tier_weights_saved_free(saved);
	saved = NULL;
	CHECK_EQ(tier_weights_saved_load(root, &saved, NULL), 0);
	CHECK(saved->auto_refused);
	/* Bandwidths have come: it is whole now. */
	knows_bandwidths = true;
	CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
	CHECK(is_auto());
	CHECK_STR(left, "");
	CHECK(!remembered());
	scratch_done(root);
}

/* What cxl-tierd's planner makes of the files, with this calibration. */
static struct tier_weights_plan *plan_anew(const struct tier_weights_saved *saved,
					   const struct tier_calibration *calibration)
{
	struct tier_machine_identity here = {"uuid:1", "a processor"};
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_(tier_config_freep) struct tier_config *config = NULL;
	struct tier_weights_plan *anew = NULL;
	struct tier_weights_input input = {
		.calibration = calibration, .identity = &here, .saved = saved, .refreshed = true};

	CHECK_EQ(tier_topology_new(&topology), 0);
	CHECK_EQ(tier_config_new(&config), 0);
	topology->hotplug.auto_weights = is_auto();
	topology->nodes = calloc(NODES, sizeof(*topology->nodes));
	CHECK(topology->nodes != NULL);
	topology->node_count = NODES;
	for (int i = 0; i < NODES; i++)
		topology->nodes[i] = (struct tier_node){
			.id = i,
			.has_memory = true,
			.type = TIER_MEMORY_LOCAL,
			.interleave_weight = weight_of(i),
			.present_kernel_bytes = GIB,
			.read_bandwidth_mbps = TIER_UNKNOWN_U64,
			.write_bandwidth_mbps = TIER_UNKNOWN_U64,
			.cpu_read_bandwidth_mbps = TIER_UNKNOWN_U64,
			.cpu_write_bandwidth_mbps = TIER_UNKNOWN_U64,
		};
	input.topology = topology;
	input.config = config;
	CHECK_EQ(tier_plan_weights(&input, &anew), 0);
	return anew;
}

TEST(a_calibration_is_applied_again_after_each_restart)
{
	struct tier_calibration_node nodes[NODES];
	struct tier_calibration_pair pairs[NODES];
	const struct tier_calibration calibration = {
		{"uuid:1", "a processor"}, 1, nodes, NODES, pairs, NODES};
	struct tier_weights_saved *saved = NULL;
	struct tier_weights_plan *anew;
	char left[160];

	for (int i = 0; i < NODES; i++) {
		nodes[i] = (struct tier_calibration_node){.node = i, .bytes = GIB};
		pairs[i] = (struct tier_calibration_pair){
			.node = i, .rounds = 5, .read_mbps = 40000 >> i};
	}
	set_up(true, false);
	for (int restarts = 0; restarts < 3; restarts++) {
		anew = plan_anew(saved, &calibration);
		CHECK_EQ(anew->action, TIER_WEIGHTS_WRITE);
		CHECK_EQ(tier_weights_apply(root, anew, &saved, NULL), 0);
		tier_weights_plan_free(anew);
		check_weights(18, 9, 4);
		anew = plan_anew(saved, &calibration);
		CHECK_EQ(anew->action, TIER_WEIGHTS_NOTHING);
		tier_weights_plan_free(anew);
		CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
		check_weights(1, 1, 1);
		tier_weights_saved_free(saved);
		saved = NULL;
		CHECK_EQ(tier_weights_saved_load(root, &saved, NULL), 0);
		/* Nor is it asked at every look for what it refuses. */
		anew = plan_anew(saved, NULL);
		CHECK_EQ(anew->action, TIER_WEIGHTS_NOTHING);
		CHECK(!strstr(anew->reason, "another hand"));
		tier_weights_plan_free(anew);
	}
	tier_weights_saved_free(saved);
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
	plan.figures = 5;
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	plan.auto_weights = 0;
	plan.figures = 6;
	for (int i = 0; i < NODES; i++) {
		weights[i].present = 30 - 10 * i;
		steps[i].from = steps[i].to;
		steps[i].to = 7;
	}
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	check_weights(7, 7, 7);
	/* With the mode off, nobody has seen the kernel's. */
	CHECK_EQ(saved->wrong_figures, 5);
	CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
	CHECK(is_auto());
	scratch_done(root);
}

/* The mode cannot come back, but what has been done is known. */
TEST(a_refusal_whose_undoing_is_refused_is_still_known)
{
	struct tier_weights_saved *saved = NULL;
	struct tier_problem problem = {};

	set_up(true, false);
	refused_node = 2;
	refused_code = -EBUSY;
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, &problem), -EBUSY);
	CHECK_HAS(problem.text, "or not the kernel's mode");
	check_weights(1, 1, 1);
	CHECK(!is_auto());
	CHECK(saved != NULL);
	CHECK(remembered());
	refused_node = -1;
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, &problem), 0);
	check_weights(30, 20, 10);
	tier_weights_saved_free(saved);
	scratch_done(root);
}

TEST(a_node_that_goes_before_its_weight_is_written_refuses_nothing)
{
	for (int gone = 0; gone < NODES; gone++)
		for (int open = 0; open < 2; open++) {
			struct tier_weights_saved *saved = NULL;
			char path[256], left[160];

			set_up(true, true);
			snprintf(path, sizeof(path), "%s/" WEIGHTED "node%d", root, gone);
			if (open) {
				/* It is there no more when it is written to. */
				refused_node = gone;
				refused_code = -ENODEV;
			} else {
				CHECK_EQ(unlink(path), 0);
			}
			CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
			for (int i = 0; i < NODES; i++)
				CHECK_EQ(weight_of(i), i != gone ? 30 - 10 * i
						       : open	 ? (int)own[i]
								 : -1);
			refused_node = -1;
			CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
			CHECK(is_auto());
			CHECK_STR(left, "");
			scratch_done(root);
		}
}

static void switch_mode_on(void)
{
	steps[0] = (struct tier_weight_step){TIER_ABSENT_NODE, 0, 1};
	plan.step_count = 1;
}

/* After InterleaveWeights=kernel. */
TEST(what_somebody_writes_over_a_mode_that_was_switched_on_stays)
{
	struct tier_weights_saved *saved = NULL;
	char left[160];

	set_up(false, true);
	set_weight(0, 9);
	weights[0].present = 9;
	switch_mode_on();
	CHECK_EQ(tier_weights_apply(root, &plan, &saved, NULL), 0);
	check_weights(5, 2, 1);
	set("auto", "false\n");
	set_weight(0, 77);
	CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
	CHECK_HAS(left, "another hand");
	check_weights(77, 2, 1);
	scratch_done(root);
}

enum deed {
	FIRST_WRITE,
	SECOND_WRITE,
	RESTORE,
	RESTORE_BY_HAND, /* the kernel has no bandwidths */
	SWITCH_ON,
	RESTORE_SWITCHED_ON,
	DEEDS
};

static void second_plan(void)
{
	plan.auto_weights = 0;
	for (int i = 0; i < NODES; i++) {
		weights[i].present = weight_of(i);
		steps[i] = (struct tier_weight_step){i, (unsigned)weight_of(i), 7 + (unsigned)i};
	}
}

static void prepare(enum deed deed, struct tier_weights_saved **saved)
{
	bool switched = deed == SWITCH_ON || deed == RESTORE_SWITCHED_ON;

	set_up(!switched, deed != RESTORE_BY_HAND);
	if (switched) {
		for (int i = 0; i < NODES; i++) {
			set_weight(i, 40 + (unsigned)i);
			weights[i].present = 40 + i;
		}
		switch_mode_on();
	}
	if (deed != FIRST_WRITE && deed != SWITCH_ON)
		CHECK_EQ(tier_weights_apply(root, &plan, saved, NULL), 0);
	if (deed == SECOND_WRITE)
		second_plan();
}

/* True: it has lived through it. */
static bool killed_after(enum deed deed, unsigned effects, struct tier_weights_saved *saved)
{
	char left[160];
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		int r;

		lives = effects;
		if (deed == RESTORE || deed == RESTORE_BY_HAND || deed == RESTORE_SWITCHED_ON)
			r = tier_weights_restore(root, &saved, left, NULL);
		else
			r = tier_weights_apply(root, &plan, &saved, NULL);
		_exit(r == 0 ? 0 : 1);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0);
	return WEXITSTATUS(status) == 0;
}

TEST(a_kill_after_each_note_and_each_write_leaves_nothing_without_an_owner)
{
	for (enum deed deed = 0; deed < DEEDS; deed++) {
		bool lived = false;

		for (unsigned effects = 1; !lived; effects++) {
			bool switched = deed == SWITCH_ON || deed == RESTORE_SWITCHED_ON;
			struct tier_weights_saved *saved = NULL;
			struct tier_weights_plan *anew;
			char left[160] = "";
			int r;

			prepare(deed, &saved);
			lived = killed_after(deed, effects, saved);
			tier_weights_saved_free(saved);
			saved = NULL;
			r = tier_weights_saved_load(root, &saved, NULL);
			CHECK(r == 0 || r == TIER_E_NOT_FOUND);
			anew = plan_anew(saved, NULL);
			if (!switched && strstr(anew->reason, "another hand"))
				FAIL("deed %d, killed after %u effects: %s", (int)deed, effects,
				     anew->reason);
			tier_weights_plan_free(anew);
			if (r == 0)
				CHECK_EQ(tier_weights_restore(root, &saved, left, NULL), 0);
			if (strstr(left, "another hand"))
				FAIL("deed %d, killed after %u effects: %s", (int)deed, effects,
				     left);
			if (switched)
				check_weights(40, 41, 42);
			else if (deed == RESTORE_BY_HAND)
				check_weights(1, 1, 1);
			else
				check_weights(5, 2, 1);
			CHECK_EQ(is_auto(), !switched && deed != RESTORE_BY_HAND);
			CHECK_EQ(remembered(), deed == RESTORE_BY_HAND);
			tier_weights_saved_free(saved);
			scratch_done(root);
			CHECK(effects < 20);
			/* Each of the three, and what is written down. */
			CHECK(!lived || effects > (deed == SWITCH_ON || deed == RESTORE ? 2 : 4));
		}
	}
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
