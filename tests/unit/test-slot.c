/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os/slot.c: a hotplug slot's driver, on a machine of files. */
#include <errno.h>

#include "fixture.h"
#include "sysfs.h"
#include "tier-error.h"
#include "tier-ras.h"

#define PORT	"ffff:20:00.0" /* no machine has it */
#define SERVICE PORT ":pcie204"
#define DEVICES "sys/bus/pci_express/devices/"
#define DRIVER	"sys/bus/pci_express/drivers/pciehp/"

static char root[64];

int __real_sysfs_open(struct sysfs *ret, const char *directory);
int __wrap_sysfs_open(struct sysfs *ret, const char *directory);
int __wrap_sysfs_open(struct sysfs *ret, const char *directory)
{
	return __real_sysfs_open(ret, root);
}

static const char *written(const char *name)
{
	static char text[128];
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "re");
	CHECK(file != NULL);
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	return text;
}

TEST(a_slot_that_has_its_driver_is_not_held)
{
	struct tier_problem problem = {};

	scratch_new(root);
	CHECK_EQ(tier_slot_release(PORT, &problem), TIER_E_NOT_FOUND);
	CHECK_HAS(problem.text, "is no hotplug slot");
	CHECK_EQ(tier_slot_hold(PORT, &problem), -ENODEV);
	scratch_file(root, DEVICES SERVICE "/uevent", "");
	scratch_file(root, DRIVER "bind", "");
	scratch_file(root, DRIVER "unbind", "");
	scratch_file(root, DEVICES SERVICE "/driver/uevent", "");
	CHECK_EQ(tier_slot_release(PORT, &problem), TIER_E_NOT_FOUND);
	CHECK_HAS(problem.text, "has its hotplug driver");
	CHECK_STR(written(DRIVER "bind"), "");
	CHECK_EQ(tier_slot_hold(PORT, &problem), 0);
	CHECK_STR(written(DRIVER "unbind"), SERVICE);
	/* Somebody has given it back: it can be powered off as well. */
	scratch_file(root, "sys/bus/pci/slots/2/power", "1");
	CHECK_EQ(tier_slot_power_off(PORT, "2", &problem), 0);
	CHECK_STR(written("sys/bus/pci/slots/2/power"), "0");
	CHECK_STR(written(DRIVER "bind"), "");
	scratch_done(root);
}

TEST(a_slot_without_its_driver_gets_it)
{
	struct tier_problem problem = {};

	scratch_new(root);
	scratch_file(root, DEVICES SERVICE "/uevent", "");
	CHECK_EQ(tier_slot_release(PORT, &problem), -ENOENT);
	CHECK_HAS(problem.text, "cannot bind its hotplug driver");
	scratch_file(root, DRIVER "bind", "");
	CHECK_EQ(tier_slot_release(PORT, &problem), 0);
	CHECK_STR(written(DRIVER "bind"), SERVICE);
	scratch_done(root);
}
