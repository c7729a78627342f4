/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fd.h"
#include "fixture.h"
#include "sysfs.h"
#include "util.h"

static char root[64];
static struct sysfs sysfs;

static void open_root(void)
{
	scratch_new(root);
	CHECK_EQ(sysfs_open(&sysfs, root), 0);
}

static void close_root(void)
{
	sysfs_done(&sysfs);
	scratch_done(root);
}

TEST(values)
{
	char text[32];
	uint64_t number = 7;
	int small = 7;
	bool flag = false;

	open_root();
	scratch_file(root, "a/text", "hello \n\n");
	scratch_file(root, "a/hex", "0x10\n");
	scratch_file(root, "a/minus", "-1\n");
	scratch_file(root, "a/zero", "0\n");
	scratch_file(root, "a/words", "12 apples\n");
	scratch_file(root, "a/Y", "Y\n");
	CHECK_EQ(sysfs_read_string(&sysfs, text, sizeof(text), "%s/text", "a"), 0);
	CHECK_STR(text, "hello");
	CHECK_EQ(sysfs_read_u64(&sysfs, &number, "a/hex"), 0);
	CHECK_EQ(number, 16);
	CHECK_EQ(sysfs_read_u64(&sysfs, &number, "a/zero"), 0);
	CHECK_EQ(number, 0);
	CHECK_EQ(sysfs_read_int(&sysfs, &small, "a/minus"), 0);
	CHECK_EQ(small, -1);
	CHECK_EQ(sysfs_read_u64(&sysfs, &number, "a/words"), -EINVAL);
	CHECK_EQ(sysfs_read_bool(&sysfs, &flag, "a/Y"), 0);
	CHECK(flag);
	CHECK_EQ(sysfs_read_bool(&sysfs, &flag, "a/words"), -EINVAL);
	CHECK_EQ(sysfs_read_string(&sysfs, text, 3, "a/text"), -E2BIG);
	CHECK_STR(text, "hello");
	close_root();
}

TEST(absent_is_not_zero)
{
	uint64_t number = 7;
	char text[8] = "kept", *whole = NULL;

	open_root();
	scratch_file(root, "file", "1");
	CHECK_EQ(sysfs_read_u64(&sysfs, &number, "none/at/all"), SYSFS_ABSENT);
	CHECK_EQ(sysfs_read_u64(&sysfs, &number, "file/below"), SYSFS_ABSENT);
	CHECK_EQ(sysfs_read_string(&sysfs, text, sizeof(text), "none"), SYSFS_ABSENT);
	CHECK_EQ(sysfs_read_text(&sysfs, &whole, "none"), SYSFS_ABSENT);
	CHECK_EQ(sysfs_read_link(&sysfs, text, sizeof(text), "file"), SYSFS_ABSENT);
	CHECK_EQ(number, 7);
	CHECK_STR(text, "kept");
	CHECK(!sysfs_exists(&sysfs, "none"));
	CHECK(sysfs_exists(&sysfs, "file"));
	close_root();
}

TEST(denied_is_not_absent)
{
	uint64_t number = 7;
	int r;

	open_root();
	scratch_file(root, "secret", "1");
	fchmodat(sysfs.fd, "secret", 0, 0);
	if (geteuid() == 0)
		CHECK_EQ(seteuid(65534), 0);
	r = sysfs_read_u64(&sysfs, &number, "secret");
	CHECK_EQ(seteuid(getuid()), 0);
	CHECK_EQ(r, SYSFS_DENIED);
	CHECK_EQ(number, 7);
	close_root();
}

/* A dump is somebody else's: no link in it may show or change a file of this machine. */
TEST(links_stay_below_the_root)
{
	char text[64];

	open_root();
	scratch_file(root, "etc/hostname", "inside\n");
	CHECK_EQ(symlinkat("/etc/hostname", sysfs.fd, "absolute"), 0);
	CHECK_EQ(symlinkat("../../../../../etc/hostname", sysfs.fd, "upwards"), 0);
	CHECK_EQ(symlinkat("../../x/kmem", sysfs.fd, "driver"), 0);
	CHECK_EQ(sysfs_read_string(&sysfs, text, sizeof(text), "absolute"), 0);
	CHECK_STR(text, "inside");
	CHECK_EQ(sysfs_read_string(&sysfs, text, sizeof(text), "upwards"), 0);
	CHECK_STR(text, "inside");
	CHECK_EQ(sysfs_read_string(&sysfs, text, sizeof(text), "../../etc/hostname"), 0);
	CHECK_STR(text, "inside");
	CHECK_EQ(sysfs_read_link_name(&sysfs, text, sizeof(text), "driver"), 0);
	CHECK_STR(text, "kmem");
	close_root();
}

TEST(long_text)
{
	char *big = malloc(100001), *read = NULL;

	open_root();
	memset(big, 'x', 100000);
	big[100000] = '\0';
	scratch_file(root, "big", big);
	CHECK_EQ(sysfs_read_text(&sysfs, &read, "big"), 0);
	CHECK_STR(read, big);
	free(read);
	free(big);
	close_root();
}

TEST(lists)
{
	_cleanup_names_ struct sysfs_names names = {};

	CHECK(list_has("0-3,8", 0) && list_has("0-3,8", 3) && list_has("0-3,8", 8));
	CHECK(!list_has("0-3,8", 4) && !list_has("", 0) && !list_has("1", 0));
	open_root();
	scratch_file(root, "d/node10/x", "");
	scratch_file(root, "d/node2/x", "");
	scratch_file(root, "d/nodes", "");
	scratch_file(root, "d/online", "0-2\n");
	CHECK_EQ(sysfs_list(&sysfs, &names, "node", "d"), 0);
	CHECK_EQ(names.count, 2);
	CHECK_STR(names.names[0], "node2");
	CHECK_STR(names.names[1], "node10");
	CHECK(sysfs_list_has(&sysfs, 1, "d/online") && !sysfs_list_has(&sysfs, 1, "d/none"));
	close_root();
}

TEST(writing)
{
	char text[16];

	open_root();
	scratch_file(root, "state", "-------");
	CHECK_EQ(sysfs_write(&sysfs, "offline", "state"), 0);
	CHECK_EQ(sysfs_read_string(&sysfs, text, sizeof(text), "state"), 0);
	CHECK_STR(text, "offline");
	CHECK_EQ(sysfs_write(&sysfs, "offline", "none"), -ENOENT);
	close_root();
}

/* A pipe that nobody reads stands for a kernel that works until a signal comes. */
TEST(writing_with_a_deadline)
{
	char path[128], block[4096] = "";
	int fd;

	open_root();
	scratch_file(root, "state", "-------");
	CHECK_EQ(sysfs_write_deadline(&sysfs, "offline", 10000, "state"), 0);
	CHECK_EQ(sysfs_write_deadline(&sysfs, "offline", 10000, "none"), -ENOENT);
	snprintf(path, sizeof(path), "%s/pipe", root);
	CHECK_EQ(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_NONBLOCK);
	CHECK(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	CHECK_EQ(sysfs_write_deadline(&sysfs, "offline", 50, "pipe"), -ETIMEDOUT);
	CHECK_EQ(read(fd, block, sizeof(block)), (ssize_t)sizeof(block));
	CHECK_EQ(sysfs_write_deadline(&sysfs, "offline", 10000, "pipe"), 0);
	close(fd);
	close_root();
}

TEST(the_answer_comes_through)
{
	struct sysfs machine = SYSFS_CLOSED;

	CHECK_EQ(sysfs_open(&machine, NULL), 0);
	CHECK_EQ(sysfs_write_deadline(&machine, "x", 10000, "dev/full"), -ENOSPC);
	sysfs_done(&machine);
}
