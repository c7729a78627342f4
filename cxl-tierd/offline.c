/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "events.h"
#include "offline.h"
#include "varlink.h"

/*
 * Taking a region offline, by a process of its own (offline-worker.c). One at a time: the kernel
 * evacuates one memory block of the machine at a time, and the next one would wait in vain. Whatever
 * else the daemon does about memory waits for that lock of the kernel's as well, and beats would wait
 * with it. So scans, and Online of other regions, are put off until the worker makes a pause: between
 * two blocks, or two attempts at one, ten seconds at the most while nothing moves.
 */

/* Without the event loop, which beats meanwhile: as long as systemd gives a service, if nobody says. */
#define STOP_MSEC 80000

/* At the daemon's end, whoever asked has so long to take the reply. */
#define REPLY_MSEC 1000

struct deferred {
	struct deferred *next;
	sd_varlink *link;
	sd_json_variant *parameters;
	offline_deferred_t call;
};

struct offline {
	struct manager *manager;
	char region[32];
	bool to_devdax, keep_partial;
	sd_varlink *link; /* NULL: it has gone */
	bool more;
	struct tier_plan *plan;
	pid_t pid;
	int socket, report;
	sd_event_source *io, *child;
	bool asked_pause, paused;
	bool has_result;
	struct offline_message result;
	bool scan, scan_everything; /* when it makes a pause */
	struct deferred *deferred;
};

static void tell(const struct offline *offline, char word)
{
	(void)send(offline->socket, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void offline_free(struct offline *offline)
{
	if (!offline)
		return;
	sd_event_source_disable_unref(offline->io);
	sd_event_source_disable_unref(offline->child);
	if (offline->socket >= 0)
		close(offline->socket);
	if (offline->report >= 0)
		close(offline->report);
	sd_varlink_unref(offline->link);
	tier_plan_free(offline->plan);
	free(offline);
}
DEFINE_CLEANUP(struct offline *, offline_free)

/* The same region, or runs of memory blocks that have some in common. */
bool offline_busy(const struct manager *manager, const char *region)
{
	uint64_t first, last, own_first, own_last;

	if (!manager->offline)
		return false;
	if (tier_run_parse(region, &first, &last) == 0 &&
	    tier_run_parse(manager->offline->region, &own_first, &own_last) == 0)
		return first <= own_last && own_first <= last;
	return streq(manager->offline->region, region);
}

/* May the daemon change memory? If not, a pause is asked for. */
static bool must_wait(struct manager *manager)
{
	struct offline *offline = manager->offline;

	if (!offline || offline->paused)
		return false;
	if (!offline->asked_pause)
		tell(offline, OFFLINE_PAUSE);
	offline->asked_pause = true;
	return true;
}

bool offline_defers_scan(struct manager *manager, bool everything)
{
	if (!must_wait(manager))
		return false;
	manager->offline->scan = true;
	manager->offline->scan_everything |= everything;
	return true;
}

bool offline_defers_blocks(struct manager *manager, const char *region)
{
	return offline_busy(manager, region) || must_wait(manager);
}

bool offline_defers_call(struct manager *manager, sd_varlink *link, sd_json_variant *parameters,
			 offline_deferred_t call)
{
	struct deferred **last, *deferred;

	if (!must_wait(manager))
		return false;
	deferred = calloc(1, sizeof(*deferred));
	if (!deferred)
		return false;
	*deferred = (struct deferred){.link = sd_varlink_ref(link),
				      .parameters = sd_json_variant_ref(parameters),
				      .call = call};
	for (last = &manager->offline->deferred; *last;)
		last = &(*last)->next;
	*last = deferred;
	return true;
}

static void deferred_free(struct deferred *deferred)
{
	sd_varlink_unref(deferred->link);
	sd_json_variant_unref(deferred->parameters);
	free(deferred);
}

/* Nothing is done in a pause, or after it, any more. */
static void free_deferred(struct offline *offline)
{
	offline->scan = false;
	while (offline->deferred) {
		struct deferred *deferred = offline->deferred;

		offline->deferred = deferred->next;
		deferred_free(deferred);
	}
}

/* Taken out of the list first: a call may find others in the way. */
static void run_deferred(struct manager *manager, struct deferred *list)
{
	while (list) {
		struct deferred *deferred = list;

		list = deferred->next;
		(void)deferred->call(deferred->link, deferred->parameters, manager);
		deferred_free(deferred);
	}
}

static void run_scan(struct manager *manager, bool everything)
{
	struct tier_problem problem;

	if (manager_scan(manager, everything, &problem) != 0)
		log_problem(LOG_ERR, "failed", &problem);
	manager_status(manager);
}

static void on_pause(struct offline *offline)
{
	struct manager *manager = offline->manager;
	struct deferred *list = offline->deferred;
	bool scan = offline->scan, everything = offline->scan_everything;

	offline->deferred = NULL;
	offline->scan = offline->scan_everything = false;
	offline->paused = true;
	retired_offline_rest(manager);
	run_deferred(manager, list);
	if (scan)
		run_scan(manager, everything);
	offline->paused = offline->asked_pause = false;
	tell(offline, OFFLINE_GO);
}

static void on_progress(struct offline *offline, const struct tier_offline_progress *progress)
{
	bool back = progress->phase == TIER_OFFLINE_PUTTING_BACK;

	if (!offline->link || !offline->more)
		return;
	(void)sd_varlink_notifybo(
		offline->link,
		SD_JSON_BUILD_PAIR_STRING("phase", back ? "putting-back" : "evacuating"),
		SD_JSON_BUILD_PAIR_UNSIGNED("doneBytes", progress->done_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("totalBytes", progress->total_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("block", progress->block));
}

/* Takes in what the worker has sent. False: there is nothing more to come. */
static bool take_messages(struct offline *offline)
{
	struct offline_message message;

	while (offline_receive(offline->socket, &message)) {
		if (message.kind == OFFLINE_PROGRESS) {
			on_progress(offline, &message.progress);
		} else if (message.kind == OFFLINE_PAUSED) {
			on_pause(offline);
		} else {
			offline->result = message;
			offline->has_result = true;
		}
	}
	return errno == EAGAIN;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct offline *offline = userdata;

	/* What is left is the end of the process. */
	if (!take_messages(offline))
		offline->io = sd_event_source_disable_unref(offline->io);
	return 0;
}

static int read_report(const struct offline *offline, sd_json_variant **ret)
{
	off_t size = lseek(offline->report, 0, SEEK_END);
	_cleanup_(freep) char *text = size > 0 ? calloc(1, (size_t)size + 1) : NULL;

	if (!text || pread(offline->report, text, (size_t)size, 0) != size)
		return -ENODATA;
	return sd_json_parse(text, 0, ret, NULL, NULL);
}

/* There is no event loop any more that would, and whoever asked may not read. */
static void write_reply(sd_varlink *link)
{
	uint64_t end = manager_monotonic_usec() + REPLY_MSEC * UINT64_C(1000);
	struct pollfd poll_fd = {.fd = sd_varlink_get_fd(link), .events = POLLOUT};

	while ((sd_varlink_get_events(link) & POLLOUT) > 0 && manager_monotonic_usec() < end)
		if (poll(&poll_fd, 1, REPLY_MSEC) <= 0 || sd_varlink_process(link) <= 0)
			break;
}

static void conclude(struct offline *offline)
{
	struct offline_message *result = &offline->result;
	sd_json_variant *report = NULL;
	bool good;

	if (!offline->has_result)
		result->code = tier_problem_set(
			&result->problem, -EIO, offline->region, "tierctl list blocks",
			"the process that took it offline has ended by itself, and may have left "
			"it half done");
	good = result->code == 0;
	(void)read_report(offline, &report);
	if (good)
		log_decision(LOG_NOTICE, offline->region, "offlined", "taken offline on request%s",
			     offline->to_devdax ? " and handed to devdax" : "");
	else
		log_problem(result->code == TIER_E_CANCELLED ? LOG_NOTICE : LOG_ERR,
			    "offline-failed", &result->problem);
	if (!good && !offline->keep_partial)
		region_decided(offline->manager, offline->region, "onlined");
	if (offline->link && good)
		(void)varlink_reply_plan(offline->link, offline->plan, report);
	else if (offline->link)
		(void)varlink_refuse_with(offline->link, &result->problem, report);
	/* Otherwise the event loop writes it; it may be that nobody reads. */
	if (offline->link && offline->manager->stopping)
		write_reply(offline->link);
	sd_json_variant_unref(report);
}

static int on_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct offline *offline = userdata;
	struct manager *manager = offline->manager;
	struct deferred *list;
	bool scan, everything;

	(void)take_messages(offline);
	if (manager->stopping)
		free_deferred(offline);
	list = offline->deferred;
	scan = offline->scan;
	everything = offline->scan_everything;
	manager->offline = NULL;
	conclude(offline);
	offline_free(offline);
	retired_offline_rest(manager);
	run_deferred(manager, list);
	if (scan)
		run_scan(manager, everything);
	if (manager->stopping)
		(void)sd_event_exit(manager->event, 0);
	return 0;
}

static int start(struct offline *offline, const struct offline_request *request)
{
	struct manager *manager = offline->manager;
	int pair[2], r;

	offline->report = memfd_create("offline-report", MFD_CLOEXEC);
	if (offline->report < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	offline->socket = pair[0];
	offline->pid = fork();
	if (offline->pid == 0)
		offline_worker(pair[1], offline->report, offline->plan, request);
	r = offline->pid < 0 ? -errno : 0;
	close(pair[1]);
	if (r == 0)
		r = sd_event_add_io(manager->event, &offline->io, offline->socket, EPOLLIN, on_io,
				    offline);
	if (r >= 0)
		r = sd_event_add_child(manager->event, &offline->child, offline->pid, WEXITED,
				       on_end, offline);
	if (r < 0 && offline->pid > 0) {
		/* It has hardly begun, puts back what it has, and ends. */
		close(offline->socket);
		offline->socket = -1;
		(void)waitpid(offline->pid, NULL, 0);
	}
	return r;
}

int offline_start(struct manager *manager, sd_varlink *link, bool more,
		  const struct offline_request *request, struct tier_plan *plan,
		  struct tier_problem *problem)
{
	_cleanup_(offline_freep) struct offline *offline = calloc(1, sizeof(*offline));
	int r = -ENOMEM;

	if (offline) {
		offline->manager = manager;
		offline->to_devdax = request->to_devdax;
		offline->keep_partial = request->keep_partial;
		offline->more = more;
		offline->socket = offline->report = -1;
		COPY(offline->region, request->region);
		offline->plan = plan;
		/* What is being evacuated must not be filled. */
		tiering_pause(manager);
		r = start(offline, request);
		if (r < 0)
			offline->plan = NULL;
	}
	if (r < 0) {
		(void)monitor_rescan(manager);
		return tier_problem_set(problem, r, request->region, NULL,
					"cannot start a process that takes it offline");
	}
	offline->link = sd_varlink_ref(link);
	region_decided(manager, request->region, "offlined");
	log_decision(LOG_INFO, request->region, "offline-begun",
		     "is being taken offline on request");
	manager->offline = offline;
	offline = NULL;
	return 0;
}

int offline_refuse_second(const struct manager *manager, const char *region,
			  struct tier_problem *problem)
{
	if (!manager->offline)
		return 0;
	return tier_problem_set(problem, TIER_E_BUSY, region, "try again when that has ended",
				"%s is being taken offline, and the kernel evacuates one region at "
				"a time",
				manager->offline->region);
}

void offline_disconnected(struct manager *manager, sd_varlink *link)
{
	struct offline *offline = manager->offline;

	if (!offline)
		return;
	for (struct deferred **p = &offline->deferred; *p;) {
		struct deferred *deferred = *p;

		if (deferred->link != link) {
			p = &deferred->next;
			continue;
		}
		*p = deferred->next;
		deferred_free(deferred);
	}
	if (offline->link != link)
		return;
	offline->link = sd_varlink_unref(offline->link);
	tell(offline, OFFLINE_CANCEL);
}

bool offline_cancel(struct manager *manager)
{
	if (!manager->offline)
		return false;
	free_deferred(manager->offline);
	tell(manager->offline, OFFLINE_CANCEL);
	return true;
}

void offline_stop(struct manager *manager)
{
	struct offline *offline = manager->offline;
	uint64_t end = manager_monotonic_usec() + STOP_MSEC * UINT64_C(1000);
	struct pollfd poll_fd = {.events = POLLIN};

	if (!offline)
		return;
	offline->child = sd_event_source_disable_unref(offline->child);
	offline->io = sd_event_source_disable_unref(offline->io);
	free_deferred(offline);
	poll_fd.fd = offline->socket;
	tell(offline, OFFLINE_CANCEL);
	while (!offline->has_result && manager_monotonic_usec() < end) {
		uint64_t left = end - manager_monotonic_usec();

		(void)poll(&poll_fd, 1, (int)(left / 1000) + 1);
		if (!take_messages(offline))
			break;
	}
	manager->offline = NULL;
	conclude(offline);
	if (offline->has_result)
		(void)waitpid(offline->pid, NULL, 0);
	offline_free(offline);
	manager->stopping = true;
	retired_offline_rest(manager);
}
