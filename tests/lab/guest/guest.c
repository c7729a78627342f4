/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine in a few KB that never stops writing to its memory and
 * knows what each page has to hold. README.md has the options and commands.
 */
#include "guest.h"

enum {
	MULTIBOOT_LOADED = 0x2badb002,
	MULTIBOOT_COMMAND_LINE = 1 << 2,
	MULTIBOOT_MEMORY_MAP = 1 << 6,
	MEMORY_RAM = 1,
	PAGES_PER_ROUND = 32,
	INTERRUPT_GATE = 0x8e00,
	CODE_SEGMENT = 8,
};

struct multiboot {
	uint32_t flags, mem_lower, mem_upper, boot_device, command_line;
	uint32_t modules, modules_address, symbols[4], map_bytes, map_address;
};

struct map_entry {
	uint32_t bytes; /* of what follows */
	uint64_t address, length;
	uint32_t type;
} __attribute__((packed));

struct option {
	const char *name;
	uint32_t value, least, most;
};

enum { RATE, FILL, TOUCH, RUN, HOT, HOT_PERCENT, BEAT, TICK };

static struct option option_table[] = {
	[RATE] = {"rate", 400, 0, 10000000}, [FILL] = {"fill", 64, 2, PAGE_WORDS},
	[TOUCH] = {"touch", 75, 0, 100},     [RUN] = {"run", 512, 1, PAGES_MAX},
	[HOT] = {"hot", 64, 0, 4096},	     [HOT_PERCENT] = {"hotpercent", 25, 0, 99},
	[BEAT] = {"beat", 1000, 10, 60000},  [TICK] = {"tick", 200, 20, 1000},
};

static uint64_t beats;

extern const char irq_return[], irq_rtc[], exception[];

static void idt_init(void)
{
	static struct {
		uint16_t low, segment, type, high;
	} idt[48];
	struct {
		uint16_t bytes;
		uint32_t address;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)idt};

	for (uint32_t i = 0; i < ARRAY_SIZE(idt); i++) {
		uint32_t entry = (uint32_t)(i < 32 ? exception : i == 40 ? irq_rtc : irq_return);

		idt[i].low = (uint16_t)entry;
		idt[i].high = (uint16_t)(entry >> 16);
		idt[i].segment = CODE_SEGMENT;
		idt[i].type = INTERRUPT_GATE;
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

static void give_up(const char *why)
{
	line_text("guest: ");
	line_text(why);
	line_end();
	console_drain(1000000);
	power_off();
}

void guest_exception(const uint32_t *stack)
{
	line_text("guest: exception, stack");
	for (uint32_t i = 0; i < 4; i++) {
		line_text(" ");
		line_hex(stack[i]);
	}
	line_end();
	/* The code that came here may be damaged, so no clock and no power off. */
	while (console_push())
		;
}

/* A number up to a blank or the end; false for anything else. */
static bool parse_number(const char *text, uint32_t *ret)
{
	uint32_t value = 0;

	if (!*text)
		return false;
	for (; *text && *text != ' '; text++) {
		if (*text < '0' || *text > '9' || value > 100000000)
			return false;
		value = value * 10 + (uint32_t)(*text - '0');
	}
	*ret = value;
	return true;
}

static bool parse_option(const char *text)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(option_table); i++) {
		const char *a = text, *b = option_table[i].name;
		uint32_t value;

		while (*b && *a == *b)
			a++, b++;
		if (*b || *a != '=')
			continue;
		if (!parse_number(a + 1, &value) || value < option_table[i].least ||
		    value > option_table[i].most)
			return false;
		option_table[i].value = value;
		return true;
	}
	return false;
}

static void parse_command_line(const char *text)
{
	/* QEMU puts the kernel's path in front. */
	while (*text && *text != ' ')
		text++;
	for (;;) {
		while (*text == ' ')
			text++;
		if (!*text)
			return;
		if (!parse_option(text)) {
			line_text("guest: unknown option or value out of range: ");
			line_text(text);
			line_end();
			give_up("stopped");
		}
		while (*text && *text != ' ')
			text++;
	}
}

/* Where the RAM that begins at 1 MiB ends; RAM above 4 GiB is out of reach without paging. */
static uint32_t memory_end(const struct multiboot *info)
{
	uint32_t at = info->map_address;

	if (!(info->flags & MULTIBOOT_MEMORY_MAP))
		return 0x100000 + info->mem_upper * 1024;
	while (at < info->map_address + info->map_bytes) {
		const struct map_entry *entry = (const struct map_entry *)at;

		if (entry->type == MEMORY_RAM && entry->address <= TESTED_ADDRESS &&
		    entry->address + entry->length > TESTED_ADDRESS) {
			uint64_t end = entry->address + entry->length;

			return end > 0xfffff000u ? 0xfffff000u : (uint32_t)end;
		}
		at += entry->bytes + 4;
	}
	return 0;
}

static void print_state(const char *what, uint64_t usec)
{
	const struct pauses *p = clock_pauses();
	uint64_t longest = p->longest_stop_usec > p->longest_gap_usec ? p->longest_stop_usec
								      : p->longest_gap_usec;

	line_text(what);
	line_field("seq", beats);
	line_field("checked", pages.checked);
	line_field("dirtied", pages.dirtied);
	line_field("bad", pages.bad);
	line_field("longest_pause_usec", longest);
	line_field("pages", pages.pages);
	line_field("touched", pages.touched);
	line_field("rate", option_table[RATE].value);
	line_field("longest_stop_usec", p->longest_stop_usec);
	line_field("longest_gap_usec", p->longest_gap_usec);
	line_field("last_stop_usec", p->last_stop_usec);
	line_field("stops", p->stops);
	line_field("clock_back_usec", p->clock_back_usec);
	line_field("run_usec", usec);
	line_field("dropped_lines", console_dropped_lines());
	line_end();
}

static void print_progress(uint32_t percent)
{
	line_text("guest: filling ");
	line_number(percent);
	line_text("%");
	line_end();
	console_drain(100000);
}

static bool command_numbered(const char *command, char letter, uint32_t most, uint32_t *ret)
{
	return command[0] == letter && command[1] == ' ' && parse_number(command + 2, ret) &&
	       *ret <= most;
}

static void run_command(const char *command, uint64_t usec)
{
	char letter = command[1] ? 0 : command[0];
	uint32_t number;
	bool busy = false;

	if (letter == 's')
		print_state("stats", usec);
	else if (letter == 'v')
		busy = !scan_start(SCAN_TOUCHED);
	else if (letter == 'V')
		busy = !scan_start(SCAN_TOUCHED_FULL);
	else if (letter == 'z')
		busy = !scan_start(SCAN_UNTOUCHED);
	else if (letter == 'c')
		clock_reset();
	else if (letter == 'q')
		give_up("off");
	else if (command_numbered(command, 'p', pages.pages - 1, &number))
		page_describe(number);
	else if (command_numbered(command, 'r', option_table[RATE].most, &number))
		option_table[RATE].value = number;
	else {
		line_text("error: unknown command: ");
		line_text(command);
		line_end();
	}
	if (busy) {
		line_text("error: busy with the scan before");
		line_end();
	}
}

static void main_loop(void)
{
	uint64_t last = clock_usec(), next_beat = last;
	uint64_t credit = 0; /* pages * 1000000 */

	clock_reset();
	for (;;) {
		uint64_t usec = clock_round();
		uint32_t rate = option_table[RATE].value;
		const char *command = console_poll();
		bool busy;

		/* After a stall, no more than what one second owes. */
		credit += (usec - last) * rate;
		if (credit > (uint64_t)rate * 1000000)
			credit = (uint64_t)rate * 1000000;
		last = usec;
		for (uint32_t i = 0; i < PAGES_PER_ROUND && credit >= 1000000;
		     i++, credit -= 1000000)
			pages_dirty_next();
		busy = credit >= 1000000;

		busy |= scan_step();
		if (command)
			run_command(command, usec);
		if (usec >= next_beat) {
			self_check_step();
			beats++;
			print_state("beat", usec);
			next_beat += (uint64_t)option_table[BEAT].value * 1000;
			if (next_beat < usec)
				next_beat = usec;
		}
		busy |= console_push();
		if (!busy)
			clock_sleep();
	}
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	uint32_t end;

	console_init();
	idt_init();
	if (magic != MULTIBOOT_LOADED)
		power_off();
	if (!clock_init())
		give_up("no ACPI PM timer: use -M q35 or -M pc");
	/* The loader's tables may lie in memory that the test will use: read them first. */
	if (info->flags & MULTIBOOT_COMMAND_LINE)
		parse_command_line((const char *)info->command_line);
	end = memory_end(info);
	clock_start_tick(option_table[TICK].value);
	if (!pages_init(end, &(struct pages_options){
				     .fill_words = option_table[FILL].value,
				     .touch_percent = option_table[TOUCH].value,
				     .run_pages = option_table[RUN].value,
				     .hot_pages = option_table[HOT].value,
				     .hot_percent = option_table[HOT_PERCENT].value,
			     }))
		give_up("needs more than 16 MiB of RAM");
	pages_fill(print_progress);
	line_text("guest: ready");
	line_field("pages", pages.pages);
	line_field("touched", pages.touched);
	line_field("run_usec", clock_usec());
	line_end();
	main_loop();
}
