/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a running QEMU is, and whether it can fly: asked of QMP, verified in /proc. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fd.h"
#include "machine.h"

static const char *member(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = object ? sd_json_variant_by_key(object, key) : NULL;

	return value && sd_json_variant_is_string(value) ? sd_json_variant_string(value) : NULL;
}

static uint64_t number(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = object ? sd_json_variant_by_key(object, key) : NULL;

	return value && sd_json_variant_is_unsigned(value) ? sd_json_variant_unsigned(value) : 0;
}

static bool flag(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = object ? sd_json_variant_by_key(object, key) : NULL;

	return value && sd_json_variant_is_boolean(value) && sd_json_variant_boolean(value);
}

/* A string property of an object; empty if there is no such property. */
static int property(struct qmp *qmp, const char *path, const char *name, char *text, size_t size)
{
	sd_json_variant *reply = NULL;
	int r;

	text[0] = '\0';
	r = qmp_commandb(qmp, "qom-get", -1, &reply, NULL, SD_JSON_BUILD_PAIR_STRING("path", path),
			 SD_JSON_BUILD_PAIR_STRING("property", name));
	if (r == TIER_E_REFUSED)
		return 0;
	if (r == 0 && sd_json_variant_is_string(reply))
		copy_string(text, size, sd_json_variant_string(reply));
	return r;
}

static int identify(struct tier_machine *machine, struct tier_machine_info *info,
		    struct tier_problem *problem)
{
	sd_json_variant *reply, *version;
	const char *status;
	char type[96];
	size_t length;
	int r;

	r = qmp_command(machine->qmp, "query-status", NULL, -1, &reply, problem);
	if (r)
		return r;
	status = member(reply, "status");
	copy_string(info->status, sizeof(info->status), status ?: "unknown");

	r = qmp_command(machine->qmp, "query-version", NULL, -1, &reply, problem);
	if (r)
		return r;
	version = sd_json_variant_by_key(reply, "qemu");
	snprintf(info->qemu_version, sizeof(info->qemu_version), "%" PRIu64 ".%" PRIu64 ".%" PRIu64,
		 number(version, "major"), number(version, "minor"), number(version, "micro"));

	r = property(machine->qmp, "/machine", "type", type, sizeof(type));
	length = strlen(type);
	if (length > 8 && streq(type + length - 8, "-machine"))
		type[length - 8] = '\0';
	copy_string(info->type, sizeof(info->type), type);
	return r;
}

static int inspect_memory(struct tier_machine *machine, struct tier_machine_info *info,
			  struct tier_problem *problem)
{
	static const char next[] = "start it with -object memory-backend-file,id=ram,share=on,"
				   "mem-path=TMPFS-FILE,size=... -machine memory-backend=ram";
	sd_json_variant *reply, *backend;
	char path[128], type[64];
	bool share;
	int r;

	r = qmp_command(machine->qmp, "query-memdev", NULL, -1, &reply, problem);
	if (r)
		return r;
	if (sd_json_variant_elements(reply) != 1)
		return tier_problem_set(problem, TIER_E_REFUSED, machine->name, next,
					"has %zu memory backends, exactly one can be handed over",
					sd_json_variant_elements(reply));
	backend = sd_json_variant_by_index(reply, 0);
	share = flag(backend, "share");
	info->memory_bytes = number(backend, "size");
	copy_string(info->memory_id, sizeof(info->memory_id), member(backend, "id") ?: "ram");

	snprintf(path, sizeof(path), "/objects/%s", info->memory_id);
	r = property(machine->qmp, path, "type", type, sizeof(type));
	r = r
		    ?: property(machine->qmp, path, "mem-path", info->memory_path,
				sizeof(info->memory_path));
	if (r)
		return r;
	if (!info->memory_path[0])
		return tier_problem_set(problem, TIER_E_REFUSED, machine->name, next,
					"its RAM (%s) is not in a file that can be shared",
					type[0] ? type : "anonymous memory");
	if (!share)
		return tier_problem_set(problem, TIER_E_REFUSED, machine->name, next,
					"its memory-backend-file is private (share=off)");
	return 0;
}

/* Finds where the RAM file is mapped; the mapping must be shared and whole. */
static int find_mapping(struct tier_machine_info *info, struct tier_problem *problem)
{
	char path[64], line[4352];
	_cleanup_fclose_ FILE *maps = NULL;
	struct stat st;

	if (stat(info->memory_path, &st) < 0)
		return tier_problem_set(problem, -errno, info->name, NULL, "cannot stat %s",
					info->memory_path);
	snprintf(path, sizeof(path), "/proc/%d/maps", info->pid);
	maps = fopen(path, "re");
	if (!maps)
		return tier_problem_set(problem, -errno, info->name, "run as root",
					"cannot read %s", path);
	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end, offset, inode;
		unsigned major_id, minor_id;
		char permissions[5];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, &start,
			   &end, permissions, &offset, &major_id, &minor_id, &inode) != 7)
			continue;
		if (inode != st.st_ino || makedev(major_id, minor_id) != st.st_dev)
			continue;
		if (!streq(permissions, "rw-s") || offset != 0 || end - start < info->memory_bytes)
			continue;
		info->memory_start = start;
		return 0;
	}
	return tier_problem_set(
		problem, TIER_E_REFUSED, info->name, "restart it with its RAM in a file of its own",
		"%s is not mapped shared and whole by process %d", info->memory_path, info->pid);
}

static int refuse_pinned(const struct tier_machine_info *info, struct tier_problem *problem)
{
	char path[64], line[256], target[256];
	_cleanup_fclose_ FILE *status = NULL;
	struct dirent *entry;
	uint64_t kib;
	DIR *fds;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", info->pid);
	status = fopen(path, "re");
	if (!status)
		return tier_problem_set(problem, -errno, info->name, NULL, "cannot read %s", path);
	while (fgets(line, sizeof(line), status)) {
		if (sscanf(line, "VmLck: %" SCNu64, &kib) == 1 && kib > 0)
			return tier_problem_set(problem, TIER_E_REFUSED, info->name,
						"start it without -overcommit mem-lock=on",
						"%" PRIu64 " KiB of its memory are locked", kib);
		if (sscanf(line, "VmPin: %" SCNu64, &kib) == 1 && kib > 0)
			return tier_problem_set(problem, TIER_E_REFUSED, info->name,
						"detach the device that pins it",
						"%" PRIu64 " KiB of its memory are pinned", kib);
	}

	snprintf(path, sizeof(path), "/proc/%d/fd", info->pid);
	fds = opendir(path);
	if (!fds)
		return tier_problem_set(problem, -errno, info->name, "run as root",
					"cannot read %s", path);
	while (r == 0 && (entry = readdir(fds))) {
		ssize_t n = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		if (strncmp(target, "/dev/vfio/", 10) == 0 ||
		    strstr(target, "anon_inode:[vfio") == target)
			r = tier_problem_set(problem, TIER_E_REFUSED, info->name,
					     "detach the passed-through device",
					     "a VFIO device (%s) pins its memory", target);
	}
	closedir(fds);
	return r;
}

static int refuse_blocked(struct tier_machine *machine, struct tier_problem *problem)
{
	sd_json_variant *reply, *reasons, *first;
	int r;

	r = qmp_command(machine->qmp, "query-migrate", NULL, -1, &reply, problem);
	if (r)
		return r;
	reasons = sd_json_variant_by_key(reply, "blocked-reasons");
	if (!reasons || sd_json_variant_elements(reasons) == 0)
		return 0;
	first = sd_json_variant_by_index(reasons, 0);
	return tier_problem_set(problem, TIER_E_REFUSED, machine->name,
				"remove the device that cannot migrate",
				"QEMU cannot migrate it: %s",
				sd_json_variant_is_string(first) ? sd_json_variant_string(first)
								 : "no reason given");
}

int tier_machine_inspect(struct tier_machine *machine, struct tier_machine_info *ret,
			 struct tier_problem *problem)
{
	struct tier_machine_info info = {.pid = qmp_peer(machine->qmp)};
	int r;

	copy_string(info.name, sizeof(info.name), machine->name);
	r = identify(machine, &info, problem);
	r = r ?: inspect_memory(machine, &info, problem);
	r = r ?: find_mapping(&info, problem);
	r = r ?: refuse_pinned(&info, problem);
	r = r ?: refuse_blocked(machine, problem);
	*ret = info;
	return r;
}
