/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "lock-file.h"
#include "heat-run.h"
#include "process-pages.h"

/* Held while a map is taken; so that what uses DAMON then is not taken for something that was left. */
#define LOCK "/run/cxl-tier/heat.lock"

/* How often it is looked whether memory or processes have come. */
#define RENEW_USEC_MIN UINT64_C(2000000)
#define RENEWALS       8
/* How often a caller is asked while cxl-tierd is waited for. */
#define WAIT_USEC UINT64_C(200000)
/* Who asks tier_heat_runs() has the lock for a moment. */
#define ASKED_USEC UINT64_C(100000)

static void run_done(struct heat_run *run)
{
	damon_done(&run->damon);
	heat_record_done(&run->record);
	heat_watches_done(&run->watches);
	node_ranges_done(&run->ranges);
	free(run->spaces);
	sysfs_done(&run->root);
	closep(&run->lock);
}

bool tier_heat_runs(void)
{
	_cleanup_close_ int fd = open(LOCK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static bool asked_to_stop(const struct heat_run *run, uint64_t done_usec)
{
	return run->progress && run->progress(run->userdata, MIN(done_usec, run->request->for_usec),
					      run->request->for_usec) != 0;
}

static int add_space(struct heat_run *run, const struct heat_space *space, uint32_t *ret)
{
	struct heat_space *place =
		array_grow(&run->record.spaces, &run->record.space_count, sizeof(*place));

	if (!place)
		return -ENOMEM;
	*place = *space;
	*ret = (uint32_t)(run->record.space_count - 1);
	return 0;
}

static int space_of(struct heat_run *run, const struct heat_watch *watch, uint32_t *ret)
{
	struct heat_space space = {.pid = watch->pid, .node = -1, .identity = watch->identity};
	char vm[64];

	for (size_t i = 0; i < run->record.space_count; i++)
		if (run->record.spaces[i].pid == watch->pid &&
		    process_identity_same(&run->record.spaces[i].identity, &watch->identity)) {
			*ret = (uint32_t)i;
			return 0;
		}
	process_names(&run->root, watch->pid, space.name, sizeof(space.name), vm, sizeof(vm));
	return add_space(run, &space, ret);
}

static int note_spaces(struct heat_run *run)
{
	int r = 0;

	free(run->spaces);
	run->spaces = calloc(run->watches.count, sizeof(*run->spaces));
	if (!run->spaces)
		return -ENOMEM;
	for (size_t i = 0; i < run->watches.count && r == 0; i++) {
		r = space_of(run, &run->watches.list[i], &run->spaces[i]);
		r = r
			    ?: heat_ranges_unite(&run->record.spaces[run->spaces[i]].ranges,
						 &run->watches.list[i].ranges);
	}
	run->record.hidden = MAX(run->record.hidden, run->watches.hidden);
	run->record.left_out = MAX(run->record.left_out, run->watches.left_out);
	return r;
}

static int read_host(struct heat_run *run, struct tier_problem *problem)
{
	_cleanup_names_ struct sysfs_names nodes = {};
	uint64_t mask = 0;
	int r = sysfs_list(&run->root, &nodes, "node", "sys/devices/system/node");

	for (size_t i = 0; i < nodes.count && r == 0; i++) {
		unsigned long node = strtoul(nodes.names[i] + strlen("node"), NULL, 10);

		mask |= node < 64 ? UINT64_C(1) << node : 0;
	}
	r = r > 0 ? -ENODEV : r;
	r = r ?: node_ranges_read(&run->root, mask, true, &run->ranges);
	for (int node = 0; node < 64 && r == 0; node++) {
		_cleanup_node_ranges_ struct node_ranges own = {};
		struct heat_space space = {.node = node};
		uint32_t index;

		if (!(mask >> node & 1) ||
		    node_ranges_read(&run->root, UINT64_C(1) << node, true, &own) != 0)
			continue;
		r = add_space(run, &space, &index);
		for (size_t i = 0; i < own.count && r == 0; i++)
			r = heat_ranges_append(&run->record.spaces[index].ranges,
					       own.ranges[i].start, own.ranges[i].end, 0);
	}
	if (r)
		return tier_problem_set(problem, r, "host", "see tierctl list blocks",
					"cannot see where the nodes' memory is");
	return 0;
}

static int read_targets(struct heat_run *run, struct tier_problem *problem)
{
	struct heat_record *record = &run->record;
	int r;

	if (heat_run_is_host(run)) {
		copy_string(record->kind, sizeof(record->kind), "host");
		copy_string(record->title, sizeof(record->title), "host, physical memory");
		return read_host(run, problem);
	}
	r = heat_watch_read(run->request, &run->root, &run->watches, problem);
	if (r)
		return r;
	r = note_spaces(run);
	if (r)
		return tier_problem_set(problem, r, "heat", NULL, "cannot begin");
	if (run->request->cgroup) {
		copy_string(record->kind, sizeof(record->kind), "cgroup");
		snprintf(record->title, sizeof(record->title), "cgroup %.140s",
			 run->request->cgroup);
	} else {
		copy_string(record->kind, sizeof(record->kind), "process");
		snprintf(record->title, sizeof(record->title), "process %d (%s)", run->request->pid,
			 record->spaces[0].name);
	}
	make_printable(record->title);
	return 0;
}

/* For cxl-tierd, which uses it for a moment now and then, but not for anybody else. */
static int claim(struct heat_run *run, struct tier_problem *problem)
{
	uint64_t deadline = now_usec() + run->request->wait_usec;
	int r;

	while ((r = damon_claim_within(&run->damon, WAIT_USEC, problem)) == TIER_E_TIMEOUT) {
		if (asked_to_stop(run, 0))
			return tier_problem_set(problem, TIER_E_CANCELLED, "heat", NULL,
						"stopped before it began");
		if (now_usec() >= deadline)
			return tier_problem_set(problem, TIER_E_BUSY, "DAMON",
						"try again, or set Tier=no and reload cxl-tierd",
						"cxl-tierd's Tier=auto has used it for %u s",
						(unsigned)(run->request->wait_usec / 1000000));
	}
	return r;
}

static bool anybody_lives(const struct heat_run *run)
{
	for (size_t i = 0; i < run->watches.count; i++)
		if (heat_watch_lives(&run->root, &run->watches.list[i]))
			return true;
	return heat_run_is_host(run);
}

static bool same_processes(const struct heat_watches *a, const struct heat_watches *b)
{
	for (size_t i = 0; i < MIN(a->count, b->count); i++)
		if (a->list[i].pid != b->list[i].pid ||
		    !process_identity_same(&a->list[i].identity, &b->list[i].identity))
			return false;
	return a->count == b->count;
}

static bool same_ranges(const struct heat_watches *a, const struct heat_watches *b)
{
	for (size_t i = 0; i < a->count; i++)
		if (!heat_ranges_equal(&a->list[i].ranges, &b->list[i].ranges))
			return false;
	return true;
}

/*
 * Memory that has come is looked at as well. For other processes it is begun anew, since DAMON takes no change while
 * one that it knows has ended.
 */
static int renew(struct heat_run *run, struct tier_problem *problem)
{
	struct heat_watches now = {};
	bool same, equal;
	uint64_t begin_usec = now_usec(), took_usec;
	int r = heat_watch_read(run->request, &run->root, &now, NULL);

	/* It holds up the process' own mappings meanwhile. */
	took_usec = now_usec() - begin_usec;
	run->renew_usec =
		begin_usec + took_usec +
		MAX(MAX(run->request->for_usec / RENEWALS, RENEW_USEC_MIN), 10 * took_usec);
	/* Gone, or between two programs: the next snapshot shows which. */
	if (r != 0)
		return 0;
	same = same_processes(&run->watches, &now);
	equal = same && same_ranges(&run->watches, &now);
	if (!same && run->request->pid) {
		heat_watches_done(&now);
		return 0;
	}
	heat_watches_done(&run->watches);
	run->watches = now;
	r = note_spaces(run);
	r = r ?: heat_watch_places(&run->watches, run->spaces, &run->record);
	if (r)
		return tier_problem_set(problem, r, "heat", NULL, "cannot go on");
	if (!same) {
		damon_stop(&run->damon);
		return heat_run_start(run, problem);
	}
	if (equal)
		return 0;
	r = heat_run_change(run, problem);
	return r == -EINVAL ? 0 : r;
}

/* One snapshot. 1: that was all. */
static int step(struct heat_run *run, struct tier_problem *problem)
{
	struct heat_record *record = &run->record;
	int r = heat_run_snapshot(run, problem);
	uint64_t done_usec;
	bool stop;

	if (!anybody_lives(run)) {
		/* Who has come since may be there, in a cgroup. */
		if (run->request->cgroup && renew(run, NULL) == 0 && anybody_lives(run))
			return 0;
		/* What was touched in the last moments is not all of a snapshot. */
		if (r == 0 && record->snapshot_count > 1)
			record->snapshot_count--;
		record->end = TIER_HEAT_PROCESS_ENDED;
		return 1;
	}
	if (r)
		return r;
	done_usec = record->snapshots[record->snapshot_count - 1].end_usec;
	stop = asked_to_stop(run, done_usec);
	if (done_usec >= record->wanted_usec)
		return 1;
	if (stop) {
		record->end = TIER_HEAT_STOPPED;
		return 1;
	}
	return !heat_run_is_host(run) && now_usec() >= run->renew_usec ? renew(run, problem) : 0;
}

static int watch(struct heat_run *run, struct tier_problem *problem)
{
	struct heat_record *record = &run->record;
	int r = heat_run_is_host(run) ? 0 : heat_watch_places(&run->watches, run->spaces, record);

	record->wanted_usec = run->request->for_usec;
	r = r ?: heat_run_start(run, problem);
	run->begin_usec = now_usec();
	run->renew_usec = run->begin_usec + MAX(run->request->for_usec / RENEWALS, RENEW_USEC_MIN);
	while (r == 0)
		r = step(run, problem);
	damon_done(&run->damon);
	if (r < 0 || r > 1)
		return r;
	if (record->snapshot_count == 0)
		return tier_problem_set(problem, TIER_E_NOT_FOUND, record->title, NULL,
					"ended before anything was seen of it");
	return 0;
}

static int check_request(const struct tier_heat_request *request, struct tier_problem *problem)
{
	if (request->pid < 0 || (request->pid && request->cgroup) ||
	    request->for_usec < TIER_HEAT_USEC_MIN || request->for_usec > TIER_HEAT_USEC_MAX ||
	    request->rows < TIER_HEAT_ROWS_MIN || request->rows > TIER_HEAT_ROWS_MAX ||
	    request->columns < TIER_HEAT_COLUMNS_MIN || request->columns > TIER_HEAT_COLUMNS_MAX)
		return tier_problem_set(problem, -EINVAL, "heat", NULL,
					"of nothing that there is, or too long or too large");
	return 0;
}

static int prepare(struct heat_run *run, struct tier_problem *problem)
{
	int r = sysfs_open(&run->root, NULL);

	if (r < 0)
		return tier_problem_set(problem, r, "/", NULL, "cannot be read");
	r = damon_check(&run->root, problem);
	r = r ?: read_targets(run, problem);
	if (r)
		return r;
	run->lock = lock_file_take(LOCK, ASKED_USEC);
	if (run->lock == -EBUSY)
		return tier_problem_set(problem, TIER_E_BUSY, "DAMON", "wait for its end",
					"another tierctl heat uses it");
	if (run->lock < 0)
		return tier_problem_set(problem, run->lock, LOCK, "run as root",
					"cannot be locked");
	r = damon_kernels_own(&run->root, problem);
	return r ?: claim(run, problem);
}

int tier_heat_take(const struct tier_heat_request *request, tier_heat_progress progress,
		   void *userdata, struct tier_heat **ret, struct tier_problem *problem)
{
	_cleanup_(run_done) struct heat_run run = {
		.request = request,
		.progress = progress,
		.userdata = userdata,
		.root = SYSFS_CLOSED,
		.lock = -1,
		.damon = DAMON_CLOSED,
	};
	int r = check_request(request, problem);

	r = r ?: prepare(&run, problem);
	r = r ?: watch(&run, problem);
	if (r)
		return r;
	r = heat_settle_pace(&run.record);
	r = r ?: heat_map_new(&run.record, request->rows, request->columns, ret);
	return r ? tier_problem_set(problem, r, "heat", NULL, "cannot make the map") : 0;
}
