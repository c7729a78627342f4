/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's dax bus, played by the test: who is bound to what, and by whose word. */
#include <stdarg.h>

#include "dax.h"
#include "fd.h"
#include "fixture.h"

#define BUS "sys/bus/dax"

struct device {
	const char *name, *path;
	bool kmem;	    /* what it is for by itself; else device_dax */
	const char *driver; /* NULL: none */
	bool known[2];	    /* by new_id: to kmem, to device_dax */
};

static char root[64];
static struct sysfs sysfs;
static struct device devices[4];
static bool autoprobe, kmem_fails;
static unsigned not_ready; /* so many more times */

static const char *const drivers[] = {"kmem", "device_dax"};

static struct device *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i].name && streq(devices[i].name, name))
			return &devices[i];
	return NULL;
}

static void show(const struct device *device)
{
	/* "../../../devices/X", seen from BUS/devices */
	const char *place = device->path + strlen("../../../");
	char path[128], target[128] = "../";

	snprintf(path, sizeof(path), BUS "/devices/%s", device->name);
	unlinkat(sysfs.fd, path, 0);
	CHECK_EQ(symlinkat(device->path, sysfs.fd, path), 0);
	snprintf(path, sizeof(path), "sys/%s/driver", place);
	unlinkat(sysfs.fd, path, 0);
	for (const char *p = place; (p = strchr(p, '/')); p++)
		strcat(target, "../");
	if (!device->driver)
		return;
	strcat(target, "bus/dax/drivers/");
	strcat(target, device->driver);
	CHECK_EQ(symlinkat(target, sysfs.fd, path), 0);
}

static int set_driver(struct device *device, const char *driver)
{
	if (driver && not_ready > 0) {
		not_ready--;
		return -EAGAIN;
	}
	if (driver && streq(driver, "kmem") && kmem_fails)
		return -EBUSY;
	device->driver = driver;
	show(device);
	return 0;
}

static bool matches(const struct device *device, size_t driver)
{
	return device->known[driver] || device->kmem == (driver == 0);
}

static int write_driver(size_t driver, const char *file, struct device *device)
{
	if (streq(file, "remove_id")) {
		device->known[driver] = false;
		return 0;
	}
	if (streq(file, "unbind"))
		return device->driver ? set_driver(device, NULL) : -ENODEV;
	if (streq(file, "bind"))
		return device->driver || !matches(device, driver)
			       ? -ENODEV
			       : set_driver(device, drivers[driver]);
	CHECK_STR(file, "new_id");
	device->known[driver] = true;
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i].name && !devices[i].driver && matches(&devices[i], driver))
			(void)set_driver(&devices[i], drivers[driver]);
	return 0;
}

int __wrap_sysfs_write(const struct sysfs *to, const char *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

int __wrap_sysfs_write(const struct sysfs *to, const char *value, const char *format, ...)
{
	char path[256], file[32];
	struct device *device = find(value);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	CHECK(to == &sysfs);
	if (streq(path, BUS "/drivers_autoprobe")) {
		autoprobe = streq(value, "1");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		char directory[64];

		snprintf(directory, sizeof(directory), BUS "/drivers/%s/", drivers[i]);
		if (strncmp(path, directory, strlen(directory)) == 0 &&
		    sscanf(path + strlen(directory), "%31s", file) == 1)
			return device ? write_driver(i, file, device) : -ENODEV;
	}
	if (!streq(path, BUS "/drivers_probe"))
		return -ENOENT;
	if (!device)
		return -ENODEV;
	/* The kernel keeps to itself whether a driver has taken it. */
	if (!device->driver && set_driver(device, drivers[device->kmem ? 0 : 1]) == -EAGAIN)
		return -EINVAL;
	return 0;
}

/* Two regions of CXL memory, memory that firmware has set aside, and persistent memory. */
static void set_up(void)
{
	static const struct device all[] = {
		{"dax0.0", "../../../devices/region0/dax_region0/dax0.0", .kmem = true},
		{"dax1.0", "../../../devices/region1/dax_region1/dax1.0", .kmem = true},
		{"dax2.0", "../../../devices/hmem.0/dax2.0", .kmem = true},
		{"dax3.0", "../../../devices/ndbus0/region2/dax3.0/dax3.0"},
	};
	char path[128];

	scratch_new(root);
	CHECK_EQ(sysfs_open(&sysfs, root), 0);
	scratch_file(root, BUS "/drivers_autoprobe", "1\n");
	scratch_file(root, BUS "/devices/x", "");
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		snprintf(path, sizeof(path), BUS "/drivers/%s/bind", drivers[i]);
		scratch_file(root, path, "");
	}
	kmem_fails = false;
	not_ready = 0;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		devices[i] = all[i];
		snprintf(path, sizeof(path), "sys/%s/size", all[i].path + strlen("../../../"));
		scratch_file(root, path, "0x10000000\n");
		show(&devices[i]);
	}
}

static void take_down(void)
{
	sysfs_done(&sysfs);
	scratch_done(root);
}

static void check_drivers(const char *wanted)
{
	char text[128] = "";

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "",
			 devices[i].driver ?: "-");
	}
	CHECK_STR(text, wanted);
}

TEST(whether_they_are_held)
{
	bool held;

	set_up();
	CHECK_EQ(dax_is_held(&sysfs, &held), 0);
	CHECK(!held);
	scratch_file(root, BUS "/drivers_autoprobe", "0\n");
	CHECK_EQ(dax_is_held(&sysfs, &held), 0);
	CHECK(held);
	CHECK_EQ(unlinkat(sysfs.fd, BUS "/drivers_autoprobe", 0), 0);
	CHECK_EQ(dax_is_held(&sysfs, &held), TIER_E_NOT_FOUND);
	CHECK_EQ(dax_hold(&sysfs, true, NULL), 0);
	CHECK(!autoprobe);
	CHECK_EQ(dax_hold(&sysfs, false, NULL), 0);
	CHECK(autoprobe);
	take_down();
}

TEST(region_of_a_device)
{
	char region[32];

	set_up();
	CHECK_EQ(dax_region_of(&sysfs, "dax1.0", region), 0);
	CHECK_STR(region, "region1");
	CHECK_EQ(dax_region_of(&sysfs, "dax2.0", region), 0);
	CHECK_STR(region, "");
	/* nvdimm has regions, too. */
	CHECK_EQ(dax_region_of(&sysfs, "dax3.0", region), 0);
	CHECK_STR(region, "");
	CHECK_EQ(dax_region_of(&sysfs, "dax4.0", region), SYSFS_ABSENT);
	take_down();
}

TEST(who_is_released)
{
	char(*names)[32];
	size_t count;

	set_up();
	CHECK_EQ(dax_waiting(&sysfs, &names, &count, NULL), 0);
	CHECK_EQ(count, 2);
	CHECK_STR(names[0], "dax2.0");
	CHECK_STR(names[1], "dax3.0");
	free(names);
	CHECK_EQ(dax_release(&sysfs, "dax3.0", NULL), 0);
	check_drivers("- - - device_dax");
	/* A region's, which is the daemon's to look at, and one that has gone. */
	CHECK_EQ(dax_release(&sysfs, "dax0.0", NULL), 0);
	CHECK_EQ(dax_release(&sysfs, "dax7.0", NULL), 0);
	check_drivers("- - - device_dax");
	CHECK_EQ(dax_release(&sysfs, "dax2.0", NULL), 0);
	check_drivers("- - kmem device_dax");
	CHECK_EQ(dax_waiting(&sysfs, &names, &count, NULL), 0);
	CHECK(!names && count == 0);
	take_down();
}

TEST(whoever_is_not_taken_waits_on)
{
	struct tier_problem problem = {};

	set_up();
	kmem_fails = true;
	CHECK_EQ(dax_release(&sysfs, "dax2.0", &problem), -EAGAIN);
	CHECK_STR(problem.object, "dax2.0");
	CHECK_HAS(problem.text, "no driver has taken it");
	kmem_fails = false;
	not_ready = 1;
	CHECK_EQ(dax_release(&sysfs, "dax2.0", NULL), -EAGAIN);
	CHECK_EQ(dax_release(&sysfs, "dax2.0", NULL), 0);
	/* Nobody has given it a size yet. */
	scratch_file(root, "sys/devices/ndbus0/region2/dax3.0/dax3.0/size", "0\n");
	CHECK_EQ(dax_release(&sysfs, "dax3.0", NULL), 0);
	check_drivers("- - kmem -");
	take_down();
}

TEST(bound_as_soon_as_the_kernel_lets_it)
{
	set_up();
	not_ready = 3;
	CHECK_EQ(dax_bind(&sysfs, "dax0.0", "kmem", NULL), 0);
	CHECK_EQ(not_ready, 0);
	not_ready = 3;
	CHECK_EQ(dax_bind(&sysfs, "dax1.0", "device_dax", NULL), 0);
	check_drivers("kmem device_dax - -");
	take_down();
}

TEST(others_that_wait_are_not_bound_along)
{
	set_up();
	CHECK_EQ(dax_bind(&sysfs, "dax0.0", "kmem", NULL), 0);
	check_drivers("kmem - - -");
	/* What device_dax takes by itself may as well have it. */
	CHECK_EQ(dax_bind(&sysfs, "dax1.0", "device_dax", NULL), 0);
	check_drivers("kmem device_dax - device_dax");
	CHECK_EQ(dax_bind(&sysfs, "dax1.0", "kmem", NULL), 0);
	check_drivers("kmem kmem - device_dax");
	/* It takes nothing twice. */
	CHECK(!devices[1].known[1]);
	take_down();
}

TEST(a_driver_that_fails_to_bind_says_why)
{
	struct tier_problem problem = {};

	set_up();
	kmem_fails = true;
	CHECK_EQ(dax_bind(&sysfs, "dax0.0", "kmem", &problem), -EBUSY);
	CHECK_STR(problem.object, "dax0.0");
	CHECK_EQ(dax_bind(&sysfs, "dax3.0", "kmem", &problem), -EBUSY);
	/* Nor does kmem know it from now on. */
	CHECK(!devices[3].known[0]);
	check_drivers("- - - -");
	CHECK_EQ(dax_bind(&sysfs, "dax0.0", "fancy", &problem), -ENOENT);
	CHECK_HAS(problem.text, "no driver fancy");
	take_down();
}
