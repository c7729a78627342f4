/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tier-error.h"
#include "tier-ras.h"
#include "test.h"

/* Where a page of this process lies; 0: the kernel does not say. */
static uint64_t physical(const void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd >= 0) {
		if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)at / 4096 * 8)) != 8)
			entry = 0;
		close(fd);
	}
	return (entry & ((UINT64_C(1) << 55) - 1)) * 4096;
}

static const struct tier_page_user *find(const struct tier_page_user *users, size_t count,
					 pid_t pid)
{
	for (size_t i = 0; i < count; i++)
		if (users[i].pid == pid)
			return &users[i];
	return NULL;
}

TEST(who_maps_a_page_is_found)
{
	/* Terabytes that nobody has touched around it take no time. */
	const size_t huge = UINT64_C(1) << 40;
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *around = mmap(NULL, huge, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct tier_page_user *users = NULL;
	int pipes[2];
	size_t count = 0;
	uint64_t address;
	bool complete;
	char byte;
	pid_t child;

	CHECK(page != MAP_FAILED && around != MAP_FAILED);
	around[huge / 2] = 1;
	*page = 1;
	address = physical(page);
	if (address == 0)
		SKIP("this process may not see physical addresses");
	CHECK_EQ(pipe(pipes), 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		prctl(PR_SET_NAME, "holder\t");
		(void)!write(pipes[1], page, 1); /* touched: mapped here as well */
		pause();
		_exit(0);
	}
	CHECK_EQ(read(pipes[0], &byte, 1), 1);
	CHECK_EQ(tier_page_users(address + 100, 64, NULL, NULL, &users, &count, &complete), 0);
	CHECK(find(users, count, getpid()));
	CHECK(find(users, count, child));
	CHECK_EQ(find(users, count, child)->pages, 1);
	CHECK_STR(find(users, count, child)->comm, "holder?");
	CHECK_EQ(count, 2);
	free(users);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	CHECK_EQ(tier_page_users(address, 4096, NULL, NULL, &users, &count, &complete), 0);
	CHECK(find(users, count, getpid()) && !find(users, count, child));
	free(users);
	CHECK_EQ(tier_page_users(address, 0, NULL, NULL, &users, &count, &complete), -EINVAL);
	CHECK_EQ(tier_page_users(UINT64_MAX, 2, NULL, NULL, &users, &count, &complete), -EINVAL);
}

static int stop(void *userdata)
{
	return 1;
}

TEST(whoever_has_no_time_is_told_that_it_is_not_all)
{
	struct tier_page_user *users = NULL;
	static char page[4096];
	uint64_t address;
	bool complete = true;
	size_t count = 1;

	page[0] = 1;
	address = physical(page);
	if (address == 0)
		SKIP("this process may not see physical addresses");
	CHECK_EQ(tier_page_users(address, 64, stop, NULL, &users, &count, &complete), 0);
	CHECK(!complete);
	CHECK_EQ(count, 0);
	free(users);
}
