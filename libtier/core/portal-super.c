/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "tier-portal.h"
#include "util.h"
#include "wire.h"

/* The superblock on the medium; docs/portal-format.md is the same table in words. */

#define SUPER_MAGIC	    "CXLTIER"
#define SUPER_FLAG_COHERENT (1u << 0)
#define HOST_AREA_OFFSET    (2 * MIB)
#define HOST_AREA_MINIMUM   (2 * MIB)
#define EXTENT_MINIMUM	    TIER_PORTAL_EXTENT_DEFAULT
#define EXTENT_MAXIMUM	    (UINT64_C(1) << 40)

struct wire_slot {
	char name[TIER_PORTAL_NAME];
	le32 first_extent;
	le32 extent_count;
	uint8_t reserved[24];
};
static_assert(sizeof(struct wire_slot) == 64);

struct wire_super {
	char magic[8];
	le16 major, minor;
	le32 bytes;
	uint8_t uuid[16];
	le64 incompat, compat;
	le64 total_bytes;
	le64 control_bytes;
	le64 extent_bytes;
	le32 extent_count;
	le32 host_count;
	le64 host_area_offset;
	le64 host_area_bytes;
	le64 formatted_usec;
	le32 flags;
	uint8_t reserved_0[20];
	char name[TIER_PORTAL_NAME];
	uint8_t reserved_1[32];
	struct wire_slot hosts[TIER_PORTAL_MAX_HOSTS];
	uint8_t reserved_2[2876];
	le32 crc;
};
static_assert(sizeof(struct wire_super) == TIER_SUPER_BYTES);
static_assert(offsetof(struct wire_super, major) == 8);
static_assert(offsetof(struct wire_super, bytes) == 12);
static_assert(offsetof(struct wire_super, uuid) == 16);
static_assert(offsetof(struct wire_super, incompat) == 32);
static_assert(offsetof(struct wire_super, total_bytes) == 48);
static_assert(offsetof(struct wire_super, control_bytes) == 56);
static_assert(offsetof(struct wire_super, extent_bytes) == 64);
static_assert(offsetof(struct wire_super, extent_count) == 72);
static_assert(offsetof(struct wire_super, host_count) == 76);
static_assert(offsetof(struct wire_super, host_area_offset) == 80);
static_assert(offsetof(struct wire_super, host_area_bytes) == 88);
static_assert(offsetof(struct wire_super, formatted_usec) == 96);
static_assert(offsetof(struct wire_super, flags) == 104);
static_assert(offsetof(struct wire_super, name) == 128);
static_assert(offsetof(struct wire_super, hosts) == 192);
static_assert(offsetof(struct wire_super, crc) == 4092);

bool wire_all_zero(const void *data, size_t bytes)
{
	const uint8_t *p = data;

	/* The first byte is zero, and so is each that follows one. */
	return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

bool wire_name_valid(const char *name, size_t size)
{
	size_t length = strnlen(name, size);

	if (length == 0 || length == size)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = name[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '_';

		if (!word && (i == 0 || (c != '.' && c != '-')))
			return false;
	}
	return true;
}

void wire_put_text(char *field, size_t size, const char *text)
{
	size_t i;

	for (i = 0; i < size - 1 && text[i]; i++)
		field[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	memset(field + i, 0, size - i);
}

void tier_uuid_format(const struct tier_uuid *uuid, char buffer[static 37])
{
	char *p = buffer;

	for (size_t i = 0; i < sizeof(uuid->bytes); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += snprintf(p, 3, "%02x", uuid->bytes[i]);
	}
}

/* The text says it all: "Invalid argument" would add nothing. */
#define INVALID(problem, ...) (tier_problem_set(problem, 0, __VA_ARGS__), -EINVAL)

int tier_super_plan(const char *name, const char *const *hosts, size_t host_count,
		    uint64_t total_bytes, uint64_t extent_bytes, const struct tier_uuid *uuid,
		    struct tier_super *ret, struct tier_problem *problem)
{
	struct tier_super super = {.major = TIER_PORTAL_MAJOR, .minor = TIER_PORTAL_MINOR};
	char size[16], size_b[16];
	uint64_t extents;
	uint32_t next = 0;

	if (!wire_name_valid(name, sizeof(super.name)))
		return INVALID(problem, name, NULL,
			       "a portal's name is up to %d letters, digits, '.', '_', '-'",
			       TIER_PORTAL_NAME - 1);
	if (host_count < 2 || host_count > TIER_PORTAL_MAX_HOSTS)
		return INVALID(problem, name, "give --host once for each host",
			       "a portal joins 2 to %d hosts, not %zu", TIER_PORTAL_MAX_HOSTS,
			       host_count);
	for (size_t i = 0; i < host_count; i++) {
		if (!wire_name_valid(hosts[i], sizeof(super.hosts[i].name)))
			return INVALID(
				problem, name, NULL,
				"host name \"%s\" is not up to %d letters, digits, '.', '_', '-'",
				hosts[i], TIER_PORTAL_NAME - 1);
		for (size_t j = 0; j < i; j++)
			if (streq(hosts[i], hosts[j]))
				return INVALID(problem, name, NULL, "host %s is named twice",
					       hosts[i]);
	}
	if (extent_bytes < EXTENT_MINIMUM || extent_bytes > EXTENT_MAXIMUM ||
	    (extent_bytes & (extent_bytes - 1)) != 0)
		return INVALID(
			problem, name, NULL, "extent size %s is not a power of two from %s on",
			format_bytes(size, extent_bytes), format_bytes(size_b, EXTENT_MINIMUM));

	extents = total_bytes / extent_bytes;
	extents = extents > 0 ? extents - 1 : 0; /* the first one's worth is the control area */
	if (extents < host_count)
		return tier_problem_set(problem, TIER_E_NO_SPACE, name, NULL,
					"%s are %" PRIu64 " extents of %s beside the control area, "
					"fewer than the %zu hosts",
					format_bytes(size, total_bytes), extents,
					format_bytes(size_b, extent_bytes), host_count);
	if (extents > TIER_PORTAL_MAX_EXTENTS ||
	    extents > host_count * (uint64_t)TIER_PORTAL_HOST_EXTENTS)
		return INVALID(problem, name, "choose larger extents",
			       "%" PRIu64 " extents of %s are more than %zu hosts keep", extents,
			       format_bytes(size, extent_bytes), host_count);

	super.uuid = *uuid;
	copy_string(super.name, sizeof(super.name), name);
	super.total_bytes = total_bytes;
	super.control_bytes = extent_bytes;
	super.extent_bytes = extent_bytes;
	super.extent_count = (uint32_t)extents;
	super.host_count = (uint32_t)host_count;
	super.host_area_offset = HOST_AREA_OFFSET;
	super.host_area_bytes = (super.control_bytes - HOST_AREA_OFFSET) / host_count / MIB * MIB;
	for (size_t i = 0; i < host_count; i++) {
		struct tier_portal_slot *slot = &super.hosts[i];

		copy_string(slot->name, sizeof(slot->name), hosts[i]);
		slot->first_extent = next;
		slot->extent_count = (uint32_t)(extents / host_count + (i < extents % host_count));
		next += slot->extent_count;
	}
	*ret = super;
	return 0;
}

static uint32_t super_crc(const struct wire_super *wire)
{
	return tier_crc32c(0, wire, offsetof(struct wire_super, crc));
}

void tier_super_encode(const struct tier_super *super, void *buffer)
{
	struct wire_super wire = {
		.magic = SUPER_MAGIC,
		.major = put_le16(super->major),
		.minor = put_le16(super->minor),
		.bytes = put_le32(sizeof(wire)),
		.incompat = put_le64(super->incompat),
		.compat = put_le64(super->compat),
		.total_bytes = put_le64(super->total_bytes),
		.control_bytes = put_le64(super->control_bytes),
		.extent_bytes = put_le64(super->extent_bytes),
		.extent_count = put_le32(super->extent_count),
		.host_count = put_le32(super->host_count),
		.host_area_offset = put_le64(super->host_area_offset),
		.host_area_bytes = put_le64(super->host_area_bytes),
		.formatted_usec = put_le64(super->formatted_usec),
		.flags = put_le32(super->hardware_coherent ? SUPER_FLAG_COHERENT : 0),
	};

	memcpy(wire.uuid, super->uuid.bytes, sizeof(wire.uuid));
	wire_put_text(wire.name, sizeof(wire.name), super->name);
	for (size_t i = 0; i < TIER_PORTAL_MAX_HOSTS; i++) {
		wire_put_text(wire.hosts[i].name, sizeof(wire.hosts[i].name), super->hosts[i].name);
		wire.hosts[i].first_extent = put_le32(super->hosts[i].first_extent);
		wire.hosts[i].extent_count = put_le32(super->hosts[i].extent_count);
	}
	wire.crc = put_le32(super_crc(&wire));
	memcpy(buffer, &wire, sizeof(wire));
}

/* NULL, or what is wrong. Nothing in @super has been checked before. */
static const char *check_geometry(const struct tier_super *super)
{
	uint64_t areas, extents, end;

	if (super->extent_bytes < EXTENT_MINIMUM || super->extent_bytes > EXTENT_MAXIMUM ||
	    (super->extent_bytes & (super->extent_bytes - 1)) != 0)
		return "the extent size is not a power of two in range";
	if (super->extent_count == 0 || super->extent_count > TIER_PORTAL_MAX_EXTENTS)
		return "the number of extents is out of range";
	if (super->host_count == 0 || super->host_count > TIER_PORTAL_MAX_HOSTS)
		return "the number of hosts is out of range";
	if (super->control_bytes == 0 || super->control_bytes % super->extent_bytes != 0)
		return "the control area is not a multiple of the extent size";
	/* The product is at most 2^54. */
	extents = super->extent_count * super->extent_bytes;
	if (__builtin_add_overflow(extents, super->control_bytes, &end) || end > super->total_bytes)
		return "extents lie past the end";
	if (super->host_area_offset < HOST_AREA_OFFSET || super->host_area_offset % MIB != 0)
		return "the host areas overlap the superblocks";
	if (super->host_area_bytes < HOST_AREA_MINIMUM || super->host_area_bytes % MIB != 0 ||
	    __builtin_mul_overflow(super->host_area_bytes, super->host_count, &areas) ||
	    __builtin_add_overflow(areas, super->host_area_offset, &end) ||
	    end > super->control_bytes)
		return "the host areas do not fit into the control area";
	return NULL;
}

static const char *check_slots(const struct tier_super *super)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < TIER_PORTAL_MAX_HOSTS; i++) {
		const struct tier_portal_slot *slot = &super->hosts[i];

		if (i >= super->host_count) {
			if (!wire_all_zero(slot, sizeof(*slot)))
				return "an unused host slot is not empty";
			continue;
		}
		if (!wire_name_valid(slot->name, sizeof(slot->name)))
			return "a host's name is not a name";
		if (slot->extent_count == 0 || slot->extent_count > TIER_PORTAL_HOST_EXTENTS)
			return "a host's number of extents is out of range";
		if ((uint64_t)slot->first_extent + slot->extent_count > super->extent_count)
			return "a host's extents lie past the end";
		for (uint32_t j = 0; j < i; j++) {
			const struct tier_portal_slot *other = &super->hosts[j];

			if (streq(slot->name, other->name))
				return "two hosts have the same name";
			if (slot->first_extent < other->first_extent + other->extent_count &&
			    other->first_extent < slot->first_extent + slot->extent_count)
				return "the extents of two hosts overlap";
		}
		sum += slot->extent_count;
	}
	return sum == super->extent_count ? NULL : "an extent has no home host";
}

static void decode_fields(const struct wire_super *wire, struct tier_super *super)
{
	*super = (struct tier_super){
		.major = get_le16(wire->major),
		.minor = get_le16(wire->minor),
		.incompat = get_le64(wire->incompat),
		.compat = get_le64(wire->compat),
		.total_bytes = get_le64(wire->total_bytes),
		.control_bytes = get_le64(wire->control_bytes),
		.extent_bytes = get_le64(wire->extent_bytes),
		.extent_count = get_le32(wire->extent_count),
		.host_count = get_le32(wire->host_count),
		.host_area_offset = get_le64(wire->host_area_offset),
		.host_area_bytes = get_le64(wire->host_area_bytes),
		.hardware_coherent = (get_le32(wire->flags) & SUPER_FLAG_COHERENT) != 0,
		.formatted_usec = get_le64(wire->formatted_usec),
	};
	memcpy(super->uuid.bytes, wire->uuid, sizeof(super->uuid.bytes));
	memcpy(super->name, wire->name, sizeof(super->name));
	for (size_t i = 0; i < TIER_PORTAL_MAX_HOSTS; i++) {
		memcpy(super->hosts[i].name, wire->hosts[i].name, sizeof(super->hosts[i].name));
		super->hosts[i].first_extent = get_le32(wire->hosts[i].first_extent);
		super->hosts[i].extent_count = get_le32(wire->hosts[i].extent_count);
	}
}

int tier_super_decode(const void *buffer, uint64_t total_bytes, struct tier_super *ret,
		      struct tier_problem *problem)
{
	static const char object[] = "portal";
	static const char next_damaged[] =
		"tierctl portal format --force gives up whatever lies in it";
	struct wire_super wire;
	struct tier_super super;
	uint8_t canonical[TIER_SUPER_BYTES];
	char size[16], size_b[16];
	const char *wrong;

	memcpy(&wire, buffer, sizeof(wire));
	if (memcmp(wire.magic, SUPER_MAGIC, sizeof(wire.magic)) != 0) {
		/* "Not a portal" lets a rule online the memory, so it is not said of what was one. */
		memcpy(wire.magic, SUPER_MAGIC, sizeof(wire.magic));
		if (get_le32(wire.crc) == super_crc(&wire))
			return tier_problem_set(
				problem, TIER_E_DAMAGED, object, next_damaged,
				"superblock has a bad magic, and is good otherwise");
		return tier_problem_set(problem, TIER_E_NOT_PORTAL, object,
					"tierctl portal format makes one",
					"no portal superblock (bad magic)");
	}
	/* Before the checksum: another major version may keep it elsewhere. */
	if (get_le16(wire.major) != TIER_PORTAL_MAJOR)
		return tier_problem_set(problem, TIER_E_INCOMPATIBLE, object,
					"use a version of cxl-tier that knows this format",
					"format version %u.%u, this program reads %d.x",
					get_le16(wire.major), get_le16(wire.minor),
					TIER_PORTAL_MAJOR);
	if (get_le32(wire.crc) != super_crc(&wire))
		return tier_problem_set(problem, TIER_E_DAMAGED, object, next_damaged,
					"superblock checksum is 0x%08x, computed 0x%08x",
					get_le32(wire.crc), super_crc(&wire));
	decode_fields(&wire, &super);
	if (super.incompat & ~TIER_PORTAL_INCOMPAT_KNOWN)
		return tier_problem_set(problem, TIER_E_INCOMPATIBLE, object,
					"use a version of cxl-tier that knows them",
					"unknown incompatible features 0x%" PRIx64,
					super.incompat & ~TIER_PORTAL_INCOMPAT_KNOWN);
	if (!wire_name_valid(super.name, sizeof(super.name)))
		wrong = "the portal's name is not a name";
	else if (wire_uuid_null(&super.uuid))
		wrong = "the uuid is zero";
	else
		wrong = check_geometry(&super) ?: check_slots(&super);
	if (wrong)
		return tier_problem_set(problem, TIER_E_DAMAGED, object, next_damaged,
					"superblock is wrong: %s", wrong);
	/* Whatever this program would not have written so: reserved bytes, padding, flags, size. */
	tier_super_encode(&super, canonical);
	if (memcmp(canonical, &wire, sizeof(wire)) != 0)
		return tier_problem_set(problem, TIER_E_DAMAGED, object, next_damaged,
					"superblock is wrong: reserved bytes are not zero");
	if (super.total_bytes > total_bytes)
		return tier_problem_set(
			problem, TIER_E_TRUNCATED, object,
			"cxl list -R and daxctl list -R show what has become of the memory",
			"truncated: the portal has %s (%" PRIu64 " bytes), but only %s (%" PRIu64
			") are here",
			format_bytes(size, super.total_bytes), super.total_bytes,
			format_bytes(size_b, total_bytes), total_bytes);
	*ret = super;
	return 0;
}

uint32_t tier_super_host(const struct tier_super *super, const char *name)
{
	for (uint32_t i = 0; i < super->host_count; i++)
		if (streq(super->hosts[i].name, name))
			return i;
	return TIER_PORTAL_NO_HOST;
}

uint32_t tier_super_extent_home(const struct tier_super *super, uint32_t extent)
{
	for (uint32_t i = 0; i < super->host_count; i++) {
		const struct tier_portal_slot *slot = &super->hosts[i];

		if (extent >= slot->first_extent &&
		    extent - slot->first_extent < slot->extent_count)
			return i;
	}
	return TIER_PORTAL_NO_HOST;
}
