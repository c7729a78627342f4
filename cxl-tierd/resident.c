/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <alloca.h>
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

#include "manager.h"

/*
 * Memory comes online when there is too little of it. So what this needs the daemon has beforehand: its
 * code and that of the libraries on the way, a heap that is not given back, a stack. Nothing of it is paged
 * out again. Only what is touched is locked, since most of the libraries is not used at all.
 */
#define HEAP_BYTES  ((size_t)1 << 20)
#define STACK_BYTES ((size_t)256 << 10)

static bool on_the_way(const char *path)
{
	static const char *const names[] = {"/libtier.", "/libsystemd.", "/libudev.", "/libc.",
					    "/ld-linux"};

	/* This program itself has no name. */
	if (!path[0])
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strstr(path, names[i]))
			return true;
	return false;
}

static void touch(uintptr_t start, uintptr_t end, int advice)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	start &= ~(page - 1);
	/* Linux 5.14. Without it they come when they are used. */
	if (end > start)
		(void)madvise((void *)start, end - start, advice);
}

static int touch_object(struct dl_phdr_info *info, size_t size, void *userdata)
{
	uintptr_t read_only_end = 0;

	if (!on_the_way(info->dlpi_name))
		return 0;
	/* The beginning of the data is read-only once it is relocated. */
	for (size_t i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO)
			read_only_end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
					info->dlpi_phdr[i].p_memsz;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;
		uintptr_t end = start + segment->p_memsz;

		if (segment->p_type != PT_LOAD)
			continue;
		touch(start, end, MADV_POPULATE_READ);
		if (segment->p_flags & PF_W)
			touch(start > read_only_end ? start : read_only_end, end,
			      MADV_POPULATE_WRITE);
	}
	return 0;
}

static void touch_heap(void)
{
	void *heap;

	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most that it takes */
	mallopt(M_TOP_PAD, (int)HEAP_BYTES);
	heap = malloc(HEAP_BYTES);
	/* Not memset(), which a compiler makes calloc() of, and that touches nothing. */
	if (heap)
		explicit_bzero(heap, HEAP_BYTES);
	free(heap);
}

static __attribute__((noinline)) void touch_stack(void)
{
	char *stack = alloca(STACK_BYTES);

	explicit_bzero(stack, STACK_BYTES);
}

void resident_start(const struct manager *manager)
{
	if (manager->options.sysroot || manager->options.files_only)
		return;
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		log_decision(LOG_WARNING, "cxl-tierd", "not-resident",
			     "cannot lock its memory: %m; under pressure memory may come online "
			     "late; run it as root, or with CAP_IPC_LOCK");
	touch_heap();
	touch_stack();
	dl_iterate_phdr(touch_object, NULL);
}
