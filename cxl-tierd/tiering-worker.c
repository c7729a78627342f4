/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "manager.h"
#include "tiering.h"

/*
 * A process of its own, a copy of the daemon: a pass takes as long as the kernel moves pages, and the daemon
 * has portals to beat in. It uses nothing of what the daemon has open, and leaves with _exit().
 */

/* After a step that failed: whoever else uses DAMON may be gone by then. */
#define TROUBLE_USEC (UINT64_C(30) * 1000000)
/* ... or not: the machine was too busy. */
#define AGAIN_USEC UINT64_C(1000000)

/* Who has a policy, and how much of DRAM, is looked at no more often than that, nor for more than a 200th of the time. */
#define GROUPS_USEC (UINT64_C(2) * 1000000)

DEFINE_CLEANUP(struct tier_tiering_targets *, tier_tiering_targets_free)

struct worker {
	int socket;
	const struct tiering_request *request;
	const struct tier_config *config;
	struct tier_tiering_state state;
	struct tier_tiering_targets *targets;
	struct tier_share_groups *groups;
	uint64_t groups_usec;			  /* when they were read */
	uint64_t turns[TIER_TIERING_PROMOTE + 1]; /* passes with turns so far, by act */
	char ignored[512];			  /* the last policy that does not count, and why */
	struct tier_tiering_counts counts;
};

/* Until then, or until the daemon has closed its end: false. */
static bool wait_until(const struct worker *worker, uint64_t at_usec)
{
	struct pollfd poll_fd = {.fd = worker->socket};
	uint64_t now;

	while ((now = manager_monotonic_usec()) < at_usec) {
		uint64_t msec = (at_usec - now + 999) / 1000;

		if (poll(&poll_fd, 1, msec > INT_MAX ? INT_MAX : (int)msec) > 0)
			return false;
	}
	return poll(&poll_fd, 1, 0) == 0;
}

/* No more than there is room for by now. */
static void cap(struct tier_tiering_step *step, const struct tier_tiering_sample *sample)
{
	uint64_t free_bytes = step->act == TIER_TIERING_PROMOTE ? sample->fast_free_bytes
								: sample->slow_free_bytes;

	if (step->quota_bytes > free_bytes)
		step->quota_bytes = free_bytes;
}

/* A daemon that is busy does without. */
static void report(const struct worker *worker, const struct tiering_message *message)
{
	struct tiering_message counted = *message;

	counted.counts = worker->counts;
	(void)send(worker->socket, &counted, sizeof(counted), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void ignore(struct worker *worker, struct tier_problem *problem)
{
	struct tiering_message message = {
		.code = TIER_E_REFUSED, .problem = *problem, .ignored = true};

	if (streq(worker->ignored, problem->text))
		return;
	COPY(worker->ignored, problem->text);
	if (problem->text[0])
		report(worker, &message);
}

static void note_groups(const struct worker *worker, struct tier_tiering_sample *sample)
{
	sample->over_bytes = tier_share_over(worker->groups);
	sample->tight_bytes = tier_share_tight(worker->groups);
	sample->blocked_bytes = tier_share_blocked(worker->groups);
}

/* Not within a round, whose targets know them by their numbers. */
static int look_at_groups(struct worker *worker, struct tier_tiering_sample *sample,
			  struct tier_problem *problem)
{
	struct tier_share_groups *groups;
	struct tier_problem ignored = {};
	int r;

	if (!worker->groups || sample->now_usec >= worker->groups_usec) {
		uint64_t begin = manager_monotonic_usec(), took;

		r = tier_share_groups_read(worker->config, &worker->request->nodes,
					   sample->fast_total_bytes, false, &groups, &ignored);
		if (r) {
			*problem = ignored;
			return r;
		}
		tier_share_groups_free(worker->groups);
		worker->groups = groups;
		took = manager_monotonic_usec() - begin;
		worker->groups_usec =
			begin + took + (took > GROUPS_USEC / 200 ? 200 * took : GROUPS_USEC);
		if (!ignored.text[0] &&
		    tier_share_contradiction(groups, ignored.text, sizeof(ignored.text)))
			COPY(ignored.object, "DramMin");
		ignore(worker, &ignored);
	}
	note_groups(worker, sample);
	return 0;
}

static bool moves(enum tier_tiering_act act)
{
	return act == TIER_TIERING_DEMOTE || act == TIER_TIERING_PROMOTE;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What was moved before it fails counts. */
static int take_turns(struct worker *worker, struct tiering_message *message)
{
	const struct tier_tiering_step *step = &message->step;
	struct tier_tiering_result sum = {.act = step->act};
	struct tier_share_turn *turns = NULL;
	uint64_t left = step->quota_bytes, room = step->room_bytes;
	ssize_t count =
		tier_share_turns(worker->groups, step->act, step->reason == TIER_TIERING_OVER,
				 worker->turns[step->act]++, &turns);
	int r = count < 0 ? (int)count : 0;

	for (ssize_t i = 0; i < count && r == 0; i++) {
		struct tiering_message turn = *message;
		uint64_t limit = tier_share_limit(worker->groups, step->act, &turns[i], room);

		sum.quota_bytes = less(step->quota_bytes, sum.quota_bytes + less(limit, left));
		turn.step.quota_bytes = less(left, limit);
		turn.why = turns[i].why;
		if (turns[i].group >= 0)
			COPY(turn.group, worker->groups->groups[turns[i].group].path);
		if (turn.step.quota_bytes < 4096)
			continue;
		if (!wait_until(worker, 0))
			break;
		r = tier_tiering_carry_out(worker->request->by, &worker->request->nodes,
					   worker->targets, worker->groups, &turns[i], &turn.step,
					   &turn.result, &message->problem);
		if (r)
			break;
		left -= less(left, turn.result.moved_bytes);
		room -= less(room, turn.result.moved_bytes);
		sum.moved_bytes += turn.result.moved_bytes;
		sum.elapsed_usec += turn.result.elapsed_usec;
		tier_share_moved(worker->groups, step->act, &turns[i], turn.result.moved_bytes);
		/* The rest is told as the step. */
		if (turns[i].group >= 0 && turn.result.moved_bytes)
			report(worker, &turn);
	}
	free(turns);
	message->result = sum;
	return r;
}

static int carry_out(struct worker *worker, struct tiering_message *message)
{
	const struct tiering_request *request = worker->request;
	struct tier_tiering_sample sample;
	int r = 0;

	/* The passes of a round are over the same processes, as far as they are what they were. */
	if (message->step.act == TIER_TIERING_FORGET) {
		worker->targets = tier_tiering_targets_free(worker->targets);
		r = tier_tiering_targets_new(&request->nodes, request->least_bytes, worker->groups,
					     &worker->targets, &message->problem);
	} else if (moves(message->step.act)) {
		r = tier_tiering_targets_renew(&request->nodes, request->least_bytes,
					       worker->groups, worker->targets, &message->problem);
		/* It was decided a while ago, and others take memory, too. */
		r = r ?: tier_tiering_sample_read(&request->nodes, &sample, &message->problem);
		if (r == 0)
			cap(&message->step, &sample);
	}
	if (r)
		return r;
	if (worker->targets)
		message->processes = tier_tiering_targets_processes(worker->targets);
	if (moves(message->step.act))
		return take_turns(worker, message);
	return tier_tiering_carry_out(request->by, &request->nodes, worker->targets, NULL, NULL,
				      &message->step, &message->result, &message->problem);
}

/* False: it is over. */
static bool step(struct worker *worker, struct tiering_message *message)
{
	const struct tiering_request *request = worker->request;
	struct tier_tiering_result result = message->result;
	struct tier_tiering_sample sample;
	bool good = message->code == 0 && worker->state.begun;

	*message = (struct tiering_message){};
	message->code = tier_tiering_sample_read(&request->nodes, &sample, &message->problem);
	if (message->code == 0 && (!good || result.act == TIER_TIERING_MEASURE))
		message->code = look_at_groups(worker, &sample, &message->problem);
	else if (message->code == 0)
		note_groups(worker, &sample);
	if (message->code == 0) {
		tier_tiering_next(&request->policy, &sample, good ? &result : NULL, &worker->state,
				  &message->step);
		if (!wait_until(worker, message->step.at_usec))
			return false;
		message->code = carry_out(worker, message);
	}
	tier_tiering_count(&worker->counts, &message->step, &message->result, message->code);
	report(worker, message);
	if (message->code == 0)
		return true;
	if (!wait_until(worker, manager_monotonic_usec() +
					(message->code == -EAGAIN ? AGAIN_USEC : TROUBLE_USEC)))
		return false;
	/* The kernel's own monitoring may have been switched on again. */
	if (request->by == TIER_MECHANISM_DAMON)
		(void)tier_tiering_begin(NULL);
	return true;
}

_Noreturn void tiering_worker(int socket, const struct tiering_request *request,
			      const struct tier_config *config)
{
	struct worker worker = {.socket = socket, .request = request, .config = config};
	struct tiering_message message = {};
	sigset_t none;

	/* The daemon's lock, its connections and its watchdog device must not live on with this process. */
	if (socket > 3)
		(void)close_range(3, (unsigned)socket - 1, 0);
	(void)close_range((unsigned)socket + 1, ~0U, 0);
	/* A service's end signals all of its processes; the daemon's end is what counts here. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "tierd-tiering");
	/* Nothing waits for it. */
	(void)setpriority(PRIO_PROCESS, 0, 0);

	if (request->by == TIER_MECHANISM_DAMON)
		message.code = tier_tiering_begin(&message.problem);
	if (message.code)
		(void)send(socket, &message, sizeof(message), MSG_NOSIGNAL);
	else
		while (step(&worker, &message))
			;
	if (request->by == TIER_MECHANISM_DAMON)
		(void)tier_tiering_end(false, NULL);
	_exit(EXIT_SUCCESS);
}
