/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "offline.h"
#include "test.h"

/*
 * What daemon and worker say to each other. The library's part is played by a function that makes
 * nothing but pauses, until it is cancelled.
 */

static const struct tier_plan plan;
static int ours, report;
static pid_t worker;
/* When it is cancelled it says so, and does not read what it is told then. */
static bool linger;
#define LATE 99

int __wrap_tier_offline(const struct tier_plan *of, const struct tier_offline_options *options,
			struct tier_offline_result *result, struct tier_problem *problem);
int __wrap_tier_offline(const struct tier_plan *of, const struct tier_offline_options *options,
			struct tier_offline_result *result, struct tier_problem *problem)
{
	struct pollfd poll_fd = {.fd = options->wake_fd, .events = POLLIN};

	options->progress(options->userdata,
			  &(struct tier_offline_progress){.done_bytes = 7, .block = 34});
	for (;;) {
		(void)poll(&poll_fd, 1, -1);
		if (options->wake(options->userdata) || options->between(options->userdata))
			break;
	}
	if (linger) {
		options->progress(options->userdata,
				  &(struct tier_offline_progress){.block = LATE});
		(void)poll(&poll_fd, 1, -1);
	}
	return tier_problem_set(problem, TIER_E_CANCELLED, "region7", NULL, "cancelled");
}

static void begin(void)
{
	int pair[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	report = memfd_create("report", MFD_CLOEXEC);
	CHECK(report >= 0);
	worker = fork();
	if (worker == 0)
		offline_worker(pair[1], report, &plan, &(struct offline_request){.region = "x"});
	close(pair[1]);
	ours = pair[0];
}

static void say(const char *words)
{
	for (; *words; words++)
		CHECK_EQ(send(ours, words, 1, MSG_NOSIGNAL), 1);
}

/* With a deadline: what does not come would be waited for until the test's own. */
static struct offline_message hear(void)
{
	struct pollfd poll_fd = {.fd = ours, .events = POLLIN};
	struct offline_message message = {};

	if (poll(&poll_fd, 1, 20000) != 1)
		FAIL("no answer");
	CHECK(offline_receive(ours, &message));
	return message;
}

static void end(void)
{
	int status;

	CHECK_EQ(waitpid(worker, &status, 0), worker);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forget(void)
{
	close(ours);
	close(report);
}

TEST(progress_and_result)
{
	struct offline_message message;
	char text[256] = "";

	begin();
	message = hear();
	CHECK_EQ(message.kind, OFFLINE_PROGRESS);
	CHECK_EQ(message.progress.done_bytes, 7);
	say("c");
	message = hear();
	CHECK_EQ(message.kind, OFFLINE_RESULT);
	CHECK_EQ(message.code, TIER_E_CANCELLED);
	CHECK_STR(message.problem.text, "cancelled");
	CHECK(pread(report, text, sizeof(text) - 1, 0) > 0);
	CHECK_HAS(text, "\"cancelled\"");
	end();
	forget();
}

/* The end of one pause and the wish for another may arrive together. */
TEST(pauses)
{
	begin();
	CHECK_EQ(hear().kind, OFFLINE_PROGRESS);
	say("p");
	CHECK_EQ(hear().kind, OFFLINE_PAUSED);
	say("gp");
	CHECK_EQ(hear().kind, OFFLINE_PAUSED);
	say("gc");
	CHECK_EQ(hear().kind, OFFLINE_RESULT);
	end();
	forget();
}

/* The worker ends without having read it: its result is heard all the same, and then nothing any more. */
TEST(words_that_come_too_late)
{
	struct offline_message message;

	linger = true;
	begin();
	CHECK_EQ(hear().kind, OFFLINE_PROGRESS);
	CHECK(!offline_receive(ours, &message));
	CHECK_EQ(errno, EAGAIN);
	say("c");
	CHECK_EQ(hear().progress.block, LATE);
	say("p");
	end();
	message = hear();
	CHECK_EQ(message.kind, OFFLINE_RESULT);
	CHECK_EQ(message.code, TIER_E_CANCELLED);
	CHECK(!offline_receive(ours, &message));
	CHECK_EQ(errno, 0);
	forget();
	linger = false;
}

/* Also in a pause, the daemon's end is the end; its signals are not. */
TEST(the_daemon_has_gone)
{
	begin();
	CHECK_EQ(hear().kind, OFFLINE_PROGRESS);
	CHECK_EQ(kill(worker, SIGTERM), 0);
	say("p");
	CHECK_EQ(hear().kind, OFFLINE_PAUSED);
	shutdown(ours, SHUT_RDWR);
	end();
	forget();
}
