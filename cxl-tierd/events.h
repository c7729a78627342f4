/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_EVENTS_H
#define CXL_TIERD_EVENTS_H

#include "manager.h"

/* What happens to memory, and what is done about it: docs/ras.md. */

/* ---- events.c: the log of it ---- */

int events_start(struct manager *manager);
void events_free(struct manager *manager);
/* One event: to the journal as well. @details: an object whose members are added; may be NULL. */
void events_add(struct manager *manager, int priority, const char *kind, const char *object,
		sd_json_variant *details, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/* How many of a kind since the start; NULL: there are no more than @which kinds so far. */
const char *events_kind(const struct manager *manager, size_t which, uint64_t *ret_count);
/* Those that are kept, oldest first. */
int events_to_json(struct manager *manager, uint64_t since_usec, sd_json_variant **ret);
/* From now on the link is told of each. */
int events_follow(struct manager *manager, sd_varlink *link);
void events_disconnected(struct manager *manager, sd_varlink *link);

/* ---- ras.c: errors that the kernel tells of ---- */

int ras_start(struct manager *manager);
void ras_free(struct manager *manager);
/* After a scan: events of modules, and poison lists of memdevs, that have come meanwhile. */
void ras_devices(struct manager *manager, const struct tier_topology *topology);
/* Are there events of the kernel that would be heard? */
bool ras_listens(const struct manager *manager);
/* Has every poison list read again. */
void ras_look_again(struct manager *manager);

/* ---- ras-tell.c: an error as an event ---- */

struct users;
/* @place, @users: NULL if there are none; @where: for people. */
void ras_note(struct manager *manager, const struct tier_ras_event *event,
	      const struct tier_ras_place *place, const struct users *users, const char *where);
/* One for each place, with who is hit there; after @deadline_usec nobody is searched for any more. */
void ras_note_places(struct manager *manager, const struct tier_topology *topology,
		     const struct tier_ras_event *event, const struct tier_ras_place *places,
		     size_t count, uint64_t deadline_usec);

/* ---- ras-users.c: who is hit ---- */

struct users {
	sd_json_variant *json; /* an array */
	char text[384];	       /* "nobody maps it", "process 12 (cat), VM demo (process 55)" */
	bool complete;	       /* there is nobody else */
};

/* Searches for those who map physical addresses. After @deadline_usec (monotonic) it is not looked. */
void users_find(struct manager *manager, uint64_t start, uint64_t bytes, uint64_t deadline_usec,
		struct users *ret);
void users_done(struct users *users);

/* ---- retired.c: memory that is not to be used again ---- */

int retired_start(struct manager *manager);
void retired_free(struct manager *manager);
bool retired_has(const struct manager *manager, uint64_t serial, uint64_t dpa, uint64_t bytes);
/*
 * Writes down that the addresses are retired, and takes them out of use: pages are given up, memory blocks
 * go offline, extents of portals are granted no more. What could not be done is an event, and is left for
 * the next boot. @reason: for the list.
 */
void retired_add(struct manager *manager, const struct tier_topology *topology, uint64_t serial,
		 uint64_t dpa, uint64_t bytes, const char *reason);
/* Writes down what could not be, if it can be now. */
void retired_save(struct manager *manager);
/* By a person. What cannot be written down is refused, and nothing has changed. */
int retired_add_offset(struct manager *manager, const char *region, uint64_t offset, bool dry_run,
		       sd_json_variant **ret, struct tier_problem *problem);
/* Refused, the entry is still there. */
int retired_remove(struct manager *manager, uint64_t serial, uint64_t dpa,
		   struct tier_problem *problem);
int retired_to_json(struct manager *manager, sd_json_variant **ret);

/* ---- retired-block.c: the memory blocks of it ---- */

bool retired_online(const struct tier_topology *topology, const struct tier_ras_place *place);
/* Gives up the pages at once, and takes the blocks offline as soon as offline.c lets them be. */
void retired_take_out(struct manager *manager, const struct tier_topology *topology,
		      const struct tier_ras_place *place, const char *kept);
/* Those that were put off. */
void retired_offline_rest(struct manager *manager);
void retired_forget_rest(struct manager *manager);

/* ---- retired-portal.c: the same of extents ---- */

/* An error in a portal: whose extent it is; retired now, or when it comes back. */
void retired_portal(struct manager *manager, const struct tier_topology *topology,
		    const struct tier_ras_place *place, const char *kept);
/* Which extents of each portal are retired, by the list. */
void retired_portals(struct manager *manager, const struct tier_topology *topology);
/* Retires this host's own, as far as no flight has them. */
void retired_pass(struct manager *manager, struct portal *portal, struct tier_portal *mapped);
/*
 * This host's extents that are in no entry of @list: those that are retired are zeroed, and free. Not 0:
 * one could not be given back.
 */
int retired_extents_back(struct manager *manager, const struct tier_topology *topology,
			 const struct tier_retired *list, const struct tier_ras_place *places,
			 size_t count, struct tier_problem *problem);

/* ---- unplug.c: devices that somebody wants back, or has taken ---- */

void unplug_handle(struct manager *manager, const struct tier_unplug *unplug);
/* A slot that the daemon before this one has left held. */
void unplug_start(struct manager *manager);

/* varlink-ras.c */
int varlink_on_events(sd_varlink *link, sd_json_variant *parameters,
		      sd_varlink_method_flags_t flags, void *userdata);
int varlink_on_retired(sd_varlink *link, sd_json_variant *parameters,
		       sd_varlink_method_flags_t flags, void *userdata);
int varlink_on_retire(sd_varlink *link, sd_json_variant *parameters,
		      sd_varlink_method_flags_t flags, void *userdata);
int varlink_on_unretire(sd_varlink *link, sd_json_variant *parameters,
			sd_varlink_method_flags_t flags, void *userdata);

#endif
