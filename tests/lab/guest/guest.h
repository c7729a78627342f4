/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Physical memory: 1 MiB program, 4 MiB the generation of every page, 8 MiB the
 * sums over that table, from 16 MiB on the pages under test. All of it is RAM
 * of the VM, so all of it flies. 2 MiB alignment keeps huge pages of the host
 * from holding tested and other memory at once.
 */
enum {
	PAGE_BYTES = 4096,
	PAGE_WORDS = PAGE_BYTES / 4,
	GENERATIONS_ADDRESS = 4 << 20,
	SUMS_ADDRESS = 8 << 20,
	TESTED_ADDRESS = 16 << 20,
	PAGES_MAX = 1 << 20,
};

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* There is no libgcc here, and gcc calls it for every 64-bit division. */
static inline uint64_t divide(uint64_t value, uint32_t by, uint32_t *ret_rest)
{
	uint32_t high = (uint32_t)(value >> 32), low = (uint32_t)value;
	uint32_t quotient_high = high / by, quotient_low, rest = high % by;

	__asm__("divl %4" : "=a"(quotient_low), "=d"(rest) : "0"(low), "1"(rest), "r"(by) : "cc");
	if (ret_rest)
		*ret_rest = rest;
	return (uint64_t)quotient_high << 32 | quotient_low;
}

/* console.c: the first serial port; nothing here ever waits for a reader. */

void console_init(void);
/* Parts of one line; line_end() queues it, or drops and counts it if the queue is full. */
void line_text(const char *text);
void line_number(uint64_t value);
void line_hex(uint32_t value);
void line_end(void);
/* "key=value", with a space before it */
void line_field(const char *key, uint64_t value);
uint64_t console_dropped_lines(void);
/* Hands some of the queue to the UART; true while more is queued. */
bool console_push(void);
/* Gives the queue up to @usec, then returns. */
void console_drain(uint32_t usec);
/* The next line of input without its end, or NULL; valid until the next call. */
char *console_poll(void);

/* clock.c */

struct pauses {
	uint64_t longest_gap_usec;  /* between two rounds of the main loop, virtual time */
	uint64_t longest_stop_usec; /* wall time that passed while virtual time stood still */
	uint64_t last_stop_usec;
	uint64_t stops;		  /* stops of STOP_MIN_USEC or more */
	uint64_t clock_back_usec; /* the wall clock went backwards: hosts disagree about the time */
};

/* False: no ACPI PM timer. */
bool clock_init(void);
/* From now on clock_sleep() returns so often, and at the beginning of each second of the RTC. */
void clock_start_tick(uint32_t hz);
/* Time that the VM has run, since clock_init(). Call it once in four seconds at least. */
uint64_t clock_usec(void);
/* Once per round of the main loop; returns clock_usec(). */
uint64_t clock_round(void);
/* Forgets what came before, so that start-up does not count. */
void clock_reset(void);
const struct pauses *clock_pauses(void);
void clock_sleep(void);
void power_off(void);

/* pages.c */

struct pages_options {
	uint32_t fill_words, touch_percent, run_pages, hot_pages, hot_percent;
};

struct pages {
	uint32_t pages, touched;
	uint64_t checked, dirtied, bad;
};

extern struct pages pages;

/* What to look at: page by page in one scan that the main loop advances. */
enum scan { SCAN_NONE, SCAN_TOUCHED, SCAN_TOUCHED_FULL, SCAN_UNTOUCHED };

/* @end: first address that is not RAM. False: no room for a page, or for the table. */
bool pages_init(uint32_t end, const struct pages_options *options);
/* First write of every touched page. @progress is called after each quarter. */
void pages_fill(void (*progress)(uint32_t percent));
/* Checks the next page in turn, then writes it anew. */
void pages_dirty_next(void);
bool scan_start(enum scan scan);
/* Looks at some pages; prints the result when it has seen the last one. */
bool scan_step(void);
/* Some of the table of generations and, the table done, the program itself. */
void self_check_step(void);
void page_describe(uint32_t page);

#endif
