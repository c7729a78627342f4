/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fd.h"
#include "fixture.h"
#include "memory-apply.h"

#define STATE  "sys/bus/dax/devices/dax0.0/state"
#define MEMORY "sys/devices/system/memory/"

static const uint64_t blocks[] = {512, 513};
static char root[64];
static struct sysfs sysfs;
static char written[64];
static const char *refused;

int __wrap_sysfs_write(const struct sysfs *to, const char *value, const char *format, ...);

int __wrap_sysfs_write(const struct sysfs *to, const char *value, const char *format, ...)
{
	size_t used = strlen(written);

	CHECK(to == &sysfs);
	if (refused && streq(value, refused))
		return -EBUSY;
	snprintf(written + used, sizeof(written) - used, " %s", value);
	return 0;
}

/* A device of two blocks, which are offline. */
static void set_up(const char *state)
{
	written[0] = '\0';
	refused = NULL;
	scratch_new(root);
	CHECK_EQ(sysfs_open(&sysfs, root), 0);
	scratch_file(root, STATE, state);
	scratch_file(root, MEMORY "auto_online_blocks", "offline\n");
	scratch_file(root, MEMORY "memory512/state", "offline\n");
	scratch_file(root, MEMORY "memory513/state", "offline\n");
}

static void take_down(void)
{
	sysfs_done(&sysfs);
	scratch_done(root);
}

static bool can(void)
{
	return memory_plug_can(&sysfs, "dax0.0", blocks, ARRAY_SIZE(blocks));
}

TEST(needs_a_state_file)
{
	set_up("offline\n");
	CHECK(can());
	CHECK(!memory_plug_can(&sysfs, "dax1.0", blocks, ARRAY_SIZE(blocks)));
	take_down();
}

TEST(not_while_a_block_is_online)
{
	set_up("offline\n");
	scratch_file(root, MEMORY "memory513/state", "online\n");
	scratch_file(root, MEMORY "memory513/valid_zones", "Movable\n");
	CHECK(!can());
	take_down();
}

/* Blocks that are not there cannot be allowed; nor could they be brought back if plugging failed. */
TEST(not_what_has_to_be_allowed)
{
	set_up("offline\n");
	scratch_file(root, MEMORY "memory512/online_allowed", "1\n");
	CHECK(can());
	scratch_file(root, MEMORY "memory512/online_allowed", "0\n");
	CHECK(!can());
	take_down();
}

/* Bound anew to go back, the device would come online by itself; one that has no blocks is only unplugged. */
TEST(not_if_it_could_not_be_undone)
{
	set_up("offline\n");
	scratch_file(root, MEMORY "auto_online_blocks", "online\n");
	CHECK(!can());
	scratch_file(root, STATE, "unplugged\n");
	CHECK(can());
	take_down();
}

/* From offline there is no other way than through unplugged. */
TEST(what_is_written)
{
	struct tier_problem problem = {};
	bool unplugged = true, changed = false;

	set_up("offline\n");
	CHECK_EQ(memory_plug(&sysfs, "region0", "dax0.0", true, &unplugged, &changed, &problem), 0);
	CHECK(!unplugged && changed);
	CHECK_STR(written, " unplugged online_movable");
	take_down();
	set_up("unplugged\n");
	changed = false;
	CHECK_EQ(memory_plug(&sysfs, "region0", "dax0.0", false, &unplugged, &changed, &problem),
		 0);
	CHECK(unplugged && changed);
	CHECK_STR(written, " online_kernel");
	take_down();
}

TEST(the_kernel_refuses)
{
	struct tier_problem problem = {};
	bool unplugged = false, changed = true;

	set_up("offline\n");
	refused = "unplugged";
	CHECK_EQ(memory_plug(&sysfs, "region0", "dax0.0", true, &unplugged, &changed, &problem),
		 -EBUSY);
	CHECK_STR(problem.object, "region0");
	CHECK_HAS(problem.text, "cannot make the memory of dax0.0 unplugged");
	CHECK_STR(written, "");
	/* Nothing is to be taken back. */
	CHECK(!changed);
	refused = "online_movable";
	CHECK_EQ(memory_plug(&sysfs, "region0", "dax0.0", true, &unplugged, &changed, &problem),
		 -EBUSY);
	CHECK_HAS(problem.text, "cannot make the memory of dax0.0 online_movable");
	CHECK_STR(written, " unplugged");
	CHECK(changed);
	take_down();
}
