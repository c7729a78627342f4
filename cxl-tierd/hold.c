/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "manager.h"

/*
 * While cxl-tierd runs, dax devices that arrive stay without a driver. Else kmem would have added the
 * memory of a region before anybody could look for a portal on it: the kernel may online it then, and
 * it has to be taken away for the look and added once more, which takes as long again. A scan binds what
 * is of a CXL region. All other devices are to get the driver that they would have had: they are
 * pending until they have one, which may have to be loaded first.
 *
 * A file beside the socket says that it was cxl-tierd who held them, so that what a killed one has left
 * is not taken for an operator's choice, nor that for a leftover.
 */

/* A device's event comes a moment before the kernel lets it have a driver. */
#define YOUNG_USEC (2 * UINT64_C(1000000))

struct held {
	struct held *next;
	char name[32];
	uint64_t since_usec;
	bool told;
};

static void mark_path(const struct manager *manager, char path[static 300])
{
	snprintf(path, 300, "%s.holds", manager->options.socket);
}

static bool is_marked(const struct manager *manager)
{
	char path[300];

	mark_path(manager, path);
	return access(path, F_OK) == 0;
}

static int mark(const struct manager *manager)
{
	char path[300];
	int fd, r;

	mark_path(manager, path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		r = -errno;
		log_decision(LOG_WARNING, path, "failed", "cannot be made: %s", strerror(-r));
		return r;
	}
	close(fd);
	return 0;
}

static void unmark(const struct manager *manager)
{
	char path[300];

	mark_path(manager, path);
	(void)unlink(path);
}

static void add(struct manager *manager, const char *name)
{
	struct held *held = manager->hold.pending;

	while (held && !streq(held->name, name))
		held = held->next;
	if (held)
		return;
	held = calloc(1, sizeof(*held));
	if (!held) {
		log_decision(LOG_ERR, name, "failed", "gets no driver: out of memory");
		return;
	}
	COPY(held->name, name);
	held->since_usec = manager_monotonic_usec();
	held->next = manager->hold.pending;
	manager->hold.pending = held;
}

/* Of whose arrival nothing is known. */
static void add_all(struct manager *manager)
{
	_cleanup_(freep) char(*names)[32] = NULL;
	struct tier_problem problem = {};
	size_t count = 0;

	if (tier_dax_waiting(&names, &count, &problem) != 0)
		log_problem(LOG_WARNING, "failed", &problem);
	for (size_t i = 0; i < count; i++)
		add(manager, names[i]);
}

static void begin(struct manager *manager)
{
	struct hold *hold = &manager->hold;
	struct tier_problem problem = {};
	bool held = false, marked;
	int r;

	/* Asked again by the next scan. */
	if (access("/sys/bus/cxl", F_OK) != 0 || tier_dax_is_held(&held) == TIER_E_NOT_FOUND)
		return;
	hold->tried = true;
	marked = is_marked(manager);
	/* Somebody else wants it so, also for other devices, and when this daemon has gone. */
	if (held && !marked) {
		hold->on = true;
		return;
	}
	if (!marked && mark(manager) < 0)
		return;
	r = tier_dax_hold(true, &problem);
	if (r != 0) {
		log_problem(LOG_WARNING, "failed", &problem);
		unmark(manager);
		return;
	}
	hold->on = hold->own = true;
	/* What has arrived since the daemon before this one was killed. */
	if (marked)
		add_all(manager);
}

static void release_pending(struct manager *manager)
{
	bool again = false;

	for (struct held **p = &manager->hold.pending; *p;) {
		struct held *held = *p;
		struct tier_problem problem = {};
		int r;

		/* The kernel may add its memory. */
		manager_alive(manager);
		r = tier_dax_release(held->name, &problem);
		if (r == 0) {
			*p = held->next;
			free(held);
			continue;
		}
		if (r == -EAGAIN && manager_monotonic_usec() < held->since_usec + YOUNG_USEC) {
			again = true;
		} else if (!held->told) {
			log_problem(LOG_WARNING, "failed", &problem);
			held->told = true;
		}
		p = &held->next;
	}
	if (again && manager->event)
		(void)monitor_rescan(manager);
}

static void end(struct manager *manager)
{
	struct hold *hold = &manager->hold;
	struct tier_problem problem = {};

	if (hold->own && tier_dax_hold(false, &problem) != 0) {
		log_problem(LOG_ERR, "failed", &problem);
		return;
	}
	if (hold->own) {
		release_pending(manager);
		unmark(manager);
	}
	while (hold->pending) {
		struct held *held = hold->pending;

		hold->pending = held->next;
		free(held);
	}
	*hold = (struct hold){};
}

/* Not by this daemon; it is tried again when everything is. */
static void look_at_rivals(struct manager *manager)
{
	bool held = true;

	if (tier_dax_is_held(&held) != 0 || held)
		return;
	log_decision(LOG_WARNING, "/sys/bus/dax/drivers_autoprobe", "unsafe",
		     "somebody has written 1: the memory of a region that arrives is added before "
		     "it is known what it is; systemctl reload cxl-tierd");
	manager->hold.on = false;
}

void hold_scan(struct manager *manager, bool everything)
{
	bool wanted = !manager_dry_run(manager) && !manager->options.files_only;

	if (!wanted) {
		end(manager);
		return;
	}
	if (manager->hold.on)
		look_at_rivals(manager);
	if (!manager->hold.tried || (everything && !manager->hold.on))
		begin(manager);
	if (manager->hold.own)
		release_pending(manager);
}

void hold_arrived(struct manager *manager, const char *dax)
{
	if (manager->hold.own)
		add(manager, dax);
}

void hold_lost(struct manager *manager)
{
	if (manager->hold.own)
		add_all(manager);
}

void hold_stop(struct manager *manager)
{
	end(manager);
}

int hold_release(struct manager *manager)
{
	if (!is_marked(manager))
		return 0;
	manager->hold.own = true;
	add_all(manager);
	end(manager);
	return manager->hold.own ? -EIO : 0;
}
