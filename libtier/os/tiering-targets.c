// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>

#include "fd.h"
#include "tiering-targets.h"

/* Mappings of less are left where they are: libraries, stacks. */
#define LEAST_PAGES 64
/* ... and those of which less than one part in so many is there. */
#define SPARSE 64

bool tiering_takes_mapping(const char *line, const struct tier_tiering_nodes *nodes,
			   uint64_t *ret_start, uint64_t *ret_pages)
{
	uint64_t pages = 0;
	char policy[32], *end;
	int length = 0;

	*ret_start = strtoull(line, &end, 16);
	if (end == line || sscanf(end, " %31s%n", policy, &length) != 1)
		return false;
	/* One that is not the default says where the memory is to be. */
	if (!streq(policy, "default") && !streq(policy, "local"))
		return false;
	for (const char *at = end + length; *at; at += strcspn(at, " \n")) {
		int node;

		at += strspn(at, " \n");
		if (strncmp(at, "huge", 4) == 0 && (at[4] == ' ' || at[4] == '\n'))
			return false;
		/* Whether others use it, and how they want it placed, is not seen from here. */
		if (strncmp(at, "mapmax=", 7) == 0 && strtoul(at + 7, NULL, 10) > 1)
			return false;
		if (at[0] != 'N' || !isdigit((unsigned char)at[1]))
			continue;
		node = (int)strtol(at + 1, &end, 10);
		if (*end != '=')
			continue;
		if (!tiering_mask_has(nodes->fast | nodes->slow, node))
			return false;
		pages += strtoull(end + 1, NULL, 10);
	}
	*ret_pages = pages;
	return pages >= LEAST_PAGES;
}

/* A number of kB in /proc/PID/status; 0 if it has none, as a kernel thread. */
static uint64_t status_bytes(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, 10) * KIB : 0;
}

struct mappings {
	struct damon_range *ranges;
	size_t count;
};

static int read_maps(const struct sysfs *sysfs, int pid, struct mappings *ret)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	int r = sysfs_read_text(sysfs, &text, "proc/%d/maps", pid);

	if (r)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct damon_range range, *added;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &range.start, &range.end) != 2)
			continue;
		added = array_grow(&ret->ranges, &ret->count, sizeof(*added));
		if (!added)
			return -ENOMEM;
		*added = range;
	}
	return 0;
}

static void mappings_done(struct mappings *mappings)
{
	free(mappings->ranges);
}

/* Memory mostly reserved: passes would see nothing but emptiness. */
static bool is_sparse(const struct damon_range *range, uint64_t pages)
{
	return pages * SPARSE * 4096 < range->end - range->start;
}

static int add_process(const struct sysfs *sysfs, int pid, const struct tier_tiering_nodes *nodes,
		       struct tier_tiering_targets *targets)
{
	__attribute__((cleanup(mappings_done))) struct mappings mappings = {};
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	size_t before = targets->count, next = 0;
	struct process_identity identity;
	int r = mover_identify(sysfs, pid, &identity);

	r = r ?: sysfs_read_text(sysfs, &text, "proc/%d/numa_maps", pid);

	r = r ?: read_maps(sysfs, pid, &mappings);
	if (r)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct tiering_piece *piece;
		uint64_t start, pages;

		if (!tiering_takes_mapping(line, nodes, &start, &pages))
			continue;
		/* Both list them in the same order. */
		while (next < mappings.count && mappings.ranges[next].start < start)
			next++;
		if (next == mappings.count || mappings.ranges[next].start != start ||
		    is_sparse(&mappings.ranges[next], pages))
			continue;
		piece = array_grow(&targets->pieces, &targets->count, sizeof(*piece));
		if (!piece)
			return -ENOMEM;
		*piece = (struct tiering_piece){
			.pid = pid,
			.identity = identity,
			.range = mappings.ranges[next],
		};
		targets->bytes += piece->range.end - piece->range.start;
	}
	targets->processes += targets->count > before;
	return 0;
}

/* A cpuset may allow less; DAMON takes no notice of it. */
static bool may_use(const char *status, const struct tier_tiering_nodes *nodes)
{
	static const char name[] = "\nMems_allowed_list:";
	const char *at = strstr(status, name);
	char list[512];

	if (!at || sscanf(at + strlen(name), " %511s", list) != 1)
		return false;
	for (int node = 0; node < 64; node++)
		if (tiering_mask_has(nodes->fast | nodes->slow, node) &&
		    !list_has(list, (unsigned)node))
			return false;
	return true;
}

static int look_at(const struct sysfs *sysfs, int pid, const struct tier_tiering_nodes *nodes,
		   uint64_t least_bytes, struct tier_tiering_targets *targets)
{
	_cleanup_free_ char *status = NULL;
	int r;

	if (sysfs_read_text(sysfs, &status, "proc/%d/status", pid))
		return 0;
	if (status_bytes(status, "\nVmRSS:") < least_bytes || !may_use(status, nodes) ||
	    status_bytes(status, "\nVmLck:") > 0 || status_bytes(status, "\nVmPin:") > 0)
		return 0;
	r = add_process(sysfs, pid, nodes, targets);
	/* It has ended, or is somebody's who must not be looked at. */
	return r == -ENOMEM ? r : 0;
}

static int by_process(const void *a, const void *b)
{
	const struct tiering_piece *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

int tier_tiering_targets_new(const struct tier_tiering_nodes *nodes, uint64_t least_bytes,
			     struct tier_tiering_targets **ret, struct tier_problem *problem)
{
	_cleanup_sysfs_ struct sysfs sysfs = SYSFS_CLOSED;
	_cleanup_(closedirp) DIR *proc = NULL;
	_cleanup_(freep) struct tier_tiering_targets *targets = calloc(1, sizeof(*targets));
	const struct dirent *entry;
	int r = targets ? sysfs_open(&sysfs, NULL) : -ENOMEM;

	if (r == 0) {
		proc = opendir("/proc");
		r = proc ? 0 : -errno;
	}
	while (r == 0 && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			r = look_at(&sysfs, (int)strtol(entry->d_name, NULL, 10), nodes,
				    least_bytes, targets);
	if (r < 0) {
		if (targets)
			free(targets->pieces);
		return tier_problem_set(problem, r, "/proc", NULL, "cannot look at the processes");
	}
	if (targets->count)
		qsort(targets->pieces, targets->count, sizeof(*targets->pieces), by_process);
	*ret = TAKE(targets);
	return 0;
}

struct tier_tiering_targets *tier_tiering_targets_free(struct tier_tiering_targets *targets)
{
	if (targets)
		free(targets->pieces);
	free(targets);
	return NULL;
}

size_t tier_tiering_targets_processes(const struct tier_tiering_targets *targets)
{
	return targets->processes;
}

int tier_tiering_targets_renew(const struct tier_tiering_nodes *nodes, uint64_t least_bytes,
			       struct tier_tiering_targets *targets, struct tier_problem *problem)
{
	struct tier_tiering_targets *now;
	size_t kept = 0;
	int r = tier_tiering_targets_new(nodes, least_bytes, &now, problem);

	if (r)
		return r;
	targets->bytes = targets->processes = 0;
	for (size_t i = 0; i < targets->count; i++) {
		const struct tiering_piece *piece = &targets->pieces[i], *found;

		found = now->count ? bsearch(piece, now->pieces, now->count, sizeof(*piece),
					     by_process)
				   : NULL;
		if (!found || found->range.end != piece->range.end ||
		    !process_identity_same(&found->identity, &piece->identity))
			continue;
		targets->bytes += piece->range.end - piece->range.start;
		targets->processes += kept == 0 || targets->pieces[kept - 1].pid != piece->pid;
		targets->pieces[kept++] = *piece;
	}
	targets->count = kept;
	tier_tiering_targets_free(now);
	return 0;
}
