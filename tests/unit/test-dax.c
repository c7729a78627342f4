/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "dax.h"
#include "fd.h"
#include "fixture.h"

static unsigned asked;
static bool bound, parent_bound;

int __wrap_access(const char *path, int mode);

int __wrap_access(const char *path, int mode)
{
	asked++;
	CHECK_EQ(mode, F_OK);
	if (strcmp(path, "/sys/dev/char/1:3/driver") == 0 && bound)
		return 0;
	if (strcmp(path, "/sys/dev/char/1:3/../driver") == 0 && parent_bound)
		return 0;
	errno = ENOENT;
	return -1;
}

TEST(a_file_is_mapped_only_while_its_driver_is_there)
{
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int plain = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	bound = parent_bound = true;
	CHECK_EQ(dax_check_open(null), 0);
	bound = false;
	CHECK_EQ(dax_check_open(null), -ENODEV);
	/* It is being removed, and has already been made unusable. */
	bound = true;
	parent_bound = false;
	CHECK_EQ(dax_check_open(null), -ENODEV);
	asked = 0;
	CHECK_EQ(dax_check_open(plain), 0);
	CHECK_EQ(asked, 0);
	CHECK_EQ(dax_check_open(-1), -EBADF);
}

/* The node that was opened has been removed; there is another one by now, with drivers. */
TEST(a_file_of_a_device_that_has_gone)
{
	_cleanup_close_ int fd = -1;
	char root[64], path[80];

	bound = parent_bound = true;
	scratch_new(root);
	snprintf(path, sizeof(path), "%s/null", root);
	if (mknod(path, S_IFCHR | 0600, makedev(1, 3)) < 0 ||
	    (fd = open(path, O_RDWR | O_CLOEXEC)) < 0) {
		scratch_done(root);
		SKIP("needs device nodes");
	}
	CHECK_EQ(dax_check_open(fd), 0);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(mknod(path, S_IFCHR | 0600, makedev(1, 3)), 0);
	CHECK_EQ(dax_check_open(fd), -ENODEV);
	scratch_done(root);
}
