/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/socket.h>
#include <sys/wait.h>

#include "manager.h"
#include "tiering.h"

/* What is hot is fetched to DRAM: docs/tiering.md. A process of its own does it, see tiering-worker.c. */

static const char object[] = "tiering";

/* After a process that has ended by itself, another is not started before that; nor is what failed tried again. */
#define AGAIN_USEC (UINT64_C(30) * 1000000)

struct tiering {
	struct manager *manager;
	struct tiering_request request;
	pid_t pid;
	int socket; /* -1: it has been told to end, which it does after the step in hand */
	sd_event_source *io, *child, *again;
	char told[512]; /* the last trouble */
};

static struct tiering *tiering_free(struct tiering *tiering)
{
	if (!tiering)
		return NULL;
	sd_event_source_disable_unref(tiering->io);
	sd_event_source_disable_unref(tiering->child);
	sd_event_source_disable_unref(tiering->again);
	if (tiering->socket >= 0)
		close(tiering->socket);
	free(tiering);
	return NULL;
}

static const char *why(const struct tiering_message *message)
{
	if (message->step.act == TIER_TIERING_PROMOTE)
		return "hot, and on a slow node";
	switch (message->why) {
	case TIER_SHARE_OVER:
		return "not used of late, and beyond its DramMax";
	case TIER_SHARE_TIGHT:
		return "not used of late, it makes room below its DramMax for what is hot of it";
	default:
		return "not used of late, it makes room for what is hot";
	}
}

static void tell(struct tiering *tiering, const struct tiering_message *message)
{
	const struct tier_tiering_step *step = &message->step;
	const struct tier_tiering_result *result = &message->result;

	if (!message->ignored)
		tiering_heard(tiering->manager, message->code, &message->problem);
	if (message->code) {
		if (!streq(tiering->told, message->problem.text))
			log_problem(message->code == TIER_E_BUSY ? LOG_NOTICE : LOG_WARNING,
				    message->ignored ? "policy" : "tiering-waits",
				    &message->problem);
		COPY(tiering->told, message->problem.text);
		return;
	}
	if (step->act != TIER_TIERING_DEMOTE && step->act != TIER_TIERING_PROMOTE)
		return;
	/* Not at a measurement: it may be the passes that fail, every time. */
	tiering->told[0] = '\0';
	log_decision(LOG_INFO, message->group[0] ? message->group : object,
		     step->act == TIER_TIERING_DEMOTE ? "demoted" : "promoted",
		     "%" PRIu64 " KiB of at most %" PRIu64 " moved in %" PRIu64 " ms, of %" PRIu64
		     " processes: %s",
		     result->moved_bytes >> 10, step->quota_bytes >> 10,
		     result->elapsed_usec / 1000, message->processes, why(message));
}

static bool take_messages(struct tiering *tiering)
{
	struct tiering_message message;
	ssize_t n;

	while ((n = recv(tiering->socket, &message, sizeof(message), MSG_DONTWAIT)) ==
	       (ssize_t)sizeof(message)) {
		metrics_tiering(tiering->manager, &message.counts);
		tell(tiering, &message);
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct tiering *tiering = userdata;

	if (!take_messages(tiering))
		tiering->io = sd_event_source_disable_unref(tiering->io);
	return 0;
}

static int on_left(sd_event_source *source, uint64_t usec, void *userdata);

/* Somebody may have DAMON meanwhile, a heat map for one: the kernel's own monitoring begins again after that. */
static void put_back(struct manager *manager)
{
	struct tier_problem problem = {};

	manager->tiering_left = sd_event_source_disable_unref(manager->tiering_left);
	if (tier_tiering_end(false, &problem) == 0) {
		manager->tiering_left_told[0] = '\0';
		return;
	}
	if (!streq(manager->tiering_left_told, problem.text))
		log_problem(LOG_ERR, "tiering-left", &problem);
	COPY(manager->tiering_left_told, problem.text);
	if (manager->event)
		(void)sd_event_add_time_relative(manager->event, &manager->tiering_left,
						 CLOCK_MONOTONIC, AGAIN_USEC, 0, on_left, manager);
}

/* Unless a process of ours needs it so, after whose end it is put back anyway. */
static int on_left(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;

	if (!tier_tiering_left())
		manager->tiering_left_told[0] = '\0';
	else if (tiering_running(manager) != TIER_MECHANISM_DAMON)
		put_back(manager);
	return 0;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct tiering *tiering = userdata;
	struct manager *manager = tiering->manager;

	manager->tiering = tiering_free(tiering);
	(void)monitor_rescan(manager);
	return 0;
}

static int on_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct tiering *tiering = userdata;
	struct manager *manager = tiering->manager;

	tiering->pid = 0;
	put_back(manager);
	if (tiering->socket >= 0)
		(void)take_messages(tiering);
	metrics_tiering(manager, NULL);
	if (tiering->socket < 0) {
		log_decision(LOG_INFO, object, "tiering-ended", "nothing is moved any more");
		manager->tiering = tiering_free(tiering);
		/* With other nodes, say. */
		(void)monitor_rescan(manager);
		return 0;
	}
	log_decision(LOG_WARNING, object, "tiering-ended",
		     "the process that moves pages has ended by itself; there will be another in "
		     "30 s");
	/* Without a timer, whenever the devices are looked at next. */
	if (sd_event_add_time_relative(manager->event, &tiering->again, CLOCK_MONOTONIC, AGAIN_USEC,
				       0, on_again, tiering) < 0)
		manager->tiering = tiering_free(tiering);
	return 0;
}

static int start(struct tiering *tiering)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	tiering->socket = pair[0];
	tiering->pid = fork();
	if (tiering->pid == 0)
		tiering_worker(pair[1], &tiering->request, tiering->manager->config);
	r = tiering->pid < 0 ? -errno : 0;
	close(pair[1]);
	if (r == 0)
		r = sd_event_add_io(tiering->manager->event, &tiering->io, tiering->socket, EPOLLIN,
				    on_io, tiering);
	if (r >= 0)
		r = sd_event_add_child(tiering->manager->event, &tiering->child, tiering->pid,
				       WEXITED, on_end, tiering);
	if (r < 0 && tiering->pid > 0) {
		close(tiering->socket);
		tiering->socket = -1;
		(void)waitpid(tiering->pid, NULL, 0);
	}
	return r;
}

/* As the configuration and the nodes are; false: not at all, and why. */
static bool wanted(struct manager *manager, const struct tier_topology *topology,
		   struct tiering_request *ret, struct tier_problem *problem)
{
	const struct tier_config *config = manager->config;

	if (manager->options.sysroot || manager->options.files_only || manager->stopping ||
	    config->tiering == TIER_TIERING_NO || !tiering_by_worker(manager))
		return false;
	/* What is being evacuated must not be filled. */
	if (manager->offline)
		return false;
	/* A flight's own tool moves the VM's pages, the other way. */
	if (manager->sessions)
		return false;
	/* It is compared as a whole. */
	memset(ret, 0, sizeof(*ret));
	ret->policy.max_fast_bytes = UINT64_MAX;
	ret->policy.gap_max_usec = config->tiering_gap_usec;
	ret->least_bytes = config->tiering_least_bytes;
	ret->config_number = manager->config_number;
	ret->by = tiering_mechanism(manager);
	return tier_tiering_nodes(topology, ret->by, &ret->nodes, problem) == 0;
}

/* It ends by itself, and on_end() puts things back: the daemon has portals to beat in meanwhile. */
static void end(struct tiering *tiering)
{
	if (tiering->socket < 0)
		return;
	tiering->io = sd_event_source_disable_unref(tiering->io);
	(void)take_messages(tiering);
	close(tiering->socket);
	tiering->socket = -1;
	/* It has nothing to put back, and a pass of its may take long. */
	if (tiering->request.by == TIER_MECHANISM_IDLE && tiering->pid > 0)
		(void)kill(tiering->pid, SIGKILL);
}

void tiering_look(struct manager *manager, const struct tier_topology *topology)
{
	struct tiering *tiering = manager->tiering;
	struct tier_problem problem = {};
	struct tiering_request request;
	int r;

	/* From before there was an event loop. */
	if (manager->tiering_left_told[0] && !manager->tiering_left)
		(void)on_left(NULL, 0, manager);
	if (!wanted(manager, topology, &request, &problem) || manager_dry_run(manager)) {
		if (problem.text[0] && !streq(manager->tiering_told, problem.text))
			log_problem(LOG_NOTICE, "tiering-waits", &problem);
		COPY(manager->tiering_told, problem.text);
		if (tiering && tiering->pid > 0)
			end(tiering);
		else
			manager->tiering = tiering_free(tiering);
		return;
	}
	if (tiering) {
		/* Until it has ended, or another may be started. */
		if (tiering->pid > 0 && memcmp(&tiering->request, &request, sizeof(request)) != 0)
			end(tiering);
		return;
	}
	tiering = calloc(1, sizeof(*tiering));
	r = tiering ? 0 : -ENOMEM;
	if (r == 0) {
		tiering->manager = manager;
		tiering->request = request;
		tiering->socket = -1;
		r = start(tiering);
	}
	if (r < 0) {
		log_decision(LOG_ERR, object, "failed", "cannot be started: %s", strerror(-r));
		tiering_free(tiering);
		return;
	}
	manager->tiering = tiering;
	log_decision(LOG_INFO, object, "tiering",
		     "what is hot is fetched to DRAM, by %s: [Tiering] Tier=auto",
		     request.by == TIER_MECHANISM_IDLE ? "idle page tracking and move_pages()"
						       : "DAMON");
}

bool tiering_active(const struct manager *manager)
{
	return manager->tiering && manager->tiering->pid > 0;
}

enum tier_mechanism tiering_running(const struct manager *manager)
{
	return tiering_active(manager) ? manager->tiering->request.by : TIER_MECHANISM_NONE;
}

void tiering_pause(struct manager *manager)
{
	tiering_kernel_pause(manager);
	if (manager->tiering && manager->tiering->pid > 0)
		end(manager->tiering);
}

void tiering_stop(struct manager *manager)
{
	struct tiering *tiering = manager->tiering;

	tiering_kernel_stop(manager);
	manager->tiering_left = sd_event_source_disable_unref(manager->tiering_left);
	if (!tiering)
		return;
	tiering->child = sd_event_source_disable_unref(tiering->child);
	end(tiering);
	while (tiering->pid > 0 && waitpid(tiering->pid, NULL, 0) < 0 && errno == EINTR)
		;
	put_back(manager);
	manager->tiering_left = sd_event_source_disable_unref(manager->tiering_left);
	manager->tiering = tiering_free(tiering);
}

void tiering_start(struct manager *manager)
{
	tiering_kernel_start(manager);
	if (!manager->options.sysroot && !manager->options.files_only &&
	    !manager_dry_run(manager) && tier_tiering_left())
		put_back(manager);
}

int tiering_release(struct manager *manager)
{
	struct tier_problem problem = {};
	int r = tier_tiering_left() ? tier_tiering_end(true, &problem) : 0;

	if (r)
		log_problem(LOG_ERR, "tiering-left", &problem);
	return tiering_kernel_release(manager) ?: r;
}
