/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process whose pages are moved: move-victim KIND MIB [KIND MIB]...
 * KIND: small, thp, shared (with a child that touches them too), pinned and
 * pinned-thp (registered with io_uring),
 * sparse (MIB of address space, every 64th MiB touched).
 * Prints "ready PID" and one line "KIND START-END" per area; on each line of stdin it verifies the
 * contents of every page and prints "intact" or what is wrong; ends with stdin.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <signal.h>
#include <unistd.h>

#define PAGE  4096
#define CHUNK (UINT64_C(2) << 20)

struct area {
	const char *kind;
	char *start;
	uint64_t bytes, step;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void pin(struct area *area)
{
	struct io_uring_params params = {};
	int fd = (int)syscall(SYS_io_uring_setup, 8, &params);

	if (fd < 0)
		die("io_uring_setup");
	/* At most 1 GiB per buffer. */
	struct iovec iov = {area->start, area->bytes};
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov, 1) < 0)
		die("io_uring_register");
}

static void fill(struct area *area)
{
	for (uint64_t at = 0; at < area->bytes; at += area->step)
		*(uint64_t *)(area->start + at) = at ^ (uintptr_t)area->start;
}

static void make(struct area *area, const char *kind, uint64_t bytes)
{
	bool shared = strcmp(kind, "shared") == 0;
	char *start =
		mmap(NULL, bytes + CHUNK, PROT_READ | PROT_WRITE,
		     MAP_ANONYMOUS | MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);

	if (start == MAP_FAILED)
		die("mmap");
	*area = (struct area){kind, (char *)(((uintptr_t)start + CHUNK - 1) & ~(CHUNK - 1)), bytes,
			      strcmp(kind, "sparse") == 0 ? UINT64_C(64) << 20 : PAGE};
	madvise(area->start, bytes, strstr(kind, "thp") ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	fill(area);
	if (strncmp(kind, "pinned", 6) == 0)
		pin(area);
	printf("%s %" PRIxPTR "-%" PRIxPTR "\n", kind, (uintptr_t)area->start,
	       (uintptr_t)area->start + bytes);
}

static void verify(const struct area *areas, int count)
{
	for (int i = 0; i < count; i++)
		for (uint64_t at = 0; at < areas[i].bytes; at += areas[i].step)
			if (*(uint64_t *)(areas[i].start + at) !=
			    (at ^ (uintptr_t)areas[i].start)) {
				printf("%s: wrong contents at %" PRIx64 "\n", areas[i].kind, at);
				return;
			}
	printf("intact\n");
}

int main(int argc, char **argv)
{
	struct area areas[16];
	int count = 0;
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i + 1 < argc && count < 16; i += 2)
		make(&areas[count++], argv[i], strtoull(argv[i + 1], NULL, 0) << 20);
	if (fork() == 0) {
		/* Only what is shared stays mapped by both. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < count; i++) {
			if (strcmp(areas[i].kind, "shared") == 0)
				verify(&areas[i], 1);
			else
				munmap(areas[i].start, areas[i].bytes);
		}
		for (;;)
			pause();
	}
	sleep(1);
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin))
		verify(areas, count);
	return 0;
}
