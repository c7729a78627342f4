/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contents of extents between hosts whose caches do not know of each other, as test-portal-caches.c has
 * it of records. With --wrap for what only a machine with a CXL region has.
 */
#include "dax.h"
#include "extent.h"
#include "fixture.h"
#include "private-caches.h"
#include "ram-file.h"

#define EXTENT MIB
#define PAGE   4096
#define PAGES  16

/* ---- a region whose devices are files -------------------------------------------------------- */

static char root[64];
static const char *device; /* the file behind the next device */

int __real_sysfs_open(struct sysfs *ret, const char *directory);
int __wrap_sysfs_open(struct sysfs *ret, const char *directory);
int __wrap_dax_lock(const struct sysfs *sysfs, const char *region, uint64_t wait_usec, int *ret_fd,
		    struct tier_problem *problem);
int __wrap_dax_list(const struct sysfs *sysfs, const char *region, struct dax_device **ret,
		    size_t *count, struct tier_problem *problem);
int __wrap_dax_create(const struct sysfs *sysfs, const char *region, uint64_t start, uint64_t bytes,
		      char name[static 32], struct tier_problem *problem);
int __wrap_dax_destroy(const struct sysfs *sysfs, const char *region, const char *name,
		       struct tier_problem *problem);
int __wrap_dax_bind(const struct sysfs *sysfs, const char *name, const char *driver,
		    struct tier_problem *problem);
int __wrap_dax_await_node(const char *name, char path[static 64], struct tier_problem *problem);

static void remove_root(void)
{
	scratch_done(root);
}

int __wrap_sysfs_open(struct sysfs *ret, const char *directory)
{
	if (!root[0]) {
		scratch_new(root);
		atexit(remove_root);
		scratch_file(root, "sys/bus/cxl/devices/region0/resource", "0x100000000\n");
		scratch_file(root, "sys/devices/system/memory/block_size_bytes", "100000\n");
		scratch_file(root, "sys/devices/system/memory/auto_online_blocks", "offline\n");
		scratch_file(root, "sys/devices/system/memory/memory4099/state", "offline\n");
		scratch_file(root, "sys/bus/dax/devices/dax0.1/target_node", "2\n");
	}
	return __real_sysfs_open(ret, root);
}

int __wrap_dax_lock(const struct sysfs *sysfs, const char *region, uint64_t wait_usec, int *ret_fd,
		    struct tier_problem *problem)
{
	*ret_fd = -1;
	return 0;
}

int __wrap_dax_list(const struct sysfs *sysfs, const char *region, struct dax_device **ret,
		    size_t *count, struct tier_problem *problem)
{
	*ret = NULL;
	*count = 0;
	return 0;
}

int __wrap_dax_create(const struct sysfs *sysfs, const char *region, uint64_t start, uint64_t bytes,
		      char name[static 32], struct tier_problem *problem)
{
	strcpy(name, "dax0.1");
	return 0;
}

int __wrap_dax_destroy(const struct sysfs *sysfs, const char *region, const char *name,
		       struct tier_problem *problem)
{
	return 0;
}

int __wrap_dax_bind(const struct sysfs *sysfs, const char *name, const char *driver,
		    struct tier_problem *problem)
{
	return 0;
}

int __wrap_dax_await_node(const char *name, char path[static 64], struct tier_problem *problem)
{
	strcpy(path, device);
	return 0;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static const struct tier_super geometry = {.control_bytes = EXTENT, .extent_bytes = EXTENT};
static const struct tier_extent_range range = {2, 1};

static void set_up(uint64_t bytes)
{
	memory_start(bytes);
	device = memory_host("host");
}

static void fill_memory(char with)
{
	char page[PAGE];

	memset(page, with, sizeof(page));
	for (uint64_t at = 0; at < EXTENT; at += 37 * PAGE)
		line_put(memory_fd, at, page, sizeof(page));
}

TEST(a_taker_reads_what_the_memory_holds)
{
	struct tier_problem problem = {};
	struct tier_extents *extents;

	set_up(EXTENT);
	for (char with = 'a'; with < 'd'; with++) {
		const char *page;

		fill_memory(with);
		CHECK_EQ(tier_extents_open_devdax("region0", &geometry, &range, 1, false, &extents,
						  &problem),
			 0);
		page = tier_extents_at(extents, 3 * EXTENT + 37 * PAGE, PAGE);
		CHECK(page != NULL);
		CHECK(page[0] == with && page[PAGE - 1] == with);
		CHECK_EQ(tier_extents_close(extents, &problem), 0);
	}
	CHECK_EQ(dirty_invalidated, 0);
}

/* What the kernel wrote while the extents were its node must not reach the memory later. */
TEST(a_node_that_is_given_back_leaves_nothing_in_the_caches)
{
	struct tier_problem problem = {};
	struct tier_extents *extents;
	uint8_t byte = 'k';
	int node, host;

	set_up(EXTENT);
	fill_memory('x');
	CHECK_EQ(tier_extents_open_ram("region0", &geometry, &range, 1, &extents, &node, &problem),
		 0);
	host = open(device, O_RDWR | O_CLOEXEC);
	for (uint64_t at = 0; at < EXTENT; at += 37 * PAGE)
		CHECK_EQ(pwrite(host, &byte, 1, (off_t)at), 1);
	close(host);
	CHECK_EQ(tier_extents_close(extents, &problem), 0);
	for (uint64_t at = 0; at < EXTENT; at += 37 * PAGE) {
		line_get(memory_fd, at, &byte, 1);
		CHECK_EQ(byte, 'k');
	}
}

TEST(what_is_scrubbed_is_gone_from_the_memory)
{
	struct tier_problem problem = {};
	uint8_t byte;

	set_up(EXTENT);
	fill_memory('x');
	CHECK_EQ(tier_extents_scrub("region0", &geometry, &range, 1, &problem), 0);
	for (uint64_t at = 0; at < EXTENT; at += 37 * PAGE) {
		line_get(memory_fd, at, &byte, 1);
		CHECK_EQ(byte, 0);
	}
	CHECK_EQ(dirty_invalidated, 0);
}

/* A VM's RAM of which every second page lies somewhere; where does not matter here. */
static struct ram_file *open_ram(uint8_t **ret_vm)
{
	struct tier_problem problem = {};
	struct ram_file *ram;
	int fd;

	set_up(PAGES * PAGE);
	fd = open(device, O_RDWR | O_CLOEXEC);
	*ret_vm = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(*ret_vm != MAP_FAILED);
	close(fd);
	CHECK_EQ(ram_file_open(device, PAGES * PAGE, false, &ram, &problem), 0);
	CHECK_EQ(cache_method(false, &ram->cache), 0);
	for (uint64_t page = 0; page < PAGES; page += 2) {
		ram->pfns[page] = 1 + page;
		memset(*ret_vm + page * PAGE, 'a' + (int)page, PAGE);
	}
	return ram;
}

static bool in_memory(const uint8_t *vm, uint64_t page)
{
	uint8_t memory[PAGE];

	line_get(memory_fd, page * PAGE, memory, sizeof(memory));
	return memcmp(memory, vm + page * PAGE, PAGE) == 0;
}

TEST(what_is_summed_is_in_the_memory)
{
	uint8_t *vm;
	struct ram_file *ram = open_ram(&vm);

	CHECK_EQ(ram_file_checksum(ram, NULL, NULL, NULL), 0);
	for (uint64_t page = 0; page < PAGES; page += 2)
		CHECK(in_memory(vm, page));
	munmap(vm, PAGES * PAGE);
	ram_file_free(ram);
}

/* A write that nothing tells of, after the page was summed. */
TEST(a_write_that_was_missed_is_in_the_memory_after_the_stop)
{
	uint8_t *vm;
	struct ram_file *ram = open_ram(&vm);

	CHECK_EQ(ram_file_checksum(ram, NULL, NULL, NULL), 0);
	for (uint64_t page = 0; page < PAGES; page += 2)
		vm[page * PAGE + 100] = '!';
	ram_file_flush(ram);
	for (uint64_t page = 0; page < PAGES; page += 2)
		CHECK(in_memory(vm, page));
	munmap(vm, PAGES * PAGE);
	ram_file_free(ram);
}
