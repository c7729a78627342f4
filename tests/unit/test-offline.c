/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <linux/kernel-page-flags.h>
#include <numaif.h>
#include <time.h>

#include "fixture.h"
#include "memory-offline.h"
#include "util.h"

/*
 * A region of four blocks, 40 to 43, of 16 pages each on node 2; memory of node 0 beside it. Files say
 * what sysfs would; the write that takes a block offline, and time, are below.
 */

#define F(name)	  (UINT64_C(1) << KPF_##name)
#define PINNED	  (F(LRU) | F(MMAP) | F(ANON))
#define FIRST	  40
#define BLOCKS	  4
#define PAGES	  16
#define SECOND	  INT64_C(1000000)
#define ELSEWHERE 7 /* a block of another device */

enum kernel {
	GOES,	 /* after a second */
	REFUSES, /* EBUSY, the first so many times */
	STUCK,	 /* works on it for ever, with pages of PINNED left */
	SLOW,	 /* a page goes in two seconds */
	WAITS,	 /* for somebody else */
	HANGS,	 /* not even a kill ends it */
	BROKEN,	 /* another error */
};

static struct {
	enum kernel blocks[BLOCKS];
	int refusals;
	int64_t now_usec, wake_usec;
	int attempts, between, cancel_between;
	int64_t pause_usec; /* how long others take in between */
	uint64_t at, slow_pages;
	int64_t begun_usec;
	uint64_t fail_online; /* a block that does not come back */
	uint64_t other_zone;  /* one that comes back elsewhere */
	int policy;
	bool came_back_movable[BLOCKS];
	bool devices;	   /* the plan gives dax1.0 and then dax0.0 to devdax */
	const char *fails; /* one that cannot be given */
	char binds[128];   /* what was done about them */
	uint64_t last_done, last_total;
	bool went_down, putting_back;
} k;

static char root[64];
static struct sysfs sysfs;
static struct tier_problem problem;
static struct tier_offline_result result;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, ret);
	*ret = (struct timespec){k.now_usec / SECOND, k.now_usec % SECOND * 1000};
	return 0;
}

static void put_state(uint64_t block, const char *state)
{
	char name[96];

	snprintf(name, sizeof(name), "sys/devices/system/memory/memory%" PRIu64 "/state", block);
	scratch_file(root, name, state);
}

static void put_zone(uint64_t block, const char *zone)
{
	char name[96];

	snprintf(name, sizeof(name), "sys/devices/system/memory/memory%" PRIu64 "/valid_zones",
		 block);
	scratch_file(root, name, zone);
}

static void put_pages(uint64_t block, uint64_t used, uint64_t flags)
{
	char path[128];
	uint64_t list[PAGES];

	for (size_t i = 0; i < PAGES; i++)
		list[i] = i < used ? flags : F(BUDDY);
	snprintf(path, sizeof(path), "%s/proc/kpageflags", root);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	CHECK_EQ(pwrite(fd, list, sizeof(list), (off_t)(block * sizeof(list))), sizeof(list));
	close(fd);
}

static const char *state_of(uint64_t block)
{
	static char state[32];

	CHECK_EQ(sysfs_read_string(&sysfs, state, sizeof(state),
				   "sys/devices/system/memory/memory%" PRIu64 "/state", block),
		 0);
	return state;
}

int __wrap_sysfs_write_begin(const struct sysfs *files, struct sysfs_writer *ret, const char *value,
			     const char *format, ...);
int __wrap_sysfs_write_begin(const struct sysfs *files, struct sysfs_writer *ret, const char *value,
			     const char *format, ...)
{
	char path[128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	CHECK_STR(value, "offline");
	CHECK_EQ(sscanf(path, "sys/devices/system/memory/memory%" SCNu64 "/state", &k.at), 1);
	CHECK(k.at >= FIRST && k.at < FIRST + BLOCKS);
	CHECK_STR(state_of(k.at), "online");
	k.attempts++;
	k.begun_usec = k.now_usec;
	if (k.blocks[k.at - FIRST] != WAITS)
		put_state(k.at, "going-offline");
	ret->pidfd = -1;
	return 0;
}

enum sysfs_write_event __wrap_sysfs_write_wait(const struct sysfs_writer *writer, int wake_fd,
					       int timeout_msec);
enum sysfs_write_event __wrap_sysfs_write_wait(const struct sysfs_writer *writer, int wake_fd,
					       int timeout_msec)
{
	enum kernel kind = k.blocks[k.at - FIRST];
	uint64_t left;

	k.now_usec += (int64_t)MAX(timeout_msec, 1) * 1000;
	if (k.wake_usec && k.now_usec >= k.wake_usec)
		return SYSFS_WRITE_WAKE;
	if (kind == STUCK)
		put_pages(k.at, 2, PINNED);
	if (kind == SLOW) {
		left = k.slow_pages - MIN(k.slow_pages, (uint64_t)(k.now_usec / (2 * SECOND)));
		put_pages(k.at, left, PINNED);
		if (left == 0)
			return SYSFS_WRITE_ENDED;
	}
	if (kind == REFUSES || kind == BROKEN)
		return SYSFS_WRITE_ENDED;
	return kind == GOES && k.now_usec >= k.begun_usec + SECOND ? SYSFS_WRITE_ENDED
								   : SYSFS_WRITE_TIMEOUT;
}

int __wrap_sysfs_write_end(struct sysfs_writer *writer, int grace_msec);
int __wrap_sysfs_write_end(struct sysfs_writer *writer, int grace_msec)
{
	enum kernel kind = k.blocks[k.at - FIRST];
	bool goes = (kind == GOES && k.now_usec >= k.begun_usec + SECOND) ||
		    (kind == REFUSES && --k.refusals < 0) ||
		    (kind == SLOW && k.slow_pages <= (uint64_t)(k.now_usec / (2 * SECOND)));

	CHECK(grace_msec > 0);
	if (kind == HANGS)
		return -EINPROGRESS;
	put_state(k.at, goes ? "offline" : "online");
	if (goes)
		put_pages(k.at, 0, 0);
	return goes ? 0 : kind == REFUSES ? -EBUSY : kind == BROKEN ? -EIO : -ETIMEDOUT;
}

int __real_memory_block_online(const struct sysfs *files, const char *region, uint64_t block,
			       bool movable, bool *ret_changed, struct tier_problem *why);
int __wrap_memory_block_online(const struct sysfs *files, const char *region, uint64_t block,
			       bool movable, bool *ret_changed, struct tier_problem *why);
int __wrap_memory_block_online(const struct sysfs *files, const char *region, uint64_t block,
			       bool movable, bool *ret_changed, struct tier_problem *why)
{
	int r;

	k.now_usec += SECOND;
	if (block == k.fail_online)
		return tier_problem_set(why, -ENOMEM, region, NULL, "cannot online block");
	r = __real_memory_block_online(files, region, block, movable, ret_changed, why);
	/* What was written is what the kernel acts on. */
	CHECK_STR(state_of(block), movable ? "online_movable" : "online_kernel");
	put_state(block, "online");
	k.came_back_movable[block - FIRST] = movable;
	if (block == k.other_zone)
		put_zone(block, "DMA32");
	return r;
}

int __wrap_memory_dax_bind(const struct sysfs *files, const char *name, enum tier_dax_mode mode,
			   struct tier_problem *why);
int __wrap_memory_dax_bind(const struct sysfs *files, const char *name, enum tier_dax_mode mode,
			   struct tier_problem *why)
{
	size_t length = strlen(k.binds);

	/* Blocks of a device that is not bound to kmem do not exist. */
	for (uint64_t block = FIRST; block < FIRST + BLOCKS; block++)
		CHECK_STR(state_of(block), "offline");
	snprintf(k.binds + length, sizeof(k.binds) - length, "%s=%s ", name,
		 tier_dax_mode_name(mode));
	if (k.fails && streq(k.fails, name))
		return tier_problem_set(why, -EBUSY, name, "close it", "cannot bind it");
	return 0;
}

long __wrap_get_mempolicy(int *mode, unsigned long *nodes, unsigned long max, void *address,
			  unsigned flags);
long __wrap_get_mempolicy(int *mode, unsigned long *nodes, unsigned long max, void *address,
			  unsigned flags)
{
	*mode = k.policy;
	nodes[0] = k.policy ? 1 << 2 : 0;
	return 0;
}

static void begin(const char *zone)
{
	char name[96];

	memset(&k, 0, sizeof(k));
	k.cancel_between = -1;
	problem = (struct tier_problem){};
	scratch_new(root);
	CHECK_EQ(sysfs_open(&sysfs, root), 0);
	scratch_file(root, "sys/devices/system/memory/block_size_bytes", "10000\n");
	scratch_file(root, "proc/kpageflags", "");
	scratch_file(root, "sys/devices/system/node/node0/meminfo", "Node 0 MemFree: 9999 kB\n");
	for (uint64_t block = FIRST; block < FIRST + BLOCKS; block++) {
		put_state(block, "online");
		put_zone(block, zone);
		put_pages(block, PAGES, PINNED);
		snprintf(name, sizeof(name), "sys/devices/system/memory/memory%" PRIu64 "/node2/x",
			 block);
		scratch_file(root, name, "");
		snprintf(name, sizeof(name), "sys/devices/system/node/node2/memory%" PRIu64 "/x",
			 block);
		scratch_file(root, name, "");
	}
}

static void end(void)
{
	tier_offline_result_done(&result);
	sysfs_done(&sysfs);
	scratch_done(root);
}

static int on_wake(void *userdata)
{
	return 1;
}

static int on_between(void *userdata)
{
	k.now_usec += k.pause_usec;
	return k.between++ == k.cancel_between;
}

static void on_progress(void *userdata, const struct tier_offline_progress *progress)
{
	bool back = progress->phase == TIER_OFFLINE_PUTTING_BACK;

	CHECK(back || !k.putting_back);
	k.went_down |= !back && progress->done_bytes < k.last_done;
	k.putting_back = back;
	k.last_done = progress->done_bytes;
	k.last_total = progress->total_bytes;
}

static int run(uint64_t deadline_sec, bool keep_partial)
{
	struct tier_step steps[BLOCKS + 2] = {};
	const struct tier_plan plan = {.steps = steps, .step_count = BLOCKS + (k.devices ? 2 : 0)};
	const struct tier_offline_options options = {
		.deadline_usec = deadline_sec * SECOND,
		.keep_partial = keep_partial,
		.wake_fd = -1,
		.wake = on_wake,
		.between = on_between,
		.progress = on_progress,
	};

	/* As tier_plan_offline() has it: the highest first. */
	for (size_t i = 0; i < BLOCKS; i++) {
		steps[i] = (struct tier_step){.action = TIER_STEP_OFFLINE,
					      .block = FIRST + BLOCKS - 1 - i};
		copy_string(steps[i].region, sizeof(steps[i].region), "region7");
	}
	steps[BLOCKS] = (struct tier_step){.action = TIER_STEP_BIND_DEVDAX, .dax = "dax1.0"};
	steps[BLOCKS + 1] = (struct tier_step){.action = TIER_STEP_BIND_DEVDAX, .dax = "dax0.0"};
	return memory_offline(&sysfs, &plan, &options, &result, &problem);
}

static void check_states(const char *expected[BLOCKS])
{
	for (uint64_t i = 0; i < BLOCKS; i++)
		CHECK_STR(state_of(FIRST + i), expected[i]);
}

#define ALL(state) ((const char *[]){state, state, state, state})

TEST(all_of_it)
{
	begin("Movable");
	CHECK_EQ(run(0, false), 0);
	check_states(ALL("offline"));
	CHECK_EQ(k.attempts, BLOCKS);
	CHECK_EQ(result.offline_count, BLOCKS);
	CHECK(!result.has_holders);
	CHECK_EQ(k.last_done, BLOCKS * PAGES * 4096);
	CHECK_EQ(k.last_total, BLOCKS * PAGES * 4096);
	CHECK(!k.went_down);
	end();
}

TEST(what_is_offline_already)
{
	begin("Movable");
	put_state(41, "offline");
	k.blocks[0] = STUCK;
	CHECK_EQ(run(6, false), TIER_E_TIMEOUT);
	check_states((const char *[]){"online", "offline", "online", "online"});
	end();
}

TEST(deadline_and_the_way_back)
{
	begin("Movable");
	put_zone(43, "Normal");
	k.blocks[1] = STUCK;
	CHECK_EQ(run(12, false), TIER_E_TIMEOUT);
	check_states(ALL("online"));
	CHECK(k.now_usec >= 12 * SECOND && k.now_usec < 15 * SECOND);
	CHECK_HAS(problem.text, "memory block 41 (node 2, zone Movable) within 12 s: 2 pages stay: "
				"2 pinned");
	CHECK_EQ(result.stay_count, 1);
	CHECK_EQ(result.stay[0], 41);
	CHECK_EQ(result.lost_count, 0);
	CHECK_EQ(result.offline_count, 0);
	CHECK_EQ(result.holders.runs[0].first_frame, 41 * PAGES);
	CHECK(k.came_back_movable[2] && !k.came_back_movable[3]);
	CHECK(k.putting_back);
	CHECK_EQ(k.last_done, PAGES * 4096); /* before the last block was back */
	end();
}

/* Who sets no deadline is told sooner, but not at once; and the kernel is left alone now and then. */
TEST(stuck_without_a_deadline)
{
	begin("Movable");
	k.blocks[3] = STUCK;
	CHECK_EQ(run(0, false), TIER_E_BUSY);
	CHECK(k.now_usec >= 30 * SECOND && k.now_usec < 45 * SECOND);
	CHECK(k.attempts >= 3 && k.between >= 3);
	CHECK_HAS(problem.text, "2 pinned");
	CHECK_EQ(strstr(problem.text, "within"), NULL);
	check_states(ALL("online"));
	end();
}

/* What others do in between takes nothing of its time: a block that goes slowly still has all of it. */
TEST(pauses_are_not_counted)
{
	begin("Movable");
	k.pause_usec = 100 * SECOND;
	k.blocks[3] = SLOW;
	k.slow_pages = 16;
	CHECK_EQ(run(60, false), 0);
	CHECK(k.between >= BLOCKS && k.now_usec >= BLOCKS * 100 * SECOND);
	CHECK(result.elapsed_usec < 60 * (uint64_t)SECOND);
	check_states(ALL("offline"));
	end();
}

/* Pages that are still going are not called pinned, nor is the block given up for them. */
TEST(slow)
{
	begin("Movable");
	k.blocks[3] = SLOW;
	k.slow_pages = 16;
	CHECK_EQ(run(0, false), 0);
	CHECK_EQ(k.attempts, BLOCKS);
	end();
	begin("Movable");
	k.blocks[3] = SLOW;
	k.slow_pages = 16;
	CHECK_EQ(run(16, false), TIER_E_TIMEOUT);
	CHECK_HAS(problem.text, "8 pages had still to be moved");
	CHECK_HAS(problem.next, "--deadline");
	check_states(ALL("online"));
	end();
}

TEST(refusals)
{
	begin("Normal");
	k.blocks[2] = REFUSES;
	k.refusals = 1;
	put_pages(42, 3, F(SLAB));
	CHECK_EQ(run(0, false), TIER_E_BUSY);
	CHECK_EQ(k.attempts, 2);
	CHECK_HAS(problem.text, "memory block 42 (node 2, zone Normal): 3 pages stay: 3 slab");
	CHECK_HAS(problem.next, "kernel pages cannot move");
	check_states(ALL("online"));
	end();
	begin("Movable");
	k.blocks[2] = REFUSES;
	k.refusals = 4;
	CHECK_EQ(run(0, false), 0);
	end();
	begin("Movable");
	k.blocks[2] = REFUSES;
	k.refusals = 5;
	CHECK_EQ(run(0, false), TIER_E_BUSY);
	CHECK_EQ(k.attempts, 6);
	end();
}

TEST(another_error)
{
	begin("Movable");
	k.blocks[1] = BROKEN;
	CHECK_EQ(run(0, false), -EIO);
	CHECK_HAS(problem.text, "memory block 41");
	CHECK_HAS(problem.text, strerror(EIO));
	check_states(ALL("online"));
	end();
}

TEST(keep_partial)
{
	begin("Movable");
	k.blocks[3] = STUCK;
	k.blocks[1] = STUCK;
	CHECK_EQ(run(300, true), TIER_E_BUSY);
	check_states((const char *[]){"offline", "online", "offline", "online"});
	CHECK_EQ(result.offline_count, 2);
	CHECK_EQ(result.stay_count, 2);
	CHECK_EQ(result.stay[0], 43);
	CHECK_EQ(result.stay[1], 41);
	CHECK_EQ(result.holders.block, 43);
	CHECK_HAS(problem.text, "memory block 43");
	CHECK_HAS(problem.text, "2 of its 4 memory blocks went offline and stay so");
	CHECK(!k.putting_back);
	end();
}

TEST(cancelled)
{
	begin("Movable");
	k.blocks[1] = STUCK;
	k.wake_usec = 5 * SECOND;
	CHECK_EQ(run(0, false), TIER_E_CANCELLED);
	check_states(ALL("online"));
	CHECK(k.now_usec < 10 * SECOND);
	CHECK_EQ(result.stay_count, 0);
	CHECK_STR(problem.text, "cancelled at memory block 41; all of it is as it was");
	end();
	begin("Movable");
	k.cancel_between = 2;
	CHECK_EQ(run(0, false), TIER_E_CANCELLED);
	check_states(ALL("online"));
	CHECK_EQ(k.attempts, 2);
	end();
	begin("Movable");
	k.cancel_between = 2;
	CHECK_EQ(run(0, true), TIER_E_CANCELLED);
	check_states((const char *[]){"online", "online", "offline", "offline"});
	CHECK_HAS(problem.text, "2 of its 4 memory blocks");
	end();
}

TEST(what_cannot_be_put_back)
{
	begin("Movable");
	k.blocks[0] = STUCK;
	k.fail_online = 42;
	CHECK_EQ(run(10, false), TIER_E_TIMEOUT);
	check_states((const char *[]){"online", "online", "offline", "online"});
	CHECK_EQ(result.lost_count, 1);
	CHECK_EQ(result.lost[0], 42);
	CHECK_EQ(result.offline_count, 1);
	CHECK_HAS(problem.text, "1 memory block cannot be put back: cannot online block");
	CHECK_HAS(problem.next, "tierctl list blocks");
	end();
	begin("Normal");
	k.blocks[0] = STUCK;
	k.other_zone = 42;
	CHECK_EQ(run(10, false), TIER_E_TIMEOUT);
	CHECK_EQ(result.lost_count, 1);
	CHECK_HAS(problem.text, "memory block 42 came back in zone DMA32 instead of Normal");
	end();
}

TEST(devices)
{
	begin("Movable");
	k.devices = true;
	CHECK_EQ(run(0, false), 0);
	CHECK_STR(k.binds, "dax1.0=devdax dax0.0=devdax ");
	end();
	begin("Movable");
	k.devices = true;
	k.fails = "dax0.0";
	CHECK_EQ(run(0, false), -EBUSY);
	CHECK_STR(k.binds, "dax1.0=devdax dax0.0=devdax dax1.0=system-ram ");
	CHECK_STR(problem.next, "close it");
	check_states(ALL("online"));
	end();
	/* Not as long as a block of it is online. */
	begin("Movable");
	k.devices = true;
	k.blocks[2] = STUCK;
	CHECK_EQ(run(100, true), TIER_E_BUSY);
	CHECK_STR(k.binds, "");
	end();
}

/* Whatever else is tried would wait for it. */
TEST(kernel_that_does_not_let_go)
{
	begin("Movable");
	k.blocks[1] = HANGS;
	CHECK_EQ(run(10, false), TIER_E_TIMEOUT);
	CHECK_HAS(problem.text, "memory block 41 (node 2, zone Movable): the kernel does not stop");
	CHECK_EQ(result.lost_count, 2);
	check_states((const char *[]){"online", "going-offline", "offline", "offline"});
	end();
}

TEST(somebody_else_is_at_it)
{
	begin("Movable");
	k.blocks[3] = WAITS;
	CHECK_EQ(run(40, false), TIER_E_TIMEOUT);
	CHECK_HAS(problem.text, "somebody else was adding, onlining or offlining memory");
	CHECK(!result.has_holders);
	CHECK(k.now_usec >= 40 * SECOND);
	end();
}

TEST(without_page_flags)
{
	begin("Movable");
	k.blocks[3] = STUCK;
	CHECK_EQ(unlinkat(sysfs.fd, "proc/kpageflags", 0), 0);
	CHECK_EQ(run(40, false), TIER_E_TIMEOUT);
	CHECK_HAS(problem.text, "what holds it is not known: this kernel has no /proc/kpageflags");
	CHECK_HAS(result.holders.unknown, "CONFIG_PROC_PAGE_MONITOR");
	end();
}

TEST(own_memory)
{
	begin("Movable");
	k.policy = MPOL_BIND;
	CHECK_EQ(run(0, false), TIER_E_REFUSED);
	CHECK_EQ(k.attempts, 0);
	CHECK_HAS(problem.text, "memory of node 2 only");
	check_states(ALL("online"));
	end();
	/* It has other memory there; any other policy falls back to other nodes. */
	begin("Movable");
	k.policy = MPOL_BIND;
	scratch_file(root, "sys/devices/system/node/node2/memory7/x", "");
	put_state(ELSEWHERE, "online");
	put_zone(ELSEWHERE, "Movable");
	CHECK_EQ(run(0, false), 0);
	end();
	begin("Movable");
	k.policy = MPOL_INTERLEAVE;
	CHECK_EQ(run(0, false), 0);
	end();
}
