/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest.h"

enum {
	COM1 = 0x3f8,
	COM_DATA = COM1,
	COM_INTERRUPTS = COM1 + 1,
	COM_FIFO = COM1 + 2,
	COM_LINE = COM1 + 3,
	COM_MODEM = COM1 + 4,
	COM_STATUS = COM1 + 5,
	STATUS_RECEIVED = 1 << 0,
	STATUS_FIFO_EMPTY = 1 << 5,
	STATUS_ABSENT = 0xff,
	FIFO_BYTES = 16,
	/* Each byte leaves the CPU's translated code; more per round would be a pause of its own. */
	PUSH_BYTES = 4 * FIFO_BYTES,
	QUEUE_BYTES = 8192, /* power of two */
};

static char queue[QUEUE_BYTES];
static uint32_t queue_head, queue_tail;
static char line[512];
static uint32_t line_bytes;
static uint64_t dropped_lines;
static char input[64];
static uint32_t input_bytes;

void console_init(void)
{
	out8(COM_INTERRUPTS, 0);
	out8(COM_LINE, 0x80);
	out8(COM_DATA, 1);
	out8(COM_INTERRUPTS, 0);
	out8(COM_LINE, 0x03);
	out8(COM_FIFO, 0x07);
	out8(COM_MODEM, 0x03);
}

static void line_char(char c)
{
	if (line_bytes < sizeof(line) - 1)
		line[line_bytes++] = c;
}

void line_text(const char *text)
{
	while (*text)
		line_char(*text++);
}

void line_number(uint64_t value)
{
	char digits[20];
	uint32_t n = 0, rest;

	do {
		value = divide(value, 10, &rest);
		digits[n++] = (char)('0' + rest);
	} while (value);
	while (n)
		line_char(digits[--n]);
}

void line_hex(uint32_t value)
{
	line_text("0x");
	for (int shift = 28; shift >= 0; shift -= 4)
		line_char("0123456789abcdef"[value >> shift & 15]);
}

void line_field(const char *key, uint64_t value)
{
	line_char(' ');
	line_text(key);
	line_char('=');
	line_number(value);
}

void line_end(void)
{
	line[line_bytes++] = '\n';
	if (line_bytes > QUEUE_BYTES - (queue_head - queue_tail))
		dropped_lines++;
	else
		for (uint32_t i = 0; i < line_bytes; i++)
			queue[queue_head++ % QUEUE_BYTES] = line[i];
	line_bytes = 0;
}

uint64_t console_dropped_lines(void)
{
	return dropped_lines;
}

bool console_push(void)
{
	for (uint32_t sent = 0; queue_head != queue_tail && sent < PUSH_BYTES; sent += FIFO_BYTES) {
		if (!(in8(COM_STATUS) & STATUS_FIFO_EMPTY))
			break;
		for (uint32_t i = 0; i < FIFO_BYTES && queue_head != queue_tail; i++)
			out8(COM_DATA, (uint8_t)queue[queue_tail++ % QUEUE_BYTES]);
	}
	return queue_head != queue_tail;
}

void console_drain(uint32_t usec)
{
	uint64_t end = clock_usec() + usec;

	/* The count is for machines without the clock. */
	for (uint32_t tries = usec; tries && console_push() && clock_usec() < end; tries--)
		;
}

char *console_poll(void)
{
	for (;;) {
		uint8_t status = in8(COM_STATUS);
		char c;

		if (status == STATUS_ABSENT || !(status & STATUS_RECEIVED))
			return 0;
		c = (char)in8(COM_DATA);
		if (c == '\n' || c == '\r') {
			if (!input_bytes)
				continue;
			input[input_bytes] = 0;
			input_bytes = 0;
			return input;
		}
		if (input_bytes < sizeof(input) - 1)
			input[input_bytes++] = c;
	}
}
