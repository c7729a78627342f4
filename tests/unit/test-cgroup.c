/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which cgroup a name stands for, in a tree of plain directories: what matters is who made them. */
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "test.h"
#include "tier-mover.h"
#include "util.h"

static char top[64];
static struct tier_problem problem;

/* @owner, @group and @mode of a directory below the top; the one above it has to be there. */
static void make(const char *name, uid_t owner, gid_t group, mode_t mode)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	CHECK_EQ(mkdir(path, 0755), 0);
	CHECK_EQ(chown(path, owner, group), 0);
	CHECK_EQ(chmod(path, mode), 0);
}

static void begin(void)
{
	if (geteuid() != 0)
		SKIP("only root can give a directory to another user");
	snprintf(top, sizeof(top), "/tmp/test-cgroup.XXXXXX");
	CHECK(mkdtemp(top));
	CHECK_EQ(chmod(top, 0755), 0);
	CHECK_EQ(chown(top, 0, 0), 0);
	make("system.slice", 0, 0, 0755);
	make("system.slice/db.service", 0, 0, 0755);
	make("user.slice", 0, 0, 0755);
	make("user.slice/user@1000.service", 1000, 1000, 0755);
	make("user.slice/user@1000.service/db.service", 1000, 1000, 0755);
	make("user.slice/user@1000.service/mine.service", 1000, 1000, 0755);
	make("user.slice/user@1000.service/roots", 0, 0, 0755);
	make("user.slice/user@1000.service/roots/deep.service", 0, 0, 0755);
}

static void end(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", top);
	CHECK_EQ(system(command), 0);
}

/* Where it is below the top, or the problem's text. */
static const char *found(const char *name)
{
	static char text[512];
	char *path = NULL;
	int r = cgroup_search(name, top, &path, &problem);

	CHECK_EQ(r == 0, path != NULL);
	snprintf(text, sizeof(text), "%s", r ? problem.text : path + strlen(top));
	free(path);
	return text;
}

/* Whatever a user calls his own, root's is meant; and nothing of his is, or he could choose whose pages move. */
TEST(names_that_users_made)
{
	begin();
	CHECK_STR(found("db.service"), "/system.slice/db.service");
	CHECK_STR(found("user@1000.service"), "/user.slice/user@1000.service");
	CHECK_HAS(found("mine.service"), "no other cgroup of root's");
	CHECK_HAS(found("deep.service"), "no other cgroup of root's");
	CHECK_HAS(problem.next, "path");
	end();
}

TEST(directories_that_others_may_write)
{
	begin();
	make("open", 0, 0, 0777);
	make("open/one.service", 0, 0, 0755);
	make("team", 0, 100, 0775);
	make("team/two.service", 0, 0, 0755);
	make("staff", 0, 0, 0775);
	make("staff/three.service", 0, 0, 0755);
	CHECK_HAS(found("one.service"), "no other cgroup of root's");
	CHECK_HAS(found("two.service"), "no other cgroup of root's");
	CHECK_STR(found("three.service"), "/staff/three.service");
	end();
}

TEST(twins)
{
	begin();
	make("user.slice/db.service", 0, 0, 0755);
	CHECK_HAS(found("db.service"), "/user.slice/db.service");
	CHECK_HAS(problem.text, "/system.slice/db.service");
	end();
}

/* An escape for a terminal that somebody called so, or that somebody typed. */
TEST(escapes_in_names)
{
	char text[] = "a\033[2Jb\x9b\177\n";
	char *path = NULL;

	CHECK_STR(make_printable(text), "a?[2Jb???");
	CHECK(tier_cgroup_find("/no/such\033[2J", &path, &problem) != 0);
	CHECK(problem.object[0] != '\0' && strchr(problem.object, '\033') == NULL);
}
