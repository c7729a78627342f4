/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>

#include "fd.h"
#include "sysfs.h"
#include "tier-ras.h"

/*
 * A hotplug slot after its button was pressed: the kernel waits five seconds, and then powers the slot
 * off, whatever it holds. Taking its driver away ends the waiting, and giving it back leaves the slot on.
 */
#define DRIVER "sys/bus/pci_express/drivers/pciehp"

enum { POWER_OFF_MSEC = 120 * 1000 };

bool tier_slot_has(const char *port, const char *device)
{
	char path[PATH_MAX], *resolved, part[80];
	bool below;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", device);
	resolved = realpath(path, NULL);
	if (!resolved)
		return false;
	snprintf(part, sizeof(part), "/%s/", port);
	below = strstr(resolved, part) != NULL;
	free(resolved);
	return below;
}

/* "0000:20:00.0:pcie004", whether it is bound or not. */
static int find_service(const struct sysfs *sysfs, const char *port, char service[static 64])
{
	/* Of pcie004, 008, 010 and so on the hotplug service is 4, with the port's type before it. */
	static const char *const kinds[] = {"pcie004", "pcie204"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(service, 64, "%.32s:%s", port, kinds[i]);
		if (sysfs_exists(sysfs, "sys/bus/pci_express/devices/%s", service))
			return 0;
	}
	return -ENODEV;
}

int tier_slot_hold(const char *port, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	char service[64] = "";
	int r = sysfs_open(&sysfs, NULL);

	r = r ?: find_service(&sysfs, port, service);
	r = r ?: sysfs_write(&sysfs, service, DRIVER "/unbind");
	if (r < 0)
		return tier_problem_set(problem, r, port, NULL, "cannot unbind its hotplug driver");
	return 0;
}

/* The PCI Express capability in configuration space; 0: none. */
static unsigned find_capability(int fd)
{
	uint8_t at = 0, header[2];

	if (pread(fd, &at, 1, 0x34) != 1)
		return 0;
	/* No more than fit in there, so that a loop has an end. */
	for (unsigned i = 0; i < 48 && at >= 0x40; i++) {
		if (pread(fd, header, sizeof(header), at) != (ssize_t)sizeof(header))
			return 0;
		if (header[0] == 0x10)
			return at;
		at = header[1];
	}
	return 0;
}

/*
 * The driver leaves it blinking, which says that the slot is busy. Slot Control is at 0x18 of the
 * capability, the power indicator its bits 8 and 9: 1 is on.
 */
static void light_power(const char *port)
{
	_cleanup_close_ int fd = -1;
	char path[128];
	unsigned capability;
	uint16_t control;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.32s/config", port);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	capability = find_capability(fd);
	if (capability == 0 || pread(fd, &control, 2, capability + 0x18) != 2)
		return;
	control = (uint16_t)((control & ~0x0300u) | 0x0100u);
	(void)!pwrite(fd, &control, 2, capability + 0x18);
}

int tier_slot_release(const char *port, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	char service[64] = "";
	int r = sysfs_open(&sysfs, NULL);

	if (r == 0 && find_service(&sysfs, port, service) < 0)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, port, NULL,
					"is no hotplug slot any more");
	if (r == 0 && sysfs_exists(&sysfs, "sys/bus/pci_express/devices/%s/driver", service))
		return tier_problem_set(problem, TIER_E_NOT_FOUND, port, NULL,
					"has its hotplug driver");
	if (r == 0) {
		light_power(port);
		r = sysfs_write(&sysfs, service, DRIVER "/bind");
	}
	if (r < 0)
		return tier_problem_set(problem, r, port, NULL, "cannot bind its hotplug driver");
	return 0;
}

int tier_slot_power_off(const char *port, const char *slot, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	int r = tier_slot_release(port, problem);

	if (r < 0)
		return r;
	r = sysfs_open(&sysfs, NULL);
	r = r
		    ?: sysfs_write_deadline(&sysfs, "0", POWER_OFF_MSEC,
					    "sys/bus/pci/slots/%s/power", slot);
	if (r < 0)
		return tier_problem_set(problem, r, port, NULL, "cannot power slot %s off", slot);
	return 0;
}
