/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemons of a host do: its home extents, its beat, and flights that nobody carries out. */
#include <stdlib.h>

#include "hosts.h"

static int zero_extent(void *userdata, uint32_t extent, struct tier_problem *problem)
{
	uint32_t offerer, slot;
	struct tier_offer offer;

	if (find_open(&offerer, &slot, &offer) && lists(&offer, extent))
		fail("extent %u is zeroed under an open flight", extent);
	for (unsigned i = 0; i < HOSTS; i++)
		if (w.hosts[i].open & 1u << extent)
			fail("extent %u is zeroed while host %u has it open", extent, i);
	w.content[extent] = 0;
	return 0;
}

/* A fault leaves this by a jump: what it had is freed by its next call. */
void serve_home(struct host *host)
{
	struct tier_handoff_view view = {.self = number(host), .incarnation = host->incarnation};
	size_t count;

	free(host->tasks);
	host->tasks = NULL;

	if (tier_portal_beat(&host->portal, number(host), &host->record, NULL) != 0 ||
	    tier_portal_look_hosts(&host->portal, &view) != 0)
		return;
	/* A host that finds itself fenced ends its VM, and does nothing else. */
	if (tier_handoff_dead(&view, number(host), host->incarnation)) {
		host->process = PROCESS_NONE;
		return;
	}
	if (tier_portal_home_look(&host->portal, number(host), &view, (1u << HOSTS) - 1,
				  &host->tasks, &count, NULL) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		struct tier_home_task task = host->tasks[i];

		tier_portal_home_perform(&host->portal, host->incarnation, &task, zero_extent, NULL,
					 NULL);
	}
}

static struct tier_uuid beginning;
static uint32_t beginning_to;

/* BeginFlight: the slot is taken before extents are asked for. */
static void begin_flight(struct host *host)
{
	struct tier_offer last, offer = {
					.flight = beginning,
					.source = number(host),
					.destination = beginning_to,
					.state = TIER_FLIGHT_REQUESTED,
					.vm = "demo",
					.ram_bytes = 128 * MIB,
					.page_bytes = 4096,
					.wanted_extents = WANTED,
					.source_incarnation = host->incarnation,
					.stamp = {host->incarnation, 1, 0},
				};
	uint32_t slot = (uint32_t)(w.flights % 2);

	/* Also one whose first writing is in this host's cache only. */
	for (uint32_t i = 0; i < 2; i++)
		if (tier_portal_read_offer(&host->portal, number(host), i, &last) == 0 &&
		    open_offer(last.state))
			return;
	if (tier_portal_read_offer(&host->portal, number(host), slot, &last) == 0)
		offer.stamp.generation = last.stamp.generation + 1;
	if (tier_portal_write_offer(&host->portal, slot, &offer) != 0)
		fail("cannot reserve a slot");
	host->carrier = (struct carrier){.on = true,
					 .source = true,
					 .offerer = number(host),
					 .slot = slot,
					 .flight = beginning};
	trace("host %u: flight to %u begins", number(host), beginning_to);
}

void maybe_begin(uint32_t to)
{
	struct host *from = runner();
	uint32_t offerer, slot;
	struct tier_offer offer;

	if (!from || !from->up || from->suspended || from->carrier.on ||
	    find_open(&offerer, &slot, &offer))
		return;
	w.flights++;
	for (size_t i = 0; i < sizeof(beginning.bytes); i++)
		beginning.bytes[i] = (uint8_t)sim_random();
	beginning.bytes[0] |= 1;
	beginning_to = to < HOSTS ? to : (number(from) + 1 + (uint32_t)(sim_random() % 2)) % HOSTS;
	guarded(from, begin_flight);
}

/* A tool that carries a flight on: the one of its destination, or whoever finds it lying about. */
static void attend(struct host *host, uint32_t offerer, uint32_t slot,
		   const struct tier_uuid *flight, bool orphan)
{
	struct tier_handoff_view view = {.self = number(host)};
	struct carrier *c = &host->carrier;

	if (c->on || tier_portal_look(&host->portal, offerer, slot, flight, &view) != 0)
		return;
	*c = (struct carrier){.on = true,
			      .source = offerer == number(host),
			      .offerer = offerer,
			      .slot = slot,
			      .flight = *flight,
			      .orphan = orphan,
			      .answer_slot = (uint32_t)(w.flights % 3)};
	c->view.recovering = orphan;
	if (view.answers[number(host)].state != TIER_FLIGHT_NONE)
		c->answer_slot = view.answer_slots[number(host)];
}

static uint32_t attended_host, attended_slot;
static struct tier_uuid attended_flight;
static bool attended_orphan;

static void attend_now(struct host *host)
{
	attend(host, attended_host, attended_slot, &attended_flight, attended_orphan);
}

void daemon_turn(struct host *host)
{
	struct tier_offer offer;

	if (!find_open(&attended_host, &attended_slot, &offer)) {
		/* What is left of a flight that has ended elsewhere. */
		if (host->process != PROCESS_WAITING && host->process != PROCESS_STOPPED)
			return;
		for (attended_slot = 0; attended_slot < 3; attended_slot++) {
			struct tier_answer answer;

			if (tier_portal_read_answer(&host->portal, number(host), attended_slot,
						    &answer) != 0 ||
			    (answer.state != TIER_FLIGHT_READY &&
			     answer.state != TIER_FLIGHT_ACCEPTED))
				continue;
			attended_host = answer.source;
			attended_slot = answer.source_slot;
			attended_flight = answer.flight;
			attended_orphan = true;
			guarded(host, attend_now);
			return;
		}
		/* Started for a flight, and never announced: its tool died before READY. */
		if (host->process == PROCESS_WAITING)
			host->process = PROCESS_NONE;
		return;
	}
	attended_flight = offer.flight;
	attended_orphan =
		!(offer.destination == number(host) && offer.state == TIER_FLIGHT_OFFERED &&
		  (w.directed ? host->process == PROCESS_NONE : chance(500)));
	guarded(host, attend_now);
}
