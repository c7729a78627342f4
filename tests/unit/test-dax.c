/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>

#include "dax.h"
#include "fd.h"
#include "fixture.h"

static const char *asked;
static bool bound;

int __wrap_access(const char *path, int mode);

int __wrap_access(const char *path, int mode)
{
	asked = path;
	if (strcmp(path, "/sys/dev/char/1:3/driver") == 0 && mode == F_OK && bound)
		return 0;
	errno = ENOENT;
	return -1;
}

TEST(a_file_is_mapped_only_while_its_driver_is_there)
{
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int plain = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	bound = true;
	CHECK_EQ(dax_check_open(null), 0);
	bound = false;
	CHECK_EQ(dax_check_open(null), -ENODEV);
	asked = NULL;
	CHECK_EQ(dax_check_open(plain), 0);
	CHECK(!asked);
	CHECK_EQ(dax_check_open(-1), -EBADF);
}
