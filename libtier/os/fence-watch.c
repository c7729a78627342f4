/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A person says that a host is off: its beat says whether that can be. */
#include <inttypes.h>
#include <poll.h>

#include "clock.h"
#include "tier-handoff.h"
#include "util.h"

#define BEATS	     3
#define MINIMUM_USEC (UINT64_C(2) * 1000000)
#define INTERVAL_MAX (UINT64_C(3600) * 1000000) /* what BeatSec= may be */
/* Of a record that cannot be read: ten times the usual interval. */
#define INTERVAL_UNKNOWN (UINT64_C(10) * 1000000 / BEATS)
#define POLL_USEC	 UINT64_C(100000)

struct pulse {
	int outcome;
	uint64_t incarnation, beats, interval_usec;
};

static int feel(struct tier_portal *portal, uint32_t host, struct pulse *ret)
{
	struct tier_host_record record;
	int r = tier_portal_read_host(portal, host, &record);

	if (r < 0)
		return r;
	*ret = (struct pulse){.outcome = r, .interval_usec = INTERVAL_UNKNOWN};
	if (r == 0)
		*ret = (struct pulse){0, record.stamp.incarnation, record.stamp.generation,
				      record.interval_usec};
	return 0;
}

static uint64_t patience_usec(const struct pulse *pulse)
{
	return MAX(BEATS * MIN(pulse->interval_usec, INTERVAL_MAX), MINIMUM_USEC);
}

int tier_portal_silence_usec(struct tier_portal *portal, uint32_t host, uint64_t *ret_usec)
{
	struct pulse pulse;
	int r = feel(portal, host, &pulse);

	if (r == 0)
		*ret_usec = patience_usec(&pulse);
	return r;
}

int tier_portal_silent(struct tier_portal *portal, uint32_t host, bool (*cancelled)(void *userdata),
		       void *userdata, struct tier_problem *problem)
{
	const struct tier_super *super = tier_portal_super(portal);
	struct pulse first = {}, now;
	uint64_t deadline;
	int r;

	if (host >= super->host_count)
		return -EINVAL;
	r = feel(portal, host, &first);
	deadline = now_usec() + patience_usec(&first);
	while (r == 0 && now_usec() < deadline) {
		if (cancelled && cancelled(userdata))
			return tier_problem_set(problem, TIER_E_CANCELLED, super->hosts[host].name,
						NULL, "interrupted");
		poll(NULL, 0, poll_timeout(MIN(deadline, now_usec() + POLL_USEC)));
		r = feel(portal, host, &now);
		/* A record that becomes readable is being written, too. */
		if (r == 0 && (now.outcome != first.outcome || now.beats != first.beats ||
			       now.incarnation != first.incarnation))
			return tier_problem_set(problem, TIER_E_BUSY, super->hosts[host].name,
						"power it off, or give an --agent that does",
						"it beats: it is not powered off");
	}
	if (r)
		return tier_problem_set(problem, r, super->name, NULL,
					"cannot read the record of host %s",
					super->hosts[host].name);
	return 0;
}
