/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose memory is on which node. */
#include <dirent.h>
#include <fcntl.h>

#include "fd.h"
#include "sysfs.h"
#include "top.h"

/* Slices within slices; as deep as names of systemd's get. */
#define DEPTH_MAX 16

struct walk {
	const struct sysfs *sysfs;
	const char *top; /* where cgroups are, below the root */
	struct tier_top_rows *rows;
	bool told; /* some cgroup says where its memory is */
};

static struct tier_top_row *new_row(struct tier_top_rows *rows)
{
	return array_grow(&rows->rows, &rows->count, sizeof(*rows->rows));
}

/* What has nothing, or went meanwhile, is no row. */
static void drop_row(struct tier_top_rows *rows)
{
	top_row_done(&rows->rows[--rows->count]);
}

static int add_unit(struct walk *walk, const char *path)
{
	_cleanup_free_ char *text = NULL;
	struct tier_top_row *row;
	int r = sysfs_read_text(walk->sysfs, &text, "%s%s/memory.numa_stat", walk->top, path);

	if (r == -ENOMEM)
		return r;
	/* Without the memory controller it has no such file. */
	if (r) {
		walk->rows->unread += r != SYSFS_ABSENT;
		return 0;
	}
	row = new_row(walk->rows);
	if (!row)
		return -ENOMEM;
	r = top_parse_numa_stat(text, row);
	if (r < 0)
		return r;
	walk->told |= r == 0;
	if (r || row->total_bytes == 0) {
		drop_row(walk->rows);
		return 0;
	}
	copy_string(row->path, sizeof(row->path), path);
	copy_string(row->name, sizeof(row->name), strrchr(path, '/') + 1);
	make_printable(row->path);
	make_printable(row->name);
	return 0;
}

static bool is_slice(const char *name)
{
	size_t length = strlen(name);

	return length > strlen(".slice") && streq(name + length - strlen(".slice"), ".slice");
}

static int walk_slice(struct walk *walk, const char *path, unsigned depth)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	int fd = sysfs_open_file(walk->sysfs, O_RDONLY | O_DIRECTORY, "%s%s", walk->top, path);

	if (fd < 0)
		return fd == -ENOMEM || depth == 0 ? fd : 0;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		_cleanup_free_ char *below = NULL;
		int r;

		if (entry->d_name[0] == '.' ||
		    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		if (asprintf(&below, "%s/%s", path, entry->d_name) < 0) {
			below = NULL;
			return -ENOMEM;
		}
		r = is_slice(entry->d_name) && depth < DEPTH_MAX
			    ? walk_slice(walk, below, depth + 1)
			    : add_unit(walk, below);
		if (r < 0)
			return r;
	}
	return 0;
}

int tier_top_units(const char *sysroot, struct tier_top_rows *ret, struct tier_problem *problem)
{
	/* The second with systemd's hybrid hierarchy. */
	static const char *const tops[] = {"sys/fs/cgroup", "sys/fs/cgroup/unified"};
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	struct tier_top_rows rows = {};
	struct walk walk = {.sysfs = &sysfs, .rows = &rows};
	int r = sysfs_open(&sysfs, sysroot);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tops) && !walk.top; i++)
		if (sysfs_exists(&sysfs, "%s/cgroup.controllers", tops[i]))
			walk.top = tops[i];
	if (r == 0 && walk.top)
		r = walk_slice(&walk, "", 0);
	if (r == 0 && walk.told) {
		*ret = rows;
		return 0;
	}
	tier_top_rows_done(&rows);
	if (r < 0)
		return tier_problem_set(problem, r, "/sys/fs/cgroup", NULL,
					"cannot read where units have their memory");
	return tier_problem_set(problem, TIER_E_NOT_FOUND, "/sys/fs/cgroup",
				"look at processes: tierctl top --processes",
				walk.top
					? "no unit tells where its memory is: they are without the "
					  "memory controller"
					: "cgroups of version 2 are not mounted there");
}

/* 0, also if it is none of those that are looked for; negative: it could not be looked at. */
static int add_process(const struct sysfs *sysfs, int pid, uint64_t page_bytes,
		       uint64_t least_bytes, struct tier_top_rows *rows)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long size, resident;
	char statm[128], comm[64];
	struct tier_top_row *row;
	int r = sysfs_read_string(sysfs, statm, sizeof(statm), "proc/%d/statm", pid);

	/* Kernel threads have none, and what is a zombie has none any more. */
	if (r || sscanf(statm, "%llu %llu", &size, &resident) != 2 || resident == 0 ||
	    resident * page_bytes < least_bytes)
		return 0;
	r = sysfs_read_text(sysfs, &text, "proc/%d/numa_maps", pid);
	if (r == SYSFS_ABSENT || r == -ESRCH)
		return 0;
	if (r == -ENOMEM)
		return r;
	if (r) {
		rows->unread++;
		return 0;
	}
	if (sysfs_read_string(sysfs, comm, sizeof(comm), "proc/%d/comm", pid) != 0)
		return 0;
	row = new_row(rows);
	if (!row)
		return -ENOMEM;
	row->pid = pid;
	copy_string(row->name, sizeof(row->name), make_printable(comm));
	r = top_parse_numa_maps(text, row);
	if (r < 0 || row->total_bytes == 0)
		drop_row(rows);
	return r;
}

int tier_top_processes(const char *sysroot, uint64_t page_bytes, uint64_t least_bytes,
		       struct tier_top_rows *ret, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_names_ struct sysfs_names names = {};
	struct tier_top_rows rows = {};
	int r = sysfs_open(&sysfs, sysroot);

	/* Names that begin with a digit. */
	if (r == 0)
		r = sysfs_list(&sysfs, &names, "", "proc");
	for (size_t i = 0; r == 0 && i < names.count; i++)
		r = add_process(&sysfs, atoi(names.names[i]), page_bytes, least_bytes, &rows);
	if (r) {
		tier_top_rows_done(&rows);
		return tier_problem_set(problem, r < 0 ? r : -ENOENT, "/proc", NULL,
					"cannot read where processes have their memory");
	}
	*ret = rows;
	return 0;
}
