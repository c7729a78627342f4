/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <time.h>

#include "manager.h"

/*
 * On each beat this host writes its record into each of its portals, looks at the other hosts', and
 * does what it alone can do: grants and takes back its home extents, looks after flights that
 * nobody carries out, and ends VMs that it must not run any more.
 */

/* Beats that may be missed before a host is called overdue. */
#define OVERDUE_BEATS 5
#define MIN_INTERVAL  UINT64_C(100000)
#define MAX_INTERVAL  (UINT64_C(3600) * 1000000)

static bool has_seat(const struct portal *portal)
{
	return portal->code == 0 && portal->slot != TIER_PORTAL_NO_HOST;
}

int portal_may_act(struct manager *manager, const struct portal *portal,
		   struct tier_problem *problem)
{
	if (manager_dry_run(manager))
		return tier_problem_set(problem, TIER_E_REFUSED, portal_name(portal),
					"run cxl-tierd without DryRun= and --dry-run",
					"a dry run changes nothing");
	if (portal->fenced[0])
		return tier_problem_set(problem, TIER_E_REFUSED, portal_name(portal),
					"boot this host again", "this boot of this host was %s",
					portal->fenced);
	if (portal->record.stamp.incarnation == 0 || portal->usurped)
		return tier_problem_set(problem, TIER_E_REFUSED, portal_name(portal),
					"tierctl portal show; tierctl portal check",
					"this host takes no part in it: %s",
					portal->absent[0] ? portal->absent : "not looked at yet");
	return 0;
}

/* One line for each new reason. */
static void tell_absent(struct portal *portal, const char *decision,
			const struct tier_problem *problem)
{
	if (streq(portal->absent, problem->text))
		return;
	COPY(portal->absent, problem->text);
	log_problem(LOG_ERR, decision, problem);
}

static void watch_host(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		       uint32_t host, uint64_t now)
{
	struct host_watch *watch = &portal->watches[host];
	struct tier_host_record record;
	bool overdue;

	if (tier_portal_read_host(mapped, host, &record) == 0 &&
	    (record.stamp.incarnation != watch->incarnation ||
	     record.stamp.generation != watch->beats || watch->changed_usec == 0))
		*watch = (struct host_watch){
			.incarnation = record.stamp.incarnation,
			.beats = record.stamp.generation,
			.beat_usec = record.beat_usec,
			.interval_usec = record.interval_usec,
			.changed_usec = now,
			.told_overdue = watch->told_overdue,
		};
	overdue = beat_overdue(manager, portal, host);
	if (overdue == watch->told_overdue)
		return;
	watch->told_overdue = overdue;
	log_decision(overdue ? LOG_WARNING : LOG_NOTICE, portal_name(portal),
		     overdue ? "host-overdue" : "host-back",
		     overdue ? "host %s has not been heard of for %d beats; tierctl portal show"
			     : "host %s is heard of again",
		     portal->super.hosts[host].name, OVERDUE_BEATS);
}

bool beat_overdue(const struct manager *manager, const struct portal *portal, uint32_t host)
{
	const struct host_watch *watch = &portal->watches[host];
	uint64_t interval = watch->interval_usec;

	if (watch->changed_usec == 0 || host == portal->slot)
		return false;
	if (interval < MIN_INTERVAL || interval > MAX_INTERVAL)
		interval = manager->config->beat_usec;
	/* No host is heard of more often than this one listens. */
	if (interval < manager->config->beat_usec)
		interval = manager->config->beat_usec;
	return manager_monotonic_usec() > watch->changed_usec + OVERDUE_BEATS * interval;
}

/* Who has fenced this boot, and when by their clock. */
static void note_fence(struct portal *portal, struct tier_portal *mapped)
{
	struct tier_fence_record fence;
	char when[32] = "an unknown time";
	const char *who = "?";

	for (uint32_t host = 0; host < portal->super.host_count; host++) {
		time_t seconds;
		struct tm tm;

		if (host == portal->slot ||
		    tier_portal_read_fence(mapped, host, portal->slot, &fence) != 0 ||
		    fence.fenced_upto < portal->record.stamp.incarnation)
			continue;
		who = portal->super.hosts[host].name;
		seconds = (time_t)(fence.when_usec / 1000000);
		if (gmtime_r(&seconds, &tm))
			strftime(when, sizeof(when), "%F %T UTC", &tm);
		break;
	}
	snprintf(portal->fenced, sizeof(portal->fenced), "fenced by %s at %s", who, when);
	log_decision(
		LOG_CRIT, portal_name(portal), "self-fenced",
		"this boot of this host was %s: its VMs of this portal are killed, and nothing "
		"is written to it until this host boots again",
		portal->fenced);
}

/* Whether this boot is fenced, where somebody else's records cannot be read. */
static int read_own_fences(const struct portal *portal, struct tier_portal *mapped, bool *ret)
{
	struct tier_fence_record fence;
	bool fenced = false;
	int result = 0;

	for (uint32_t host = 0; host < portal->super.host_count; host++) {
		int r = host == portal->slot
				? TIER_E_NOT_FOUND
				: tier_portal_read_fence(mapped, host, portal->slot, &fence);

		if (r != 0 && r != TIER_E_NOT_FOUND)
			result = r;
		fenced |= r == 0 && fence.fenced_upto >= portal->record.stamp.incarnation;
	}
	/* One that says so is enough. */
	*ret = fenced;
	return fenced ? 0 : result;
}

/*
 * 0; TIER_E_DAMAGED: nothing may be decided, but this host knows that it is not fenced; or it does
 * not (negative): then it must not count on running its VMs on.
 */
static int look_at_hosts(struct portal *portal, struct tier_portal *mapped, bool *ret_fenced)
{
	struct tier_problem problem;
	int own, r;

	portal->hosts.self = portal->slot;
	portal->hosts.incarnation = portal->record.stamp.incarnation;
	own = read_own_fences(portal, mapped, ret_fenced);
	r = tier_portal_look_hosts(mapped, &portal->hosts);
	if (r == 0 && own == 0)
		return 0;
	tier_problem_set(&problem, r ?: own, portal_name(portal), "tierctl portal check",
			 own == 0 ? "cannot read who is fenced in it: no flight goes on"
				  : "cannot read whether this host is fenced");
	tell_absent(portal, "beat-failed", &problem);
	return own == 0 ? TIER_E_DAMAGED : -EBADMSG;
}

/* Reads fences before it writes, so that a host that is fenced writes nothing. */
static int beat_portal(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		       uint64_t now)
{
	struct tier_problem problem = {};
	bool arriving = portal->record.stamp.incarnation == 0, fenced = false;
	int looked, r;

	if (arriving) {
		r = tier_portal_arrive(mapped, portal->slot, &manager->boot, &portal->record,
				       &problem);
		if (r != 0) {
			portal->record = (struct tier_host_record){};
			tell_absent(portal, "read-only", &problem);
			return r;
		}
	}
	looked = look_at_hosts(portal, mapped, &fenced);
	if (looked < 0) {
		if (arriving)
			portal->record = (struct tier_host_record){};
		return looked;
	}
	if (fenced) {
		if (!portal->fenced[0])
			note_fence(portal, mapped);
		flights_guard(manager, portal, mapped);
		guard_fenced(manager, portal);
		return TIER_E_REFUSED;
	}
	portal->record.interval_usec = manager->config->beat_usec;
	portal->record.watchdog_usec = guard_watchdog_usec(manager);
	r = tier_portal_beat(mapped, portal->slot, &portal->record, &problem);
	if (r != 0) {
		portal->usurped = r == TIER_E_STALE;
		tell_absent(portal, portal->usurped ? "usurped" : "beat-failed", &problem);
		/* A boot that has never been stored is the next boot's number too. */
		if (arriving)
			portal->record = (struct tier_host_record){};
		return r;
	}
	if (looked == 0) {
		if (portal->absent[0])
			log_decision(LOG_NOTICE, portal_name(portal), "beating", "beats again");
		portal->absent[0] = '\0';
	}
	if (arriving)
		log_decision(LOG_INFO, portal_name(portal), "arrived",
			     "this is boot %" PRIu64 " of %s", portal->record.stamp.incarnation,
			     portal->record.name);
	guard_reached(manager, portal, now);
	for (uint32_t host = 0; host < portal->super.host_count; host++)
		if (host != portal->slot)
			watch_host(manager, portal, mapped, host, now);
	return looked;
}

static void visit(struct manager *manager, struct portal *portal, uint64_t now, bool whole)
{
	_cleanup_(tier_portal_closep) struct tier_portal *mapped = NULL;
	struct tier_problem problem = {};

	if (!has_seat(portal) || portal->usurped || manager_dry_run(manager))
		return;
	if (portal_open(portal, TIER_PORTAL_WRITE, &mapped, &problem) != 0) {
		tell_absent(portal, "beat-failed", &problem);
		return;
	}
	if (beat_portal(manager, portal, mapped, now) != 0 || !whole)
		return;
	flights_pass(manager, portal, mapped);
	if (homes_due(portal))
		homes_pass(manager, portal, mapped);
}

static void beat(struct manager *manager, bool whole)
{
	uint64_t now = manager_monotonic_usec();

	if (manager->beating)
		return;
	manager->beating = true;
	manager->beat_last_usec = now;
	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		visit(manager, portal, now, whole);
	guard_check(manager, now);
	if (whole)
		homes_answer_rest(manager);
	manager->beating = false;
}

void beat_if_due(struct manager *manager)
{
	if (manager->beat_source &&
	    manager_monotonic_usec() >= manager->beat_last_usec + manager->config->beat_usec)
		beat(manager, false);
}

void beat_new_portals(struct manager *manager)
{
	for (struct portal *portal = manager->portals; portal; portal = portal->next)
		if (portal->record.stamp.incarnation == 0)
			visit(manager, portal, manager_monotonic_usec(), false);
}

static int on_beat(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;
	int r;

	beat(manager, true);
	r = sd_event_source_set_time_relative(source, manager->config->beat_usec);
	if (r >= 0)
		r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return r;
}

int beat_start(struct manager *manager)
{
	uint64_t accuracy = manager->config->beat_usec / 10;
	int r = sd_event_add_time_relative(manager->event, &manager->beat_source, CLOCK_MONOTONIC,
					   manager->config->beat_usec, accuracy, on_beat, manager);

	if (r >= 0)
		r = sd_event_source_set_priority(manager->beat_source, SD_EVENT_PRIORITY_IMPORTANT);
	return r;
}
