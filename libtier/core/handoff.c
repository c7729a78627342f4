/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hand-off protocol as two decision tables. Both sides see the same two records, each written
 * by one side; docs/hand-off.md has the states and the argument why no interleaving of writes,
 * crashes and restarts lets the VM run twice.
 */
#include "tier-flight.h"
#include "util.h"

/* The answer counts only if it answers this writing of the offer. */
static bool answers(const struct tier_offer *offer, const struct tier_answer *answer)
{
	return answer && answer->state != TIER_FLIGHT_NONE &&
	       memcmp(&answer->flight, &offer->flight, sizeof(offer->flight)) == 0 &&
	       answer->stamp.generation == offer->stamp.generation &&
	       answer->source == offer->source &&
	       answer->source_incarnation == offer->stamp.incarnation;
}

/* From PUBLISHED on the offer names the incarnation that it is meant for. */
static bool addressed(const struct tier_offer *offer, const struct tier_answer *answer)
{
	return offer->destination_incarnation == answer->stamp.incarnation;
}

enum tier_handoff_action tier_handoff_source(const struct tier_handoff_view *view)
{
	const struct tier_offer *offer = view->offer;
	bool answered = answers(offer, view->answer);
	enum tier_flight_state answer = answered ? view->answer->state : TIER_FLIGHT_NONE;

	switch (offer->state) {
	case TIER_FLIGHT_OFFERED:
	case TIER_FLIGHT_PUBLISHED:
		/* A destination that runs without COMMITTED is broken; never run beside it. */
		if (answer == TIER_FLIGHT_RUNNING || answer == TIER_FLIGHT_DONE)
			return TIER_HANDOFF_HOLD;
		if (answer == TIER_FLIGHT_REFUSED || view->cancelled || view->expired ||
		    view->vm_gone)
			return TIER_HANDOFF_ABORT;
		if (offer->state == TIER_FLIGHT_OFFERED)
			return answer == TIER_FLIGHT_READY ? TIER_HANDOFF_MOVE : TIER_HANDOFF_WAIT;
		/* READY or ACCEPTED by another boot of the destination: it has lost its machine. */
		if (answered && !addressed(offer, view->answer))
			return TIER_HANDOFF_ABORT;
		return answer == TIER_FLIGHT_ACCEPTED ? TIER_HANDOFF_COMMIT : TIER_HANDOFF_WAIT;
	case TIER_FLIGHT_COMMITTED:
		/* No deadline, cancellation or lost process gives the VM back from here on. */
		if (answer == TIER_FLIGHT_REFUSED)
			return TIER_HANDOFF_RESUME;
		if (answer == TIER_FLIGHT_DONE)
			return TIER_HANDOFF_RELEASE;
		return view->expired ? TIER_HANDOFF_HOLD : TIER_HANDOFF_WAIT;
	default:
		return TIER_HANDOFF_FOREIGN;
	}
}

enum tier_handoff_action tier_handoff_destination(const struct tier_handoff_view *view)
{
	const struct tier_offer *offer = view->offer;
	const struct tier_answer *answer = view->answer;
	bool give_up = view->cancelled || view->expired || view->vm_gone;

	switch (answer->state) {
	case TIER_FLIGHT_READY:
	case TIER_FLIGHT_ACCEPTED:
		break;
	default:
		return TIER_HANDOFF_FOREIGN;
	}
	/* The slot serves another flight, or the source has restarted: this one cannot go on. */
	if (!answers(offer, answer))
		return TIER_HANDOFF_REFUSE;

	switch (offer->state) {
	case TIER_FLIGHT_OFFERED:
		if (answer->state == TIER_FLIGHT_ACCEPTED)
			return TIER_HANDOFF_REFUSE;
		return give_up ? TIER_HANDOFF_REFUSE : TIER_HANDOFF_WAIT;
	case TIER_FLIGHT_PUBLISHED:
		if (give_up || !addressed(offer, answer))
			return TIER_HANDOFF_REFUSE;
		return answer->state == TIER_FLIGHT_READY ? TIER_HANDOFF_FETCH : TIER_HANDOFF_WAIT;
	case TIER_FLIGHT_COMMITTED:
		/* REFUSED is still open: nothing has run here, and the source may then resume. */
		if (answer->state != TIER_FLIGHT_ACCEPTED || !addressed(offer, answer) ||
		    view->vm_gone)
			return TIER_HANDOFF_REFUSE;
		return TIER_HANDOFF_RUN;
	default:
		return TIER_HANDOFF_DROP;
	}
}

bool tier_handoff_source_may_run(const struct tier_offer *offer, const struct tier_answer *answer)
{
	enum tier_flight_state answered = answers(offer, answer) ? answer->state : TIER_FLIGHT_NONE;

	if (answered == TIER_FLIGHT_RUNNING || answered == TIER_FLIGHT_DONE)
		return false;
	if (offer->state == TIER_FLIGHT_COMMITTED)
		return answered == TIER_FLIGHT_REFUSED;
	return offer->state != TIER_FLIGHT_CLOSED;
}

bool tier_handoff_destination_may_run(const struct tier_offer *offer,
				      const struct tier_answer *answer)
{
	return answers(offer, answer) && addressed(offer, answer) &&
	       (answer->state == TIER_FLIGHT_RUNNING || answer->state == TIER_FLIGHT_DONE) &&
	       (offer->state == TIER_FLIGHT_COMMITTED || offer->state == TIER_FLIGHT_CLOSED);
}

const char *tier_handoff_advice(enum tier_flight_state offer, enum tier_flight_state answer)
{
	switch (offer) {
	case TIER_FLIGHT_OFFERED:
	case TIER_FLIGHT_PUBLISHED:
		if (answer == TIER_FLIGHT_REFUSED)
			return "source keeps the VM; it may be offered again";
		if (answer == TIER_FLIGHT_RUNNING || answer == TIER_FLIGHT_DONE)
			return "conflict: the destination ran without COMMITTED; resume nowhere";
		return "the VM is the source's; either side may still give up";
	case TIER_FLIGHT_COMMITTED:
		if (answer == TIER_FLIGHT_RUNNING || answer == TIER_FLIGHT_DONE)
			return "the VM is the destination's; the source may release its extents";
		if (answer == TIER_FLIGHT_REFUSED)
			return "the source may resume the VM";
		return "the VM is whole in the portal; only the destination may take it";
	case TIER_FLIGHT_ABORTED:
		return "over: the source kept the VM";
	case TIER_FLIGHT_CLOSED:
		return "over: the destination has the VM";
	default:
		return "no flight";
	}
}
