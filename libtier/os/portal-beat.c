/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host's own record: which boot it is, and that it lives. */
#include "clock.h"
#include "tier-flight.h"
#include "util.h"

static bool same_boot(const struct tier_uuid *a, const struct tier_uuid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

int tier_portal_arrive(struct tier_portal *portal, uint32_t host, const struct tier_uuid *boot,
		       struct tier_host_record *ret, struct tier_problem *problem)
{
	static const char repair[] = "tierctl portal check --repair, on this host";
	const struct tier_super *super = tier_portal_super(portal);
	struct tier_handoff_view view = {.self = host};
	struct tier_host_record old, new = {.boot = *boot};
	int r;

	if (host >= super->host_count)
		return -EINVAL;
	r = tier_portal_read_host(portal, host, &old);
	if (r == TIER_E_NOT_FOUND)
		old = (struct tier_host_record){};
	else if (r)
		return tier_problem_set(problem, r, super->name, repair,
					"cannot tell which boot of %s this is: its host record is "
					"damaged",
					super->hosts[host].name);
	if (r == 0 && same_boot(&old.boot, boot)) {
		*ret = old;
		return 0;
	}
	/* A fence is about boots that are over, whatever has become of the host record since. */
	r = tier_portal_look_hosts(portal, &view);
	if (r)
		return tier_problem_set(problem, r, super->name, repair,
					"cannot tell which boots of %s are fenced",
					super->hosts[host].name);
	new.stamp.incarnation = MAX(old.stamp.incarnation, view.fences[host].intended);
	if (new.stamp.incarnation >= INT64_MAX)
		return tier_problem_set(problem, TIER_E_DAMAGED, super->name, repair,
					"its records know more boots of %s than there can be",
					super->hosts[host].name);
	new.stamp.incarnation++;
	copy_string(new.name, sizeof(new.name), super->hosts[host].name);
	*ret = new;
	return 0;
}

int tier_portal_beat(struct tier_portal *portal, uint32_t host, struct tier_host_record *record,
		     struct tier_problem *problem)
{
	const struct tier_super *super = tier_portal_super(portal);
	struct tier_host_record old, new = *record;
	int r = tier_portal_read_host(portal, host, &old);

	/* Damaged is no obstacle: this process knows which boot it is, and writing heals the record. */
	if (r == 0 && !same_boot(&old.boot, &new.boot) &&
	    old.stamp.incarnation >= new.stamp.incarnation)
		return tier_problem_set(problem, TIER_E_STALE, super->name,
					"give each machine a name of its own with Host=",
					"another machine writes as host %s",
					super->hosts[host].name);
	if (r < 0)
		return tier_problem_set(problem, r, super->name, NULL, "cannot read its records");
	new.stamp.generation++;
	new.beat_usec = realtime_usec();
	r = tier_portal_write_host(portal, host, &new);
	if (r)
		return tier_problem_set(problem, r, super->name, NULL,
					"cannot write this host's record");
	*record = new;
	return 0;
}
