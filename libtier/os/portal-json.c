/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "json.h"
#include "portal-map.h"
#include "tier-flight.h"
#include "util.h"

/* A sequence of 64 bits is not a JSON number that every reader keeps whole: as text. */
struct hex {
	char text[17];
};

static struct hex hex(uint64_t value)
{
	struct hex h;

	snprintf(h.text, sizeof(h.text), "%016" PRIx64, value);
	return h;
}

/* A new array or object; appending to NULL starts one. */
static int append(sd_json_variant **array, sd_json_variant *item)
{
	return sd_json_variant_append_array(array, item);
}

static int super_hosts(const struct tier_super *super, sd_json_variant **ret)
{
	for (uint32_t i = 0; i < super->host_count; i++) {
		const struct tier_portal_slot *slot = &super->hosts[i];
		_cleanup_json_ sd_json_variant *item = NULL;
		int r = sd_json_buildo(
			&item, SD_JSON_BUILD_PAIR_UNSIGNED("slot", i),
			SD_JSON_BUILD_PAIR_STRING("name", slot->name),
			SD_JSON_BUILD_PAIR_UNSIGNED("first_extent", slot->first_extent),
			SD_JSON_BUILD_PAIR_UNSIGNED("extents", slot->extent_count));

		r = r < 0 ? r : append(ret, item);
		if (r < 0)
			return r;
	}
	return 0;
}

static int super_object(const struct tier_super *super, sd_json_variant *hosts,
			sd_json_variant **ret)
{
	char uuid[37], version[16];

	tier_uuid_format(&super->uuid, uuid);
	snprintf(version, sizeof(version), "%u.%u", super->major, super->minor);
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("name", super->name),
		SD_JSON_BUILD_PAIR_STRING("uuid", uuid),
		SD_JSON_BUILD_PAIR_STRING("version", version),
		SD_JSON_BUILD_PAIR_UNSIGNED("total_bytes", super->total_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("control_bytes", super->control_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("extent_bytes", super->extent_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("extents", super->extent_count),
		SD_JSON_BUILD_PAIR_BOOLEAN("hardware_coherent", super->hardware_coherent),
		SD_JSON_BUILD_PAIR_BOOLEAN("proven_on_hardware", false),
		SD_JSON_BUILD_PAIR_BOOLEAN("keyed",
					   (super->incompat & TIER_PORTAL_INCOMPAT_KEYED) != 0),
		SD_JSON_BUILD_PAIR_UNSIGNED("formatted_usec", super->formatted_usec),
		SD_JSON_BUILD_PAIR_VARIANT("hosts", hosts));
}

int tier_super_to_json(const struct tier_super *super, char **ret_json)
{
	_cleanup_json_ sd_json_variant *hosts = NULL, *object = NULL;
	int r = super_hosts(super, &hosts);

	r = r < 0 ? r : super_object(super, hosts, &object);
	return r < 0 ? r : json_format(object, ret_json);
}

static int extent_object(uint32_t extent, uint32_t home, int outcome,
			 const struct tier_extent_record *record, sd_json_variant **ret)
{
	char flight[37];

	if (outcome != 0)
		return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("extent", extent),
				      SD_JSON_BUILD_PAIR_UNSIGNED("home", home),
				      SD_JSON_BUILD_PAIR_STRING("state", "damaged"));
	tier_uuid_format(&record->flight, flight);
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_UNSIGNED("extent", extent),
		SD_JSON_BUILD_PAIR_UNSIGNED("home", home),
		SD_JSON_BUILD_PAIR_STRING("state", tier_extent_state_name(record->state)),
		SD_JSON_BUILD_PAIR_STRING("flight", flight),
		SD_JSON_BUILD_PAIR_UNSIGNED("generation", record->stamp.generation));
}

/* Appends the extents of a host that are not free; a record never written means free. */
static int host_extents(struct tier_portal *portal, uint32_t host, sd_json_variant **extents,
			uint32_t *ret_free)
{
	const struct tier_portal_slot *slot = &portal->super.hosts[host];
	uint32_t available = 0;

	for (uint32_t i = 0; i < slot->extent_count; i++) {
		_cleanup_json_ sd_json_variant *item = NULL;
		struct tier_extent_record record;
		uint32_t extent = slot->first_extent + i;
		int r = tier_portal_read_extent(portal, extent, &record);

		if (r == TIER_E_NOT_FOUND || (r == 0 && record.state == TIER_EXTENT_FREE)) {
			available++;
			continue;
		}
		r = extent_object(extent, host, r, &record, &item);
		r = r < 0 ? r : append(extents, item);
		if (r < 0)
			return r;
	}
	*ret_free = available;
	return 0;
}

static int host_object(struct tier_portal *portal, uint32_t host, uint32_t available,
		       sd_json_variant **ret)
{
	const struct tier_portal_slot *slot = &portal->super.hosts[host];
	struct tier_host_record record = {};
	int r = tier_portal_read_host(portal, host, &record);
	bool known = r == 0;

	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_UNSIGNED("slot", host),
		SD_JSON_BUILD_PAIR_STRING("name", slot->name),
		SD_JSON_BUILD_PAIR_UNSIGNED("first_extent", slot->first_extent),
		SD_JSON_BUILD_PAIR_UNSIGNED("extents", slot->extent_count),
		SD_JSON_BUILD_PAIR_UNSIGNED("free_extents", available),
		SD_JSON_BUILD_PAIR_CONDITION(
			known, "incarnation",
			SD_JSON_BUILD_STRING(hex(record.stamp.incarnation).text)),
		SD_JSON_BUILD_PAIR_CONDITION(!known, "incarnation", SD_JSON_BUILD_NULL),
		SD_JSON_BUILD_PAIR_CONDITION(known, "beat_usec",
					     SD_JSON_BUILD_UNSIGNED(record.beat_usec)),
		SD_JSON_BUILD_PAIR_CONDITION(!known, "beat_usec", SD_JSON_BUILD_NULL),
		SD_JSON_BUILD_PAIR_BOOLEAN("damaged", r != 0 && r != TIER_E_NOT_FOUND));
}

static int ranges_array(const struct tier_offer *offer, sd_json_variant **ret)
{
	for (uint32_t i = 0; i < offer->range_count; i++) {
		_cleanup_json_ sd_json_variant *item = NULL;
		int r = sd_json_buildo(
			&item, SD_JSON_BUILD_PAIR_UNSIGNED("first", offer->ranges[i].first),
			SD_JSON_BUILD_PAIR_UNSIGNED("count", offer->ranges[i].count));

		r = r < 0 ? r : append(ret, item);
		if (r < 0)
			return r;
	}
	return 0;
}

/* One offer with its answer; no object for a slot that was never used. */
static int flight_object(struct tier_portal *portal, uint32_t host, uint32_t slot,
			 sd_json_variant **ret)
{
	const struct tier_super *super = &portal->super;
	_cleanup_json_ sd_json_variant *ranges = NULL;
	char advice[192] = "damaged: start nothing; tierctl portal check";
	struct tier_handoff_view view = {.self = TIER_PORTAL_NO_HOST};
	struct tier_answer answer = {};
	struct tier_offer offer;
	char flight[37];
	int r = tier_portal_read_offer(portal, host, slot, &offer);

	if (r == TIER_E_NOT_FOUND || (r == 0 && offer.state == TIER_FLIGHT_NONE))
		return 0;
	if (r != 0)
		return sd_json_buildo(ret,
				      SD_JSON_BUILD_PAIR_STRING("source", super->hosts[host].name),
				      SD_JSON_BUILD_PAIR_UNSIGNED("slot", slot),
				      SD_JSON_BUILD_PAIR_STRING("offer", "damaged"));
	if (tier_portal_find_answer(portal, offer.destination, &offer, slot, &answer, NULL) != 0)
		answer.state = TIER_FLIGHT_NONE;
	if (tier_portal_look(portal, host, slot, &offer.flight, &view) == 0)
		tier_handoff_advice(super, &view, advice);
	r = ranges_array(&offer, &ranges);
	if (r < 0)
		return r;
	tier_uuid_format(&offer.flight, flight);
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("flight", flight),
		SD_JSON_BUILD_PAIR_STRING("vm", offer.vm),
		SD_JSON_BUILD_PAIR_STRING("source", super->hosts[host].name),
		SD_JSON_BUILD_PAIR_STRING("destination", super->hosts[offer.destination].name),
		SD_JSON_BUILD_PAIR_UNSIGNED("slot", slot),
		SD_JSON_BUILD_PAIR_UNSIGNED("generation", offer.stamp.generation),
		SD_JSON_BUILD_PAIR_STRING("offer", tier_flight_state_name(offer.state)),
		SD_JSON_BUILD_PAIR_STRING("answer", tier_flight_state_name(answer.state)),
		SD_JSON_BUILD_PAIR_STRING("advice", advice),
		SD_JSON_BUILD_PAIR_STRING("source_incarnation", hex(offer.source_incarnation).text),
		SD_JSON_BUILD_PAIR_STRING("destination_incarnation",
					  hex(offer.destination_incarnation).text),
		SD_JSON_BUILD_PAIR_STRING("machine_type", offer.machine_type),
		SD_JSON_BUILD_PAIR_STRING("qemu_version", offer.qemu_version),
		SD_JSON_BUILD_PAIR_UNSIGNED("ram_bytes", offer.ram_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("manifest_bytes", offer.manifest.bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("state_bytes", offer.state_blob.bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("offered_usec", offer.offered_usec),
		SD_JSON_BUILD_PAIR_VARIANT("ranges", ranges),
		SD_JSON_BUILD_PAIR_STRING("reason",
					  offer.reason[0] ? offer.reason : answer.reason));
}

static int host_flights(struct tier_portal *portal, uint32_t host, sd_json_variant **flights)
{
	for (uint32_t slot = 0; slot < TIER_PORTAL_FLIGHTS; slot++) {
		_cleanup_json_ sd_json_variant *item = NULL;
		int r = flight_object(portal, host, slot, &item);

		if (r >= 0 && item)
			r = append(flights, item);
		if (r < 0)
			return r;
	}
	return 0;
}

static int empty_array(sd_json_variant **array)
{
	return *array ? 0 : sd_json_variant_new_array(array, NULL, 0);
}

int tier_portal_to_json(struct tier_portal *portal, char **ret_json)
{
	_cleanup_json_ sd_json_variant *hosts = NULL, *extents = NULL, *flights = NULL,
				       *object = NULL, *contents = NULL;
	int r;

	for (uint32_t host = 0; host < portal->super.host_count; host++) {
		_cleanup_json_ sd_json_variant *item = NULL;
		uint32_t available = 0;

		r = host_extents(portal, host, &extents, &available);
		r = r < 0 ? r : host_object(portal, host, available, &item);
		r = r < 0 ? r : append(&hosts, item);
		r = r < 0 ? r : host_flights(portal, host, &flights);
		if (r < 0)
			return r;
	}
	r = super_object(&portal->super, hosts, &object);
	r = r < 0 ? r : empty_array(&extents);
	r = r < 0 ? r : empty_array(&flights);
	if (r < 0)
		return r;
	r = sd_json_buildo(
		&contents, SD_JSON_BUILD_PAIR_STRING("path", portal->path),
		SD_JSON_BUILD_PAIR_BOOLEAN("superblock_0_damaged", (portal->health & 1) != 0),
		SD_JSON_BUILD_PAIR_BOOLEAN("superblock_1_damaged", (portal->health & 2) != 0),
		SD_JSON_BUILD_PAIR_VARIANT("not_free", extents),
		SD_JSON_BUILD_PAIR_VARIANT("flights", flights));
	r = r < 0 ? r : sd_json_variant_merge_object(&object, contents);
	return r < 0 ? r : json_format(object, ret_json);
}
