/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tier-error.h"
#include "tier-ras.h"
#include "test.h"

TEST(a_button_names_port_and_slot)
{
	struct tier_unplug u;

	CHECK_EQ(tier_unplug_parse("console: pcieport 0000:20:00.0: pciehp: Slot(2-1): Button "
				   "press: will power off in 5 sec",
				   &u),
		 0);
	CHECK_EQ(u.kind, TIER_UNPLUG_REQUEST);
	CHECK_STR(u.device, "0000:20:00.0");
	CHECK_STR(u.slot, "2-1");
}

TEST(what_the_kernel_says_of_memory_that_goes)
{
	struct tier_unplug u;

	CHECK_EQ(tier_unplug_parse("console: memory memory32: Offline failed.", &u), 0);
	CHECK_EQ(u.kind, TIER_UNPLUG_EJECT_FAILED);
	CHECK_EQ(u.block, 32);
	CHECK_EQ(tier_unplug_parse("console: acpi PNP0C80:03: Eject disabled", &u), 0);
	CHECK_EQ(u.kind, TIER_UNPLUG_EJECT_DISABLED);
	CHECK_STR(u.device, "PNP0C80:03");
	CHECK_EQ(tier_unplug_parse("console: kmem dax0.0: mapping0: 0x590000000-0x5cfffffff cannot "
				   "be hotremoved until the next reboot",
				   &u),
		 0);
	CHECK_EQ(u.kind, TIER_UNPLUG_LOST);
	CHECK_STR(u.device, "dax0.0");
	CHECK_EQ(u.start, 0x590000000);
	CHECK_EQ(u.bytes, 0x40000000);
}

TEST(other_lines_are_passed_over)
{
	/* A name becomes part of a path: it must not lead anywhere. */
	static const char *const lines[] = {
		"",
		"console: ",
		"pcieport 0000:20:00.0: pciehp: Slot(2): Button press: will power off in 5 sec",
		"console: pcieport 0000:20:00.0: pciehp: Slot(2): Button press: will power on in 5",
		"console: pcieport ../../x: pciehp: Slot(2): Button press: will power off in 5 sec",
		"console: pcieport a/../b: pciehp: Slot(2): Button press: will power off in 5 sec",
		"console: pcieport ..: pciehp: Slot(2): Button press: will power off in 5 sec",
		"console: pcieport 0000:20:00.0: pciehp: Slot(../2): Button press: will power off",
		"console: pcieport 0000:20:00.0: pciehp: Slot(): Button press: will power off in 5",
		"console: pcieport 0123456789012345678901234567890123: pciehp: Slot(2): Button "
		"press: "
		"will power off in 5 sec",
		"console: memory memory: Offline failed.",
		"console: memory memory3x: Offline failed.",
		"console: memory memory99999999999999999999: Offline failed.",
		"console: x memory memory32: Offline failed.",
		"console: kmem dax0.0: mapping0: 0x5-0x4 cannot be hotremoved until the next "
		"reboot",
		"console: kmem dax0.0: mapping0: 0x0-0xffffffffffffffff cannot be hotremoved",
		"console: kmem /x: mapping0: 0x0-0xfff cannot be hotremoved",
	};
	struct tier_unplug u = {.block = 7};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (tier_unplug_parse(lines[i], &u) != TIER_E_NOT_FOUND)
			FAIL("taken: %s", lines[i]);
	CHECK_EQ(u.block, 7);
}
