/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hog MIB KIND PROCESSES: each of so many processes takes MIB MiB of KIND, says "touched" and stays until it is killed.
 * All of several end with the first.
 *
 *   anonymous small shmem hugetlb   memory; small: without huge pages
 *   mergeable                       the same in every page, for KSM
 *   busy locked churn               memory that is touched, and locked at that, or freed and taken again, all the time
 *   file dirty                      a file in HOG_DIRECTORY; one that is rewritten all the time
 *   slab socket                     empty files; buffers of sockets
 *   fork                            children of MIB MiB each, until one dies
 *   collapsible pinned fast registered
 *                                   small memory; on SIGUSR1, madvise(MADV_HUGEPAGE), a long-term pin by gup_test, its
 *                                   fast path, or a buffer of io_uring; then "done", or "failed: REASON"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB  (1UL << 20)
#define HUGE (2 * MIB)

/* As the kernel's mm/gup_test.h has it, which is no header of the system. */
struct pin_longterm_test {
	uint64_t addr, size;
	uint32_t flags;
};
#define PIN_LONGTERM_TEST_START _IOW('g', 7, struct pin_longterm_test)
#define PIN_WRITE		1U
#define PIN_FAST		2U

static const char *kind;
static size_t mib;
static char *area;

static bool is(const char *what)
{
	return strcmp(kind, what) == 0;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void say(const char *what)
{
	puts(what);
	fflush(stdout);
}

/* Reserved for nobody, so that more can be asked for than there is. Whole huge pages may fit in. */
static void map_area(void)
{
	int flags = MAP_ANONYMOUS | MAP_NORESERVE | (is("shmem") ? MAP_SHARED : MAP_PRIVATE);

	if (is("hugetlb"))
		flags |= MAP_HUGETLB;
	area = mmap(NULL, mib * MIB + HUGE, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (area == MAP_FAILED)
		die("mmap");
	if (is("hugetlb"))
		return;
	area = (char *)(((uintptr_t)area + HUGE - 1) & ~(HUGE - 1));
	if (!is("anonymous") && !is("shmem") && !is("churn"))
		madvise(area, mib * MIB, MADV_NOHUGEPAGE);
	if (is("mergeable") && madvise(area, mib * MIB, MADV_MERGEABLE) < 0)
		die("MADV_MERGEABLE");
}

static void touch_area(void)
{
	for (size_t at = 0; at < mib * MIB; at += 4096)
		((volatile char *)area)[at] = (char)(is("mergeable") ? 1 : at >> 12);
}

static void write_file(int fd)
{
	static char block[MIB];

	for (size_t n = 0; n < mib; n++) {
		memset(block, (int)n + 1, sizeof(block));
		if (pwrite(fd, block, sizeof(block), (off_t)(n * MIB)) != sizeof(block))
			die("pwrite");
	}
}

static int open_file(const char *directory, unsigned n)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/hog-%d-%u", directory, getpid(), n);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

/* A thousand dentries and inodes take about one MiB; four pairs of sockets whose buffers are full as well. */
static void take_slab(void)
{
	for (unsigned i = 0; i < mib * 1024; i++)
		close(open_file("/dev/shm", i));
}

static void take_sockets(void)
{
	const struct rlimit limit = {.rlim_cur = 1 << 19, .rlim_max = 1 << 19};
	static const char block[4096];
	int pair[2];

	setrlimit(RLIMIT_NOFILE, &limit);
	for (size_t i = 0; i < mib * 4; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
			die("socketpair");
		while (write(pair[0], block, sizeof(block)) > 0)
			;
	}
}

static void fork_until_one_dies(void)
{
	pid_t child;

	while (waitpid(-1, NULL, WNOHANG) <= 0) {
		child = fork();
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			map_area();
			touch_area();
			for (;;)
				pause();
		}
		if (child < 0)
			break;
	}
	exit(1);
}

static int register_buffer(void)
{
	struct iovec whole = {.iov_base = area, .iov_len = mib * MIB};
	struct io_uring_params params = {};
	long ring = syscall(SYS_io_uring_setup, 4, &params);

	if (ring < 0)
		return -1;
	return (int)syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &whole, 1);
}

static int pin(uint32_t flags)
{
	struct pin_longterm_test range = {
		.addr = (uintptr_t)area,
		.size = mib * MIB,
		.flags = PIN_WRITE | flags,
	};
	int fd = open("/sys/kernel/debug/gup_test", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -1 : ioctl(fd, PIN_LONGTERM_TEST_START, &range);
}

static void act_when_told(const sigset_t *signals)
{
	int number, r;

	sigwait(signals, &number);
	if (is("collapsible"))
		r = madvise(area, mib * MIB, MADV_HUGEPAGE);
	else
		r = is("registered") ? register_buffer() : pin(is("fast") ? PIN_FAST : 0);
	if (r < 0) {
		printf("failed: %m\n");
		fflush(stdout);
	} else {
		say("done");
	}
}

int main(int argc, char *argv[])
{
	unsigned processes;
	sigset_t signals;
	int status, fd;

	if (argc != 4)
		return 2;
	mib = (size_t)atoi(argv[1]);
	kind = argv[2];
	processes = (unsigned)atoi(argv[3]);
	for (unsigned i = 0; processes > 1 && i < processes; i++) {
		pid_t child = fork();

		if (child < 0)
			die("fork");
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			processes = 1;
		}
	}
	if (processes > 1) {
		wait(&status);
		return 1;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	if (is("fork")) {
		fork_until_one_dies();
	} else if (is("file") || is("dirty")) {
		fd = open_file(getenv("HOG_DIRECTORY") ?: "/dev/shm", 0);
		write_file(fd);
		say("touched");
		while (is("dirty"))
			write_file(fd);
	} else if (is("slab") || is("socket")) {
		if (is("slab"))
			take_slab();
		else
			take_sockets();
		say("touched");
	} else {
		map_area();
		touch_area();
		if (is("locked") && mlock(area, mib * MIB) < 0)
			die("mlock");
		say("touched");
		while (is("busy") || is("locked"))
			touch_area();
		while (is("churn")) {
			madvise(area, mib * MIB, MADV_DONTNEED);
			touch_area();
		}
		if (is("collapsible") || is("pinned") || is("fast") || is("registered"))
			act_when_told(&signals);
	}
	for (;;)
		pause();
}
