/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/kernel-page-flags.h>

#include "fd.h"
#include "fixture.h"
#include "page-look.h"

/* Block 2 of a machine whose blocks have 16 pages; its processes and its /proc are files. */

#define F(name)	   (UINT64_C(1) << KPF_##name)
#define PINNED	   (F(LRU) | F(MMAP) | F(ANON))
#define PRESENT	   (UINT64_C(1) << 63)
#define PAGE	   4096
#define PAGES	   16
#define FRAME	   (2 * PAGES)
#define SECOND	   UINT64_C(1000000)
#define ADDRESS(n) ((uint64_t)(n) * PAGE)

static char root[64];
static struct sysfs sysfs;
static struct page_look look;
static struct tier_block_holders holders;

static void write_numbers(const char *name, const uint64_t *numbers, size_t count, size_t at)
{
	char path[256];

	scratch_file(root, name, "");
	snprintf(path, sizeof(path), "%s/%s", root, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK_EQ(pwrite(fd, numbers, count * sizeof(*numbers), (off_t)(at * sizeof(*numbers))),
		 (ssize_t)(count * sizeof(*numbers)));
}

static void begin(void)
{
	CHECK_EQ(sysconf(_SC_PAGESIZE), PAGE);
	scratch_new(root);
	CHECK_EQ(sysfs_open(&sysfs, root), 0);
	CHECK_EQ(page_look_new(&look, 2, PAGES * PAGE), 0);
	holders = (struct tier_block_holders){.block = 2, .node = 1, .zone = TIER_ZONE_MOVABLE};
}

static void end(void)
{
	page_look_done(&look);
	sysfs_done(&sysfs);
	scratch_done(root);
}

static void put_flags(size_t i, uint64_t flags, size_t j, uint64_t more)
{
	uint64_t list[PAGES];

	for (size_t n = 0; n < PAGES; n++)
		list[n] = n == i ? flags : n == j ? more : F(BUDDY);
	write_numbers("proc/kpageflags", list, PAGES, FRAME);
}

static void put_counts(size_t i, uint64_t count, size_t j, uint64_t more)
{
	uint64_t list[PAGES] = {};

	list[i] = count;
	list[j] = more;
	write_numbers("proc/kpagecount", list, PAGES, FRAME);
}

/* A process with one mapping, from its third page on. */
static void put_process(int pid, const char *comm, const char *statm, const uint64_t *entries,
			size_t count)
{
	char name[64], maps[128];

	snprintf(name, sizeof(name), "proc/%d/comm", pid);
	scratch_file(root, name, comm);
	snprintf(name, sizeof(name), "proc/%d/statm", pid);
	scratch_file(root, name, statm);
	snprintf(name, sizeof(name), "proc/%d/maps", pid);
	snprintf(maps, sizeof(maps),
		 "%" PRIx64 "-%" PRIx64 " rw-p 00000000 00:00 0\n%" PRIx64 "-%" PRIx64
		 " rw-p 00000000 00:00 0 [stack]\n",
		 ADDRESS(3), ADDRESS(3 + count), ADDRESS(500), ADDRESS(501));
	scratch_file(root, name, maps);
	snprintf(name, sizeof(name), "proc/%d/pagemap", pid);
	write_numbers(name, entries, count, 3);
}

static void put_file(int pid, int number, const char *target)
{
	char path[256];

	snprintf(path, sizeof(path), "proc/%d/fd/x", pid);
	scratch_file(root, path, "");
	snprintf(path, sizeof(path), "proc/%d/fd/%d", pid, number);
	CHECK_EQ(symlinkat(target, sysfs.fd, path), 0);
}

TEST(absent_denied_short)
{
	begin();
	CHECK_EQ(page_look_flags(&look, &sysfs), SYSFS_ABSENT);
	scratch_file(root, "proc/kpageflags", "");
	CHECK_EQ(page_look_flags(&look, &sysfs), -ENODATA);
	put_flags(0, F(SLAB), 1, F(SLAB));
	CHECK_EQ(page_look_flags(&look, &sysfs), 0);
	CHECK_EQ(page_holders_used(look.flags, PAGES), 2);
	fchmodat(sysfs.fd, "proc/kpageflags", 0, 0);
	if (geteuid() == 0)
		CHECK_EQ(seteuid(65534), 0);
	int r = page_look_flags(&look, &sysfs);
	CHECK_EQ(seteuid(getuid()), 0);
	CHECK_EQ(r, SYSFS_DENIED);
	end();
}

/* A page that is off its list while it is tried is what it was before; one that went is free. */
TEST(two_looks)
{
	begin();
	put_flags(0, F(LRU) | F(UPTODATE), 1, PINNED);
	CHECK_EQ(page_look_flags(&look, &sysfs), 0);
	put_flags(0, 0, 2, 0);
	CHECK_EQ(page_look_flags(&look, &sysfs), 0);
	CHECK_EQ(look.flags[0], F(LRU) | F(UPTODATE));
	CHECK_EQ(look.flags[1], F(BUDDY));
	CHECK_EQ(look.flags[2], F(BUDDY));
	end();
}

TEST(who_maps_them)
{
	static const char arguments[] =
		"/usr/bin/qemu-kvm\0-name\0guest=web1,debug-threads=on\0-m\0001G";
	const uint64_t vm[] = {PRESENT | FRAME | 5, PRESENT | (FRAME + 4), PRESENT | (FRAME + 9),
			       FRAME + 4, PRESENT | (FRAME + PAGES)};
	const uint64_t other[] = {PRESENT | (FRAME + 9), PRESENT | 1};

	begin();
	put_flags(4, PINNED, 9, PINNED);
	put_counts(4, 1, 9, 3);				/* one mapping is not found */
	put_process(30, "shell\n", "10 0 0", other, 2); /* a kernel thread has no memory */
	put_process(40, "qemu\x01-x\n", "900 500 0", vm, ARRAY_SIZE(vm));
	put_process(50, "other\n", "900 100 0", other, ARRAY_SIZE(other));
	scratch_file(root, "proc/40/cmdline", "");
	char path[128];
	snprintf(path, sizeof(path), "%s/proc/40/cmdline", root);
	FILE *file = fopen(path, "we");
	fwrite(arguments, 1, sizeof(arguments), file);
	CHECK_EQ(fclose(file), 0);
	put_file(40, 3, "/dev/vfio/17");
	put_file(40, 4, "socket:[1]");
	put_file(50, 7, "anon_inode:[io_uring]");
	CHECK_EQ(page_look_flags(&look, &sysfs), 0);
	CHECK_EQ(page_look_classify(&look, &sysfs, PAGE_HOLDERS_TRYING, 60 * SECOND, &holders), 0);
	CHECK_EQ(holders.pages[TIER_HOLDER_PINNED], 2);
	CHECK_EQ(holders.process_count, 2);
	CHECK_EQ(holders.processes[0].pid, 40);
	CHECK_EQ(holders.processes[0].pages, 2);
	CHECK_STR(holders.processes[0].comm, "qemu?-x");
	CHECK_STR(holders.processes[0].vm, "web1");
	CHECK_EQ(holders.processes[0].pins, TIER_PINS_VFIO);
	CHECK_EQ(holders.processes[1].pid, 50);
	CHECK_EQ(holders.processes[1].pages, 1);
	CHECK_EQ(holders.processes[1].pins, TIER_PINS_IO_URING);
	CHECK(!holders.processes_partial);
	end();
}

/* Nobody maps what the kernel has for itself, so nobody is looked at; and time has an end. */
TEST(who_is_looked_at)
{
	const uint64_t entries[] = {PRESENT | (FRAME + 4)};

	begin();
	put_flags(4, F(SLAB), 5, F(SLAB));
	put_counts(4, 0, 5, 0);
	put_process(40, "a\n", "9 5 0", entries, 1);
	CHECK_EQ(page_look_flags(&look, &sysfs), 0);
	CHECK_EQ(page_look_classify(&look, &sysfs, PAGE_HOLDERS_TRYING, 60 * SECOND, &holders), 0);
	CHECK_EQ(holders.process_count, 0);
	put_flags(4, PINNED, 5, F(BUDDY));
	put_counts(4, 2, 5, 0);
	look.flags[4] = look.flags[5] = 0;
	CHECK_EQ(page_look_flags(&look, &sysfs), 0);
	CHECK_EQ(page_look_classify(&look, &sysfs, PAGE_HOLDERS_TRYING, 0, &holders), 0);
	CHECK(holders.processes_partial);
	end();
}

TEST(room)
{
	begin();
	put_flags(4, PINNED, 5, PINNED);
	scratch_file(
		root, "sys/devices/system/node/node0/meminfo",
		"Node 0 MemFree: 8 kB\nNode 0 Active(file): 0 kB\nNode 0 Inactive(file): 4 kB\n");
	scratch_file(root, "sys/devices/system/node/node1/meminfo", "Node 1 MemFree: 8000 kB\n");
	scratch_file(root, "sys/devices/system/node/node2/meminfo", "Node 2 MemFree: 8000 kB\n");
	scratch_file(root, "sys/devices/system/node/node2/memory_type", "Shared\n");
	scratch_file(root, "proc/zoneinfo",
		     "Node 0, zone   Normal\n  pages free 2\n        high     2\n");
	CHECK_EQ(page_look_flags(&look, &sysfs), 0);
	CHECK_EQ(page_look_classify(&look, &sysfs, PAGE_HOLDERS_TRYING, 60 * SECOND, &holders), 0);
	CHECK_EQ(holders.room_bytes, PAGE);
	CHECK_EQ(holders.pages[TIER_HOLDER_NO_ROOM], 2);
	/* On a typed node pages stay as long as there is room. */
	scratch_file(root, "sys/devices/system/node/node1/memory_type", "Switched\n");
	CHECK_EQ(page_look_classify(&look, &sysfs, PAGE_HOLDERS_TRYING, 60 * SECOND, &holders), 0);
	CHECK_EQ(holders.room_bytes, PAGE + 2000 * PAGE);
	CHECK_EQ(holders.pages[TIER_HOLDER_PINNED], 2);
	end();
}
