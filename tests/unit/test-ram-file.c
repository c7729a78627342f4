/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A RAM file on tmpfs: what it holds, what was written to it. Needs root for page frame numbers. */
#include <fcntl.h>
#include <sys/mman.h>

#include "fd.h"
#include "ram-file.h"
#include "test.h"
#include "tier-portal.h"

#define PAGES 64
#define PAGE  4096

static struct ram_file *open_ram(char path[static 64], uint8_t **ret_writable)
{
	struct ram_file *ram = NULL;
	struct tier_problem problem;
	int fd;

	if (geteuid() != 0)
		SKIP("page frame numbers are for root");
	strcpy(path, "/dev/shm/test-ram-file-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, PAGES * PAGE), 0);
	*ret_writable = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(*ret_writable != MAP_FAILED);
	close(fd);
	/* Pages 8 to 15 and 40 exist, the rest are holes. */
	memset(*ret_writable + 8 * PAGE, 0x5a, 8 * PAGE);
	(*ret_writable)[40 * PAGE] = 1;
	CHECK_EQ(ram_file_open(path, PAGES * PAGE, false, &ram, &problem), 0);
	CHECK_EQ(ram_file_locate(ram, &problem), 0);
	return ram;
}

static void close_ram(struct ram_file *ram, const char *path, uint8_t *writable)
{
	munmap(writable, PAGES * PAGE);
	ram_file_free(ram);
	unlink(path);
}

TEST(holes_stay_holes)
{
	char path[64];
	uint8_t *writable;
	struct ram_file *ram = open_ram(path, &writable);
	off_t hole;

	for (int i = 0; i < PAGES; i++)
		CHECK_EQ(ram->pfns[i] != 0, (i >= 8 && i < 16) || i == 40);
	/* Looking must not have filled them. */
	hole = lseek(ram->fd, 0, SEEK_DATA);
	CHECK_EQ(hole, 8 * PAGE);
	CHECK_EQ(lseek(ram->fd, 8 * PAGE, SEEK_HOLE), 16 * PAGE);
	close_ram(ram, path, writable);
}

TEST(placement_is_verified)
{
	char path[64];
	uint8_t *writable;
	struct ram_file *ram = open_ram(path, &writable);
	struct tier_problem problem;

	CHECK_EQ(ram_file_verify_placement(ram, &problem), 0);
	/* A page that appears after the fact, and one that lies elsewhere. */
	writable[50 * PAGE] = 1;
	CHECK_EQ(ram_file_verify_placement(ram, &problem), TIER_E_STALE);
	CHECK_EQ(ram_file_locate(ram, &problem), 0);
	CHECK_EQ(ram_file_verify_placement(ram, &problem), 0);
	ram->pfns[9]++;
	CHECK_EQ(ram_file_verify_placement(ram, &problem), TIER_E_STALE);
	close_ram(ram, path, writable);
}

TEST(checksums_follow_what_is_written)
{
	char path[64];
	uint8_t *writable;
	struct ram_file *ram = open_ram(path, &writable);
	struct tier_problem problem;
	uint64_t taken;

	CHECK_EQ(ram_file_watch(ram, getpid(), &problem), 0);
	CHECK_EQ(ram_file_checksum(ram, NULL, NULL, &taken), 0);
	CHECK_EQ(taken, 9);
	CHECK_EQ(ram->checksums[8], tier_crc32c(0, writable + 8 * PAGE, PAGE));
	CHECK_EQ(ram_file_checksum(ram, NULL, NULL, &taken), 0);
	CHECK_EQ(taken, 0);

	writable[12 * PAGE + 77] = 3;
	writable[41 * PAGE] = 4;
	CHECK_EQ(ram_file_locate(ram, &problem), 0);
	CHECK_EQ(ram_file_mark_written(ram, getpid(), (uintptr_t)writable, &problem), 0);
	CHECK_EQ(ram_file_checksum(ram, NULL, NULL, &taken), 0);
	/* Where writes cannot be watched, everything is taken again. */
	CHECK_EQ(taken, ram->watched ? 2 : 10);
	CHECK_EQ(ram->checksums[12], tier_crc32c(0, writable + 12 * PAGE, PAGE));
	CHECK_EQ(ram->checksums[41], tier_crc32c(0, writable + 41 * PAGE, PAGE));
	close_ram(ram, path, writable);
}

/* Where a page lies now it has not been written back from the caches, whatever its sum was. */
TEST(a_page_that_moved_is_summed_again)
{
	char path[64];
	uint8_t *writable;
	struct ram_file *ram = open_ram(path, &writable);
	struct tier_problem problem;
	uint64_t taken;

	CHECK_EQ(ram_file_checksum(ram, NULL, NULL, &taken), 0);
	CHECK_EQ(taken, 9);
	ram->pfns[9]++;
	CHECK_EQ(ram_file_locate(ram, &problem), 0);
	CHECK_EQ(ram_file_checksum(ram, NULL, NULL, &taken), 0);
	CHECK_EQ(taken, 1);
	close_ram(ram, path, writable);
}

static int stop_at_once(void *userdata, uint64_t done, uint64_t total)
{
	return 1;
}

TEST(a_file_that_is_too_small_is_refused)
{
	char path[64];
	uint8_t *writable;
	struct ram_file *ram = open_ram(path, &writable), *second = NULL;
	struct tier_problem problem;

	CHECK_EQ(ram_file_open(path, 2 * PAGES * PAGE, false, &second, &problem), TIER_E_REFUSED);
	CHECK(second == NULL);
	/* Few pages: the progress callback is called at the end only, and cannot cancel any more. */
	CHECK_EQ(ram_file_checksum(ram, stop_at_once, NULL, NULL), 0);
	close_ram(ram, path, writable);
}
