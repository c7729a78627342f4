/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The secret that the hosts of a keyed portal share: a file that only its owner can read. */
#include <fcntl.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "fd.h"
#include "portal-key.h"
#include "util.h"

#define DEFAULT_DIRECTORY "/etc/cxl-tier/keys"
#define SECRET_MINIMUM	  32
#define SECRET_MAXIMUM	  4096

const char *portal_key_directory(void)
{
	/* Not of a program that runs with more rights than its caller. */
	const char *directory = secure_getenv("CXL_TIER_KEYS");

	return directory && directory[0] ? directory : DEFAULT_DIRECTORY;
}

/* @name has been checked by whoever decoded or planned the superblock: it has no '/'. */
static void key_path(const char *directory, const char *name, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s.key", directory, name);
}

/* Of this process's user or root's, and nobody else may as much as read it. */
static int check_file(const char *path, const struct stat *status, struct tier_problem *problem)
{
	if (!S_ISREG(status->st_mode))
		return tier_problem_set(problem, TIER_E_REFUSED, path, NULL,
					"the key is not a plain file");
	if (status->st_uid != 0 && status->st_uid != geteuid())
		return tier_problem_set(problem, TIER_E_REFUSED, path, "chown root it",
					"the key belongs to user %u, not to root", status->st_uid);
	if (status->st_mode & 077)
		return tier_problem_set(problem, TIER_E_REFUSED, path,
					"chmod 600 it, and make a new one if it has been read",
					"the key is not its owner's alone (mode %04o)",
					status->st_mode & 07777);
	if (status->st_size < SECRET_MINIMUM || status->st_size > SECRET_MAXIMUM)
		return tier_problem_set(problem, TIER_E_REFUSED, path, NULL,
					"a key has %d to %d bytes, not %lld", SECRET_MINIMUM,
					SECRET_MAXIMUM, (long long)status->st_size);
	return 0;
}

/* TIER_E_NOT_FOUND: there is none, and @problem is left alone. */
static int read_secret(const char *path, uint8_t secret[static SECRET_MAXIMUM], size_t *ret_bytes,
		       struct tier_problem *problem)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;
	ssize_t n;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return TIER_E_NOT_FOUND;
	if (fd < 0)
		return tier_problem_set(problem, -errno, path,
					errno == EACCES ? "run it as root" : NULL,
					"cannot read the portal's key");
	if (fstat(fd, &status) < 0)
		return tier_problem_set(problem, -errno, path, NULL,
					"cannot read the portal's key");
	r = check_file(path, &status, problem);
	if (r)
		return r;
	n = read(fd, secret, SECRET_MAXIMUM);
	if (n != status.st_size)
		return tier_problem_set(problem, n < 0 ? -errno : -EIO, path, NULL,
					"cannot read the portal's key");
	*ret_bytes = (size_t)n;
	return 0;
}

int portal_key_load(const char *directory, struct tier_super *super, struct tier_problem *problem)
{
	bool keyed = (super->incompat & TIER_PORTAL_INCOMPAT_KEYED) != 0;
	uint8_t secret[SECRET_MAXIMUM];
	char path[PATH_MAX];
	size_t bytes = 0;
	int r;

	super->has_key = false;
	key_path(directory, super->name, path);
	r = read_secret(path, secret, &bytes, problem);
	if (r == TIER_E_NOT_FOUND && keyed)
		return tier_problem_set(
			problem, TIER_E_REFUSED, super->name, "copy it from a host that has it",
			"the portal is keyed, and its key is not on this host (%s)", path);
	if (r == TIER_E_NOT_FOUND)
		return 0;
	/* Whatever is wrong with the key of a portal that has none: it is there, so it had one. */
	if (!keyed && r >= 0)
		r = tier_problem_set(problem, TIER_E_REFUSED, super->name,
				     "if that was on purpose, remove the key",
				     "the portal is not keyed, but %s exists: it may have been "
				     "replaced",
				     path);
	if (r == 0) {
		tier_portal_key_derive(&super->uuid, secret, bytes, super->key);
		super->has_key = true;
	}
	explicit_bzero(secret, sizeof(secret));
	return r;
}

int portal_key_find(const char *directory, const char *name, struct tier_problem *problem)
{
	uint8_t secret[SECRET_MAXIMUM];
	char path[PATH_MAX];
	size_t bytes;
	int r;

	key_path(directory, name, path);
	r = read_secret(path, secret, &bytes, problem);
	explicit_bzero(secret, sizeof(secret));
	if (r == TIER_E_NOT_FOUND)
		return tier_problem_set(problem, r, path, "--generate-key makes one",
					"there is no key for a portal of this name");
	return r;
}

static int write_secret(int fd)
{
	uint8_t secret[SECRET_MINIMUM];
	int r = 0;

	/* Never cut short at this size. */
	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
		return -EIO;
	if (write(fd, secret, sizeof(secret)) != (ssize_t)sizeof(secret))
		r = -EIO;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	explicit_bzero(secret, sizeof(secret));
	return r;
}

/* And /etc/cxl-tier above it, on a host that has no configuration yet. */
static int make_directory(const char *directory)
{
	char parent[PATH_MAX];
	char *slash;

	if (mkdir(directory, 0700) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT || !copy_string(parent, sizeof(parent), directory))
		return -errno;
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return -ENOENT;
	*slash = '\0';
	if (mkdir(parent, 0755) < 0 || mkdir(directory, 0700) < 0)
		return -errno;
	return 0;
}

int portal_key_generate(const char *directory, const char *name, struct tier_problem *problem)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int r;

	key_path(directory, name, path);
	r = make_directory(directory);
	if (r < 0)
		return tier_problem_set(problem, r, directory, NULL, "cannot make it");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EEXIST)
		return tier_problem_set(problem, TIER_E_BUSY, path,
					"--keyed alone takes the one that is there",
					"there is a key for a portal of this name");
	if (fd < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot make the key");
	r = write_secret(fd);
	if (r < 0) {
		unlink(path);
		return tier_problem_set(problem, r, path, NULL, "cannot write the key");
	}
	return 0;
}

int tier_portal_key_find(const char *name, struct tier_problem *problem)
{
	return portal_key_find(portal_key_directory(), name, problem);
}

int tier_portal_key_generate(const char *name, struct tier_problem *problem)
{
	return portal_key_generate(portal_key_directory(), name, problem);
}
