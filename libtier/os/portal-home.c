/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host's home extents: granted to flights of any host, taken back, zeroed. By core/handoff.rules. */
#include "tier-flight.h"
#include "util.h"

#define MAX_OFFERS (TIER_PORTAL_MAX_HOSTS * TIER_PORTAL_FLIGHTS)

/* One pass over the portal. Offers are read before extents: only this host claims its own. */
struct look {
	const struct tier_super *super;
	const struct tier_handoff_view *view;
	uint32_t self;
	int outcomes[MAX_OFFERS];
	struct tier_offer offers[MAX_OFFERS]; /* state NONE unless outcome is 0 */
	uint32_t lacking[MAX_OFFERS];	      /* extents that a REQUESTED offer still has not */
	bool any_lacking;
	uint32_t free[TIER_PORTAL_MAX_HOSTS]; /* by home */
};

static bool same_flight(const struct tier_uuid *a, const struct tier_uuid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool wants(const struct look *look, const struct tier_offer *offer)
{
	return offer->state == TIER_FLIGHT_REQUESTED &&
	       !tier_handoff_dead(look->view, offer->source, offer->source_incarnation);
}

static int read_offers(struct tier_portal *portal, struct look *look)
{
	for (uint32_t host = 0; host < look->super->host_count; host++)
		for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
			uint32_t i = host * TIER_PORTAL_FLIGHTS + slot;
			struct tier_offer *offer = &look->offers[i];

			look->outcomes[i] = tier_portal_read_offer(portal, host, slot, offer);
			if (look->outcomes[i] < 0)
				return look->outcomes[i];
			if (look->outcomes[i] != 0)
				*offer = (struct tier_offer){};
			if (!wants(look, offer))
				continue;
			look->lacking[i] = offer->wanted_extents;
			look->any_lacking = true;
		}
	return 0;
}

/* A record that was never written is that of a free extent. */
static int read_extent(struct tier_portal *portal, uint32_t extent, struct tier_extent_record *ret)
{
	int r = tier_portal_read_extent(portal, extent, ret);

	if (r == TIER_E_NOT_FOUND)
		*ret = (struct tier_extent_record){.extent = extent, .state = TIER_EXTENT_FREE};
	return r == TIER_E_NOT_FOUND ? 0 : r;
}

static void count_claim(struct look *look, const struct tier_extent_record *record)
{
	uint32_t first = record->owner * TIER_PORTAL_FLIGHTS;

	for (uint32_t i = first; i < first + TIER_PORTAL_FLIGHTS; i++)
		if (look->lacking[i] > 0 && same_flight(&look->offers[i].flight, &record->flight))
			look->lacking[i]--;
}

/* What is claimed and what is free in the whole portal; needed only when something is asked for. */
static int count_extents(struct tier_portal *portal, struct look *look)
{
	for (uint32_t extent = 0; extent < look->super->extent_count; extent++) {
		struct tier_extent_record record;
		int r = read_extent(portal, extent, &record);

		if (r < 0)
			return r;
		if (r != 0)
			continue;
		if (record.state == TIER_EXTENT_FREE)
			look->free[tier_super_extent_home(look->super, extent)]++;
		else if (record.state == TIER_EXTENT_CLAIMED)
			count_claim(look, &record);
	}
	return 0;
}

/*
 * Which offer each home gives how much to: the source's own extents first, then those of the hosts
 * after it. Every home computes the same for all of them, so that together they give no more than
 * is wanted, though none waits for another. @ret: by offer, what this host gives.
 */
static void share_out(struct look *look, uint32_t granting, uint32_t ret[static MAX_OFFERS])
{
	uint32_t hosts = look->super->host_count;

	for (uint32_t i = 0; i < hosts * TIER_PORTAL_FLIGHTS; i++) {
		uint32_t source = i / TIER_PORTAL_FLIGHTS;

		for (uint32_t n = 0; n < hosts && look->lacking[i] > 0; n++) {
			uint32_t home = (source + n) % hosts;
			uint32_t give = MIN(look->free[home], look->lacking[i]);

			if (home != look->self && !(granting & (1u << home)))
				continue;
			look->free[home] -= give;
			look->lacking[i] -= give;
			if (home == look->self)
				ret[i] = give;
		}
	}
}

static bool listed(const struct tier_offer *offer, uint32_t extent)
{
	for (uint32_t i = 0; i < offer->range_count; i++)
		if (extent >= offer->ranges[i].first &&
		    extent - offer->ranges[i].first < offer->ranges[i].count)
			return true;
	return false;
}

/* What is known of a claim: the owner's offer of that flight. */
static void find_claim(const struct look *look, const struct tier_extent_record *record,
		       struct tier_handoff_extent *facts)
{
	uint32_t first = record->owner * TIER_PORTAL_FLIGHTS;

	facts->owner_dead = tier_handoff_dead(look->view, record->owner, record->owner_incarnation);
	for (uint32_t i = first; i < first + TIER_PORTAL_FLIGHTS; i++) {
		if (look->outcomes[i] != 0) {
			/* It may be the one. */
			facts->unreadable |= look->outcomes[i] != TIER_E_NOT_FOUND;
			continue;
		}
		if (look->offers[i].state == TIER_FLIGHT_NONE ||
		    !same_flight(&look->offers[i].flight, &record->flight))
			continue;
		facts->unreadable = false;
		facts->offer = look->offers[i].state;
		facts->listed = listed(&look->offers[i], record->extent);
		return;
	}
}

/* The next offer that this host gives an extent to; MAX_OFFERS: none. */
static uint32_t next_grant(const uint32_t grants[static MAX_OFFERS])
{
	uint32_t i = 0;

	while (i < MAX_OFFERS && grants[i] == 0)
		i++;
	return i;
}

static int decide(struct tier_portal *portal, struct look *look, uint32_t grants[static MAX_OFFERS],
		  struct tier_home_task **ret, size_t *ret_count, bool *ret_idle)
{
	const struct tier_portal_slot *home = &look->super->hosts[look->self];
	_cleanup_free_ struct tier_home_task *tasks = NULL;
	bool idle = true;
	size_t count = 0;

	tasks = calloc(home->extent_count, sizeof(*tasks));
	if (!tasks)
		return -ENOMEM;
	for (uint32_t i = 0; i < home->extent_count; i++) {
		uint32_t extent = home->first_extent + i, grant = next_grant(grants);
		struct tier_extent_record record;
		struct tier_handoff_extent facts = {};
		struct tier_home_task task = {.extent = extent};
		int r = read_extent(portal, extent, &record);

		/* A damaged record is nobody's to give away. */
		if (r < 0)
			return r;
		if (r != 0)
			continue;
		facts.state = record.state;
		facts.wanted = grant < MAX_OFFERS;
		if (record.state == TIER_EXTENT_CLAIMED)
			find_claim(look, &record, &facts);
		idle &= record.state == TIER_EXTENT_FREE || record.state == TIER_EXTENT_RETIRED;
		task.action = tier_handoff_home(&facts);
		if (task.action == TIER_HANDOFF_KEEP)
			continue;
		if (task.action == TIER_HANDOFF_GRANT) {
			task.owner = look->offers[grant].source;
			task.owner_incarnation = look->offers[grant].source_incarnation;
			task.flight = look->offers[grant].flight;
			grants[grant]--;
		} else {
			task.owner = record.owner;
			task.owner_incarnation = record.owner_incarnation;
			task.flight = record.flight;
		}
		tasks[count++] = task;
	}
	*ret = TAKE(tasks);
	*ret_count = count;
	if (ret_idle)
		*ret_idle = idle && count == 0;
	return 0;
}

int tier_portal_home_look(struct tier_portal *portal, uint32_t host,
			  const struct tier_handoff_view *view, uint32_t granting,
			  struct tier_home_task **ret_tasks, size_t *ret_count, bool *ret_idle)
{
	_cleanup_free_ struct look *look = calloc(1, sizeof(*look));
	uint32_t grants[MAX_OFFERS] = {};
	int r;

	if (!look)
		return -ENOMEM;
	look->super = tier_portal_super(portal);
	look->view = view;
	look->self = host;
	if (host >= look->super->host_count)
		return -EINVAL;
	r = read_offers(portal, look);
	if (r == 0 && look->any_lacking) {
		r = count_extents(portal, look);
		if (r == 0)
			share_out(look, granting, grants);
	}
	return r ?: decide(portal, look, grants, ret_tasks, ret_count, ret_idle);
}

/* Is the extent still what the step begins with? */
static bool expected(enum tier_handoff_step step, const struct tier_extent_record *record,
		     const struct tier_home_task *task)
{
	switch (step) {
	case TIER_STEP_STORE_CLAIMED:
		return record->state == TIER_EXTENT_FREE;
	case TIER_STEP_STORE_SCRUB:
		return record->state == TIER_EXTENT_CLAIMED &&
		       same_flight(&record->flight, &task->flight);
	default:
		return record->state == TIER_EXTENT_SCRUB &&
		       same_flight(&record->flight, &task->flight);
	}
}

static int store(struct tier_portal *portal, uint64_t incarnation,
		 const struct tier_home_task *task, enum tier_handoff_step step)
{
	struct tier_extent_record old, new;
	int r = read_extent(portal, task->extent, &old);

	if (r)
		return r;
	if (!expected(step, &old, task))
		return TIER_E_STALE;
	new = (struct tier_extent_record){
		.stamp = {.incarnation = incarnation, .generation = old.stamp.generation + 1},
		.extent = task->extent,
		.state = TIER_EXTENT_FREE,
	};
	if (step != TIER_STEP_STORE_FREE) {
		new.state =
			step == TIER_STEP_STORE_CLAIMED ? TIER_EXTENT_CLAIMED : TIER_EXTENT_SCRUB;
		new.owner = task->owner;
		new.owner_incarnation = task->owner_incarnation;
		new.flight = task->flight;
	}
	return tier_portal_write_extent(portal, &new);
}

int tier_portal_home_perform(struct tier_portal *portal, uint64_t incarnation,
			     const struct tier_home_task *task, tier_home_zero zero, void *userdata,
			     struct tier_problem *problem)
{
	const enum tier_handoff_step *step = tier_handoff_home_plan(task->action);

	for (; *step != TIER_STEP_END; step++) {
		int r;

		if (*step == TIER_STEP_ZERO) {
			if (!zero)
				return 0;
			r = zero(userdata, task->extent, problem);
			if (r)
				return r;
			continue;
		}
		r = store(portal, incarnation, task, *step);
		if (r)
			return tier_problem_set(
				problem, r, tier_portal_path(portal), "tierctl portal check",
				"cannot write the record of extent %u", task->extent);
	}
	return 0;
}
