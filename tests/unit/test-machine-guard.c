/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "portal-file.h"
#include "test.h"
#include "tier-machine.h"

static struct tier_problem problem;

static struct tier_config *config_with_machine(void)
{
	struct tier_config *config;
	char text[256];

	file_path("x");
	snprintf(text, sizeof(text), "[Daemon]\nVmDirectory=%s\n[Machine box]\nMemory=2M\n",
		 file_directory);
	CHECK_EQ(tier_config_new(&config), 0);
	CHECK_EQ(tier_config_parse(config, text, strlen(text), "t.conf", &problem), 0);
	return config;
}

/* A child that listens where box's QMP would be and accepts nobody; -1: cannot. */
static pid_t listen_as_box(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path;
	int ready[2];
	pid_t child;
	char byte;

	(void)mkdir(file_path("box"), 0755);
	path = file_path("box/qmp");
	unlink(path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CHECK_EQ(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		/* Also when the test fails. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGTERM, SIG_IGN);
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		    listen(fd, 1) == 0 && write(ready[1], "x", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

TEST(kill_a_process_that_answers_nobody)
{
	struct tier_config *config = config_with_machine();
	pid_t child = listen_as_box();
	int status;

	/* The child is a zombie from then on, so this waits as for any other. */
	CHECK_EQ(tier_machine_kill_by_name(config, "box", &problem), 0);
	CHECK_EQ(waitpid(child, &status, WNOHANG), child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK_EQ(tier_machine_kill_by_name(config, "box", &problem), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_machine_kill_by_name(config, "crate", &problem), TIER_E_NOT_FOUND);
	tier_config_free(config);
}

/* Clients who wait for one that hangs leave no room in the queue. */
TEST(kill_a_process_whose_queue_is_full)
{
	struct tier_config *config = config_with_machine();
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pid_t child = listen_as_box();
	int status, clients[8], count = 0;
	bool full = false;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", file_path("box/qmp"));
	while (!full && count < 8) {
		clients[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		full = connect(clients[count], (struct sockaddr *)&address, sizeof(address)) < 0 &&
		       errno == EAGAIN;
		count++;
	}
	CHECK(full);
	CHECK(tier_machine_running(config, "box"));
	CHECK_EQ(tier_machine_kill_by_name(config, "box", &problem), 0);
	CHECK_EQ(waitpid(child, &status, WNOHANG), child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	while (count > 0)
		close(clients[--count]);
	CHECK(!tier_machine_running(config, "box"));
	CHECK_EQ(tier_machine_kill_by_name(config, "box", &problem), TIER_E_NOT_FOUND);
	tier_config_free(config);
}

TEST(busy_while_a_process_has_it)
{
	struct tier_config *config = config_with_machine();
	int lock, second;

	CHECK_EQ(tier_machine_busy(config, "crate"), TIER_E_NOT_FOUND);
	CHECK_EQ(tier_machine_busy(config, "box"), 0);
	CHECK_EQ(tier_machine_lock(config, "box", &lock, &problem), 0);
	CHECK_EQ(tier_machine_busy(config, "box"), TIER_E_BUSY);
	CHECK_EQ(tier_machine_lock(config, "box", &second, &problem), TIER_E_BUSY);
	close(lock);
	CHECK_EQ(tier_machine_busy(config, "box"), 0);
	tier_config_free(config);
}
