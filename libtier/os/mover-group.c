/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mover-group.h"

/* How often it is looked whether somebody has come: a group that forks all the time is never done. */
#define ROUNDS_MAX 100

struct run {
	struct group *group;
	struct group_list known;
	struct tier_move_result done; /* sums of the processes before the one in hand */
	uint64_t waiting_pages;	      /* of those that are known and come after it */
};

static void run_done(struct run *run)
{
	group_list_done(&run->known);
}

static void add(struct tier_move_result *sum, const struct tier_move_result *more)
{
	sum->page_bytes = more->page_bytes;
	sum->scanned_pages += more->scanned_pages;
	sum->moved_pages += more->moved_pages;
	sum->already_pages += more->already_pages;
	sum->elsewhere_pages += more->elsewhere_pages;
	sum->absent_pages += more->absent_pages;
	sum->shared_pages += more->shared_pages;
	sum->pinned_pages += more->pinned_pages;
	sum->failed_pages += more->failed_pages;
	sum->no_memory_pages += more->no_memory_pages;
	sum->huge_folios += more->huge_folios;
	sum->elapsed_usec += more->elapsed_usec;
}

static bool same(const struct group_process *a, const struct group_process *b)
{
	return a->pid == b->pid && process_identity_same(&a->identity, &b->identity);
}

static bool is_known(const struct run *run, const struct group_process *process)
{
	for (size_t i = run->known.count; i-- > 0;)
		if (same(&run->known.list[i], process))
			return true;
	return false;
}

/* Returns how many were not known; negative errno. */
static int look(struct run *run)
{
	_cleanup_(group_list_done) struct group_list now = {};
	struct group *group = run->group;
	int fresh = 0, r = group->ops->list(group->userdata, &now);

	/* Those of another namespace have no numbers to be told apart by: as many as there were at most. */
	unsigned hidden = 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < now.count; i++) {
		struct group_process *process;

		if (now.list[i].pid <= 0) {
			hidden++;
			continue;
		}
		if (is_known(run, &now.list[i]))
			continue;
		process = array_grow(&run->known.list, &run->known.count, sizeof(*process));
		if (!process)
			return -ENOMEM;
		*process = now.list[i];
		process->pages = group->ops->pages(group->userdata, process);
		run->waiting_pages += process->pages;
		fresh++;
	}
	group->result->hidden = MAX(group->result->hidden, hidden);
	return fresh;
}

static int on_progress(void *userdata, const struct tier_move_result *so_far, uint64_t total_pages)
{
	struct run *run = userdata;
	struct tier_move_result sum = run->done;

	add(&sum, so_far);
	if (!run->group->progress)
		return 0;
	return run->group->progress(run->group->progress_userdata, &sum,
				    run->done.scanned_pages + total_pages + run->waiting_pages);
}

/* One process. Returns what ends the whole; @first is kept if it says something already. */
static int move_one(struct run *run, struct group_process *process, int *first_code,
		    struct tier_problem *first)
{
	struct tier_move_group_result *result = run->group->result;
	struct tier_move_result pages = {};
	struct tier_problem problem = {};
	int r;

	process->done = true;
	run->waiting_pages -= process->pages;
	r = run->group->ops->move(run->group->userdata, process, on_progress, run, &pages,
				  &problem);
	add(&run->done, &pages);
	result->pages = run->done;
	if (r == -ESRCH) {
		result->gone++;
		return 0;
	}
	if (r < 0) {
		result->refused++;
		if (*first_code == 0) {
			*first_code = r;
			*first = problem;
		}
		return 0;
	}
	result->processes++;
	if (r)
		*first = problem;
	return r;
}

int group_move(struct group *group, struct tier_problem *problem)
{
	_cleanup_(run_done) struct run run = {.group = group};
	struct tier_problem first = {};
	int first_code = 0, code = 0, fresh = 0;

	for (unsigned round = 0; code == 0; round++) {
		fresh = look(&run);
		if (fresh < 0)
			return tier_problem_set(problem, fresh, "", NULL,
						"cannot list its processes");
		if (fresh == 0)
			break;
		if (round == ROUNDS_MAX)
			return tier_problem_set(
				problem, TIER_E_BUSY, "",
				"freeze it, or give its tasks a policy by tierctl run",
				"processes have come whenever it was looked at, %u times", round);
		for (size_t i = 0; i < run.known.count && code == 0; i++)
			if (!run.known.list[i].done)
				code = move_one(&run, &run.known.list[i], &first_code, &first);
	}
	if (code == 0 && run.known.count == 0 && group->result->hidden == 0)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, "", NULL,
					"no process is in it or below it");
	if (code == 0)
		code = first_code;
	if (code == 0 && group->result->hidden > 0)
		return tier_problem_set(problem, TIER_E_REFUSED, "", "move them from there",
					"%u of its processes are of another PID namespace",
					group->result->hidden);
	if (code && problem)
		*problem = first;
	return code;
}
