/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdint.h>

#include "cache.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

/* Every x86-64 has it at 64 bytes; a larger line would only be flushed twice. */
#define LINE 64

int cache_method(bool hardware_coherent, enum cache_method *ret)
{
	unsigned eax, ebx = 0, ecx, edx;

	if (hardware_coherent)
		*ret = CACHE_COHERENT;
	else if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
		*ret = CACHE_CLFLUSH;
	else if (ebx & bit_CLWB)
		*ret = CACHE_CLWB;
	else
		*ret = ebx & bit_CLFLUSHOPT ? CACHE_CLFLUSHOPT : CACHE_CLFLUSH;
	return 0;
}

__attribute__((target("clwb"))) static void write_back(const void *line)
{
	_mm_clwb((void *)line);
}

__attribute__((target("clflushopt"))) static void flush_weakly_ordered(const void *line)
{
	_mm_clflushopt((void *)line);
}

static void each_line(enum cache_method method, const void *start, size_t bytes)
{
	const char *end = (const char *)start + bytes;
	const char *line = (const char *)((uintptr_t)start & ~(uintptr_t)(LINE - 1));

	for (; line < end; line += LINE) {
		if (method == CACHE_CLWB)
			write_back(line);
		else if (method == CACHE_CLFLUSHOPT)
			flush_weakly_ordered(line);
		else
			_mm_clflush(line);
	}
}

void cache_flush(enum cache_method method, const void *start, size_t bytes)
{
	if (method != CACHE_COHERENT)
		each_line(method, start, bytes);
	/* clwb and clflushopt are ordered with later stores by a fence only. */
	_mm_sfence();
}

void cache_invalidate(enum cache_method method, const void *start, size_t bytes)
{
	if (method != CACHE_COHERENT) {
		/* clwb may keep the line, so that a load would find the old one. */
		_mm_mfence();
		each_line(method == CACHE_CLWB ? CACHE_CLFLUSHOPT : method, start, bytes);
	}
	/* Later loads must not run ahead of the flush; only mfence orders them with clflushopt. */
	_mm_mfence();
	_mm_lfence();
}

#elif defined(__aarch64__)

int cache_method(bool hardware_coherent, enum cache_method *ret)
{
	*ret = hardware_coherent ? CACHE_COHERENT : CACHE_DC;
	return 0;
}

/* Clean and invalidate to the point of coherency; allowed to user space by SCTLR_EL1.UCI. */
static void each_line(const void *start, size_t bytes)
{
	uint64_t type;

	__asm__ volatile("mrs %0, ctr_el0" : "=r"(type));
	uintptr_t size = UINT64_C(4) << ((type >> 16) & 15);
	uintptr_t end = (uintptr_t)start + bytes;

	for (uintptr_t line = (uintptr_t)start & ~(size - 1); line < end; line += size)
		__asm__ volatile("dc civac, %0" : : "r"(line) : "memory");
}

void cache_flush(enum cache_method method, const void *start, size_t bytes)
{
	if (method != CACHE_COHERENT)
		each_line(start, bytes);
	__asm__ volatile("dsb sy" : : : "memory");
}

void cache_invalidate(enum cache_method method, const void *start, size_t bytes)
{
	__asm__ volatile("dsb sy" : : : "memory");
	if (method != CACHE_COHERENT)
		each_line(start, bytes);
	__asm__ volatile("dsb sy; isb" : : : "memory");
}

#else

int cache_method(bool hardware_coherent, enum cache_method *ret)
{
	if (!hardware_coherent)
		return -EOPNOTSUPP;
	*ret = CACHE_COHERENT;
	return 0;
}

void cache_flush(enum cache_method method, const void *start, size_t bytes)
{
	(void)method, (void)start, (void)bytes;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void cache_invalidate(enum cache_method method, const void *start, size_t bytes)
{
	(void)method, (void)start, (void)bytes;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
