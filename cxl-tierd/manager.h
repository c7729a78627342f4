/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_MANAGER_H
#define CXL_TIERD_MANAGER_H

#include <libudev.h>
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
	bool files_only;     /* portals on plain files, and nothing of this machine's memory */
	bool release;	     /* nothing but what a killed daemon could not do at its end */
	const char *boot_id; /* instead of the kernel's */
	const char *tierctl; /* instead of the installed one */
};

/* What was decided about a region, so that a scan that finds nothing new says nothing. */
struct region {
	struct region *next;
	char name[32];
	uint64_t start, bytes; /* a region of that name that lies elsewhere is another one */
	bool examined;	       /* a superblock was looked for since it appeared */
	bool settled;	       /* its rule has had its say; only Rescan and Reload ask it again */
	bool waits;	       /* for its rule, until all regions have been looked at */
	bool was_portal;       /* it held one at some time; a rule has no say any more */
	bool ordinary;	       /* no region, but a run of memory blocks: a DIMM's, say */
	unsigned attempts;     /* failed looks for a superblock, in a row */
	char decision[32];
	char text[512];
	unsigned scan; /* the last one that saw it */
};

/* See hold.c. */
struct hold {
	bool on;    /* dax devices that arrive stay without a driver */
	bool own;   /* because of this daemon, or of one before it */
	bool tried; /* so whether they do is known */
	struct held *pending;
};

/* See onlining.c. */
#define ONLINING_MAX_BLOCKS (UINT64_C(1) << 24)
struct onlining {
	char name[32]; /* the region or run that is being onlined, or was by an earlier cxl-tierd */
	uint64_t start, bytes;
	enum tier_online_zone zone;
	uint64_t *known; /* ordinary blocks that have been decided about, ascending */
	size_t known_count;
	bool told; /* that they cannot be kept */
};

/* What this host has seen of another host's beats. */
struct host_watch {
	uint64_t incarnation, beats; /* 0: it has never written */
	uint64_t beat_usec;	     /* CLOCK_REALTIME there, for people */
	uint64_t interval_usec;
	uint64_t changed_usec; /* CLOCK_MONOTONIC here, when this was first seen */
	bool told_overdue;
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
	unsigned keyed;		     /* Keyed= of its section, for tier_portal_open() */
	uint32_t slot;		     /* its slot; TIER_PORTAL_NO_HOST: not one of its hosts */
	struct tier_super super;
	unsigned scan;
	bool announced;

	/* This host's part in it: beat.c. */
	struct tier_host_record record; /* as last written; incarnation 0: takes no part (yet) */
	char absent[384];		/* why it takes no part, or does not beat; told once */
	char fenced[128];		/* "fenced by B at ...": until this host boots again */
	bool usurped;			/* a later boot, of another machine, has this host's name */
	struct tier_handoff_view hosts; /* fences and incarnations, at the last beat */
	struct host_watch watches[TIER_PORTAL_MAX_HOSTS];

	/* homes.c: no flight has an extent of this host; some offer was REQUESTED at the last beat. */
	bool idle, requested;
	/* Extents to be zeroed, one at a time. */
	struct tier_home_task *scrubs;
	size_t scrub_count;
	char scrub_failed[384]; /* told once */
	/* retired-portal.c: extents whose memory is retired on this host. */
	uint32_t *retired;
	size_t retired_count;
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
	struct udev *udev;
	struct udev_monitor *monitor;
	sd_event_source *monitor_source, *rescan_source;
	uint64_t rescan_first_usec; /* the first event of a burst; 0: none is pending */
	uint64_t rescan_quiet_usec; /* how long the burst has to pause */
	int lock_fd;
	struct tier_config *config;
	uint64_t config_number; /* another with each configuration */
	char hostname[TIER_PORTAL_NAME];
	struct tier_uuid boot;
	unsigned scan;
	struct hold hold;
	bool warned_auto_online;
	struct onlining onlining;
	struct declared *declared; /* declared.c */
	struct tier_rival *rivals; /* rivals.c */
	size_t rival_count;
	struct tier_rivals_unread unread;
	char unfinished[512]; /* what was told of a region that stays half made; empty */
	bool stopping;
	struct region *regions;
	struct portal *portals;
	struct session *sessions;
	sd_event_source *beat_source, *scrub_source;
	uint64_t beat_last_usec; /* CLOCK_MONOTONIC */
	bool beating;
	struct waiter *waiters;	     /* homes.c */
	struct guarded *guarded;     /* guard.c */
	struct recovery *recoveries; /* recovery.c */
	unsigned guard_starts;	     /* of daemons in this boot since one reached a portal */
	struct tier_watchdog *watchdog;
	struct offline *offline;	   /* offline.c; NULL: none is under way */
	bool watchdog_failed;		   /* told */
	struct events *events;		   /* events.c */
	struct ras *ras;		   /* ras.c; NULL: the kernel tells nothing */
	struct tier_retired *retired;	   /* retired.c; NULL: not of this machine, or unknown */
	int retired_code;		   /* the list cannot be read */
	bool retired_unsaved;		   /* the file may not be what the list is */
	struct retired_rest *retired_rest; /* retired-block.c */
	struct tier_problem retired_problem;
	struct tiering *tiering;       /* tiering.c; NULL: none */
	char tiering_told[384];	       /* why there is none */
	sd_event_source *tiering_left; /* when what it left is put back again */
	char tiering_left_told[384];
	struct tiering_choice *tiering_choice; /* tiering-choice.c; NULL: not of this machine */
	struct weights *weights;	       /* weights.c; NULL: not of this machine */
	struct metrics *metrics;	       /* metrics.c */
};

/* manager.c */
int manager_new(const struct manager_options *options, struct manager **ret);
struct manager *manager_free(struct manager *manager);
DEFINE_CLEANUP(struct manager *, manager_free)
int manager_start(struct manager *manager);
int manager_release(struct manager *manager);
/* Reads the configuration again; an invalid one is refused and the old one stays in force. */
int manager_reload(struct manager *manager, struct tier_problem *problem);
bool manager_dry_run(const struct manager *manager);
/* Long work calls this between its steps, so that the watchdog does not end it. */
void manager_alive(struct manager *manager);
void manager_status(struct manager *manager);
uint64_t manager_now_usec(void);       /* CLOCK_REALTIME, for people */
uint64_t manager_monotonic_usec(void); /* CLOCK_MONOTONIC, for decisions */

/* scan.c: what happens on start and on a device event */
int manager_scan(struct manager *manager, bool everything, struct tier_problem *problem);
void regions_free(struct manager *manager);
/* What is known of the region, or run of blocks, of that name at that place; NULL without memory. */
struct region *region_note(struct manager *manager, const char *name, uint64_t start,
			   uint64_t bytes);
/* Its dax device has gone; if one comes, its rule is asked again. */
void region_gone(struct manager *manager, const char *name);
/* Tells what was decided, unless it was the last thing that was told. */
void region_decide(struct region *region, int priority, const char *decision, const char *format,
		   ...) __attribute__((format(printf, 4, 5)));
void region_decide_problem(struct region *region, const char *decision,
			   const struct tier_problem *problem);
/* A caller has decided about the region: a scan does not log that as news. */
void region_decided(struct manager *manager, const char *name, const char *decision);
bool region_blocks_online(const struct tier_topology *topology, const struct tier_region *region);
/* Types its memory as the configuration has it; a portal's is never Local. Nothing without types. */
int region_set_type(struct manager *manager, const struct tier_topology *topology,
		    const struct tier_region *region, bool portal, struct tier_problem *problem);
const struct tier_dax *region_first_dax(const struct tier_topology *topology,
					const struct tier_region *region);

/* rivals.c: who else onlines memory */
void rivals_look(struct manager *manager);
/* Whose hand it was, if it was not cxl-tierd's: "most likely by /etc/udev/rules.d/x.rules:3" */
const char *rivals_likely(const struct manager *manager, char text[static 256]);

/* declared.c: makes the regions that the configuration declares; @everything: also what was tried in vain */
void declared_apply(struct manager *manager, bool everything);
void declared_free(struct manager *manager);

/*
 * rules.c: onlines one of the regions that wait, as the configuration has it, all of them in view. If
 * true, look for portals again and call it once more.
 */
bool rules_apply(struct manager *manager);

/* ordinary.c: notes hot-added memory blocks without a dax device that nobody has decided about */
void ordinary_look(struct manager *manager, const struct tier_topology *topology);

/* onlining.c: what must be known of it beyond this process */
void onlining_load(struct manager *manager);
void onlining_free(struct manager *manager);
void onlining_begin(struct manager *manager, const struct region *region,
		    enum tier_online_zone zone);
void onlining_end(struct manager *manager);
/* Has an earlier cxl-tierd begun to online it, and not come to its end? */
bool onlining_was(const struct manager *manager, const struct region *region);
/* Ordinary memory blocks that have been decided about; @blocks: ascending, taken. */
bool onlining_knows(const struct manager *manager, uint64_t block);
void onlining_know(struct manager *manager, uint64_t *blocks, size_t count);
void onlining_settled(struct manager *manager, const struct region *region);
/* The block has been removed: if it is there again, that is another arrival. */
void onlining_forget(struct manager *manager, uint64_t block);

/* actions.c: what callers ask for */
int manager_plan(struct manager *manager, char **regions, enum tier_online_zone zone,
		 unsigned ratio_percent, struct tier_plan **ret, struct tier_problem *problem);
int manager_online(struct manager *manager, char **regions, enum tier_online_zone zone,
		   unsigned ratio_percent, bool dry_run, struct tier_plan **ret,
		   struct tier_problem *problem);
/*
 * @link: gets the reply when it is done, and *ret is NULL then; a plan if there is nothing to wait for.
 */
struct offline_request;
int manager_offline(struct manager *manager, sd_varlink *link, bool more,
		    const struct offline_request *request, struct tier_plan **ret,
		    struct tier_problem *problem);
int manager_apply(struct manager *manager, const struct tier_plan *plan,
		  struct tier_problem *problem);

/* offline.c: a region that is being taken offline, by a process of its own */
/* @plan: taken over if it starts; the link gets the reply. */
int offline_start(struct manager *manager, sd_varlink *link, bool more,
		  const struct offline_request *request, struct tier_plan *plan,
		  struct tier_problem *problem);
bool offline_busy(const struct manager *manager, const char *region);
/* 0; TIER_E_BUSY if there is one already. */
int offline_refuse_second(const struct manager *manager, const char *region,
			  struct tier_problem *problem);
/*
 * What changes memory, or may have to wait for the kernel while memory goes offline, is put off until
 * the process makes a pause. False: it may be done at once.
 */
bool offline_defers_scan(struct manager *manager, bool everything);
typedef int (*offline_deferred_t)(sd_varlink *link, sd_json_variant *parameters,
				  struct manager *manager);
bool offline_defers_call(struct manager *manager, sd_varlink *link, sd_json_variant *parameters,
			 offline_deferred_t call);
/*
 * May memory blocks of that region be taken offline at once? If not, retired_offline_rest() is called
 * when they may: of the region that goes offline when that has ended, of others at a pause.
 */
bool offline_defers_blocks(struct manager *manager, const char *region);
/* Whoever asked for it has gone: it is cancelled. */
void offline_disconnected(struct manager *manager, sd_varlink *link);
/* Cancels it for the daemon's end, which comes when all is put back. False: there is none. */
bool offline_cancel(struct manager *manager);
/* The same when nothing else goes on any more: waits. */
void offline_stop(struct manager *manager);

/* portals.c */
/* @rule: its section in the configuration, NULL if it has none. */
void portals_note(struct manager *manager, const char *region,
		  const struct tier_config_portal *rule, const char *path, int code,
		  const struct tier_super *super, const struct tier_problem *problem);
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

/* beat.c: this host's record in each portal, and the other hosts' */
int beat_start(struct manager *manager);
/* Called between the steps of longer work: only what others would miss. */
void beat_if_due(struct manager *manager);
/* Portals that have just been found: which boot of this host it is. */
void beat_new_portals(struct manager *manager);
bool beat_overdue(const struct manager *manager, const struct portal *portal, uint32_t host);
/* May this host write anything but its beat? 0; TIER_E_REFUSED with the reason. */
int portal_may_act(struct manager *manager, const struct portal *portal,
		   struct tier_problem *problem);

/* homes.c: this host's home extents, for flights of any host */
/* Is there something to be looked at, as far as the last looks tell? */
bool homes_due(const struct portal *portal);
void homes_pass(struct manager *manager, struct portal *portal, struct tier_portal *mapped);
uint32_t homes_granting(struct manager *manager, const struct portal *portal);
void homes_count(struct portal *portal, struct tier_portal *mapped,
		 uint32_t counts[static TIER_EXTENT_RETIRED + 1]);
/* Replies once nothing of @flight is left to be zeroed here. */
int homes_reply_when_zeroed(struct manager *manager, sd_varlink *link,
			    const struct tier_uuid *flight);
/* Callers whose extents have gone some other way: with the portal, say. */
void homes_answer_rest(struct manager *manager);
void homes_disconnected(struct manager *manager, sd_varlink *link);
void homes_free(struct manager *manager);

/* guard.c: which VMs must not outlive this host's part in a portal */
enum guard_kind {
	GUARD_ASKED, /* nothing of it is in the portal: ends with a fence */
	GUARD_OPEN,  /* ends also when the portal cannot be reached any more */
	GUARD_CAME, /* has come through the portal: ends with a fence, as long as this host is up */
};

void guard_load(struct manager *manager);
void guard_begin(struct manager *manager, const struct portal *portal);
void guard_note(struct manager *manager, const struct portal *portal, const char *vm,
		enum guard_kind kind);
void guard_commit(struct manager *manager, const struct portal *portal);
void guard_reached(struct manager *manager, const struct portal *portal, uint64_t now);
void guard_fenced(struct manager *manager, const struct portal *portal);
void guard_check(struct manager *manager, uint64_t now);
void guard_free(struct manager *manager);
/* How long after its last beat a watchdog ends this host; 0: none is armed. */
uint64_t guard_watchdog_usec(const struct manager *manager);

/* flights.c: what the records of a portal say */
struct flight {
	uint32_t source, slot;
	int code; /* TIER_E_DAMAGED: the offer cannot be read, and nothing below is set */
	int look; /* TIER_E_DAMAGED: answers or fences cannot be read, so nothing may be decided */
	struct tier_handoff_view view;
	struct tier_handoff_holder holder;
	enum tier_flight_state answer; /* of whoever has it or had it, else of the destination */
	char advice[192];
};

/* TIER_E_NOT_FOUND: no flight in that slot. Otherwise 0, and the codes tell. */
int flight_read(struct portal *portal, struct tier_portal *mapped, uint32_t source, uint32_t slot,
		struct flight *ret);
/* As flight_read(); the flight with that UUID, wherever it is. */
int flight_find(struct portal *portal, struct tier_portal *mapped, const struct tier_uuid *uuid,
		struct flight *ret);
bool flight_ended(const struct flight *flight);
/* Over, and nothing of it is left to be done on this host. */
bool flight_settled(struct manager *manager, const struct portal *portal,
		    const struct flight *flight);
bool flight_concerns(const struct portal *portal, const struct flight *flight);
/* What a beat does about flights: guards their VMs, carries on what nobody carries on. */
void flights_pass(struct manager *manager, struct portal *portal, struct tier_portal *mapped);
/* Only the former, when this host is fenced and may do nothing else. */
void flights_guard(struct manager *manager, struct portal *portal, struct tier_portal *mapped);
void flights_announce(struct manager *manager);
size_t flights_active(struct manager *manager);
int flights_to_json(struct manager *manager, sd_json_variant **ret);
int offers_to_json(struct manager *manager, sd_json_variant **ret);

/* sessions.c, session-begin.c, session-end.c */
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
/* Forgets those of connections and flights that have both ended. */
void sessions_prune(struct manager *manager, struct portal *portal, struct tier_portal *mapped);
/* Does a process on this host carry it out, as far as its connection tells? */
bool sessions_held(struct manager *manager, const struct tier_uuid *flight);
struct session *session_add(struct manager *manager, sd_varlink *link, const struct portal *portal,
			    bool source, const struct tier_uuid *flight, uint32_t slot,
			    const char *vm);
void session_drop(struct manager *manager, struct session *session);
void sessions_free(struct manager *manager);
/* What BeginFlight and AcceptFlight have in common. */
int session_check_path(const struct portal *portal, struct tier_problem *problem);
int session_refuse_second(struct manager *manager, const char *vm, struct tier_problem *problem);
int session_grant_to_json(const struct portal *portal, uint32_t peer, uint32_t slot,
			  uint64_t generation, const struct tier_uuid *flight,
			  sd_json_variant **ret);
/* Stores ABORTED in an offer that is REQUESTED: nothing has been opened or moved for it. */
int session_abandon(struct portal *portal, struct tier_portal *mapped, uint32_t slot,
		    const struct tier_offer *offer, const char *reason,
		    struct tier_problem *problem);

/* recovery.c: flights that nobody carries out any more */
void recovery_look(struct manager *manager, struct portal *portal, struct tier_portal *mapped,
		   const struct flight *flight);
/* What was tried in vain is tried again. */
void recovery_forget(struct manager *manager);
void recoveries_free(struct manager *manager);

/* monitor.c */
/* A scan after a moment of quiet. */
int monitor_rescan(struct manager *manager);
int monitor_start(struct manager *manager);
void monitor_free(struct manager *manager);

/* hold.c: dax devices that arrive have no driver until it is known what they are */
void hold_scan(struct manager *manager, bool everything);
void hold_arrived(struct manager *manager, const char *dax);
/* Somebody may have arrived. */
void hold_lost(struct manager *manager);
void hold_stop(struct manager *manager);
/* Instead of a daemon that was killed; 0 or negative errno, told. */
int hold_release(struct manager *manager);

/* tiering.c: what is hot is fetched to DRAM */
/* Puts back what a cxl-tierd before this one has left. */
void tiering_start(struct manager *manager);
/* Starts or ends it, as the nodes and the configuration are now. */
void tiering_look(struct manager *manager, const struct tier_topology *topology);
/* Ends it after the step in hand; the next look may start it again. */
void tiering_pause(struct manager *manager);
/* Waits for that. */
void tiering_stop(struct manager *manager);
bool tiering_active(const struct manager *manager);
/* By what the process works that is there; TIER_MECHANISM_NONE: there is none. */
enum tier_mechanism tiering_running(const struct manager *manager);
/* Instead of a daemon that was killed. */
int tiering_release(struct manager *manager);

/* tiering-choice.c: by DAMON, by the kernel's own tiering, or by idle page tracking */
void tiering_kernel_start(struct manager *manager);
/* tiering_look(), once it is clear which of them. */
void tiering_choose(struct manager *manager, const struct tier_topology *topology);
enum tier_mechanism tiering_mechanism(const struct manager *manager);
/* By a process of ours, that is not by the kernel. */
bool tiering_by_worker(const struct manager *manager);
/* What came of it, where it is not the kernel: 0, or why it could not. */
void tiering_heard(struct manager *manager, int code, const struct tier_problem *problem);
/* At once; the next look may switch it on again. */
void tiering_kernel_pause(struct manager *manager);
/*
 * The same, where the kernel would demote to whatever comes online; and before memory is evacuated, which must not be
 * filled meanwhile.
 */
void tiering_before_steps(struct manager *manager, const struct tier_plan *plan);
void tiering_kernel_stop(struct manager *manager);
int tiering_kernel_release(struct manager *manager);
/* "no", "none", "damon", "kernel" or "idle", and why not the better one, or empty; until the next look. */
void tiering_describe(const struct manager *manager, const char **ret_mechanism,
		      const char **ret_reason);

/* weights.c: of weighted interleave */
void weights_start(struct manager *manager);
/* Sets them as the nodes and the configuration are now; @topology gets the configuration's types. */
void weights_look(struct manager *manager, struct tier_topology *topology);
/* What has become of the weights, and why. */
struct weights_outcome {
	const char *action; /* tier_weights_action_name(), of the last look */
	char reason[400];
	struct tier_problem problem; /* the kernel has refused it; no text: it has not */
	bool calibrated;	     /* weights are by what was measured */
};
/* The same when somebody asks; not 0: the machine cannot be read. */
int weights_apply(struct manager *manager, struct weights_outcome *ret,
		  struct tier_problem *problem);
void weights_stop(struct manager *manager);
/* Instead of a daemon that was killed; 0 or negative errno, told. */
int weights_release(struct manager *manager);

/* metrics.c, metrics-file.c */
int metrics_start(struct manager *manager);
void metrics_free(struct manager *manager);
/* Nodes, their types or the configuration may have changed. */
void metrics_look(struct manager *manager);
/* What the process of tiering.c has done since it began; NULL: it has ended, and another begins at 0. */
void metrics_tiering(struct manager *manager, const struct tier_tiering_counts *counts);
/* Families whose names begin with @only, NULL: all; tier_metrics_free(). */
int metrics_collect(struct manager *manager, const char *only, struct tier_metrics **ret,
		    struct tier_problem *problem);
/* The file of the configuration: begins, ends, or goes on to be written. */
void metrics_file_look(struct manager *manager);
void metrics_file_stop(struct manager *manager);

/* resident.c: nothing of what onlines memory has to be paged in first */
void resident_start(const struct manager *manager);

/* varlink.c, interface.c */
int varlink_start(struct manager *manager);
extern const sd_varlink_interface vl_interface_io_cxltier_Manager;

#endif
