/* SPDX-License-Identifier: GPL-2.0-or-later */
/* portal-check.c and portal-json.c: what they say of a portal with a flight in it. */
#include <systemd/sd-json.h>

#include "portal-file.h"
#include "test.h"

static const char *path;
static struct tier_super super;
static struct tier_portal *portal;
static struct tier_finding *findings;
static size_t count, bad;

static void run(void)
{
	free(findings);
	findings = NULL;
	CHECK_EQ(tier_portal_check(portal, &findings, &count), 0);
	bad = 0;
	for (size_t i = 0; i < count; i++) {
		/* Bad ones first. */
		CHECK(!findings[i].bad || bad == i);
		bad += findings[i].bad;
	}
}

static bool found(const char *object, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strstr(findings[i].object, object) && strstr(findings[i].text, text))
			return true;
	return false;
}

/* A has published VM "demo" in extents 0, 1 and 4 to 6; B has answered. */
static void flight(void)
{
	static char state[] = "device state";
	static uint8_t manifest_bytes[64 + 24 + 8];
	struct tier_manifest_run run = {0, super.control_bytes, 512, 0x11111111};
	struct tier_manifest manifest = {
		fixture_flight, 11, 256 * MIB, 4096, &run, 1,
	};
	struct tier_offer offer = fixture_offer(&super);
	struct tier_answer answer = fixture_answer();
	struct tier_host_record host = fixture_host();
	struct tier_extent_record extent = fixture_extent();

	host.stamp.incarnation = offer.source_incarnation;
	extent.owner = 0;
	extent.owner_incarnation = offer.source_incarnation;
	tier_manifest_encode(&super, &manifest, manifest_bytes);
	CHECK_EQ(tier_portal_write_blob(portal, 0, &fixture_flight, 0, manifest_bytes,
					sizeof(manifest_bytes), &offer.manifest),
		 0);
	CHECK_EQ(tier_portal_write_blob(portal, 0, &fixture_flight, 4096, state, sizeof(state),
					&offer.state_blob),
		 0);
	CHECK_EQ(tier_portal_write_host(portal, 0, &host), 0);
	for (uint32_t i = 0; i < offer.range_count; i++)
		for (uint32_t j = 0; j < offer.ranges[i].count; j++) {
			extent.extent = offer.ranges[i].first + j;
			CHECK_EQ(tier_portal_write_extent(portal, &extent), 0);
		}
	CHECK_EQ(tier_portal_write_offer(portal, 3, &offer), 0);
	CHECK_EQ(tier_portal_write_answer(portal, 1, 2, &answer), 0);
}

static void set_up(const char *name)
{
	super = fixture_super();
	path = file_portal(name);
	tier_portal_close(portal);
	portal = NULL;
	CHECK_EQ(tier_portal_open(path, TIER_PORTAL_WRITE, &portal, NULL), 0);
	flight();
}

TEST(good)
{
	set_up("good");
	run();
	for (size_t i = 0; i < bad; i++)
		FAIL("%s: %s", findings[i].object, findings[i].text);
	CHECK(found("superblock copy 1", "good"));
	CHECK(found("host A", "good, boot 1234605616436508416, beat 42"));
	CHECK(found("host B", "never written"));
	CHECK(found("extents of A", "3 free, 5 claimed"));
	CHECK(found("extents of B", "7 free, 0 claimed"));
	CHECK(found("offer A/3", "PUBLISHED, VM demo, answer READY"));
	CHECK(found("offer A/3", "manifest good, 1 runs"));
}

static const struct {
	enum tier_record_kind kind;
	uint32_t host, index;
	const char *object;
} records[] = {{TIER_RECORD_HOST, 0, 0, "host A"},
	       {TIER_RECORD_EXTENT, 0, 5, "extent 5"},
	       {TIER_RECORD_OFFER, 0, 3, "offer A/3"},
	       {TIER_RECORD_ANSWER, 1, 2, "answer B/2"},
	       {TIER_RECORD_FENCE, 1, 0, "fence of A by B"}};

static void flip(size_t record, unsigned copy)
{
	file_flip(path, tier_record_offset(&super, records[record].kind, records[record].host,
					   records[record].index, copy) +
				60);
}

/* Of an earlier boot, so that it changes nothing for the flight. */
static void put_fence(enum tier_fence_state state, uint64_t fenced)
{
	struct tier_fence_record fence = {.stamp = {1, 1, 0},
					  .host = 1,
					  .target = 0,
					  .upto = 7,
					  .state = state,
					  .method = TIER_FENCE_METHOD_AGENT,
					  .heir = 1,
					  .fenced_upto = fenced,
					  .fenced_heir = fenced ? 1 : 0};

	CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
}

TEST(one_copy_is_named)
{
	for (size_t i = 0; i < ARRAY_SIZE(records); i++)
		for (unsigned copy = 0; copy < 2; copy++) {
			char text[64];

			set_up("half");
			put_fence(TIER_FENCE_FENCED, 7);
			flip(i, copy);
			run();
			CHECK_EQ(bad, 1);
			snprintf(text, sizeof(text), "copy %u damaged", copy);
			CHECK(found(records[i].object, text));
			CHECK(found(records[i].object, "the other one counts"));
			CHECK_HAS(findings[0].next,
				  records[i].host ? "--repair, on B" : "--repair, on A");
		}
}

TEST(interrupted_writing_is_named)
{
	struct tier_host_record host;
	uint64_t second;
	uint8_t old[256];

	set_up("interrupted");
	second = tier_record_offset(&super, TIER_RECORD_HOST, 0, 0, 1);
	file_read(path, second, old, sizeof(old));
	CHECK_EQ(tier_portal_read_host(portal, 0, &host), 0);
	host.stamp.generation = 43;
	CHECK_EQ(tier_portal_write_host(portal, 0, &host), 0);
	file_write(path, second, old, sizeof(old));
	run();
	CHECK_EQ(bad, 1);
	CHECK(found("host A", "interrupted between the copies"));
	CHECK(found("host A", "beat 43"));
}

TEST(first_writing_that_was_interrupted)
{
	static const uint8_t torn[64] = {'T', 'P', 'o', 'f', 1};

	set_up("torn");
	for (unsigned copy = 0; copy < 2; copy++) {
		file_write(path, tier_record_offset(&super, TIER_RECORD_OFFER, 0, 7 + copy, copy),
			   torn, sizeof(torn));
	}
	run();
	CHECK_EQ(bad, 0);
	CHECK(found("offer A/7", "it counts as never written"));
	CHECK(found("offer A/8", "it counts as never written"));
}

TEST(damage_is_named)
{
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		set_up("damage");
		put_fence(TIER_FENCE_FENCED, 7);
		flip(i, 0);
		flip(i, 1);
		run();
		CHECK(bad > 0);
		CHECK(found(records[i].object, "both copies are damaged"));
	}
	set_up("damage");
	portal = tier_portal_close(portal);
	file_flip(path, TIER_SUPER_COPY_OFFSET + 9);
	CHECK_EQ(tier_portal_open(path, TIER_PORTAL_READ, &portal, NULL), 0);
	run();
	CHECK_EQ(bad, 1);
	CHECK_STR(findings[0].object, "superblock copy 1");
	CHECK_HAS(findings[0].next, "on any host");
}

static bool advised(const char *object, const char *next)
{
	for (size_t i = 0; i < count; i++)
		if (strstr(findings[i].object, object) && strstr(findings[i].next, next))
			return true;
	return false;
}

TEST(fences_are_shown)
{
	set_up("fences");
	put_fence(TIER_FENCE_FENCED, 7);
	run();
	CHECK_EQ(bad, 0);
	CHECK(found("fence of A by B", "FENCED, boots up to 7, heir is B"));
	put_fence(TIER_FENCE_INTENT, 0);
	run();
	CHECK_EQ(bad, 0);
	CHECK(found("fence of A by B", "INTENT, boots up to 7"));
	CHECK(!found("fence of A by B", "heir"));
	CHECK(advised("fence of A by B", "tierctl portal fence A, on B"));
	put_fence(TIER_FENCE_INTENT, 5);
	run();
	CHECK(found("fence of A by B", "INTENT, boots up to 7; FENCED up to 5, heir is B"));
}

TEST(stuck_flights)
{
	struct tier_fence_record fence = {.stamp = {1, 1, 0},
					  .host = 1,
					  .target = 0,
					  .state = TIER_FENCE_FENCED,
					  .method = TIER_FENCE_METHOD_AGENT,
					  .heir = 1};
	struct tier_host_record host = fixture_host();

	/* The source has booted again: the VM is in the portal, and its own. */
	set_up("stuck");
	CHECK_EQ(tier_portal_write_host(portal, 0, &host), 0);
	run();
	CHECK_EQ(bad, 1);
	CHECK(found("offer A/3", "stuck"));
	CHECK(advised("offer A/3", "only A may take it"));
	/* It is fenced: the destination's. */
	set_up("stuck-fenced");
	fence.upto = fence.fenced_upto = fixture_offer(&super).source_incarnation;
	fence.fenced_heir = 1;
	CHECK_EQ(tier_portal_write_fence(portal, &fence), 0);
	run();
	CHECK_EQ(bad, 1);
	CHECK(advised("offer A/3", "only B may take it"));
	/* What it is decided on cannot be read. */
	set_up("stuck-damaged");
	flip(3, 0);
	flip(3, 1);
	run();
	CHECK(found("offer A/3", "nobody may act"));
	CHECK(advised("answer B/2", "may be for VM demo from A (PUBLISHED)"));
}

TEST(lost_offers_are_explained)
{
	set_up("lost");
	flip(2, 0);
	flip(2, 1);
	run();
	CHECK(found("offer A/3", "both copies are damaged"));
	CHECK(advised("offer A/3", "B has said READY, so it has not run there: the VM is A's"));
}

TEST(blobs_are_read)
{
	uint64_t bytes, area;

	set_up("blob");
	area = tier_blob_area(&super, 0, &bytes);
	file_flip(path, area + 70);
	run();
	CHECK_EQ(bad, 1);
	CHECK(found("offer A/3", "manifest: a blob of host A has a bad checksum"));
	file_flip(path, area + 70);
	file_flip(path, area + 4096);
	run();
	CHECK_EQ(bad, 1);
	CHECK(found("offer A/3", "device state:"));
}

TEST(claims_and_offers_agree)
{
	struct tier_extent_record extent = fixture_extent();
	struct tier_offer offer;

	set_up("claims");
	offer = fixture_offer(&super);
	extent.extent = 4;
	extent.state = TIER_EXTENT_FREE;
	extent.owner = 0;
	extent.owner_incarnation = 0;
	extent.flight = (struct tier_uuid){};
	CHECK_EQ(tier_portal_write_extent(portal, &extent), 0);
	run();
	CHECK_EQ(bad, 1);
	CHECK(found("offer A/3", "extent 4 is not claimed for it"));
	/* Claimed for nobody's flight. */
	extent = fixture_extent();
	extent.extent = 4;
	extent.owner = 0;
	CHECK_EQ(tier_portal_write_extent(portal, &extent), 0);
	extent.extent = 9;
	extent.flight.bytes[0]++;
	CHECK_EQ(tier_portal_write_extent(portal, &extent), 0);
	run();
	CHECK_EQ(bad, 1);
	CHECK(found("extent 9", "which nobody offers"));
	/* A flight that is over holds nothing. */
	set_up("claims");
	offer.state = TIER_FLIGHT_CLOSED;
	offer.manifest = offer.state_blob = (struct tier_blob){};
	CHECK_EQ(tier_portal_write_offer(portal, 3, &offer), 0);
	extent = (struct tier_extent_record){.stamp = {1, 1, 0}, .extent = 5};
	CHECK_EQ(tier_portal_write_extent(portal, &extent), 0);
	run();
	CHECK_EQ(bad, 0);
	/* The others are claimed yet, which its home sees to. */
	CHECK(found("extent 4", "which does not need it any more"));
	CHECK(advised("extent 4", "cxl-tierd on A takes it back"));
	CHECK(!found("extent 5", "does not need"));
}

static sd_json_variant *member(sd_json_variant *object, const char *key, size_t index)
{
	sd_json_variant *array = sd_json_variant_by_key(object, key);

	if (!array || index >= sd_json_variant_elements(array))
		FAIL("no %s[%zu]", key, index);
	return sd_json_variant_by_index(array, index);
}

static const char *text(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);

	return value ? sd_json_variant_string(value) : NULL;
}

static uint64_t number(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);

	return value ? sd_json_variant_unsigned(value) : UINT64_MAX;
}

TEST(json)
{
	sd_json_variant *object = NULL, *host, *other, *flight_object;
	char *json = NULL;

	set_up("json");
	CHECK_EQ(tier_portal_to_json(portal, &json), 0);
	CHECK(sd_json_parse(json, 0, &object, NULL, NULL) >= 0);
	CHECK_STR(text(object, "name"), "portal0");
	CHECK_STR(text(object, "version"), "1.0");
	CHECK_STR(text(object, "path"), path);
	CHECK_EQ(number(object, "total_bytes"), 2 * GIB);
	CHECK_EQ(number(object, "extents"), 15);
	host = member(object, "hosts", 0);
	CHECK_STR(text(host, "name"), "A");
	CHECK_STR(text(host, "incarnation"), "1122334455667700");
	CHECK_EQ(number(host, "free_extents"), 3);
	other = member(object, "hosts", 1);
	CHECK(sd_json_variant_is_null(sd_json_variant_by_key(other, "incarnation")));
	CHECK_EQ(number(other, "free_extents"), 7);
	CHECK_STR(text(member(object, "not_free", 4), "state"), "claimed");
	flight_object = member(object, "flights", 0);
	CHECK_STR(text(flight_object, "vm"), "demo");
	CHECK_STR(text(flight_object, "source"), "A");
	CHECK_STR(text(flight_object, "destination"), "B");
	CHECK_STR(text(flight_object, "offer"), "PUBLISHED");
	CHECK_STR(text(flight_object, "answer"), "READY");
	CHECK_EQ(number(flight_object, "slot"), 3);
	CHECK_EQ(number(flight_object, "ram_bytes"), 256 * MIB);
	CHECK_EQ(number(member(flight_object, "ranges", 1), "count"), 3);
	sd_json_variant_unref(object);
	free(json);
	free(findings);
	findings = NULL;
	portal = tier_portal_close(portal);
}

TEST(json_of_an_empty_portal)
{
	sd_json_variant *object = NULL;
	char *json = NULL;

	CHECK_EQ(tier_portal_open(file_portal("empty"), TIER_PORTAL_READ, &portal, NULL), 0);
	CHECK_EQ(tier_portal_to_json(portal, &json), 0);
	CHECK(sd_json_parse(json, 0, &object, NULL, NULL) >= 0);
	CHECK_EQ(sd_json_variant_elements(sd_json_variant_by_key(object, "flights")), 0);
	CHECK_EQ(sd_json_variant_elements(sd_json_variant_by_key(object, "not_free")), 0);
	sd_json_variant_unref(object);
	free(json);
	portal = tier_portal_close(portal);
}
