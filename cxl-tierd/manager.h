/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_MANAGER_H
#define CXL_TIERD_MANAGER_H

#include <systemd/sd-device.h>
#include <systemd/sd-event.h>
#include <systemd/sd-json.h>
#include <systemd/sd-varlink.h>

#include "log.h"
#include "util.h"

#define MANAGER_RUNTIME_DIRECTORY "/run/cxl-tier"
#define MANAGER_SOCKET		  MANAGER_RUNTIME_DIRECTORY "/cxl-tierd.socket"

struct manager_options {
	const char *config; /* one file instead of the usual places */
	const char *socket;
	const char *sysroot; /* a dump: everything is read from it, nothing is changed */
	bool dry_run;
};

/* What was decided about a region, so that a scan that finds nothing new says nothing. */
struct region {
	struct region *next;
	char name[32];
	uint64_t start, bytes; /* a region of that name that lies elsewhere is another one */
	bool examined;	       /* a superblock was looked for since it appeared */
	bool settled;	       /* its rule has had its say; only Rescan and Reload ask it again */
	bool was_portal;       /* it held one at some time; a rule has no say any more */
	unsigned attempts;     /* failed looks for a superblock, in a row */
	char decision[32];
	char text[512];
	unsigned scan; /* the last one that saw it */
};

/*
 * A portal that this host sees. It is opened for each use and closed again: a mapping that is kept
 * would turn into SIGBUS when somebody takes the dax device away.
 */
struct portal {
	struct portal *next;
	int code; /* 0; TIER_E_DAMAGED and the like: listed, and nothing else is done with it */
	struct tier_problem problem;
	char region[32]; /* empty: a plain file */
	char path[256];
	char host[TIER_PORTAL_NAME]; /* this host's name in it */
	uint32_t slot;		     /* its slot; TIER_PORTAL_NO_HOST: not one of its hosts */
	struct tier_super super;
	unsigned scan;
	bool announced;
};

/* A flight that a tool on this host is carrying out. It belongs to its varlink connection. */
struct session {
	struct session *next;
	sd_varlink *link; /* borrowed; NULL: the connection ended before the flight did */
	bool source;	  /* else the destination's side */
	struct tier_uuid portal;
	struct tier_uuid flight;
	uint32_t slot; /* own offer or answer slot */
	char vm[64];
};

struct manager {
	struct manager_options options;
	sd_event *event;
	sd_varlink_server *server;
	sd_device_monitor *monitor;
	sd_event_source *rescan_source;
	uint64_t rescan_first_usec; /* the first event of a burst; 0: none is pending */
	int lock_fd;
	struct tier_config *config;
	char hostname[TIER_PORTAL_NAME];
	uint64_t incarnation; /* of this boot, never 0 */
	unsigned scan;
	bool warned_auto_online;
	bool stopping;
	struct region *regions;
	struct portal *portals;
	struct session *sessions;
};

/* manager.c */
int manager_new(const struct manager_options *options, struct manager **ret);
struct manager *manager_free(struct manager *manager);
DEFINE_CLEANUP(struct manager *, manager_free)
int manager_start(struct manager *manager);
/* Reads the configuration again; an invalid one is refused and the old one stays in force. */
int manager_reload(struct manager *manager, struct tier_problem *problem);
bool manager_dry_run(const struct manager *manager);
/* Long work calls this between its steps, so that the watchdog does not end it. */
void manager_alive(struct manager *manager);
void manager_status(struct manager *manager);
uint64_t manager_now_usec(void); /* CLOCK_REALTIME, for people */

/* scan.c: what happens on start and on a device event */
int manager_scan(struct manager *manager, bool everything, struct tier_problem *problem);
void regions_free(struct manager *manager);
/* A caller has decided about the region: a scan does not log that as news. */
void region_decided(struct manager *manager, const char *name, const char *decision);
bool region_blocks_online(const struct tier_topology *topology, const struct tier_region *region);
const struct tier_dax *region_first_dax(const struct tier_topology *topology,
					const struct tier_region *region);

/* actions.c: what callers ask for */
int manager_plan(struct manager *manager, char **regions, enum tier_online_zone zone,
		 unsigned ratio_percent, struct tier_plan **ret, struct tier_problem *problem);
int manager_online(struct manager *manager, char **regions, enum tier_online_zone zone,
		   unsigned ratio_percent, bool dry_run, struct tier_plan **ret,
		   struct tier_problem *problem);
int manager_offline(struct manager *manager, const char *region, bool to_devdax, bool dry_run,
		    struct tier_plan **ret, struct tier_problem *problem);
int manager_apply(struct manager *manager, const struct tier_plan *plan,
		  struct tier_problem *problem);

/* portals.c */
void portals_note(struct manager *manager, const char *region, const char *host, const char *path,
		  int code, const struct tier_super *super, const struct tier_problem *problem);
void portals_note_files(struct manager *manager);
void portals_prune(struct manager *manager);
void portals_free(struct manager *manager);
struct portal *portals_by_region(struct manager *manager, const char *region);
struct portal *portals_by_uuid(struct manager *manager, const struct tier_uuid *uuid);
/* By name, region or path. TIER_E_NOT_FOUND; TIER_E_REFUSED if several have that name. */
int portals_find(struct manager *manager, const char *key, struct portal **ret,
		 struct tier_problem *problem);
const char *portal_name(const struct portal *portal);
int portal_open(struct portal *portal, unsigned flags, struct tier_portal **ret,
		struct tier_problem *problem);
int portal_scrub(struct portal *portal, const struct tier_extent_range *ranges, uint32_t count,
		 struct tier_problem *problem);
int portals_to_json(struct manager *manager, sd_json_variant **ret);

/* flights.c: what the records of a portal say */
struct flight {
	uint32_t source, slot;
	int code; /* TIER_E_DAMAGED: the offer cannot be read, and nothing below is set */
	struct tier_offer offer;
	int answer_code; /* 0; TIER_E_NOT_FOUND; TIER_E_DAMAGED: a slot of the destination is */
	uint32_t answer_slot;
	struct tier_answer answer; /* state NONE unless answer_code is 0 */
};

/* TIER_E_NOT_FOUND: no flight in that slot. Otherwise 0, and code tells. */
int flight_read(struct tier_portal *portal, uint32_t source, uint32_t slot, struct flight *ret);
bool flight_ended(const struct flight *flight);
const char *flight_advice(const struct flight *flight);
void flights_announce(struct manager *manager);
size_t flights_active(struct manager *manager);
int flights_to_json(struct manager *manager, sd_json_variant **ret);
int offers_to_json(struct manager *manager, sd_json_variant **ret);

/* sessions.c, session-end.c */
struct session_request {
	const char *vm;
	const char *destination;
	const char *portal;
	uint64_t ram_bytes;
};

int session_begin(struct manager *manager, sd_varlink *link, const struct session_request *request,
		  sd_json_variant **ret, struct tier_problem *problem);
int session_accept(struct manager *manager, sd_varlink *link, const char *portal, uint32_t source,
		   uint32_t source_slot, const struct tier_uuid *flight, sd_json_variant **ret,
		   struct tier_problem *problem);
int session_end(struct manager *manager, sd_varlink *link, const struct tier_uuid *flight,
		struct tier_problem *problem);
void sessions_disconnected(struct manager *manager, sd_varlink *link);
struct session *sessions_find(struct manager *manager, const struct tier_uuid *flight);
bool sessions_use_slot(struct manager *manager, const struct portal *portal, bool source,
		       uint32_t slot);
void session_drop(struct manager *manager, struct session *session);
void sessions_free(struct manager *manager);

/* extents.c: a flight's claims on this host's home extents */
int extents_release(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		    const struct tier_uuid *flight, uint32_t *ret_count,
		    struct tier_problem *problem);
bool extents_claimed(struct portal *portal, struct tier_portal *mapped,
		     const struct tier_uuid *flight);
void extents_finish_scrubs(struct manager *manager, struct portal *portal,
			   struct tier_portal *mapped);
void extents_count(struct portal *portal, struct tier_portal *mapped,
		   uint32_t counts[static TIER_EXTENT_RETIRED + 1]);

/* monitor.c */
int monitor_start(struct manager *manager);

/* varlink.c, interface.c */
int varlink_start(struct manager *manager);
extern const sd_varlink_interface vl_interface_io_cxltier_Manager;

#endif
