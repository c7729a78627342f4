/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two clocks. The ACPI PM timer counts QEMU's virtual clock, which stands still
 * while the VM is stopped and flies with it. The RTC (-rtc clock=host, QEMU's
 * default) counts the host's wall clock and QEMU hands its base over as an
 * absolute time, so it goes on through a stop and through a flight. Their
 * difference is the time that the VM has been stopped for. The RTC shows whole
 * seconds only; the virtual time at which a second begins gives the fraction.
 */
#include "guest.h"

enum {
	PM_HZ = 3579545,
	PM_BITS = 24, /* wraps after 4.7 s */
	PIT_HZ = 1193182,
	DAY_SECONDS = 86400,
	/* Noise of seeing a second begin stays below this, nested too, unless the host is overloaded. */
	STOP_MIN_USEC = 10000,
	/* So many seconds in a row must be late before the wall clock counts as set back. */
	BACK_SECONDS = 3,
	BACK_MIN_USEC = 20000,
};

static uint16_t pm_base;
static uint32_t pm_last;
static uint64_t pm_ticks;
static uint64_t tsc_last, tsc_half_wrap;
static uint32_t tsc_per_1024_ticks;

static struct pauses pauses;
static uint64_t round_last_usec;

/* Wall minus virtual time at the beginning of a second, relative to the first one seen. */
static struct {
	uint8_t shown;	      /* seconds register as it was last read */
	uint32_t second;      /* of the day */
	uint64_t second_usec; /* virtual time at which it began */
	bool running;
	int64_t offset, highest, rise_before;
	bool open;
	uint64_t open_usec;
	uint32_t back_seconds;
} rtc;

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static uint32_t pci_read(uint32_t device, uint32_t function, uint32_t reg)
{
	out32(0xcf8, 0x80000000u | device << 11 | function << 8 | reg);
	return in32(0xcfc);
}

/* The firmware chooses where the chipset's power management ports are. */
static uint16_t find_pm_base(void)
{
	for (uint32_t device = 0; device < 32; device++)
		for (uint32_t function = 0; function < 8; function++) {
			uint32_t id = pci_read(device, function, 0);

			if (id == 0x29188086 /* ICH9 LPC, q35 */ ||
			    id == 0x71138086 /* PIIX4 PM, pc */)
				return (uint16_t)(pci_read(device, function, 0x40) & 0xff80);
		}
	return 0;
}

static uint32_t pm_read(void)
{
	return in32((uint16_t)(pm_base + 8)) & ((1u << PM_BITS) - 1);
}

uint64_t clock_usec(void)
{
	uint32_t now = pm_read(), passed = (now - pm_last) & ((1u << PM_BITS) - 1);
	uint64_t tsc = rdtsc(), tsc_passed = tsc - tsc_last;

	/*
	 * A virtual CPU that was not scheduled for seconds misses wraps; the TSC
	 * counts them. It may run faster or slower on the host of a later flight
	 * and is good for nothing finer.
	 */
	if (tsc_half_wrap && (int64_t)tsc_passed > (int64_t)tsc_half_wrap) {
		uint64_t expected = divide(tsc_passed << 10, tsc_per_1024_ticks, 0);

		if (expected > passed)
			pm_ticks += ((expected - passed + (1u << (PM_BITS - 1))) >> PM_BITS)
				    << PM_BITS;
	}
	tsc_last = tsc;
	pm_last = now;
	pm_ticks += passed;
	return divide(pm_ticks * 1000000, PM_HZ, 0);
}

static uint8_t cmos_read(uint8_t reg)
{
	out8(0x70, reg);
	return in8(0x71);
}

static void cmos_write(uint8_t reg, uint8_t value)
{
	out8(0x70, reg);
	out8(0x71, value);
}

static uint32_t rtc_number(uint8_t value)
{
	return cmos_read(0x0b) & 0x04 ? value : (value >> 4) * 10u + (value & 15);
}

static uint32_t rtc_second_of_day(void)
{
	uint8_t s, m, h;

	do {
		s = cmos_read(0);
		m = cmos_read(2);
		h = cmos_read(4);
	} while (s != cmos_read(0));
	rtc.shown = s;
	return (rtc_number(h) * 60 + rtc_number(m)) * 60 + rtc_number(s);
}

static void stop_seen(uint64_t usec)
{
	if (usec > pauses.longest_stop_usec)
		pauses.longest_stop_usec = usec;
	if (usec >= STOP_MIN_USEC) {
		pauses.last_stop_usec = usec;
		pauses.stops++;
	}
}

/*
 * Called at the beginning of a second. It can be seen late, never early, and a
 * VM that is stopped in the middle of one sees the next only when it runs
 * again: so the offset is what was measured or more, its highest value is the
 * best one known, and a stop shows in two parts: at the first second after it,
 * the rest at the second one.
 */
static void rtc_second_began(uint64_t usec)
{
	uint32_t second = rtc_second_of_day();
	int32_t passed = (int32_t)second - (int32_t)rtc.second;
	int64_t rise;

	if (passed < -DAY_SECONDS / 2)
		passed += DAY_SECONDS;
	else if (passed > DAY_SECONDS / 2)
		passed -= DAY_SECONDS;
	if (rtc.running)
		rtc.offset += (int64_t)passed * 1000000 - (int64_t)(usec - rtc.second_usec);
	rtc.second = second;
	rtc.second_usec = usec;
	if (!rtc.running) {
		rtc.running = true;
		return;
	}

	rise = rtc.offset - rtc.highest;
	if (rise < -BACK_MIN_USEC) {
		if (++rtc.back_seconds >= BACK_SECONDS) {
			if ((uint64_t)-rise > pauses.clock_back_usec)
				pauses.clock_back_usec = (uint64_t)-rise;
			rtc.highest = rtc.offset;
			rtc.back_seconds = 0;
		}
	} else {
		rtc.back_seconds = 0;
	}
	if (rise < 0)
		rise = 0;
	rtc.highest += rise;

	if (rtc.open) {
		stop_seen(rtc.open_usec + (uint64_t)rise);
		rtc.open = false;
		rise = 0;
	} else if (rise >= STOP_MIN_USEC) {
		rtc.open = true;
		rtc.open_usec = (uint64_t)(rise + rtc.rise_before);
	} else {
		stop_seen((uint64_t)rise);
	}
	rtc.rise_before = rise;
}

uint64_t clock_round(void)
{
	uint64_t usec = clock_usec();

	if (round_last_usec && usec - round_last_usec > pauses.longest_gap_usec)
		pauses.longest_gap_usec = usec - round_last_usec;
	round_last_usec = usec;
	if (cmos_read(0) != rtc.shown)
		rtc_second_began(usec);
	return usec;
}

void clock_reset(void)
{
	pauses = (struct pauses){0};
	rtc.open = false;
	rtc.rise_before = 0;
	/* What is measured at the second that began before this call must not become a stop later. */
	rtc.running = false;
	/* The second that is under way began at an unknown time; the next one is the first to be used. */
	rtc.shown = cmos_read(0);
	rtc.offset = rtc.highest = 0;
	rtc.back_seconds = 0;
	round_last_usec = 0;
}

const struct pauses *clock_pauses(void)
{
	return &pauses;
}

void clock_sleep(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void pic_init(void)
{
	/* Vectors 32 to 47, automatic end of interrupt, IRQ 0 (PIT), 2 (cascade) and 8 (RTC). */
	out8(0x20, 0x11);
	out8(0xa0, 0x11);
	out8(0x21, 32);
	out8(0xa1, 40);
	out8(0x21, 4);
	out8(0xa1, 2);
	out8(0x21, 3);
	out8(0xa1, 3);
	out8(0x21, 0xff & ~0x05);
	out8(0xa1, 0xff & ~0x01);
}

bool clock_init(void)
{
	uint32_t ticks;
	uint64_t tsc;

	pm_base = find_pm_base();
	if (!pm_base)
		return false;

	pm_last = pm_read();
	tsc = rdtsc();
	while (((pm_read() - pm_last) & ((1u << PM_BITS) - 1)) < PM_HZ / 50)
		;
	tsc_last = rdtsc();
	ticks = (pm_read() - pm_last) & ((1u << PM_BITS) - 1);
	pm_last = pm_read();
	tsc_per_1024_ticks = (uint32_t)divide((tsc_last - tsc) << 10, ticks, 0);
	tsc_half_wrap = (uint64_t)tsc_per_1024_ticks << (PM_BITS - 1 - 10);

	return true;
}

void clock_start_tick(uint32_t hz)
{
	uint32_t divisor = PIT_HZ / hz;

	pic_init();
	out8(0x43, 0x34);
	out8(0x40, (uint8_t)divisor);
	out8(0x40, (uint8_t)(divisor >> 8));
	cmos_write(0x0b, cmos_read(0x0b) | 0x10);
	cmos_read(0x0c);
}

void power_off(void)
{
	enum { SLEEP_ENABLE = 1 << 13 }; /* sleep type 0 is soft off on both chipsets */

	if (pm_base)
		out16((uint16_t)(pm_base + 4), SLEEP_ENABLE);
	out16(0x604, SLEEP_ENABLE);
	out16(0xb004, SLEEP_ENABLE);
	out32(0xf4, 0); /* isa-debug-exit, where somebody added it */
	for (;;)
		__asm__ volatile("cli; hlt");
}
