/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os/tiering-kernel.c: on files, with a kernel of the test's own behind the writes. */
#include <stdarg.h>
#include <sys/wait.h>

#include "file-replace.h"
#include "fixture.h"
#include "sysfs.h"
#include "tier-tiering-kernel.h"
#include "killed.h"
#include "util.h"

#define PROMOTES(mbps) (&(struct tier_knobs_wish){.promotes = true, .limit_mbps = (mbps)})
#define DEMOTES	       (&(struct tier_knobs_wish){})

static const char *const files[TIER_KNOBS] = {
	"proc/sys/kernel/numa_balancing_promote_rate_limit_MBps",
	"sys/kernel/mm/numa/demotion_enabled",
	"proc/sys/kernel/numa_balancing",
};
static const unsigned before[TIER_KNOBS] = {65536, 0, 0};

static char root[64];
static int refused; /* the knob; TIER_KNOBS: none */
static unsigned writes;

static void set(enum tier_knob knob, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u\n", value);
	if (knob == TIER_KNOB_DEMOTION)
		strcpy(text, value ? "true\n" : "false\n");
	scratch_file(root, files[knob], text);
}

int __wrap_sysfs_write(const struct sysfs *to, const char *value, const char *format, ...);
int __wrap_sysfs_write(const struct sysfs *to, const char *value, const char *format, ...)
{
	char path[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	writes++;
	for (int knob = 0; knob < TIER_KNOBS; knob++) {
		uint64_t number = streq(value, "true");

		if (!streq(path, files[knob]))
			continue;
		if (knob == refused)
			return -EINVAL;
		if (knob != TIER_KNOB_DEMOTION)
			CHECK_EQ(parse_u64(value, &number), 0);
		set((enum tier_knob)knob, (unsigned)number);
		live_on();
		return 0;
	}
	FAIL("%s is written", path);
}

static void set_up(void)
{
	scratch_new(root);
	refused = TIER_KNOBS;
	writes = lives = 0;
	scratch_file(root, "run/other", "");
	for (int knob = 0; knob < TIER_KNOBS; knob++)
		set((enum tier_knob)knob, before[knob]);
}

static void check_present(unsigned limit, unsigned demotion, unsigned balancing)
{
	struct tier_problem problem = {};
	unsigned present[TIER_KNOBS];

	if (tier_knobs_read(root, present, &problem) != 0)
		FAIL("%s: %s", problem.object, problem.text);
	CHECK_EQ(present[TIER_KNOB_LIMIT], limit);
	CHECK_EQ(present[TIER_KNOB_DEMOTION], demotion);
	CHECK_EQ(present[TIER_KNOB_BALANCING], balancing);
}

static bool noted(void)
{
	struct tier_knobs_saved saved;

	return tier_knobs_load(root, &saved, NULL) == 0;
}

TEST(it_is_switched_on_and_put_back)
{
	struct tier_knobs_saved saved = {};
	struct tier_problem problem = {};
	char text[160];

	set_up();
	CHECK_EQ(tier_knobs_load(root, &saved, &problem), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(512), &saved, text, &problem), 0);
	CHECK_STR(text, "");
	check_present(512, 1, 2);
	CHECK(noted());
	/* Nothing to do is not written. */
	writes = 0;
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(512), &saved, text, &problem), 0);
	CHECK_EQ(writes, 0);
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(128), &saved, text, &problem), 0);
	CHECK_EQ(writes, 1);
	check_present(128, 1, 2);
	CHECK_EQ(tier_knobs_restore(root, &saved, text, &problem), 0);
	CHECK_STR(text, "");
	check_present(65536, 0, 0);
	CHECK(!noted());
	scratch_done(root);
}

TEST(what_is_on_already_is_not_switched_off)
{
	struct tier_knobs_saved saved = {};
	char text[160];

	set_up();
	set(TIER_KNOB_DEMOTION, 1);
	set(TIER_KNOB_BALANCING, 3);
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(0), &saved, text, NULL), 0);
	CHECK_EQ(writes, 0);
	CHECK(!noted());
	CHECK_EQ(tier_knobs_restore(root, &saved, text, NULL), 0);
	check_present(65536, 1, 3);
	scratch_done(root);
}

TEST(what_somebody_else_writes_stays)
{
	struct tier_knobs_saved saved = {};
	char text[160];

	set_up();
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(512), &saved, text, NULL), 0);
	set(TIER_KNOB_LIMIT, 77);
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(256), &saved, text, NULL), 0);
	CHECK_HAS(text, "numa_balancing_promote_rate_limit_MBps is 77 by another hand");
	check_present(77, 1, 2);
	/* It is told once. */
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(128), &saved, text, NULL), 0);
	CHECK_STR(text, "");
	/* Seen at the end only. */
	set(TIER_KNOB_BALANCING, 1);
	CHECK_EQ(tier_knobs_restore(root, &saved, text, NULL), 0);
	CHECK_STR(text, "numa_balancing is 1 by another hand");
	check_present(77, 0, 1);
	CHECK(!noted());
	/* And is not written when it begins again. */
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(512), &saved, text, NULL), 0);
	check_present(77, 1, 1);
	CHECK_EQ(tier_knobs_restore(root, &saved, text, NULL), 0);
	check_present(77, 0, 1);
	scratch_done(root);
}

TEST(a_kernel_that_refuses_one_has_all_as_before)
{
	for (int knob = 0; knob < TIER_KNOBS; knob++) {
		struct tier_knobs_saved saved = {};
		struct tier_problem problem = {};
		char text[160];

		set_up();
		refused = knob;
		CHECK_EQ(tier_knobs_apply(root, PROMOTES(512), &saved, text, &problem), -EINVAL);
		CHECK_HAS(problem.object, files[knob]);
		CHECK_HAS(problem.text, "cannot be set to");
		check_present(65536, 0, 0);
		CHECK(!noted());
		scratch_done(root);
	}
}

/* What could be put back is; the rest stays noted, and is tried again. */
TEST(what_cannot_be_put_back_stays_noted)
{
	struct tier_knobs_saved saved = {};
	struct tier_problem problem = {};
	char text[160];

	set_up();
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(512), &saved, text, NULL), 0);
	refused = TIER_KNOB_DEMOTION;
	CHECK_EQ(tier_knobs_restore(root, &saved, text, &problem), -EINVAL);
	CHECK_HAS(problem.object, "demotion_enabled");
	CHECK_HAS(problem.next, TIER_TIERING_KERNEL_PATH);
	check_present(65536, 1, 0);
	CHECK(noted());
	refused = TIER_KNOBS;
	CHECK_EQ(tier_knobs_load(root, &saved, &problem), 0);
	CHECK(!saved.knobs[TIER_KNOB_BALANCING].ours);
	CHECK_EQ(tier_knobs_restore(root, &saved, text, &problem), 0);
	check_present(65536, 0, 0);
	CHECK(!noted());
	scratch_done(root);
}

TEST(nothing_is_written_that_could_not_be_put_back)
{
	struct tier_knobs_saved saved = {};
	struct tier_problem problem = {};
	char text[160];

	set_up();
	scratch_file(root, "run/cxl-tier", "a file where the directory should be\n");
	CHECK(tier_knobs_apply(root, PROMOTES(512), &saved, text, &problem) < 0);
	CHECK_HAS(problem.text, "cannot note");
	CHECK_EQ(writes, 0);
	scratch_done(root);
}

static void live_through(void)
{
	struct tier_knobs_saved saved = {};
	char text[160];

	(void)tier_knobs_apply(root, PROMOTES(512), &saved, text, NULL);
	(void)tier_knobs_apply(root, PROMOTES(256), &saved, text, NULL);
	(void)tier_knobs_apply(root, PROMOTES(0), &saved, text, NULL);
	(void)tier_knobs_restore(root, &saved, text, NULL);
}

/* At whatever point: the next one finds what was there. */
TEST(killed_at_any_point)
{
	unsigned effects = 0;

	for (bool over = false; !over; effects++) {
		struct tier_knobs_saved saved = {};
		struct tier_problem problem = {};
		int status, r;
		char text[160] = "";
		pid_t pid;

		set_up();
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			lives = effects + 1;
			live_through();
			_exit(0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status));
		over = WEXITSTATUS(status) == 0;
		r = tier_knobs_load(root, &saved, &problem);
		CHECK(r == 0 || r == TIER_E_NOT_FOUND);
		if (r == 0)
			CHECK_EQ(tier_knobs_restore(root, &saved, text, &problem), 0);
		CHECK_STR(text, "");
		check_present(65536, 0, 0);
		CHECK(!noted());
		scratch_done(root);
	}
	/* Three notes and as many writes at first, one of each for every limit, and back. */
	CHECK(effects > 10);
}

TEST(a_kernel_that_lacks_one)
{
	struct tier_knobs_saved saved = {};
	struct tier_problem problem = {};
	char path[256], text[160];

	for (int knob = 0; knob < TIER_KNOBS; knob++) {
		set_up();
		snprintf(path, sizeof(path), "%s/%s", root, files[knob]);
		CHECK_EQ(__real_unlink(path), 0);
		CHECK_EQ(tier_knobs_apply(root, PROMOTES(0), &saved, text, &problem),
			 TIER_E_NOT_FOUND);
		CHECK_HAS(problem.text, files[knob]);
		CHECK_EQ(writes, 0);
		scratch_done(root);
	}
	set_up();
	scratch_file(root, files[TIER_KNOB_LIMIT], "many\n");
	CHECK(tier_knobs_apply(root, PROMOTES(0), &saved, text, &problem) < 0);
	scratch_done(root);
}

TEST(demotion_alone_needs_nothing_else)
{
	struct tier_knobs_saved saved = {};
	struct tier_problem problem = {};
	static const enum tier_knob promotion[] = {TIER_KNOB_LIMIT, TIER_KNOB_BALANCING};
	char path[256], text[160];

	set_up();
	CHECK_EQ(tier_knobs_apply(root, DEMOTES, &saved, text, &problem), 0);
	CHECK_EQ(writes, 1);
	check_present(65536, 1, 0);
	CHECK_EQ(tier_knobs_restore(root, &saved, text, &problem), 0);
	check_present(65536, 0, 0);
	/* A kernel without CONFIG_NUMA_BALANCING. */
	for (size_t i = 0; i < ARRAY_SIZE(promotion); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, files[promotion[i]]);
		CHECK_EQ(__real_unlink(path), 0);
	}
	CHECK_EQ(tier_knobs_apply(root, DEMOTES, &saved, text, &problem), 0);
	CHECK_EQ(writes, 3);
	CHECK_EQ(tier_knobs_apply(root, PROMOTES(0), &saved, text, &problem), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_knobs_restore(root, &saved, text, &problem), 0);
	CHECK_EQ(writes, 4);
	CHECK(!noted());
	scratch_done(root);
}

TEST(a_damaged_note_is_told)
{
	struct tier_knobs_saved saved;
	struct tier_problem problem = {};

	set_up();
	scratch_file(root, TIER_TIERING_KERNEL_PATH + 1, "numa_balancing 0\n");
	CHECK_EQ(tier_knobs_load(root, &saved, &problem), TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "damaged");
	CHECK_HAS(problem.next, "remove the file");
	scratch_done(root);
}

TEST(traffic_is_read)
{
	struct tier_problem problem = {};
	struct tier_traffic traffic;

	set_up();
	CHECK(tier_traffic_read(root, &traffic, &problem) < 0);
	scratch_file(root, "proc/vmstat", "nr_free_pages 1\n");
	CHECK_EQ(tier_traffic_read(root, &traffic, &problem), TIER_E_NOT_FOUND);
	scratch_file(root, "proc/vmstat", "pgpromote_success 3\npgdemote_kswapd 2\n");
	CHECK_EQ(tier_traffic_read(root, &traffic, &problem), 0);
	CHECK_EQ(traffic.promoted_bytes, 3 * (uint64_t)sysconf(_SC_PAGESIZE));
	CHECK(traffic.now_usec > 0);
	scratch_done(root);
}
