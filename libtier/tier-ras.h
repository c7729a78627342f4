/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_RAS_H
#define TIER_RAS_H

/*
 * Errors of memory: what the kernel's trace events say, where that is, who is hit, and which memory
 * is retired because of it. docs/ras.md.
 */

#include <sys/types.h>

#include "tier-topology.h"

enum tier_ras_kind {
	TIER_RAS_POISON,   /* cxl_poison: an entry of a memdev's poison list */
	TIER_RAS_MEDIA,	   /* cxl_general_media */
	TIER_RAS_DRAM,	   /* cxl_dram */
	TIER_RAS_MODULE,   /* cxl_memory_module: the device's health */
	TIER_RAS_GENERIC,  /* cxl_generic_event: a record that the kernel does not know */
	TIER_RAS_AER,	   /* cxl_aer_uncorrectable_error: the link, no address */
	TIER_RAS_OVERFLOW, /* cxl_overflow: the device's log has lost records */
	TIER_RAS_PAGE,	   /* memory_failure_event: the kernel has given up a page */
	TIER_RAS_LOST,	   /* the trace buffer has lost events */
};

/**
 * struct tier_ras_event - one trace event
 * @serial: of the memdev; TIER_UNKNOWN_U64 for PAGE and LOST
 * @dpa: device physical address; TIER_UNKNOWN_U64 if the event has none
 * @bytes: how much from there is bad; 0 without an address
 * @hpa: host physical address of @dpa as the kernel says; TIER_UNKNOWN_U64 if it does not
 * @severity: the device's log, e.g. "Fatal"; may be empty
 * @what: plain words, printable
 * @uncorrectable: data at that address is lost
 * @cleared: poison that somebody has cleared in the device
 */
struct tier_ras_event {
	enum tier_ras_kind kind;
	char memdev[32];
	char region[32];
	uint64_t serial;
	uint64_t dpa, bytes, hpa;
	char severity[16];
	char what[160];
	bool uncorrectable;
	bool cleared;
};

/**
 * tier_ras_parse() - a line of trace_pipe with the option context-info off
 * @line: terminated, without newline
 *
 * Pure. Fields that it does not know are passed over.
 *
 * Return: 0; TIER_E_NOT_FOUND: another event; TIER_E_DAMAGED: one of these without what it needs.
 */
int tier_ras_parse(const char *line, struct tier_ras_event *ret);

/** tier_ras_kind_name() - "poison", "media" and so on, as in the events' JSON; a constant string */
const char *tier_ras_kind_name(enum tier_ras_kind kind);

/* ---- where it is ------------------------------------------------------------------------------- */

/**
 * struct tier_ras_place - memory of one region
 * @start: host physical; what is hit lies within [start, start + bytes)
 * @exact: that is the range of the device's addresses and no more; else what is around it as well
 *         (a stripe of an interleaved region), or the whole region
 */
struct tier_ras_place {
	char region[32];
	uint64_t start, bytes;
	bool exact;
};

/**
 * tier_ras_locate() - where addresses of a device lie on this host
 * @topology: borrowed
 * @serial: of the memdev
 * @dpa: device physical address; TIER_UNKNOWN_U64: all of the device
 * @bytes: from there on
 * @ret: new array; free()
 *
 * Pure. By the decoders: a device's address has one place in a region of one device. In an interleaved
 * region it is a stripe: which part of it is the device's depends on the host bridge's arithmetic,
 * which user space is not told. Where a decoder's address is not known, the whole region is meant.
 *
 * Return: 0; TIER_E_NOT_FOUND: no region has these addresses; -ENOMEM.
 */
int tier_ras_locate(const struct tier_topology *topology, uint64_t serial, uint64_t dpa,
		    uint64_t bytes, struct tier_ras_place **ret, size_t *ret_count);

/**
 * tier_ras_device_range() - the reverse: whose bytes lie at a region's offset
 * @bytes: from there on, cut at the region's end
 * @ret_serial, @ret_dpa, @ret_bytes: of an interleaved region those of one device in the same stripes
 *
 * Pure. Return: 0; TIER_E_NOT_FOUND: no such region or offset; TIER_E_REFUSED: its decoders' addresses
 * are not known.
 */
int tier_ras_device_range(const struct tier_topology *topology, const char *region, uint64_t offset,
			  uint64_t bytes, uint64_t *ret_serial, uint64_t *ret_dpa,
			  uint64_t *ret_bytes, struct tier_problem *problem);

/** tier_ras_region_of() - the region that has a host physical address; NULL: none */
const struct tier_region *tier_ras_region_of(const struct tier_topology *topology,
					     uint64_t address);

/* ---- what is retired --------------------------------------------------------------------------- */

/* Addresses of a device that are never to be used again, whatever region they are part of. */
struct tier_retirement {
	uint64_t serial;
	uint64_t dpa, bytes;
	uint64_t usec; /* CLOCK_REALTIME */
	char reason[96];
};

/* Sorted by serial and address. */
struct tier_retired {
	struct tier_retirement *entries;
	size_t count;
};

#define TIER_RETIRED_MAX  4096
#define TIER_RETIRED_PATH "/var/lib/cxl-tier/retired"

/** tier_retired_free() - Return: NULL. */
struct tier_retired *tier_retired_free(struct tier_retired *retired);

/**
 * tier_retired_parse() - the list from the text of its file
 * @text: @bytes of it, not necessarily terminated
 * @name: of the file, for @problem
 * @ret: tier_retired_free()
 *
 * Pure. Return: 0; TIER_E_DAMAGED, TIER_E_INCOMPATIBLE; -ENOMEM.
 */
int tier_retired_parse(const char *text, size_t bytes, const char *name, struct tier_retired **ret,
		       struct tier_problem *problem);

/** tier_retired_format() - the reverse; free(). Return: 0, -ENOMEM. */
int tier_retired_format(const struct tier_retired *retired, char **ret);

/**
 * tier_retired_add() - retire addresses
 * @entry: its reason loses what is not printable
 *
 * Pure. Return: 0; TIER_E_BUSY: all of it is retired already; TIER_E_NO_SPACE: TIER_RETIRED_MAX entries;
 * -EINVAL, -ENOMEM.
 */
int tier_retired_add(struct tier_retired *retired, const struct tier_retirement *entry);

/** tier_retired_covers() - is all of it retired already? */
bool tier_retired_covers(const struct tier_retired *retired, uint64_t serial, uint64_t dpa,
			 uint64_t bytes);

/**
 * tier_retired_overlaps() - has a host physical range something of what is retired?
 * @topology: where that lies on this host
 *
 * Pure. In an interleaved region the stripe counts, as for tier_ras_locate().
 */
bool tier_retired_overlaps(const struct tier_retired *retired, const struct tier_topology *topology,
			   uint64_t start, uint64_t bytes);

/** tier_retired_copy() - another list of the same; tier_retired_free(). Return: 0, -ENOMEM. */
int tier_retired_copy(const struct tier_retired *retired, struct tier_retired **ret);

/** tier_retired_remove() - the entry that begins at @dpa. Return: 0; TIER_E_NOT_FOUND. */
int tier_retired_remove(struct tier_retired *retired, uint64_t serial, uint64_t dpa);

/**
 * tier_retired_load() - the list of this machine, or of a dump of one
 * @sysroot: as for tier_topology_read()
 * @ret: tier_retired_free(); an empty list if there is no file
 *
 * Return: 0; as tier_retired_parse(); negative errno.
 */
int tier_retired_load(const char *sysroot, struct tier_retired **ret, struct tier_problem *problem);

/**
 * tier_retired_store() - write the list of this machine; a crash leaves the old one or the new one
 * Return: 0; negative errno.
 */
int tier_retired_store(const struct tier_retired *retired, struct tier_problem *problem);

/**
 * tier_retired_mark() - which memory blocks of a snapshot are retired
 * @topology: its retired_blocks are replaced
 *
 * Pure. tier_topology_read() has done that already, with tier_retired_load(). Return: 0, -ENOMEM.
 */
int tier_retired_mark(struct tier_topology *topology, const struct tier_retired *retired);

/* ---- devices that go --------------------------------------------------------------------------- */

enum tier_unplug_kind {
	TIER_UNPLUG_REQUEST,	  /* a hotplug slot's button: it is powered off in five seconds */
	TIER_UNPLUG_EJECT_FAILED, /* a DIMM: the kernel has refused, since it cannot offline a block */
	TIER_UNPLUG_EJECT_DISABLED, /* a DIMM: refused by /sys/firmware/acpi/hotplug/memory/enabled */
	TIER_UNPLUG_LOST,	    /* memory has gone while it was in use */
};

/**
 * struct tier_unplug - what the kernel prints about it
 * @device: the slot's port, the ACPI device, or the dax device
 * @slot: its name; REQUEST only
 * @block: that cannot be taken offline; EJECT_FAILED only
 * @start, @bytes: host physical; LOST only
 */
struct tier_unplug {
	enum tier_unplug_kind kind;
	char device[32];
	char slot[16];
	uint64_t block;
	uint64_t start, bytes;
};

/** tier_unplug_parse() - a line as for tier_ras_parse(). Return: 0; TIER_E_NOT_FOUND. */
int tier_unplug_parse(const char *line, struct tier_unplug *ret);

/** tier_slot_has() - is a PCI device below a hotplug port? */
bool tier_slot_has(const char *port, const char *device);

/**
 * tier_slot_hold() - after a REQUEST: keep the kernel from powering the slot off
 *
 * It has no hotplug then until tier_slot_release() or tier_slot_power_off().
 */
int tier_slot_hold(const char *port, struct tier_problem *problem);
/**
 * tier_slot_release() - the slot stays on
 * Return: 0; TIER_E_NOT_FOUND: it was not held, or has gone; negative errno.
 */
int tier_slot_release(const char *port, struct tier_problem *problem);
/** tier_slot_power_off() - the slot is powered off, and whoever asked gets the device. Return: as above. */
int tier_slot_power_off(const char *port, const char *slot, struct tier_problem *problem);

/* ---- os: who is hit, and the kernel's events --------------------------------------------------- */

/* A process that maps pages of a range. */
struct tier_page_user {
	pid_t pid;
	char comm[32]; /* printable */
	char vm[64];   /* the guest's name, if it is a QEMU that was given one; printable */
	uint64_t pages;
};

/**
 * tier_page_users() - which processes map memory at physical addresses
 * @start, @bytes: a page is touched if any byte of it is
 * @alive: called between processes; nonzero ends the search; may be NULL
 * @ret: new array; free()
 * @ret_complete: false: @alive ended it, or a process could not be looked at
 *
 * From /proc/PID/pagemap; needs CAP_SYS_ADMIN and CAP_SYS_PTRACE. A page that is in the page cache only,
 * or is the kernel's, has no user.
 *
 * Return: 0; -EPERM: the kernel hides physical addresses; negative errno.
 */
int tier_page_users(uint64_t start, uint64_t bytes, int (*alive)(void *userdata), void *userdata,
		    struct tier_page_user **ret, size_t *ret_count, bool *ret_complete);

/**
 * tier_page_give_up() - have the kernel give up the page at a physical address
 *
 * hard_offline_page: it is not read, whoever has it mapped gets SIGBUS when it is touched. Return: 0;
 * TIER_E_NOT_FOUND: it is not online, or this kernel cannot; negative errno.
 */
int tier_page_give_up(uint64_t address, struct tier_problem *problem);

struct tier_trace;

/**
 * tier_trace_open() - the kernel's events of the kinds above, in a trace instance of our own
 * @ret: tier_trace_close()
 *
 * What happened while nobody had it open is read first. Return: 0; TIER_E_REFUSED: no tracefs, or no
 * privilege; the problem says what that costs.
 */
int tier_trace_open(struct tier_trace **ret, struct tier_problem *problem);
struct tier_trace *tier_trace_close(struct tier_trace *trace);
/** tier_trace_fd() - readable when there is an event */
int tier_trace_fd(const struct tier_trace *trace);
/** tier_trace_enable() - events of modules that have been loaded meanwhile; returns how many are on */
unsigned tier_trace_enable(struct tier_trace *trace);
/**
 * tier_trace_next() - the next line, without waiting
 * @ret: valid until the next call
 *
 * Return: 0; TIER_E_NOT_FOUND: there is none yet; negative errno.
 */
int tier_trace_next(struct tier_trace *trace, const char **ret);

/**
 * tier_trace_poison_list() - have a memdev's poison list told as events
 * Return: 0; TIER_E_NOT_FOUND: the device has none; negative errno.
 */
int tier_trace_poison_list(const char *memdev);

/* ---- os: the event log ------------------------------------------------------------------------- */

#define TIER_EVENTS_PATH "/var/lib/cxl-tier/events"
#define TIER_EVENTS_MAX	 2048 /* kept, the newest */

/**
 * tier_event_log_append() - add a line to the log
 * @path: made if there is none, with its directory
 * @line: without newline
 *
 * Return: 0; negative errno.
 */
int tier_event_log_append(const char *path, const char *line);

/**
 * tier_event_log_read() - the lines of the log, oldest first, and shorten it to TIER_EVENTS_MAX of them
 * @each: called for every whole line; a nonzero answer ends it and is returned
 *
 * Return: 0, also if there is no log; negative errno.
 */
int tier_event_log_read(const char *path, int (*each)(void *userdata, const char *line),
			void *userdata);

#endif
