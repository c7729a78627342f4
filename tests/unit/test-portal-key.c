/* SPDX-License-Identifier: GPL-2.0-or-later */
/* os/portal-key.c: which key files are taken, and what a keyed portal is without one. */
#include "fixture.h"
#include "portal-key.h"
#include "portal-map.h"
#include "portal-three.h"
#include "tier-config.h"

static char directory[64];
static struct tier_problem problem;
static const char secret[] = "thirty-two bytes and a little more";

static void put_key(const char *name, const char *text, mode_t mode)
{
	char path[128];

	scratch_file(directory, name, text);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	CHECK_EQ(chmod(path, mode), 0);
}

static void drop(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	unlink(path);
}

/* A portal "three"; the path is good until the next file_path(). */
static const char *make(bool keyed)
{
	struct tier_super super = three_super();
	const char *path = file_path("keyed");

	if (directory[0] == '\0') {
		scratch_new(directory);
		chmod(directory, 0700);
	}
	super.incompat = keyed ? TIER_PORTAL_INCOMPAT_KEYED : 0;
	CHECK_EQ(tier_portal_format(path, &super, true, &problem), 0);
	return path;
}

static int open_with(const char *path, struct tier_portal **ret)
{
	problem = (struct tier_problem){};
	*ret = NULL;
	return portal_open_with_keys(path, TIER_PORTAL_WRITE, directory, ret, &problem);
}

/* The portal is as @flags have it, or it is refused and not opened. */
static int open_as(const char *path, unsigned flags)
{
	struct tier_portal *portal = NULL;
	int r;

	problem = (struct tier_problem){};
	r = portal_open_with_keys(path, flags, directory, &portal, &problem);
	CHECK_EQ(r == 0, portal != NULL);
	if (portal)
		CHECK_EQ(tier_portal_super(portal)->has_key, !(flags & TIER_PORTAL_UNKEYED));
	tier_portal_close(portal);
	return r;
}

/* As a peer does it that has no key: the superblock is good, and nothing else is touched. */
static void strip_key(const char *path, const char *name)
{
	uint8_t bytes[TIER_SUPER_BYTES];
	struct tier_super super;

	CHECK_EQ(tier_portal_probe(path, &super, &problem), 0);
	super.incompat &= ~TIER_PORTAL_INCOMPAT_KEYED;
	snprintf(super.name, sizeof(super.name), "%s", name);
	tier_super_encode(&super, bytes);
	file_write(path, 0, bytes, sizeof(bytes));
	file_write(path, TIER_SUPER_COPY_OFFSET, bytes, sizeof(bytes));
}

TEST(keyed_portal)
{
	const char *path = make(true);
	struct tier_portal *portal;
	uint8_t key[TIER_PORTAL_KEY_BYTES];

	put_key("three.key", secret, 0600);
	CHECK_EQ(open_with(path, &portal), 0);
	tier_portal_key_derive(&fixture_uuid, secret, strlen(secret), key);
	CHECK(tier_portal_super(portal)->has_key);
	CHECK(memcmp(tier_portal_super(portal)->key, key, sizeof(key)) == 0);
	three_host(portal, A, 1, 1);
	tier_portal_close(portal);
	drop("three.key");
}

TEST(keyed_portal_without_its_key)
{
	const char *path = make(true);
	struct tier_portal *portal;

	put_key("four.key", secret, 0600);
	CHECK_EQ(open_with(path, &portal), TIER_E_REFUSED);
	CHECK(portal == NULL);
	CHECK_STR(problem.object, "three");
	CHECK_HAS(problem.text, "its key is not on this host");
	/* Not even a directory for keys. */
	CHECK_EQ(portal_open_with_keys(path, TIER_PORTAL_READ, "/nonexistent/keys", &portal,
				       &problem),
		 TIER_E_REFUSED);
	drop("four.key");
}

/* What was written with one key is damaged by another. */
TEST(wrong_key)
{
	const char *path = make(true);
	struct tier_host_record record;
	struct tier_portal *portal;
	struct tier_blob blob;
	void *back = NULL;

	put_key("three.key", secret, 0600);
	CHECK_EQ(open_with(path, &portal), 0);
	three_host(portal, A, 1, 1);
	CHECK_EQ(tier_portal_write_blob(portal, A, &fixture_flight, 0, "state", 5, &blob), 0);
	CHECK_EQ(tier_portal_read_host(portal, A, &record), 0);
	CHECK_EQ(tier_portal_read_blob(portal, A, &fixture_flight, &blob, &back, &problem), 0);
	free(back);
	back = NULL;
	/* The blob of another flight. */
	CHECK_EQ(tier_portal_read_blob(portal, A, &fixture_uuid, &blob, &back, &problem),
		 TIER_E_DAMAGED);
	tier_portal_close(portal);
	put_key("three.key", "another secret of more than thirty-two bytes", 0600);
	CHECK_EQ(open_with(path, &portal), 0);
	CHECK_EQ(tier_portal_read_host(portal, A, &record), TIER_E_DAMAGED);
	CHECK_EQ(tier_portal_read_blob(portal, A, &fixture_flight, &blob, &back, &problem),
		 TIER_E_DAMAGED);
	CHECK_HAS(problem.text, "portal's key");
	CHECK(back == NULL);
	tier_portal_close(portal);
	drop("three.key");
}

/* Somebody has put an unkeyed portal in the place of the keyed one. */
TEST(downgrade)
{
	const char *path = make(false);
	struct tier_portal *portal;

	put_key("four.key", secret, 0600);
	CHECK_EQ(open_with(path, &portal), 0);
	tier_portal_close(portal);
	put_key("three.key", secret, 0600);
	CHECK_EQ(open_with(path, &portal), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "may have been replaced");
	/* A key that would not be taken says the same. */
	put_key("three.key", "short", 0666);
	CHECK_EQ(open_with(path, &portal), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "may have been replaced");
	drop("three.key");
	drop("four.key");
}

/* The keyed portal itself, rewritten: under its name, the key file tells; under another, Keyed=yes. */
TEST(stripped)
{
	const char *path = make(true);
	struct tier_portal *portal;

	put_key("three.key", secret, 0600);
	CHECK_EQ(open_as(path, TIER_PORTAL_READ | TIER_PORTAL_KEYED), 0);
	strip_key(path, "three");
	CHECK_EQ(open_as(path, TIER_PORTAL_READ), TIER_E_REFUSED);
	CHECK_STR(problem.object, "three");
	CHECK_HAS(problem.text, "may have been replaced");
	CHECK_HAS(problem.next, "remove the key");
	strip_key(path, "free");
	CHECK_EQ(open_with(path, &portal), 0);
	tier_portal_close(portal);
	CHECK_EQ(open_as(path, TIER_PORTAL_READ | TIER_PORTAL_KEYED), TIER_E_REFUSED);
	CHECK_EQ(open_as(path, TIER_PORTAL_WRITE | TIER_PORTAL_KEYED), TIER_E_REFUSED);
	CHECK_STR(problem.object, path);
	CHECK_HAS(problem.text, "cannot use portal free: it is not keyed");
	CHECK_HAS(problem.next, "Keyed=");
	drop("three.key");
}

TEST(not_to_be_keyed)
{
	const char *path = make(true);

	put_key("three.key", secret, 0600);
	CHECK_EQ(open_as(path, TIER_PORTAL_UNKEYED), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "it is keyed");
	/* What the key's name would say has been answered. */
	strip_key(path, "three");
	CHECK_EQ(open_as(path, TIER_PORTAL_UNKEYED), 0);
	drop("three.key");
}

/* By the section of the configuration, found by the file that it is, whatever it is called. */
TEST(as_configured)
{
	const char *path = make(false);
	struct tier_portal *portal = NULL;
	const struct tier_config_portal *rule;
	struct tier_config *config;
	char text[512], link[128];

	snprintf(link, sizeof(link), "%s/link", directory);
	CHECK_EQ(symlink(path, link), 0);
	snprintf(text, sizeof(text),
		 "[Portal gone]\nFile=%s/nothing\n[Portal yes]\nFile=%s\nKeyed=yes\n", directory,
		 path);
	CHECK_EQ(tier_config_new(&config), 0);
	CHECK_EQ(tier_config_parse(config, text, strlen(text), "t.conf", &problem), 0);
	CHECK_EQ(tier_portal_rule(config, link, &rule, &problem), 0);
	CHECK(rule == &config->portals[1]);
	CHECK_EQ(tier_portal_open_configured(config, path, TIER_PORTAL_READ, &portal, &problem),
		 TIER_E_REFUSED);
	CHECK_EQ(tier_portal_open_configured(config, link, TIER_PORTAL_WRITE, &portal, &problem),
		 TIER_E_REFUSED);
	CHECK(!portal);
	CHECK_HAS(problem.text, "Keyed=yes");
	config->portals[1].keyed = 0;
	CHECK_EQ(tier_portal_open_configured(config, link, TIER_PORTAL_READ, &portal, &problem), 0);
	tier_portal_close(portal);
	/* No section, no device, nothing there. */
	CHECK_EQ(tier_portal_rule(config, directory, &rule, &problem), 0);
	CHECK(!rule);
	CHECK_EQ(tier_portal_rule(config, "/dev/null", &rule, &problem), 0);
	CHECK(!rule);
	CHECK_EQ(tier_portal_open_configured(config, "/nonexistent", 0, &portal, &problem),
		 -ENOENT);
	tier_config_free(config);
	unlink(link);
}

TEST(files_that_are_no_keys)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0777};
	const char *path = make(true);
	struct tier_portal *portal;
	char file[128], target[128];

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		put_key("three.key", secret, modes[i]);
		CHECK_EQ(open_with(path, &portal), TIER_E_REFUSED);
		CHECK_HAS(problem.text, "not its owner's alone");
	}
	put_key("three.key", "thirty-one bytes are not enough", 0600);
	CHECK_EQ(open_with(path, &portal), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "32 to 4096 bytes, not 31");
	put_key("three.key", secret, 0600);
	snprintf(file, sizeof(file), "%s/three.key", directory);
	CHECK_EQ(truncate(file, 4097), 0);
	CHECK_EQ(open_with(path, &portal), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "not 4097");
	/* A name that leads elsewhere, to a file that would do. */
	put_key("elsewhere", secret, 0600);
	snprintf(target, sizeof(target), "%s/elsewhere", directory);
	drop("three.key");
	CHECK_EQ(symlink(target, file), 0);
	CHECK_EQ(open_with(path, &portal), -ELOOP);
	drop("three.key");
	CHECK_EQ(mkfifo(file, 0600), 0);
	CHECK_EQ(open_with(path, &portal), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "not a plain file");
	drop("three.key");
	/* Of another user: only root can make one. */
	if (geteuid() != 0)
		SKIP("needs root to give a file away");
	put_key("three.key", secret, 0600);
	CHECK_EQ(chown(file, 1234, 0), 0);
	CHECK_EQ(open_with(path, &portal), TIER_E_REFUSED);
	CHECK_HAS(problem.text, "belongs to user 1234");
	drop("three.key");
}

TEST(generate)
{
	struct tier_portal *portal;
	char inner[96], path[128];
	char first[64] = "", second[64] = "";
	struct stat status;

	make(true);
	/* The directory is made, too, with the one above it. */
	snprintf(inner, sizeof(inner), "%s/etc/keys", directory);
	CHECK_EQ(portal_key_find(inner, "three", &problem), TIER_E_NOT_FOUND);
	CHECK_EQ(portal_key_generate(inner, "three", &problem), 0);
	CHECK_EQ(stat(inner, &status), 0);
	CHECK_EQ(status.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), "%s/three.key", inner);
	CHECK_EQ(stat(path, &status), 0);
	CHECK_EQ(status.st_mode & 07777, 0600);
	CHECK_EQ(status.st_size, 32);
	file_read(path, 0, first, 32);
	CHECK_EQ(portal_key_find(inner, "three", &problem), 0);
	CHECK_EQ(portal_key_generate(inner, "three", &problem), TIER_E_BUSY);
	CHECK_EQ(portal_open_with_keys(file_path("keyed"), TIER_PORTAL_READ, inner, &portal,
				       &problem),
		 0);
	tier_portal_close(portal);
	/* Another one is another one. */
	CHECK_EQ(portal_key_generate(inner, "four", &problem), 0);
	snprintf(path, sizeof(path), "%s/four.key", inner);
	file_read(path, 0, second, 32);
	CHECK(memcmp(first, second, 32) != 0);
	CHECK(strlen(first) > 0);
	scratch_done(directory);
	directory[0] = '\0';
}
