/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include <systemd/sd-id128.h>

#include "manager.h"

/*
 * VMs that another host may take, or has taken, once this host is fenced or cut off. Their list is
 * kept in a file beside the socket, with the time at which their portal was last reached: a daemon
 * that is ended by the very device that it watches (SIGBUS) is started again with the same duty and
 * the same deadline.
 */

struct guarded {
	struct guarded *next;
	struct tier_uuid portal;
	char name[TIER_PORTAL_NAME]; /* the portal's */
	char vm[64];
	bool open;	       /* in a flight: GUARD_OPEN */
	bool came;	       /* GUARD_CAME: stays so; its records may be overwritten */
	uint64_t reached_usec; /* CLOCK_MONOTONIC: when its portal was, unfenced */
	bool seen, seen_open;  /* in this pass over the portal */
	bool told;
};

/* By open and came. */
static const char *const kinds[2][2] = {{"asked", "came"}, {"open", "both"}};

static void list_path(const struct manager *manager, char path[static 300])
{
	snprintf(path, 300, "%s.guarded", manager->options.socket);
}

static struct guarded *add(struct manager *manager, const struct tier_uuid *portal,
			   const char *name, const char *vm)
{
	struct guarded *entry;

	for (entry = manager->guarded; entry; entry = entry->next)
		if (uuid_equal(&entry->portal, portal) && streq(entry->vm, vm))
			return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->portal = *portal;
	COPY(entry->name, name);
	COPY(entry->vm, vm);
	entry->next = manager->guarded;
	manager->guarded = entry;
	return entry;
}

static void boot_text(const struct manager *manager, char text[static 37])
{
	tier_uuid_format(&manager->boot, text);
}

static bool parse_line(struct manager *manager, const char *line)
{
	char uuid[40], name[TIER_PORTAL_NAME], vm[64], kind[8];
	struct tier_uuid portal;
	struct guarded *entry;
	uint64_t reached;
	sd_id128_t id;

	if (sscanf(line, "%39s %31s %63s %7s %" SCNu64, uuid, name, vm, kind, &reached) != 5 ||
	    sd_id128_from_string(uuid, &id) < 0)
		return false;
	memcpy(portal.bytes, id.bytes, sizeof(portal.bytes));
	for (unsigned i = 0; i < 4; i++) {
		if (!streq(kind, kinds[i >> 1][i & 1]))
			continue;
		entry = add(manager, &portal, name, vm);
		if (!entry)
			return false;
		entry->open = i >> 1;
		entry->came = i & 1;
		entry->reached_usec = reached;
		return true;
	}
	return false;
}

/* A file of that name is whole, or is the one before. */
static void save(struct manager *manager)
{
	char path[300], temporary[310], boot[37], uuid[37];
	FILE *file;

	list_path(manager, path);
	if (!manager->guarded) {
		unlink(path);
		return;
	}
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "we");
	if (!file)
		goto fail;
	boot_text(manager, boot);
	fprintf(file, "boot %s starts %u\n", boot, manager->guard_starts);
	for (struct guarded *entry = manager->guarded; entry; entry = entry->next) {
		tier_uuid_format(&entry->portal, uuid);
		fprintf(file, "%s %s %s %s %" PRIu64 "\n", uuid, entry->name, entry->vm,
			kinds[entry->open][entry->came], entry->reached_usec);
	}
	if (fclose(file) == 0 && rename(temporary, path) == 0)
		return;
fail:
	log_decision(LOG_ERR, path, "failed",
		     "cannot write down which VMs end with their portal: %m");
}

void guard_begin(struct manager *manager, const struct portal *portal)
{
	for (struct guarded *entry = manager->guarded; entry; entry = entry->next)
		if (uuid_equal(&entry->portal, &portal->super.uuid))
			entry->seen = entry->seen_open = false;
}

void guard_note(struct manager *manager, const struct portal *portal, const char *vm,
		enum guard_kind kind)
{
	struct guarded *entry = add(manager, &portal->super.uuid, portal->super.name, vm);

	if (!entry)
		return;
	if (entry->reached_usec == 0)
		entry->reached_usec = manager_monotonic_usec();
	entry->open |= kind == GUARD_OPEN;
	entry->came |= kind == GUARD_CAME;
	entry->seen_open |= kind == GUARD_OPEN;
	entry->seen = true;
}

static void drop(struct guarded **p)
{
	struct guarded *entry = *p;

	*p = entry->next;
	free(entry);
}

void guard_commit(struct manager *manager, const struct portal *portal)
{
	for (struct guarded **p = &manager->guarded; *p;) {
		struct guarded *entry = *p;
		bool ours = uuid_equal(&entry->portal, &portal->super.uuid);

		if (ours)
			entry->open = entry->seen_open;
		if (ours && !entry->seen && !entry->came)
			drop(p);
		else
			p = &entry->next;
	}
}

void guard_reached(struct manager *manager, const struct portal *portal, uint64_t now)
{
	for (struct guarded *entry = manager->guarded; entry; entry = entry->next)
		if (uuid_equal(&entry->portal, &portal->super.uuid))
			entry->reached_usec = now;
	/* The next portal's device may end this process. */
	if (!manager_dry_run(manager))
		save(manager);
}

/* True: it does not run here any more. */
static bool end(struct manager *manager, struct guarded *entry, const char *why)
{
	struct tier_problem problem = {};
	int r;

	if (!tier_config_machine(manager->config, entry->vm))
		return true;
	manager_alive(manager);
	r = tier_machine_kill_by_name(manager->config, entry->vm, &problem);
	if (r == TIER_E_NOT_FOUND)
		return true;
	if (r == 0) {
		log_decision(LOG_CRIT, entry->vm, "killed", "killed: %s", why);
		return true;
	}
	if (!entry->told)
		log_decision(LOG_CRIT, entry->vm, "kill-failed",
			     "must end and cannot be killed: %s: %s; kill it, or switch this host "
			     "off",
			     why, problem.text);
	entry->told = true;
	return false;
}

void guard_fenced(struct manager *manager, const struct portal *portal)
{
	char why[256];

	snprintf(why, sizeof(why), "this boot of this host was %s in portal %s", portal->fenced,
		 portal->super.name);
	for (struct guarded **p = &manager->guarded; *p;) {
		if (uuid_equal(&(*p)->portal, &portal->super.uuid) && end(manager, *p, why))
			drop(p);
		else
			p = &(*p)->next;
	}
}

/* So that it is over when the time is, and before a watchdog makes an end of it. */
static bool cut_off(const struct manager *manager, const struct guarded *entry, uint64_t now)
{
	return entry->open && now + 2 * manager->config->beat_usec >=
				      entry->reached_usec + manager->config->cut_off_usec;
}

static void end_cut_off(struct manager *manager, uint64_t now)
{
	for (struct guarded **p = &manager->guarded; *p;) {
		struct guarded *entry = *p;
		char why[256];

		snprintf(why, sizeof(why),
			 "portal %s has not been reached for %" PRIu64
			 " s, and other hosts may take what lies in it",
			 entry->name, (now - entry->reached_usec) / 1000000);
		if (cut_off(manager, entry, now) && end(manager, entry, why))
			drop(p);
		else
			p = &entry->next;
	}
}

uint64_t guard_watchdog_usec(const struct manager *manager)
{
	return manager->watchdog ? tier_watchdog_timeout_sec(manager->watchdog) * UINT64_C(1000000)
				 : 0;
}

static void arm(struct manager *manager)
{
	const char *path = manager->config->watchdog_device;
	struct tier_problem problem = {};
	unsigned seconds = (unsigned)((manager->config->cut_off_usec + 999999) / 1000000);

	if (!path[0] || manager->watchdog_failed)
		return;
	if (tier_watchdog_open(path, seconds, &manager->watchdog, &problem) != 0) {
		log_problem(LOG_ERR, "watchdog-failed", &problem);
		manager->watchdog_failed = true;
		return;
	}
	log_decision(LOG_NOTICE, path, "watchdog",
		     "armed: this host is reset %u s after the last beat that reached the portals "
		     "of its flights",
		     tier_watchdog_timeout_sec(manager->watchdog));
}

static void watch(struct manager *manager, uint64_t now)
{
	bool needed = false, reached = true;
	int r = 0;

	for (struct guarded *entry = manager->guarded; entry; entry = entry->next) {
		needed |= entry->open;
		reached &= !entry->open || entry->reached_usec >= now;
	}
	if (needed && !manager->watchdog)
		arm(manager);
	if (!manager->watchdog)
		return;
	if (needed && reached)
		r = tier_watchdog_feed(manager->watchdog);
	if (!needed) {
		r = tier_watchdog_disarm(manager->watchdog);
		manager->watchdog = NULL;
		if (r == 0)
			log_decision(LOG_NOTICE, manager->config->watchdog_device, "watchdog",
				     "disarmed");
	}
	if (r < 0)
		log_decision(LOG_ERR, manager->config->watchdog_device, "watchdog-failed",
			     "cannot write to the watchdog: %s", strerror(-r));
}

void guard_check(struct manager *manager, uint64_t now)
{
	end_cut_off(manager, now);
	watch(manager, now);
	manager->guard_starts = 0;
	if (!manager_dry_run(manager))
		save(manager);
}

void guard_load(struct manager *manager)
{
	char path[300], line[256], boot[37], word[40] = "";
	FILE *file;

	if (manager_dry_run(manager))
		return;
	list_path(manager, path);
	file = fopen(path, "re");
	if (!file)
		return;
	boot_text(manager, boot);
	/* Another boot's clock, and its VMs ended with it. */
	if (fgets(line, sizeof(line), file) &&
	    sscanf(line, "boot %39s starts %u", word, &manager->guard_starts) == 2 &&
	    streq(word, boot))
		while (fgets(line, sizeof(line), file))
			if (!parse_line(manager, line))
				log_decision(LOG_ERR, path, "failed",
					     "a line of it cannot be understood: a VM may be "
					     "guarded no more; tierctl flights");
	fclose(file);
	manager->guard_starts++;
	/*
	 * A daemon that was away for long looks first: the portal may be well. One that was ended
	 * before it reached a portal, again, does not get to look.
	 */
	if (manager->guard_starts > 1)
		end_cut_off(manager, manager_monotonic_usec());
	/*
	 * What the one before has left armed is fed, or disarmed, by this one; but daemons that are
	 * started again and again do not keep a host alive that reaches no portal.
	 */
	else
		watch(manager, manager_monotonic_usec());
	save(manager);
}

void guard_free(struct manager *manager)
{
	/* The next cxl-tierd feeds it, or there is none and the host has to end. */
	manager->watchdog = tier_watchdog_leave(manager->watchdog);
	while (manager->guarded)
		drop(&manager->guarded);
}
