/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cgroups of version 2: where one is, and which processes it has. */
#include <fts.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cgroup.h"
#include "fd.h"
#include "sysfs.h"
#include "tier-mover.h"
#include "util.h"

const char *cgroup_mount_point(void)
{
	/* The second with systemd's hybrid hierarchy. */
	static const char *const paths[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (statfs(paths[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return paths[i];
	return NULL;
}

static void fts_closep(FTS **fts)
{
	if (*fts)
		fts_close(*fts);
}

/* May only root make directories in it? */
static bool is_roots(const struct stat *directory)
{
	if (directory->st_uid != 0 || directory->st_mode & S_IWOTH)
		return false;
	return directory->st_gid == 0 || !(directory->st_mode & S_IWGRP);
}

static int walk(const char *path, bool only_roots,
		int (*each)(void *userdata, const FTSENT *directory), void *userdata)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_(fts_closep) FTS *fts = NULL;
	char *roots[] = {copy, NULL};
	FTSENT *entry;

	if (!copy)
		return -ENOMEM;
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	if (!fts)
		return -errno;
	while (errno = 0, (entry = fts_read(fts))) {
		int r = 0;

		if (entry->fts_info == FTS_NS && entry->fts_level == FTS_ROOTLEVEL)
			return -entry->fts_errno;
		if (entry->fts_info == FTS_D)
			r = each(userdata, entry);
		if (r)
			return r;
		/* It was named by who owns the one above it. */
		if (entry->fts_info == FTS_D && only_roots && !is_roots(entry->fts_statp))
			fts_set(fts, entry, FTS_SKIP);
	}
	return -errno;
}

struct listing {
	int (*each)(void *userdata, pid_t pid);
	void *userdata;
};

static int list_one(void *userdata, const FTSENT *directory)
{
	struct listing *listing = userdata;
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *path = NULL;
	int pid, r;

	if (asprintf(&path, "%s/cgroup.procs", directory->fts_path) < 0)
		return -ENOMEM;
	file = fopen(path, "re");
	if (!file)
		/* Removed since; but the one that was asked for has to be a cgroup. */
		return directory->fts_level == FTS_ROOTLEVEL ? -errno : 0;
	while (fscanf(file, "%d", &pid) == 1) {
		r = listing->each(listing->userdata, pid);
		if (r)
			return r;
	}
	/* EOPNOTSUPP: threads of processes that the cgroup above lists. ENODEV: removed since. */
	return ferror(file) && errno != EOPNOTSUPP && errno != ENODEV ? -errno : 0;
}

int cgroup_processes(const char *path, int (*each)(void *userdata, pid_t pid), void *userdata)
{
	struct listing listing = {each, userdata};

	return walk(path, false, list_one, &listing);
}

struct search {
	const char *name;
	char *found;
	char *second;
};

static int compare_one(void *userdata, const FTSENT *directory)
{
	struct search *search = userdata;
	char **place = search->found ? &search->second : &search->found;

	if (directory->fts_level == FTS_ROOTLEVEL || !streq(directory->fts_name, search->name))
		return 0;
	*place = strdup(directory->fts_path);
	if (!*place)
		return -ENOMEM;
	return search->second ? 1 : 0;
}

int cgroup_search(const char *name, const char *top, char **ret, struct tier_problem *problem)
{
	struct search search = {.name = name};
	_cleanup_free_ char *second = NULL;
	int r = walk(top, true, compare_one, &search);

	second = search.second;
	if (r < 0) {
		free(search.found);
		return tier_problem_set(problem, r, name, NULL, "cannot look for it in %s", top);
	}
	if (!search.found)
		return tier_problem_set(
			problem, TIER_E_NOT_FOUND, name, "see systemctl status, or give a path",
			"no unit that runs, and no other cgroup of root's, has this name");
	if (second) {
		r = tier_problem_set(problem, TIER_E_REFUSED, name, "give a path",
				     "is %s, and %s as well", search.found + strlen(top),
				     second + strlen(top));
		free(search.found);
		return r;
	}
	*ret = search.found;
	return 0;
}

struct all {
	int (*each)(void *userdata, const char *directory, const char *path, bool named_by_root);
	void *userdata;
	size_t top_length;
};

static int each_of_all(void *userdata, const FTSENT *directory)
{
	const struct all *all = userdata;
	const FTSENT *above = directory->fts_parent;
	bool named_by_root = true;

	for (; above && above->fts_level >= FTS_ROOTLEVEL && named_by_root;
	     above = above->fts_parent)
		named_by_root = is_roots(above->fts_statp);
	return all->each(
		all->userdata, directory->fts_path,
		directory->fts_level == FTS_ROOTLEVEL ? "/" : directory->fts_path + all->top_length,
		named_by_root);
}

int cgroup_each(int (*each)(void *userdata, const char *directory, const char *path,
			    bool named_by_root),
		void *userdata)
{
	const char *top = cgroup_mount_point();
	struct all all = {each, userdata, top ? strlen(top) : 0};

	return top ? walk(top, false, each_of_all, &all) : 0;
}

void cgroup_of_process(const struct sysfs *root, pid_t pid, char *path, size_t size)
{
	_cleanup_free_ char *text = NULL;
	char *line, *save = NULL;

	path[0] = '\0';
	if (sysfs_read_text(root, &text, "proc/%d/cgroup", pid) != 0)
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, "0::/", 4) == 0 && !copy_string(path, size, line + 3))
			path[0] = '\0';
}

static int check(const char *name, const char *path, struct tier_problem *problem)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *procs = NULL;
	struct statfs fs;

	if (statfs(path, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC ||
	    asprintf(&procs, "%s/cgroup.procs", path) < 0 || !(file = fopen(procs, "re")))
		return tier_problem_set(problem, TIER_E_NOT_FOUND, name, "see /proc/PID/cgroup",
					"no such cgroup");
	/* One that is threaded says so when it is read. */
	if (fgetc(file) == EOF && ferror(file) && errno == EOPNOTSUPP)
		return tier_problem_set(problem, TIER_E_REFUSED, name, "give the cgroup above it",
					"has threads, and memory belongs to their processes");
	return 0;
}

static int find(const char *name, char **ret, struct tier_problem *problem)
{
	const char *top = cgroup_mount_point();
	_cleanup_free_ char *path = NULL;
	int r;

	if (!top)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "/sys/fs/cgroup",
					"mount -t cgroup2 cgroup2 /sys/fs/cgroup",
					"cgroups of version 2 are not mounted there");
	if (!strchr(name, '/')) {
		r = cgroup_search(name, top, &path, problem);
		if (r)
			return r;
	} else {
		bool whole = strncmp(name, top, strlen(top)) == 0 &&
			     (name[strlen(top)] == '/' || name[strlen(top)] == '\0');

		if (asprintf(&path, "%s%s%s", whole ? "" : top, name[0] == '/' ? "" : "/", name) <
		    0) {
			path = NULL;
			return tier_problem_set(problem, -ENOMEM, name, NULL, "cannot look for it");
		}
	}
	r = check(name, path, problem);
	if (r)
		return r;
	*ret = TAKE(path);
	return 0;
}

int tier_cgroup_find(const char *name, char **ret, struct tier_problem *problem)
{
	struct tier_problem local = {};
	int r = find(name, ret, &local);

	if (r && problem) {
		*problem = local;
		make_printable(problem->object);
		make_printable(problem->text);
	}
	return r;
}
