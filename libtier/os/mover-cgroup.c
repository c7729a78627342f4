/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <unistd.h>

#include "cgroup.h"
#include "clock.h"
#include "mover-group.h"
#include "mover-maps.h"
#include "mover-process.h"
#include "sysfs.h"

struct cgroup {
	const char *path;
	const struct tier_move_request *request;
	struct sysfs proc;
	uint64_t page_bytes;
	uint64_t ready_usec; /* the rate is that of all */
};

struct append {
	struct cgroup *cgroup;
	struct group_list *list;
};

static int append(void *userdata, pid_t pid)
{
	struct append *append = userdata;
	struct group_process process = {.pid = pid}, *place;

	/* Gone since. */
	if (pid > 0 && mover_identify(&append->cgroup->proc, pid, &process.identity) < 0)
		return 0;
	place = array_grow(&append->list->list, &append->list->count, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = process;
	return 0;
}

static int real_list(void *userdata, struct group_list *list)
{
	struct append data = {userdata, list};

	return cgroup_processes(data.cgroup->path, append, &data);
}

static uint64_t real_pages(void *userdata, const struct group_process *process)
{
	const struct cgroup *cgroup = userdata;
	const struct tier_move_request request = {.pid = process->pid};
	_cleanup_(ranges_done) struct ranges ranges = {};
	uint64_t pages = 0;

	if (ranges_read(&request, &ranges) < 0)
		return 0;
	for (size_t i = 0; i < ranges.count; i++)
		pages += (ranges.list[i].end - ranges.list[i].start) / cgroup->page_bytes;
	return pages;
}

static int real_move(void *userdata, const struct group_process *process,
		     tier_move_progress progress, void *progress_userdata,
		     struct tier_move_result *ret, struct tier_problem *problem)
{
	struct cgroup *cgroup = userdata;
	struct tier_move_request request = *cgroup->request;

	request.pid = process->pid;
	return mover_process(&request, &process->identity, progress, progress_userdata,
			     &cgroup->ready_usec, ret, problem);
}

static const struct group_ops real_ops = {
	.list = real_list,
	.pages = real_pages,
	.move = real_move,
};

int tier_move_group(const char *path, const struct tier_move_request *request,
		    tier_move_progress progress, void *userdata, struct tier_move_group_result *ret,
		    struct tier_problem *problem)
{
	struct cgroup cgroup = {.path = path,
				.request = request,
				.proc = SYSFS_CLOSED,
				.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};
	struct group group = {.ops = &real_ops,
			      .userdata = &cgroup,
			      .progress = progress,
			      .progress_userdata = userdata,
			      .result = ret};
	struct tier_problem local = {};
	uint64_t began = now_usec();
	int r;

	*ret = (struct tier_move_group_result){.pages.page_bytes = cgroup.page_bytes};
	if (request->pid || request->start || request->end)
		return tier_problem_set(problem, -EINVAL, path, NULL, "has neither pid nor range");
	r = mover_check_nodes(request, problem);
	if (r < 0)
		return r;
	r = sysfs_open(&cgroup.proc, NULL);
	if (r < 0)
		return tier_problem_set(problem, r, "/", NULL, "cannot open it");
	r = group_move(&group, &local);
	sysfs_done(&cgroup.proc);
	ret->pages.page_bytes = cgroup.page_bytes;
	ret->pages.elapsed_usec = now_usec() - began;
	if (r && problem) {
		*problem = local;
		if (!problem->object[0])
			snprintf(problem->object, sizeof(problem->object), "%s", path);
		make_printable(problem->object);
	}
	/* It may be removed when its last process ends. */
	return r == -ENOENT ? TIER_E_NOT_FOUND : r;
}
