/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#include "fence-agent.h"

int fence_agent_split(struct fence_agent *agent, char *command)
{
	size_t count = 0;
	char *rest;

	for (char *word = strtok_r(command, " \t\n", &rest); word;
	     word = strtok_r(NULL, " \t\n", &rest)) {
		if (count == FENCE_AGENT_WORDS)
			return tool_usage("portal fence: --agent has more than %d words",
					  FENCE_AGENT_WORDS);
		agent->words[count++] = word;
	}
	agent->words[count] = NULL;
	return count ? 0 : tool_usage("portal fence: --agent names no command");
}

static uint64_t monotonic_msec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* In the child. A group of its own, so that what it has started ends with it. */
static void become(const struct fence_agent *agent, int error_fd)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;
	int error;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* The tool ignores it, and that would be inherited. */
	signal(SIGPIPE, SIG_DFL);
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 &&
	    setenv("CXL_TIER_HOST", agent->host, 1) == 0 &&
	    setenv("CXL_TIER_PORTAL", agent->portal, 1) == 0)
		execvp(agent->words[0], agent->words);
	error = errno;
	(void)!write(error_fd, &error, sizeof(error));
	_exit(127);
}

/* 0: it has ended; TIER_E_TIMEOUT; TIER_E_CANCELLED; negative errno. */
static int await_end(int pidfd, uint64_t timeout_sec)
{
	uint64_t deadline = monotonic_msec() + timeout_sec * 1000;

	for (;;) {
		struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
		uint64_t now = monotonic_msec();
		int n;

		if (tool_interrupted())
			return TIER_E_CANCELLED;
		if (now >= deadline)
			return TIER_E_TIMEOUT;
		/* Not for ever: a signal between the question and poll() does not wake it. */
		n = poll(&poll_fd, 1, deadline - now > 1000 ? 1000 : (int)(deadline - now));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int judge(const struct fence_agent *agent, int r, int status, struct tier_problem *problem)
{
	static const char next[] = "see to the agent, then fence again";
	const char *name = agent->words[0];

	if (r == TIER_E_TIMEOUT)
		return tier_problem_set(problem, r, agent->host, next,
					"not fenced: %s did not end within %" PRIu64 " s", name,
					agent->timeout_sec);
	if (r)
		return tier_problem_set(problem, r, agent->host, "fence it again",
					"not fenced: %s was interrupted", name);
	if (WIFSIGNALED(status))
		return tier_problem_set(problem, TIER_E_REFUSED, agent->host, next,
					"not fenced: %s ended by signal %d", name,
					WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return tier_problem_set(problem, TIER_E_REFUSED, agent->host, next,
					"not fenced: %s ended with %d", name, WEXITSTATUS(status));
	return 0;
}

static int supervise(const struct fence_agent *agent, pid_t pid, struct tier_problem *problem)
{
	int pidfd = pidfd_open(pid, 0), status = 0;
	int r = pidfd < 0 ? -errno : await_end(pidfd, agent->timeout_sec);

	if (r) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
	}
	if (pidfd >= 0)
		close(pidfd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return judge(agent, r, status, problem);
}

int fence_agent_run(const struct fence_agent *agent, struct tier_problem *problem)
{
	int error = 0, pipe_fds[2];
	pid_t pid;
	ssize_t n;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return tier_problem_set(problem, -errno, agent->host, NULL, "not fenced: no pipe");
	pid = fork();
	if (pid == 0)
		become(agent, pipe_fds[1]);
	close(pipe_fds[1]);
	if (pid < 0) {
		close(pipe_fds[0]);
		return tier_problem_set(problem, -errno, agent->host, NULL,
					"not fenced: cannot start %s", agent->words[0]);
	}
	setpgid(pid, pid);
	/* Closed by its execvp(). */
	while ((n = read(pipe_fds[0], &error, sizeof(error))) < 0 && errno == EINTR)
		;
	close(pipe_fds[0]);
	if (n == (ssize_t)sizeof(error)) {
		waitpid(pid, NULL, 0);
		return tier_problem_set(problem, -error, agent->host, "name the agent by its path",
					"not fenced: cannot run %s", agent->words[0]);
	}
	return supervise(agent, pid, problem);
}
