/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_PORTAL_H
#define TIER_PORTAL_H

/*
 * A portal: a shared or switched CXL region (or, for tests and laptops, a plain file) formatted for
 * hand-off. docs/portal-format.md describes every byte and who writes it.
 *
 *   control area                                    extents
 *   superblock, superblock copy, host areas         the memory that VMs pass through
 *
 * A host area is written by its host only. Records are read by copying them out, then checked,
 * then used.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier-error.h"

#define TIER_PORTAL_MAJOR	   1
#define TIER_PORTAL_MINOR	   0
#define TIER_PORTAL_MAX_HOSTS	   16
#define TIER_PORTAL_MAX_EXTENTS	   16384
#define TIER_PORTAL_HOST_EXTENTS   3584 /* per home host: what its area has records for */
#define TIER_PORTAL_FLIGHTS	   16	/* slots per host, as source and again as destination */
#define TIER_PORTAL_FLIGHT_RANGES  32	/* runs of extents per flight */
#define TIER_PORTAL_NAME	   32
#define TIER_PORTAL_EXTENT_DEFAULT (UINT64_C(128) << 20)
#define TIER_PORTAL_NO_HOST	   UINT32_MAX

/* Unknown incompatible bits refuse the portal; unknown compatible ones are ignored. */
#define TIER_PORTAL_INCOMPAT_KEYED UINT64_C(1) /* records and blobs carry a MAC */
#define TIER_PORTAL_INCOMPAT_KNOWN TIER_PORTAL_INCOMPAT_KEYED

#define TIER_PORTAL_KEY_BYTES 32
#define TIER_PORTAL_MAC_BYTES 16

struct tier_uuid {
	uint8_t bytes[16];
};

struct tier_portal_slot {
	char name[TIER_PORTAL_NAME]; /* empty: unused */
	uint32_t first_extent;	     /* its home extents: [first, first + count) */
	uint32_t extent_count;
};

/* What `portal format` fixes for good. */
struct tier_super {
	uint16_t major, minor;
	uint64_t incompat, compat;
	struct tier_uuid uuid; /* new at each format */
	char name[TIER_PORTAL_NAME];
	uint64_t total_bytes;
	uint64_t control_bytes; /* a multiple of extent_bytes; extent 0 begins here */
	uint64_t extent_bytes;
	uint32_t extent_count;
	uint32_t host_count;
	uint64_t host_area_offset;
	uint64_t host_area_bytes;
	bool hardware_coherent;	 /* caches need no flushing */
	uint64_t formatted_usec; /* CLOCK_REALTIME, for people */
	struct tier_portal_slot hosts[TIER_PORTAL_MAX_HOSTS];
	/* Not in the portal: the key of a keyed one, as far as this host has it. */
	bool has_key;
	uint8_t key[TIER_PORTAL_KEY_BYTES];
};

/* Who wrote a record, and which writing of it this is. */
struct tier_stamp {
	uint64_t incarnation; /* of the writing host: one more at each boot, never 0 */
	uint64_t generation;  /* of the thing described */
	uint64_t sequence;    /* of the record; the higher of two good copies counts */
};

struct tier_host_record {
	struct tier_stamp stamp; /* generation: heartbeats since boot */
	char name[TIER_PORTAL_NAME];
	struct tier_uuid boot;	/* the kernel's boot id: which boot the incarnation stands for */
	uint64_t beat_usec;	/* CLOCK_REALTIME of the writer, for people only */
	uint64_t interval_usec; /* between two beats; the host is overdue after several */
	uint64_t
		watchdog_usec; /* a watchdog ends the host this long after its last beat; 0: none */
};

enum tier_fence_state {
	TIER_FENCE_NONE,
	TIER_FENCE_INTENT,    /* about to be fenced: it takes nothing any more */
	TIER_FENCE_FENCED,    /* it is off, or was since INTENT was stored */
	TIER_FENCE_RETRACTED, /* it was not */
};

enum tier_fence_method {
	TIER_FENCE_METHOD_NONE,
	TIER_FENCE_METHOD_AGENT,
	TIER_FENCE_METHOD_CONFIRMED, /* by a person */
};

/* In the area of the host that fences, one for each other host. */
struct tier_fence_record {
	struct tier_stamp stamp; /* generation: fencings of this target by this host */
	uint32_t host, target;	 /* slots: who fences whom */
	uint64_t upto;		 /* the target's boots up to and including this incarnation */
	enum tier_fence_state state;
	enum tier_fence_method method;
	uint32_t heir; /* who takes what the target alone could take */
	/* What stays when the target is fenced again: the last boot that is FENCED, and its heir. */
	uint64_t fenced_upto; /* 0: none has been */
	uint32_t fenced_heir;
	uint64_t when_usec; /* CLOCK_REALTIME of the writer, for people only */
};

enum tier_extent_state {
	TIER_EXTENT_FREE,
	TIER_EXTENT_CLAIMED, /* granted by the home host, for a flight of @owner */
	TIER_EXTENT_SCRUB,   /* must be zeroed before it is free again */
	TIER_EXTENT_RETIRED,
};

struct tier_extent_record {
	struct tier_stamp stamp; /* generation: ownership changes */
	uint32_t extent;
	enum tier_extent_state state;
	uint32_t
		owner; /* slot of the host whose flight it is; 0 unless claimed or to be scrubbed */
	uint64_t owner_incarnation;
	struct tier_uuid flight;
};

enum tier_flight_state {
	TIER_FLIGHT_NONE,
	/* written by the source */
	TIER_FLIGHT_REQUESTED, /* the slot is taken, extents are asked for */
	TIER_FLIGHT_OFFERED,
	TIER_FLIGHT_PUBLISHED,
	TIER_FLIGHT_COMMITTED,
	TIER_FLIGHT_WITHDRAWN, /* the source has taken the VM back */
	TIER_FLIGHT_ABORTED,   /* it has, and nothing of the flight is left on it */
	TIER_FLIGHT_CLOSED,    /* the source has taken note of DONE and released everything */
	/* written by the taker */
	TIER_FLIGHT_READY,
	TIER_FLIGHT_ACCEPTED,
	TIER_FLIGHT_RUNNING,
	TIER_FLIGHT_DONE,
	TIER_FLIGHT_REFUSED,
};

struct tier_extent_range {
	uint32_t first, count;
};

/* A run of bytes in the blob part of a host area, relative to the start of the portal. */
struct tier_blob {
	uint64_t offset, bytes;
	uint32_t crc32c;
	uint8_t mac[TIER_PORTAL_MAC_BYTES]; /* zero unless the portal is keyed */
};

/* The source's half of a flight. */
struct tier_offer {
	struct tier_stamp stamp; /* generation: of the flight; the slot counts up, never reused */
	struct tier_uuid flight;
	uint32_t source, destination; /* host slots */
	enum tier_flight_state state; /* NONE, REQUESTED ... CLOSED */
	char vm[64];
	char machine_type[64]; /* versioned, as QEMU resolves it */
	char qemu_version[32];
	uint64_t ram_bytes;
	uint32_t page_bytes;
	uint32_t wanted_extents;     /* how many it asks for; from REQUESTED on */
	uint64_t source_incarnation; /* the boot in which the VM ran: it stays with the flight */
	uint64_t destination_incarnation; /* from PUBLISHED on: whom it addresses */
	struct tier_extent_range ranges[TIER_PORTAL_FLIGHT_RANGES]; /* from OFFERED on */
	uint32_t range_count;
	struct tier_blob manifest;   /* from PUBLISHED on */
	struct tier_blob state_blob; /* the device state */
	uint64_t offered_usec;
	char reason[160]; /* of WITHDRAWN and ABORTED */
};

/* The taker's half: the destination's, or an heir's. */
struct tier_answer {
	struct tier_stamp stamp; /* generation: the offer's */
	struct tier_uuid flight;
	uint32_t source;	      /* host slot of the source */
	uint32_t source_slot;	      /* its flight slot */
	enum tier_flight_state state; /* NONE, READY ... REFUSED */
	char qemu_version[32];
	char reason[160]; /* of REFUSED */
};

/* 512 pages at the most, so that one damaged or moved page costs little. */
#define TIER_MANIFEST_RUN_PAGES 512

struct tier_manifest_run {
	uint64_t ram_offset;	/* in the VM's RAM */
	uint64_t portal_offset; /* from the start of the portal */
	uint32_t pages;
	uint32_t crc32c; /* over the little-endian CRC-32Cs of its pages, in order */
};

/* The map of a flight. RAM that no run covers was never touched: zero. */
struct tier_manifest {
	struct tier_uuid flight;
	uint64_t generation;
	uint64_t ram_bytes;
	uint32_t page_bytes;
	struct tier_manifest_run *runs; /* sorted by ram_offset */
	size_t run_count;
};

/* ---- format: pure ------------------------------------------------------------------------- */

/**
 * tier_crc32c() - CRC-32C (Castagnoli), as in iSCSI
 * @seed: 0, or the result for the bytes before
 */
uint32_t tier_crc32c(uint32_t seed, const void *data, size_t bytes);

/**
 * tier_portal_key_derive() - the key of one portal from the secret that its hosts share
 * @secret, @bytes: contents of the key file, at least 32 random bytes
 *
 * HMAC-SHA256 of a constant and @portal's UUID, so that no portal's records fit another's.
 */
void tier_portal_key_derive(const struct tier_uuid *portal, const void *secret, size_t bytes,
			    uint8_t ret[static TIER_PORTAL_KEY_BYTES]);

/** tier_blob_mac() - MAC of a manifest or device state of @flight; zero if @super is not keyed */
void tier_blob_mac(const struct tier_super *super, const struct tier_uuid *flight, const void *data,
		   size_t bytes, uint8_t ret[static TIER_PORTAL_MAC_BYTES]);

/**
 * tier_super_plan() - lay a portal out
 * @name: the portal's name
 * @hosts, @host_count: names of the hosts; home extents are shared out evenly, in order
 * @total_bytes: size of the region or file
 * @extent_bytes: a power of two, at least 128 MiB and at least the memory block size
 * @uuid: fresh random
 *
 * Return: 0; TIER_E_NO_SPACE if fewer extents than hosts remain; -EINVAL with the reason.
 */
int tier_super_plan(const char *name, const char *const *hosts, size_t host_count,
		    uint64_t total_bytes, uint64_t extent_bytes, const struct tier_uuid *uuid,
		    struct tier_super *ret, struct tier_problem *problem);

#define TIER_SUPER_BYTES       4096
#define TIER_SUPER_COPY_OFFSET (UINT64_C(1) << 20)

/** tier_super_encode() - @buffer has TIER_SUPER_BYTES */
void tier_super_encode(const struct tier_super *super, void *buffer);

/**
 * tier_super_decode() - check and decode one copy of a superblock
 * @buffer: TIER_SUPER_BYTES that nobody else can change
 * @total_bytes: size of what it was read from
 *
 * Return: 0; TIER_E_NOT_PORTAL (magic); TIER_E_INCOMPATIBLE; TIER_E_DAMAGED (CRC, reserved bytes,
 * names, extents that overlap or lie past the end); TIER_E_TRUNCATED.
 */
int tier_super_decode(const void *buffer, uint64_t total_bytes, struct tier_super *ret,
		      struct tier_problem *problem);

/* Records of fixed size, each kept in two copies that are written in turn. */
enum tier_record_kind {
	TIER_RECORD_HOST,
	TIER_RECORD_EXTENT,
	TIER_RECORD_OFFER,
	TIER_RECORD_ANSWER,
	TIER_RECORD_FENCE,
};

#define TIER_RECORD_MAX_BYTES 1024 /* of one copy, whatever its kind */

/** tier_record_bytes() - size of one copy */
size_t tier_record_bytes(enum tier_record_kind kind);

/**
 * tier_record_offset() - where a record lies
 * @host: slot of the writer
 * @index: flight slot, extent number (absolute), or the fenced host; 0 for TIER_RECORD_HOST
 * @copy: 0 or 1
 *
 * Return: offset from the start of the portal. The indices must have been checked.
 */
uint64_t tier_record_offset(const struct tier_super *super, enum tier_record_kind kind,
			    uint32_t host, uint32_t index, unsigned copy);

/* The slot of a host, TIER_PORTAL_NO_HOST if it has none. */
uint32_t tier_super_host(const struct tier_super *super, const char *name);

/* The home host of an extent, TIER_PORTAL_NO_HOST for one past the end. */
uint32_t tier_super_extent_home(const struct tier_super *super, uint32_t extent);

/** tier_blob_area() - the part of a host area that holds manifests and device states */
uint64_t tier_blob_area(const struct tier_super *super, uint32_t host, uint64_t *ret_bytes);

/*
 * Encoders and decoders. A buffer is one copy. Every record carries the place that it belongs to
 * (@host: slot of its writer; @slot: flight slot; or the extent, whose home host is the writer), so
 * that a record copied elsewhere is refused. Decoders return 0; TIER_E_NOT_FOUND for a record that
 * was never written (all zero); TIER_E_DAMAGED for anything that is not exactly what an encoder
 * writes for this portal in this place. The place itself must have been checked.
 *
 * Decoders refuse, beyond checksums: an incarnation or sequence of 0, names outside [A-Za-z0-9._-],
 * text that is not printable ASCII (encoders write '?' instead), extents past the end or twice in
 * an offer, blobs outside the writer's blob area, and an offer that is PUBLISHED or COMMITTED
 * without a manifest, a state blob or a destination incarnation.
 */
void tier_host_encode(const struct tier_super *super, uint32_t host,
		      const struct tier_host_record *record, void *buffer);
int tier_host_decode(const struct tier_super *super, uint32_t host, const void *buffer,
		     struct tier_host_record *ret);
void tier_fence_encode(const struct tier_super *super, const struct tier_fence_record *record,
		       void *buffer);
int tier_fence_decode(const struct tier_super *super, uint32_t host, uint32_t target,
		      const void *buffer, struct tier_fence_record *ret);
void tier_extent_encode(const struct tier_super *super, const struct tier_extent_record *record,
			void *buffer);
int tier_extent_decode(const struct tier_super *super, uint32_t extent, const void *buffer,
		       struct tier_extent_record *ret);
void tier_offer_encode(const struct tier_super *super, uint32_t slot,
		       const struct tier_offer *offer, void *buffer);
int tier_offer_decode(const struct tier_super *super, uint32_t host, uint32_t slot,
		      const void *buffer, struct tier_offer *ret);
void tier_answer_encode(const struct tier_super *super, uint32_t host, uint32_t slot,
			const struct tier_answer *answer, void *buffer);
int tier_answer_decode(const struct tier_super *super, uint32_t host, uint32_t slot,
		       const void *buffer, struct tier_answer *ret);

/** tier_manifest_bytes() - encoded size for @runs runs */
size_t tier_manifest_bytes(size_t runs);
void tier_manifest_encode(const struct tier_super *super, const struct tier_manifest *manifest,
			  void *buffer);

/**
 * tier_manifest_decode() - check a manifest against its offer
 * @offer: has been decoded; its ranges bound every portal offset
 * @buffer, @bytes: a private copy of the blob
 * @ret: new; tier_manifest_free()
 *
 * Return: 0; TIER_E_DAMAGED with the reason: wrong flight or generation, CRC, runs unsorted,
 * overlapping in the RAM or in the portal, unaligned, or outside; -ENOMEM.
 */
int tier_manifest_decode(const struct tier_super *super, const struct tier_offer *offer,
			 const void *buffer, size_t bytes, struct tier_manifest **ret,
			 struct tier_problem *problem);
struct tier_manifest *tier_manifest_free(struct tier_manifest *manifest);

/* Names as tools show them; constant strings. */
const char *tier_flight_state_name(enum tier_flight_state state);
const char *tier_extent_state_name(enum tier_extent_state state);
const char *tier_fence_state_name(enum tier_fence_state state);
/** tier_uuid_format() - as text, in lower case */
void tier_uuid_format(const struct tier_uuid *uuid, char buffer[static 37]);

/* ---- a portal on this host: effects -------------------------------------------------------- */

struct tier_portal;

enum tier_portal_open_flags {
	TIER_PORTAL_READ = 0,
	TIER_PORTAL_WRITE = 1 << 0,
	TIER_PORTAL_KEYED = 1 << 1,   /* refuse one that is not keyed, whatever its name */
	TIER_PORTAL_UNKEYED = 1 << 2, /* refuse a keyed one; a key for its name says nothing */
};

/**
 * tier_portal_open() - map a portal's control area
 * @path: a dax character device ("/dev/dax0.0") or a plain file
 * @flags: TIER_PORTAL_WRITE to write this host's records; whether it has to be keyed
 * @ret: tier_portal_close()
 * @problem: object is @path
 *
 * Both superblock copies are read; one good copy is enough (tier_portal_super_health() tells). The
 * key of a keyed portal is read from /etc/cxl-tier/keys/NAME.key.
 *
 * Return: 0; TIER_E_NOT_PORTAL, TIER_E_DAMAGED, TIER_E_INCOMPATIBLE, TIER_E_TRUNCATED;
 * TIER_E_REFUSED if it is keyed and this host has no key that only root can read, or not keyed
 * although there is a key for its name, or not as @flags have it; negative errno from opening and
 * mapping.
 */
int tier_portal_open(const char *path, unsigned flags, struct tier_portal **ret,
		     struct tier_problem *problem);
struct tier_portal *tier_portal_close(struct tier_portal *portal);

/**
 * tier_portal_key_find() - does this host have a key for a portal of that name?
 *
 * Return: 0; TIER_E_NOT_FOUND; TIER_E_REFUSED: others can read it, or it is too short; negative
 * errno.
 */
int tier_portal_key_find(const char *name, struct tier_problem *problem);

/**
 * tier_portal_key_generate() - make one of random bytes
 *
 * The other hosts need a copy. Return: 0; TIER_E_BUSY: there is one; negative errno.
 */
int tier_portal_key_generate(const char *name, struct tier_problem *problem);

/**
 * tier_portal_probe() - is there a portal at @path?
 *
 * Reads the superblock copies and nothing else; writes nothing.
 *
 * Return: 0 and the superblock; TIER_E_NOT_PORTAL; TIER_E_DAMAGED and the like if one was here.
 */
int tier_portal_probe(const char *path, struct tier_super *ret, struct tier_problem *problem);

/**
 * tier_portal_unused() - may a portal be formatted here without force?
 *
 * Return: 0, also if there is no such file; TIER_E_BUSY and others as tier_portal_format().
 */
int tier_portal_unused(const char *path, struct tier_problem *problem);

/**
 * tier_portal_format() - write an empty portal
 * @path: dax device or file; a file is extended to @super's size if it is shorter
 * @force: also over an existing portal
 *
 * The control area is zeroed, then the copy, then the first superblock is written and flushed.
 *
 * A file stays sparse; a new one is removed again on failure. @super must be one that
 * tier_super_decode() accepts.
 *
 * Return: 0; TIER_E_BUSY if a portal or what is left of one is there, or if a file holds anything
 * else, and not @force; TIER_E_TRUNCATED if the device is smaller than @super says; TIER_E_DAMAGED
 * for a @super that no reader would accept; negative errno.
 */
int tier_portal_format(const char *path, const struct tier_super *super, bool force,
		       struct tier_problem *problem);

/* What it was opened with; valid until it is closed. */
const struct tier_super *tier_portal_super(const struct tier_portal *portal);
const char *tier_portal_path(const struct tier_portal *portal);

/* 0 both copies good; bit 0 set: copy 0 damaged; bit 1: copy 1 damaged. */
unsigned tier_portal_super_health(const struct tier_portal *portal);

/*
 * Reads of one record: the newer good copy, invalidated, copied out, checked. Return 0;
 * TIER_E_NOT_FOUND: never written; TIER_E_DAMAGED: both copies bad, or never at rest; -EINVAL for a
 * host, slot or extent that the portal does not have.
 */
int tier_portal_read_host(struct tier_portal *portal, uint32_t host, struct tier_host_record *ret);
int tier_portal_read_fence(struct tier_portal *portal, uint32_t host, uint32_t target,
			   struct tier_fence_record *ret);
int tier_portal_read_extent(struct tier_portal *portal, uint32_t extent,
			    struct tier_extent_record *ret);
int tier_portal_read_offer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			   struct tier_offer *ret);
int tier_portal_read_answer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			    struct tier_answer *ret);

/*
 * Writes of this host's records: both copies, one after the other, the older one first, each flushed
 * before the next. The stamp's sequence is chosen here; incarnation and generation are the caller's.
 * One process at a time may write a given record. -EROFS without TIER_PORTAL_WRITE; -EINVAL, and
 * nothing written, for a record that a reader would refuse.
 */
int tier_portal_write_host(struct tier_portal *portal, uint32_t host,
			   const struct tier_host_record *record);
int tier_portal_write_fence(struct tier_portal *portal, const struct tier_fence_record *record);
int tier_portal_write_extent(struct tier_portal *portal, const struct tier_extent_record *record);
int tier_portal_write_offer(struct tier_portal *portal, uint32_t slot,
			    const struct tier_offer *offer);
int tier_portal_write_answer(struct tier_portal *portal, uint32_t host, uint32_t slot,
			     const struct tier_answer *answer);

/**
 * tier_portal_read_blob() - copy a blob of @flight out and verify its CRC, and its MAC if keyed
 * @host: whose blob area it must lie in
 * @ret: new buffer of blob->bytes; free()
 */
int tier_portal_read_blob(struct tier_portal *portal, uint32_t host, const struct tier_uuid *flight,
			  const struct tier_blob *blob, void **ret, struct tier_problem *problem);

/**
 * tier_portal_write_blob() - store bytes in @host's blob area at @offset from its start
 * @ret: offset from the start of the portal, bytes, CRC; flushed on return
 *
 * Return: 0; TIER_E_NO_SPACE; -EROFS.
 */
int tier_portal_write_blob(struct tier_portal *portal, uint32_t host,
			   const struct tier_uuid *flight, uint64_t offset, const void *data,
			   size_t bytes, struct tier_blob *ret);

/**
 * tier_portal_find_answer() - a host's answer to an offer
 * @host: whose: the destination's, or an heir's
 * @offer: has been decoded
 * @ret_slot: its flight slot; may be NULL
 *
 * It is for the same flight, generation, source and source slot. Whether it comes from the right
 * incarnation is for the protocol to decide.
 *
 * Return: 0; TIER_E_NOT_FOUND; TIER_E_DAMAGED: none was found, and a record that cannot be read may
 * be it.
 */
int tier_portal_find_answer(struct tier_portal *portal, uint32_t host,
			    const struct tier_offer *offer, uint32_t offer_slot,
			    struct tier_answer *ret, uint32_t *ret_slot);

/* One line of `portal check`. */
struct tier_finding {
	bool bad;
	char object[64];
	char text[256];
	char next[256]; /* what may be done about it, or empty */
};

/**
 * tier_portal_check() - verify every record
 * @ret_findings, @ret_count: new array; free(); bad ones first
 */
int tier_portal_check(struct tier_portal *portal, struct tier_finding **ret_findings,
		      size_t *ret_count);

enum tier_repair_outcome {
	TIER_REPAIR_DONE,
	TIER_REPAIR_WOULD, /* were it no dry run */
	TIER_REPAIR_LEFT,  /* not here, not now, or not at all: the text says why */
};

/* What has become of one thing that was damaged. */
struct tier_repair {
	enum tier_repair_outcome outcome;
	char object[64];
	char text[320];
};

/**
 * struct tier_repairing - what may be repaired
 * @host: this host's slot: only its records are; TIER_PORTAL_NO_HOST: only the superblock is
 * @boot: which boot of this host it is, by the kernel's id
 * @no_records: why not even this host's records, e.g. because cxl-tierd writes them now; NULL: they
 *	are, and the caller keeps every other process from writing them
 * @machine_here: has this host a process of that VM? May be NULL: unknown, so it may
 * @dry_run: write nothing
 */
struct tier_repairing {
	uint32_t host;
	struct tier_uuid boot;
	const char *no_records;
	bool (*machine_here)(void *userdata, const char *vm);
	void *userdata;
	bool dry_run;
};

/**
 * tier_portal_repair() - write again what is damaged and known
 * @ret_repairs, @ret_count: new array, one element for each thing that was damaged; free()
 *
 * Superblock copies, from the good one; both copies of this host's records, from the good one; its
 * host record and extent records, from what other records say of them. Records of a flight that is
 * not over are left alone, and no offer, answer or fence is invented.
 *
 * Return: 0, whatever was left; -EROFS; other negative errno.
 */
int tier_portal_repair(struct tier_portal *portal, const struct tier_repairing *repairing,
		       struct tier_repair **ret_repairs, size_t *ret_count);

/**
 * tier_portal_to_json() - hosts, extents and flights of a portal as JSON text
 */
int tier_portal_to_json(struct tier_portal *portal, char **ret_json);

/** tier_super_to_json() - what `portal format` fixes, as JSON text; free() */
int tier_super_to_json(const struct tier_super *super, char **ret_json);

/* ---- the region under a portal ------------------------------------------------------------- */

/**
 * tier_portal_region_path() - the character device on which a region's portal lies
 * @region: "region0"
 * @path: the /dev/daxX.Y whose range begins at the region's start
 * @problem: says what to do when it is refused
 *
 * Return: 0; TIER_E_NOT_FOUND for an unknown region; TIER_E_REFUSED if it has no dax device at its
 * start or that one is not in devdax mode; -EPERM without the privilege to see addresses; other
 * negative errno.
 */
int tier_portal_region_path(const char *region, char path[static 64], struct tier_problem *problem);

/**
 * tier_portal_region_to_devdax() - give a region's dax devices back to devdax
 * @region: every block of its memory must be offline
 *
 * Dax devices that are devdax already stay as they are. Needs root.
 *
 * Return: 0; TIER_E_NOT_FOUND; TIER_E_BUSY if any of its memory is online, and nothing is changed;
 * TIER_E_REFUSED if the region has no dax device; negative errno.
 */
int tier_portal_region_to_devdax(const char *region, struct tier_problem *problem);

/**
 * tier_portal_attach() - find the portal on a region and leave its extents to devices of their own
 * @path: the character device of the control area
 * @ret: the superblock
 *
 * The region's first dax device is given to devdax if its memory is offline, probed, and shrunk to
 * the control area. No byte of the memory is written. Needs root.
 *
 * Return: 0; TIER_E_NOT_PORTAL, and the device is left whole in devdax; TIER_E_DAMAGED,
 * TIER_E_INCOMPATIBLE, TIER_E_TRUNCATED; TIER_E_BUSY if its memory is online; TIER_E_TIMEOUT
 * while a flight opens or closes extents there; TIER_E_NOT_FOUND; negative errno.
 */
int tier_portal_attach(const char *region, char path[static 64], struct tier_super *ret,
		       struct tier_problem *problem);

#endif
