/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"
#include "varlink.h"

/* This host's home extents. Only this host writes their records, and only this file does so. */

/* How many beats may pass without a look at extents that nobody has. */
#define IDLE_BEATS 64

/* A caller of EndFlight, who is answered when its extents are zeroed. */
struct waiter {
	struct waiter *next;
	sd_varlink *link;
	struct tier_uuid flight;
};

void homes_count(struct portal *portal, struct tier_portal *mapped,
		 uint32_t counts[static TIER_EXTENT_RETIRED + 1])
{
	const struct tier_portal_slot *home = &portal->super.hosts[portal->slot];

	for (uint32_t i = 0; i < home->extent_count; i++) {
		struct tier_extent_record record;
		int r = tier_portal_read_extent(mapped, home->first_extent + i, &record);

		/* Never written: free. Damaged: nobody's to give away. */
		counts[r == 0		       ? record.state
		       : r == TIER_E_NOT_FOUND ? TIER_EXTENT_FREE
					       : TIER_EXTENT_RETIRED]++;
	}
}

/* Hosts that have been heard of lately: they give what their turn is to give. */
uint32_t homes_granting(struct manager *manager, const struct portal *portal)
{
	uint32_t hosts = 0;

	for (uint32_t host = 0; host < portal->super.host_count; host++) {
		const struct host_watch *watch = &portal->watches[host];

		if (host != portal->slot && watch->changed_usec != 0 &&
		    !beat_overdue(manager, portal, host) &&
		    !tier_handoff_dead(&portal->hosts, host, watch->incarnation))
			hosts |= 1u << host;
	}
	return hosts;
}

static bool is_pending(struct manager *manager, const struct tier_uuid *flight)
{
	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		for (size_t i = 0; i < portal->scrub_count; i++)
			if (uuid_equal(&portal->scrubs[i].flight, flight))
				return true;
	return false;
}

/* @problem: why extents of @flight stay as they are; NULL: they have been zeroed. */
static void answer(struct manager *manager, const struct tier_uuid *flight,
		   const struct tier_problem *problem)
{
	for (struct waiter **p = &manager->waiters; *p;) {
		struct waiter *waiter = *p;

		if (!uuid_equal(&waiter->flight, flight)) {
			p = &waiter->next;
			continue;
		}
		*p = waiter->next;
		if (problem)
			varlink_refuse(waiter->link, problem);
		else
			sd_varlink_reply(waiter->link, NULL);
		sd_varlink_unref(waiter->link);
		free(waiter);
	}
}

int homes_reply_when_zeroed(struct manager *manager, sd_varlink *link,
			    const struct tier_uuid *flight)
{
	struct waiter *waiter;

	if (!is_pending(manager, flight))
		return sd_varlink_reply(link, NULL);
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter)
		return -ENOMEM;
	waiter->link = sd_varlink_ref(link);
	waiter->flight = *flight;
	waiter->next = manager->waiters;
	manager->waiters = waiter;
	return 0;
}

void homes_answer_rest(struct manager *manager)
{
	for (struct waiter *waiter = manager->waiters, *next; waiter; waiter = next) {
		struct tier_uuid flight = waiter->flight;

		next = waiter->next;
		if (is_pending(manager, &flight))
			continue;
		answer(manager, &flight, NULL);
		next = manager->waiters;
	}
}

void homes_disconnected(struct manager *manager, sd_varlink *link)
{
	for (struct waiter **p = &manager->waiters; *p;) {
		struct waiter *waiter = *p;

		if (waiter->link != link) {
			p = &waiter->next;
			continue;
		}
		*p = waiter->next;
		sd_varlink_unref(waiter->link);
		free(waiter);
	}
}

void homes_free(struct manager *manager)
{
	while (manager->waiters)
		homes_disconnected(manager, manager->waiters->link);
	manager->scrub_source = sd_event_source_disable_unref(manager->scrub_source);
}

static int zero(void *userdata, uint32_t extent, struct tier_problem *problem)
{
	return portal_scrub(userdata, &(struct tier_extent_range){.first = extent, .count = 1}, 1,
			    problem);
}

/* Zeroes one extent. */
static void scrub_next(struct manager *manager, struct portal *portal)
{
	struct tier_home_task task = portal->scrubs[--portal->scrub_count];
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	struct tier_problem problem = {};
	int r;

	r = portal_may_act(manager, portal, &problem);
	if (r == 0)
		r = portal_open(portal, TIER_PORTAL_WRITE, &mapped, &problem);
	if (r == 0)
		r = tier_portal_home_perform(mapped, portal->record.stamp.incarnation, &task, zero,
					     portal, &problem);
	if (r != 0 && r != TIER_E_STALE) {
		/* The next beat finds it again. */
		if (!streq(portal->scrub_failed, problem.text))
			log_problem(LOG_WARNING, "scrub-failed", &problem);
		COPY(portal->scrub_failed, problem.text);
		answer(manager, &task.flight, &problem);
		return;
	}
	portal->scrub_failed[0] = '\0';
	if (!is_pending(manager, &task.flight)) {
		char uuid[37];

		tier_uuid_format(&task.flight, uuid);
		log_decision(LOG_INFO, portal_name(portal), "scrubbed",
			     "the extents of flight %s are zeroed, and free again", uuid);
		answer(manager, &task.flight, NULL);
	}
}

static int on_scrub(sd_event_source *source, void *userdata)
{
	struct manager *manager = userdata;
	bool more = false;

	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		if (portal->scrub_count > 0) {
			scrub_next(manager, portal);
			break;
		}
	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		more |= portal->scrub_count > 0;
	return sd_event_source_set_enabled(source, more ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* After whatever else is to be done, so that callers and beats are served between two extents. */
static void start_scrubbing(struct manager *manager)
{
	int r = 0;

	if (manager->scrub_source)
		r = sd_event_source_set_enabled(manager->scrub_source, SD_EVENT_ON);
	else
		r = sd_event_add_defer(manager->event, &manager->scrub_source, on_scrub, manager);
	if (r >= 0)
		r = sd_event_source_set_priority(manager->scrub_source, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = sd_event_source_set_enabled(manager->scrub_source, SD_EVENT_ON);
	if (r < 0)
		log_decision(LOG_ERR, "cxl-tierd", "scrub-failed", "event loop: %s", strerror(-r));
}

/* One line for the extents of each flight. */
static void tell(const struct portal *portal, const struct tier_home_task *task, unsigned count)
{
	bool grant = task->action == TIER_HANDOFF_GRANT;
	char uuid[37];

	if (count == 0)
		return;
	tier_uuid_format(&task->flight, uuid);
	log_decision(LOG_INFO, portal_name(portal), grant ? "granted" : "reclaimed",
		     "%u extents %s flight %s of host %s", count,
		     grant ? "granted to" : "taken back from", uuid,
		     portal->super.hosts[task->owner].name);
}

bool homes_due(const struct portal *portal)
{
	/* Now and then anyway: another program may have repaired a record. */
	return !portal->idle || portal->requested ||
	       portal->record.stamp.generation % IDLE_BEATS == 0;
}

void homes_pass(struct manager *manager, struct portal *portal, struct tier_portal *mapped)
{
	struct tier_problem problem = {};
	struct tier_home_task *tasks, last = {};
	size_t count, scrubs = 0;
	unsigned told = 0;
	int r;

	if (portal_may_act(manager, portal, &problem) != 0)
		return;
	/* Before one of them is granted again. */
	retired_pass(manager, portal, mapped);
	r = tier_portal_home_look(mapped, portal->slot, &portal->hosts,
				  homes_granting(manager, portal), &tasks, &count, &portal->idle);
	if (r != 0) {
		log_decision(LOG_ERR, portal_name(portal), "failed",
			     "cannot look at the home extents: %s", tier_strerror(r));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct tier_home_task task = tasks[i];

		if (task.action != TIER_HANDOFF_SCRUB) {
			r = tier_portal_home_perform(mapped, portal->record.stamp.incarnation,
						     &task, NULL, NULL, &problem);
			if (r != 0) {
				log_problem(LOG_ERR, "failed", &problem);
				continue;
			}
			if (last.action != task.action || !uuid_equal(&last.flight, &task.flight)) {
				tell(portal, &last, told);
				told = 0;
			}
			last = task;
			told++;
		}
		if (task.action == TIER_HANDOFF_GRANT)
			continue;
		/* What is left of a RECLAIM is a SCRUB. */
		task.action = TIER_HANDOFF_SCRUB;
		tasks[scrubs++] = task;
	}
	tell(portal, &last, told);
	free(portal->scrubs);
	portal->scrubs = tasks;
	portal->scrub_count = scrubs;
	if (scrubs > 0)
		start_scrubbing(manager);
}
