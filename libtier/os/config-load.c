/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "config-keys.h"
#include "fd.h"
#include "util.h"

/* In the order in which they win. */
static const char *const directories[] = {"/etc", "/run", "/usr/lib"};

/* No real configuration comes near it, and nothing should be read without end. */
#define FILE_MAX_BYTES (1024 * 1024)

DEFINE_CLEANUP(struct tier_config *, tier_config_free)

struct drop_in {
	char *name;
	const char *directory;
};

struct drop_ins {
	struct drop_in *list;
	size_t count;
};

static void drop_ins_done(struct drop_ins *drop_ins)
{
	for (size_t i = 0; i < drop_ins->count; i++)
		free(drop_ins->list[i].name);
	free(drop_ins->list);
}

static int read_file(struct tier_config *config, const char *path, struct tier_problem *problem)
{
	/* Non-blocking, so that a FIFO in the way does not hang the reader. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	size_t used = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot read it");
	/* A link to /dev/null is the usual way to switch off a file of the distribution. */
	if (S_ISDIR(st.st_mode))
		return tier_problem_set(problem, -EISDIR, path, NULL, "cannot read it");
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return tier_problem_set(problem, -EINVAL, path, NULL, "not a regular file");
	text = malloc(FILE_MAX_BYTES + 1);
	if (!text)
		return -ENOMEM;
	while (used <= FILE_MAX_BYTES) {
		n = read(fd, text + used, FILE_MAX_BYTES + 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tier_problem_set(problem, -errno, path, NULL, "cannot read it");
		if (n == 0)
			return tier_config_parse(config, text, used, path, problem);
		used += (size_t)n;
	}
	return tier_problem_set(problem, -EFBIG, path, NULL, "larger than 1 MiB");
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct drop_in *)a)->name, ((const struct drop_in *)b)->name);
}

static bool known(const struct drop_ins *drop_ins, const char *name)
{
	for (size_t i = 0; i < drop_ins->count; i++)
		if (streq(drop_ins->list[i].name, name))
			return true;
	return false;
}

/* Adds the names of one directory that no earlier one has. */
static int collect(const char *sysroot, const char *directory, struct drop_ins *drop_ins,
		   struct tier_problem *problem)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	char path[PATH_MAX];
	struct dirent *entry;

	snprintf(path, sizeof(path), "%s%s/cxl-tier/cxl-tierd.conf.d", sysroot, directory);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT
			       ? 0
			       : tier_problem_set(problem, -errno, path, NULL, "cannot read it");
	while (errno = 0, (entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		struct drop_in *drop_in;

		if (entry->d_name[0] == '.' || length <= strlen(".conf") ||
		    !streq(entry->d_name + length - strlen(".conf"), ".conf") ||
		    known(drop_ins, entry->d_name))
			continue;
		_cleanup_free_ char *name = strdup(entry->d_name);
		if (!name)
			return -ENOMEM;
		drop_in = array_grow(&drop_ins->list, &drop_ins->count, sizeof(*drop_ins->list));
		if (!drop_in)
			return -ENOMEM;
		*drop_in = (struct drop_in){.name = TAKE(name), .directory = directory};
	}
	return errno ? tier_problem_set(problem, -errno, path, NULL, "cannot read it") : 0;
}

static int read_usual_places(struct tier_config *config, const char *sysroot,
			     struct tier_problem *problem)
{
	_cleanup_(drop_ins_done) struct drop_ins drop_ins = {};
	char path[PATH_MAX];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		snprintf(path, sizeof(path), "%s%s/cxl-tier/cxl-tierd.conf", sysroot,
			 directories[i]);
		if (access(path, F_OK) < 0 && errno == ENOENT)
			continue;
		r = read_file(config, path, problem);
		if (r < 0)
			return r;
		break;
	}
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		r = collect(sysroot, directories[i], &drop_ins, problem);
		if (r < 0)
			return r;
	}
	if (drop_ins.count > 0)
		qsort(drop_ins.list, drop_ins.count, sizeof(*drop_ins.list), compare_names);
	for (size_t i = 0; i < drop_ins.count; i++) {
		snprintf(path, sizeof(path), "%s%s/cxl-tier/cxl-tierd.conf.d/%s", sysroot,
			 drop_ins.list[i].directory, drop_ins.list[i].name);
		r = read_file(config, path, problem);
		if (r < 0)
			return r;
	}
	return 0;
}

int tier_config_load(const char *sysroot, const char *path, struct tier_config **ret,
		     struct tier_problem *problem)
{
	_cleanup_(tier_config_freep) struct tier_config *config = NULL;
	int r;

	/* An allocation that fails leaves nothing else to say. */
	tier_problem_set(problem, -ENOMEM, path ?: "cxl-tierd.conf", NULL, "cannot read it");
	r = tier_config_new(&config);
	if (r < 0)
		return r;
	if (path)
		r = read_file(config, path, problem);
	else
		r = read_usual_places(config, sysroot && !streq(sysroot, "/") ? sysroot : "",
				      problem);
	if (r < 0)
		return r;
	r = config_check(config, problem);
	if (r < 0)
		return r;
	*ret = TAKE(config);
	return 0;
}
