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

DEFINE_CLEANUP(struct tier_tiering_targets *, tier_tiering_targets_free)

struct worker {
	int socket;
	const struct tiering_request *request;
	struct tier_tiering_state state;
	struct tier_tiering_targets *targets;
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

static int carry_out(struct worker *worker, struct tiering_message *message)
{
	const struct tiering_request *request = worker->request;
	struct tier_tiering_sample sample;
	bool moves = message->step.act == TIER_TIERING_DEMOTE ||
		     message->step.act == TIER_TIERING_PROMOTE;
	int r = 0;

	/* The passes of a round are over the same processes, as far as they are what they were. */
	if (message->step.act == TIER_TIERING_FORGET) {
		worker->targets = tier_tiering_targets_free(worker->targets);
		r = tier_tiering_targets_new(&request->nodes, request->least_bytes,
					     &worker->targets, &message->problem);
	} else if (moves) {
		r = tier_tiering_targets_renew(&request->nodes, request->least_bytes,
					       worker->targets, &message->problem);
		/* It was decided a while ago, and others take memory, too. */
		r = r ?: tier_tiering_sample_read(&request->nodes, &sample, &message->problem);
		if (r == 0)
			cap(&message->step, &sample);
	}
	if (r)
		return r;
	if (worker->targets)
		message->processes = tier_tiering_targets_processes(worker->targets);
	return tier_tiering_carry_out(&request->nodes, worker->targets, &message->step,
				      &message->result, &message->problem);
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
	if (message->code == 0) {
		tier_tiering_next(&request->policy, &sample, good ? &result : NULL, &worker->state,
				  &message->step);
		if (!wait_until(worker, message->step.at_usec))
			return false;
		message->code = carry_out(worker, message);
	}
	/* A daemon that is busy does without. */
	(void)send(worker->socket, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (message->code == 0)
		return true;
	if (!wait_until(worker, manager_monotonic_usec() + TROUBLE_USEC))
		return false;
	/* The kernel's own monitoring may have been switched on again. */
	(void)tier_tiering_begin(NULL);
	return true;
}

_Noreturn void tiering_worker(int socket, const struct tiering_request *request)
{
	struct worker worker = {.socket = socket, .request = request};
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

	message.code = tier_tiering_begin(&message.problem);
	if (message.code)
		(void)send(socket, &message, sizeof(message), MSG_NOSIGNAL);
	else
		while (step(&worker, &message))
			;
	(void)tier_tiering_end(false, NULL);
	_exit(EXIT_SUCCESS);
}
