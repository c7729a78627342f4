/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Steps on this host alone: the VM's process, and the extents that are open here. */
#include "fd.h"
#include "flight.h"

/*
 * The VM's process on this host, for a flight that is carried on from its records. Any state that
 * no flight leaves it in is somebody else's doing: then nothing is done with it.
 */
int flight_find_vm(struct flight *f, struct tier_problem *problem)
{
	static const struct {
		const char *status;
		enum tier_handoff_vm source, taker;
	} known[] = {
		{"running", TIER_VM_RUNNING, TIER_VM_RUNNING},
		{"paused", TIER_VM_STOPPED, TIER_VM_STOPPED},
		/* Only a source's state is saved: of another flight, by which this VM leaves again. */
		{"postmigrate", TIER_VM_STOPPED, TIER_VM_NONE},
		{"finish-migrate", TIER_VM_STOPPED, TIER_VM_NONE},
		/* A process that still waits for the VM is not the VM. */
		{"inmigrate", TIER_VM_NONE, TIER_VM_STOPPED},
		{"prelaunch", TIER_VM_NONE, TIER_VM_STOPPED},
	};
	const char *name = f->view.offer.vm;
	bool answered = !f->source && f->view.answers[f->view.self].state != TIER_FLIGHT_NONE;
	int r;

	f->view.vm = TIER_VM_NONE;
	if (!tier_config_machine(f->config, name))
		return 0;
	r = tier_machine_attach(f->config, name, &f->machine, problem);
	if (r == TIER_E_NOT_FOUND)
		return 0;
	if (r)
		return r;
	/* Whatever else is wrong with it, its status and its RAM are told. */
	(void)tier_machine_inspect(f->machine, &f->info, NULL);
	copy_string(f->info.name, sizeof(f->info.name), name);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!streq(f->info.status, known[i].status))
			continue;
		f->view.vm = f->source ? known[i].source : known[i].taker;
		/* Before READY a flight has started a waiting process at the most. */
		if (!f->source && !answered && known[i].source != TIER_VM_NONE)
			f->view.vm = TIER_VM_NONE;
		if (!f->source && f->view.vm == TIER_VM_NONE)
			f->machine = tier_machine_free(f->machine);
		return 0;
	}
	return tier_problem_set(problem, TIER_E_REFUSED, name,
				"resume or end that machine first, then settle again",
				"its process here is %s, which no flight has done",
				f->info.status[0] ? f->info.status : "in no known state");
}

static void ran(struct flight *f)
{
	f->view.vm = TIER_VM_RUNNING;
	if (f->source)
		return;
	if (f->published_usec)
		f->report->pause_usec = now_usec() - f->published_usec;
	flight_stage(f, TIER_STAGE_COMMITTED);
	flight_stage(f, TIER_STAGE_RUNNING);
}

int flight_resume(struct flight *f, struct tier_problem *problem)
{
	/* RUNNING was stored a moment ago, by this process: then nobody else may have resumed it. */
	bool first = f->action == TIER_HANDOFF_RUN;
	int r;

	if (!flight_vm_alive(f) && first) {
		f->view.stuck = true;
		return tier_problem_set(problem, -ESRCH, f->info.name, NULL,
					"the waiting QEMU ended on the destination");
	}
	if (!flight_vm_alive(f) || f->view.vm == TIER_VM_RUNNING)
		return 0;
	r = tier_machine_resume(f->machine, problem);
	if (r == 0)
		ran(f);
	else
		/* QEMU has said no. */
		f->view.stuck = r == TIER_E_REFUSED && first;
	return r;
}

/*
 * In the boot that moved its pages, the VM's RAM file is the VM, and its pages are what is published:
 * it is never thrown away before the flight has ended, also not by a host that is fenced, which ends
 * its process while another one reads them.
 */
static bool ram_is_the_vm(const struct flight *f)
{
	enum tier_flight_state offer = f->view.offer.state;

	return f->source && !flight_later(f) &&
	       (offer == TIER_FLIGHT_PUBLISHED || offer == TIER_FLIGHT_COMMITTED) &&
	       (f->action == TIER_HANDOFF_TAKE || f->action == TIER_HANDOFF_DIE);
}

int flight_end(struct flight *f, bool at_once, struct tier_problem *problem)
{
	bool keep = ram_is_the_vm(f);
	int r = 0;

	f->ram = ram_file_free(f->ram);
	/* Its process has ended without us; what it ran on would stay in tmpfs. */
	if (!f->machine)
		return f->action == TIER_HANDOFF_RELEASE
			       ? machine_forget_ram(f->config, f->view.offer.vm, problem)
			       : 0;
	/* Started again by somebody since: not what this flight has left behind. */
	if (f->orphan && f->view.vm == TIER_VM_RUNNING && !at_once)
		return f->source ? 0
				 : tier_problem_set(problem, TIER_E_REFUSED, f->info.name,
						    "tierctl flights",
						    "it runs on this host, which its flight does "
						    "not know of");
	if (at_once)
		r = tier_machine_kill(f->machine, problem);
	else if (tier_machine_alive(f->machine))
		r = tier_machine_quit(f->machine, problem);
	if (r)
		return r;
	f->view.vm = TIER_VM_NONE;
	return keep ? 0 : machine_remove_ram(f->machine, &f->info, problem);
}

/* What an earlier process of this host has left open. */
int flight_find_extents(struct flight *f, struct tier_problem *problem)
{
	const struct tier_offer *offer = f->has_terms ? &f->terms : &f->view.offer;
	int r;

	if (f->extents || offer->range_count == 0 || !f->grant->region[0])
		return 0;
	r = tier_extents_find(f->grant->region, tier_portal_super(f->portal), offer->ranges,
			      offer->range_count, &f->extents, problem);
	return r == TIER_E_NOT_FOUND ? 0 : r;
}

int flight_close_extents(struct flight *f, struct tier_problem *problem)
{
	int r;

	if (f->source && f->ram && f->extents)
		(void)flight_move_back(f);
	f->ram = ram_file_free(f->ram);
	/* Also those that could not be opened whole, and then not be closed. */
	r = flight_find_extents(f, problem);
	if (r == 0 && f->extents)
		r = tier_extents_close(f->extents, problem);
	if (r)
		return r;
	f->extents = NULL;
	return 0;
}
