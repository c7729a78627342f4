/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "rivals.h"
#include "sysfs.h"

/* Where who looks for files, the first of a name wins. */
#define DIRECTORIES(name)                                                                          \
	{"etc/" name, "run/" name, "usr/local/lib/" name, "usr/lib/" name, "lib/" name, NULL}

struct source {
	const char *directories[6];
	const char *suffix;
	int (*parse)(struct rivals *rivals, const char *path, const char *text);
};

static const struct source sources[] = {
	{DIRECTORIES("udev/rules.d"), ".rules", rivals_parse_udev},
	{DIRECTORIES("tmpfiles.d"), ".conf", rivals_parse_tmpfiles},
	{DIRECTORIES("systemd/system"), ".service", rivals_parse_unit},
	{{"etc/cron.d"}, "", rivals_parse_script},
	{{"etc/daxctl.conf.d"}, ".conf", rivals_parse_daxctl},
};

static const struct {
	const char *directory, *name;
} scripts[] = {{"etc", "rc.local"}, {"etc/rc.d", "rc.local"}, {"etc", "crontab"}};

/* Files of daxctl's unit: looked at for what daxctl's rule wants, not by themselves. */
static const char unit_name[] = "daxdev-reconfigure@.service";

struct file {
	char *name;
	const char *directory;
};

struct files {
	struct file *all;
	size_t count;
};

static void files_done(struct files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->all[i].name);
	free(files->all);
}

/*
 * What is not there has nothing, and what cannot be read may have anything. @r: of a reader of sysfs.h, or a negative
 * errno. Returns 0 or -ENOMEM.
 */
static int note_unread(struct rivals *rivals, int r, const char *directory, const char *name)
{
	struct tier_rivals_unread *unread = &rivals->unread;

	switch (r) {
	case 0:
	case SYSFS_ABSENT:
	case -ENOENT:
	case -ENOTDIR:
	/* A directory that is named as a file, which nobody reads. */
	case -EISDIR:
		return 0;
	case -ENOMEM:
		return r;
	}
	if (unread->count++ == 0) {
		snprintf(unread->first, sizeof(unread->first), "/%s%s%s", directory,
			 name[0] ? "/" : "", name);
		unread->code = r == SYSFS_DENIED ? -EACCES : r;
	}
	return 0;
}

/* 0 and NULL if it is not there or cannot be read. */
static int open_directory(const struct sysfs *sysfs, const char *path, struct rivals *rivals,
			  DIR **ret)
{
	int fd = sysfs_open_file(sysfs, O_RDONLY | O_DIRECTORY, "%s", path);

	*ret = NULL;
	if (fd < 0)
		return note_unread(rivals, fd, path, "");
	*ret = fdopendir(fd);
	if (*ret)
		return 0;
	close(fd);
	return -ENOMEM;
}

static bool known(const struct files *files, const char *name)
{
	for (size_t i = 0; i < files->count; i++)
		if (streq(files->all[i].name, name))
			return true;
	return false;
}

static int list_directory(const struct sysfs *sysfs, const char *path, const char *suffix,
			  struct rivals *rivals, struct files *files)
{
	size_t before = files->count;
	struct dirent *entry;
	DIR *directory;
	int r = open_directory(sysfs, path, rivals, &directory);

	while (r == 0 && directory && (entry = readdir(directory))) {
		size_t length = strlen(entry->d_name), end = strlen(suffix);
		struct file *file;

		if (entry->d_name[0] == '.' || length <= end ||
		    !streq(entry->d_name + length - end, suffix))
			continue;
		/* Of a directory before this one. */
		if (known(&(struct files){files->all, before}, entry->d_name))
			continue;
		file = array_grow(&files->all, &files->count, sizeof(*file));
		if (!file) {
			r = -ENOMEM;
			break;
		}
		file->directory = path;
		file->name = strdup(entry->d_name);
		if (!file->name) {
			files->count--;
			r = -ENOMEM;
		}
	}
	if (directory)
		closedir(directory);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* 0 and NULL if it is masked; otherwise as sysfs_read_text(). */
static int read_file(const struct sysfs *sysfs, const char *directory, const char *name, char **ret)
{
	char target[256];

	*ret = NULL;
	if (sysfs_read_link(sysfs, target, sizeof(target), "%s/%s", directory, name) == 0 &&
	    streq(target, "/dev/null"))
		return 0;
	return sysfs_read_text(sysfs, ret, "%s/%s", directory, name);
}

static int parse_file(const struct sysfs *sysfs, const char *directory, const char *name,
		      int (*parse)(struct rivals *rivals, const char *path, const char *text),
		      struct rivals *rivals)
{
	_cleanup_free_ char *text = NULL;
	char path[512];
	int r = read_file(sysfs, directory, name, &text);

	if (r != 0)
		return note_unread(rivals, r, directory, name);
	snprintf(path, sizeof(path), "/%s/%s", directory, name);
	return text ? parse(rivals, path, text) : 0;
}

static int read_source(const struct sysfs *sysfs, const struct source *source,
		       struct rivals *rivals)
{
	_cleanup_(files_done) struct files files = {};
	int r = 0;

	for (size_t i = 0; r == 0 && source->directories[i]; i++)
		r = list_directory(sysfs, source->directories[i], source->suffix, rivals, &files);
	if (files.count)
		qsort(files.all, files.count, sizeof(*files.all), by_name);
	for (size_t i = 0; r == 0 && i < files.count; i++)
		if (!streq(files.all[i].name, unit_name))
			r = parse_file(sysfs, files.all[i].directory, files.all[i].name,
				       source->parse, rivals);
	return r;
}

/* The unit that daxctl's rule would start. One that cannot be read is not known to leave anything to us. */
static int find_unit(const struct sysfs *sysfs, struct rivals *rivals)
{
	static const char *const directories[] = DIRECTORIES("systemd/system");

	for (size_t i = 0; directories[i]; i++) {
		_cleanup_free_ char *text = NULL;
		char target[256];
		int r;

		/* A link that leads to nowhere in a dump is one all the same. */
		if (!sysfs_exists(sysfs, "%s/%s", directories[i], unit_name) &&
		    sysfs_read_link(sysfs, target, sizeof(target), "%s/%s", directories[i],
				    unit_name) != 0)
			continue;
		r = read_file(sysfs, directories[i], unit_name, &text);
		if (r != SYSFS_ABSENT && (r != 0 || text))
			snprintf(rivals->unit, sizeof(rivals->unit), "/%s/%s", directories[i],
				 unit_name);
		rivals->unit_is_ours = text && strstr(text, "cxl-tier/daxdev-reconfigure");
		return note_unread(rivals, r, directories[i], unit_name);
	}
	return 0;
}

static int read_kernel(const struct sysfs *sysfs, struct rivals *rivals)
{
	static const char directory[] = "sys/devices/system/memory";
	_cleanup_free_ char *line = NULL;
	char policy[32];
	int r = sysfs_read_string(sysfs, policy, sizeof(policy), "%s/auto_online_blocks",
				  directory);

	if (r != 0)
		r = note_unread(rivals, r, directory, "auto_online_blocks");
	else if (!streq(policy, "offline"))
		r = rivals_add(
			rivals, TIER_RIVAL_KERNEL, "auto_online_blocks", 0,
			"echo offline > /sys/devices/system/memory/auto_online_blocks; for "
			"good: boot with memhp_default_state=offline, as the package sets up",
			"%s: the kernel onlines new memory", policy);
	if (r != 0)
		return r;
	r = sysfs_read_text(sysfs, &line, "proc/cmdline");
	return r == 0 ? rivals_parse_command_line(rivals, line)
		      : note_unread(rivals, r, "proc", "cmdline");
}

int tier_rivals_read(const char *sysroot, struct tier_rival **ret, size_t *ret_count,
		     struct tier_rivals_unread *ret_unread, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	struct rivals rivals = {};
	int r = sysfs_open(&sysfs, sysroot);

	if (r < 0)
		return tier_problem_set(problem, r, sysroot ?: "/", NULL, "cannot open");
	r = read_kernel(&sysfs, &rivals);
	if (r == 0)
		r = find_unit(&sysfs, &rivals);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sources); i++)
		r = read_source(&sysfs, &sources[i], &rivals);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(scripts); i++)
		r = parse_file(&sysfs, scripts[i].directory, scripts[i].name, rivals_parse_script,
			       &rivals);
	if (r < 0) {
		free(rivals.all);
		return tier_problem_set(problem, r, sysroot ?: "/", NULL,
					"cannot look for others that online memory");
	}
	*ret = rivals.all;
	*ret_count = rivals.count;
	*ret_unread = rivals.unread;
	return 0;
}
