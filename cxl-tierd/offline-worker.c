/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "offline.h"

/*
 * A process of its own, a copy of the daemon: taking memory offline takes minutes, in which the daemon
 * goes on, and if that dies, the other end of the socket closes and all is put back. It uses nothing of
 * what the daemon has open, and leaves with _exit().
 */

struct worker {
	int socket;
	bool pause, cancelled;
};

static void send_message(const struct worker *worker, const struct offline_message *message,
			 int flags)
{
	(void)send(worker->socket, message, sizeof(*message), MSG_NOSIGNAL | flags);
}

/* Takes in one word of the daemon's. Nobody there any more is as good as a cancel. */
static bool take_word(struct worker *worker)
{
	char word;
	ssize_t n = recv(worker->socket, &word, 1, MSG_DONTWAIT);

	if (n == 1) {
		worker->cancelled |= word == OFFLINE_CANCEL;
		worker->pause = word == OFFLINE_PAUSE;
		return true;
	}
	worker->cancelled |= n == 0 || (errno != EAGAIN && errno != EINTR);
	return false;
}

static int on_wake(void *userdata)
{
	struct worker *worker = userdata;

	while (take_word(worker))
		;
	return worker->cancelled;
}

static int on_between(void *userdata)
{
	struct worker *worker = userdata;
	struct pollfd poll_fd = {.fd = worker->socket, .events = POLLIN};

	on_wake(worker);
	if (worker->pause && !worker->cancelled)
		send_message(worker, &(struct offline_message){.kind = OFFLINE_PAUSED}, 0);
	/* One word at a time: another pause, asked for after this one's end, is another one. */
	while (worker->pause && !worker->cancelled) {
		(void)poll(&poll_fd, 1, -1);
		(void)take_word(worker);
	}
	return worker->cancelled;
}

/* One that does not fit in is left out: the next one has it all. */
static void on_progress(void *userdata, const struct tier_offline_progress *progress)
{
	send_message(userdata,
		     &(struct offline_message){.kind = OFFLINE_PROGRESS, .progress = *progress},
		     MSG_DONTWAIT);
}

/* The daemon's lock, its connections and its watchdog device must not live on with this process. */
static void close_others(int first, int second)
{
	unsigned low = (unsigned)(first < second ? first : second);
	unsigned high = (unsigned)(first < second ? second : first);

	if (low > 3)
		(void)close_range(3, low - 1, 0);
	if (high > low + 1)
		(void)close_range(low + 1, high - 1, 0);
	(void)close_range(high + 1, ~0U, 0);
}

static void write_all(int fd, const char *text)
{
	size_t length = strlen(text);

	while (length > 0) {
		ssize_t n = write(fd, text, length);

		if (n <= 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

_Noreturn void offline_worker(int socket, int report, const struct tier_plan *plan,
			      const struct offline_request *request)
{
	struct worker worker = {.socket = socket};
	struct tier_offline_options options = {
		.deadline_usec = request->deadline_usec,
		.keep_partial = request->keep_partial,
		.wake_fd = socket,
		.wake = on_wake,
		.between = on_between,
		.progress = on_progress,
		.userdata = &worker,
	};
	struct offline_message message = {.kind = OFFLINE_RESULT};
	struct tier_offline_result result = {};
	char *json = NULL;
	sigset_t none;

	close_others(socket, report);
	/* A service's end signals all of its processes; the daemon's end is what counts here. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "tierd-offline");

	message.code = tier_offline(plan, &options, &result, &message.problem);
	if (tier_offline_result_to_json(&result, message.code, &json) == 0)
		write_all(report, json);
	send_message(&worker, &message, 0);
	_exit(EXIT_SUCCESS);
}
