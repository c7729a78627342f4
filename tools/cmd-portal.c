/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl portal show */
#include <time.h>

#include "portal-list.h"

static void close_portal(struct tier_portal **portal)
{
	tier_portal_close(*portal);
}
#define _cleanup_portal_ __attribute__((cleanup(close_portal)))

static void free_text(char **text)
{
	free(*text);
}

static void free_table(struct tool_table **table)
{
	tool_table_free(*table);
}

/* "7 s ago"; the other host's clock need not agree with ours. */
static const char *ago(char buffer[static 32], uint64_t then_usec)
{
	struct timespec now;
	int64_t seconds;

	clock_gettime(CLOCK_REALTIME, &now);
	seconds = now.tv_sec - (int64_t)(then_usec / 1000000);
	if (seconds < 0)
		snprintf(buffer, 32, "%" PRId64 " s ahead", -seconds);
	else if (seconds < 120)
		snprintf(buffer, 32, "%" PRId64 " s ago", seconds);
	else if (seconds < 7200)
		snprintf(buffer, 32, "%" PRId64 " min ago", seconds / 60);
	else
		snprintf(buffer, 32, "%" PRId64 " h ago", seconds / 3600);
	return buffer;
}

static void show_header(struct tier_portal *portal)
{
	const struct tier_super *super = tier_portal_super(portal);
	unsigned health = tier_portal_super_health(portal);
	char total[16], extent[16], uuid[37];

	tier_uuid_format(&super->uuid, uuid);
	printf("%s: %s on %s, %u extents of %s, format %u.%u, uuid %s\n", super->name,
	       tool_bytes(total, super->total_bytes), tier_portal_path(portal), super->extent_count,
	       tool_bytes(extent, super->extent_bytes), super->major, super->minor, uuid);
	for (unsigned copy = 0; copy < 2; copy++)
		if (health & (1u << copy))
			printf("  copy %u of the superblock is damaged, the other one is used\n",
			       copy);
	printf(super->hardware_coherent
		       ? "  coherent by hardware, as declared when it was formatted\n"
		       : "  caches are flushed by software; this is not proven on hardware\n");
	if (super->incompat & TIER_PORTAL_INCOMPAT_KEYED)
		printf("  keyed: records of hosts that lack its key are refused\n");
}

static uint32_t free_extents(struct tier_portal *portal, const struct tier_portal_slot *slot,
			     uint32_t *ret_damaged)
{
	uint32_t count = 0, damaged = 0;

	for (uint32_t i = 0; i < slot->extent_count; i++) {
		struct tier_extent_record record;
		int r = tier_portal_read_extent(portal, slot->first_extent + i, &record);

		count += r == TIER_E_NOT_FOUND || (r == 0 && record.state == TIER_EXTENT_FREE);
		damaged += r != 0 && r != TIER_E_NOT_FOUND;
	}
	*ret_damaged = damaged;
	return count;
}

static int show_hosts(struct tier_portal *portal)
{
	static const char *const columns[] = {"SLOT", "HOST",	     "HOME EXTENTS",
					      "FREE", "INCARNATION", "LAST BEAT"};
	__attribute__((cleanup(free_table))) struct tool_table *table = NULL;
	const struct tier_super *super = tier_portal_super(portal);
	int r = tool_table_new(&table, columns, 6, "rlrrll");

	for (uint32_t i = 0; r >= 0 && i < super->host_count; i++) {
		const struct tier_portal_slot *slot = &super->hosts[i];
		char number[16], extents[32], free_text_[32], incarnation[24], beat[32];
		struct tier_host_record record;
		uint32_t damaged, available = free_extents(portal, slot, &damaged);
		int outcome = tier_portal_read_host(portal, i, &record);

		snprintf(number, sizeof(number), "%u", i);
		snprintf(extents, sizeof(extents), "%u-%u", slot->first_extent,
			 slot->first_extent + slot->extent_count - 1);
		snprintf(free_text_, sizeof(free_text_), damaged ? "%u, %u damaged" : "%u",
			 available, damaged);
		if (outcome == 0)
			snprintf(incarnation, sizeof(incarnation), "%" PRIu64,
				 record.stamp.incarnation);
		r = tool_table_row(table, number, slot->name, extents, free_text_,
				   outcome == 0 ? incarnation : NULL,
				   outcome == 0			 ? ago(beat, record.beat_usec)
				   : outcome == TIER_E_NOT_FOUND ? "never"
								 : "damaged");
	}
	if (r < 0)
		return tool_fail_text(super->name, NULL, "out of memory");
	tool_table_print(table);
	return 0;
}

static int show_flights(struct tier_portal *portal)
{
	static const char *const columns[] = {"VM",    "FROM",	 "TO",
					      "OFFER", "ANSWER", "WHO MAY DO WHAT"};
	__attribute__((cleanup(free_table))) struct tool_table *table = NULL;
	const struct tier_super *super = tier_portal_super(portal);
	size_t count = 0;
	int r = tool_table_new(&table, columns, 6, "llllll");

	for (uint32_t i = 0; r >= 0 && i < super->host_count * TIER_PORTAL_FLIGHTS; i++) {
		uint32_t host = i / TIER_PORTAL_FLIGHTS, slot = i % TIER_PORTAL_FLIGHTS;
		struct tier_answer answer = {};
		char advice[192] = "damaged: start nothing; tierctl portal check";
		struct tier_handoff_view view = {.self = TIER_PORTAL_NO_HOST};
		struct tier_offer offer;
		int outcome = tier_portal_read_offer(portal, host, slot, &offer);

		if (outcome == TIER_E_NOT_FOUND ||
		    (outcome == 0 && offer.state == TIER_FLIGHT_NONE))
			continue;
		count++;
		if (outcome != 0) {
			r = tool_table_row(table, NULL, super->hosts[host].name, NULL, "damaged",
					   NULL, "nobody, until the source writes it again");
			continue;
		}
		if (tier_portal_find_answer(portal, offer.destination, &offer, slot, &answer,
					    NULL) != 0)
			answer.state = TIER_FLIGHT_NONE;
		if (tier_portal_look(portal, host, slot, &offer.flight, &view) == 0)
			tier_handoff_advice(super, &view, advice);
		r = tool_table_row(
			table, offer.vm, super->hosts[host].name,
			super->hosts[offer.destination].name, tier_flight_state_name(offer.state),
			answer.state == TIER_FLIGHT_NONE ? NULL
							 : tier_flight_state_name(answer.state),
			advice);
	}
	if (r < 0)
		return tool_fail_text(super->name, NULL, "out of memory");
	if (count > 0)
		tool_table_print(table);
	else
		printf("  no flights\n");
	return 0;
}

static int show_one(const char *path)
{
	_cleanup_portal_ struct tier_portal *portal = NULL;
	__attribute__((cleanup(free_text))) char *json = NULL;
	struct tier_problem problem = {};
	int r;

	if (portal_open(path, TIER_PORTAL_READ, &portal, &problem) != 0)
		return tool_fail(&problem);
	if (tool_common.json) {
		r = tier_portal_to_json(portal, &json);
		if (r < 0)
			return tool_fail_text(path, NULL, "cannot make JSON: %s", tier_strerror(r));
		fputs(json, stdout);
		return TOOL_OK;
	}
	show_header(portal);
	r = show_hosts(portal);
	return r ? r : show_flights(portal);
}

static int show_all(void)
{
	__attribute__((cleanup(portal_list_done))) struct portal_list list = {};
	const char *separator = "";
	int result = TOOL_OK, r = portal_list(&list);

	if (r != 0)
		return r;
	if (tool_common.json)
		printf("[");
	else if (list.count == 0)
		printf(list.ram_devices ? "no portal on this host's devdax devices; those that are "
					  "system RAM cannot be looked into (tierctl list)\n"
					: "no portal on this host\n");
	for (size_t i = 0; i < list.count; i++) {
		if (list.places[i].code != 0) {
			result = tool_fail(&list.places[i].problem);
			continue;
		}
		fputs(separator, stdout);
		separator = tool_common.json ? "," : "\n";
		r = show_one(list.places[i].path);
		if (r != 0)
			result = r;
	}
	if (tool_common.json)
		printf("]\n");
	return result;
}

int cmd_portal_show(int argc, char **argv)
{
	char **names, path[256];
	int count, r = tool_parse(argc, argv, NULL, 0, 0, 1, &names, &count);

	if (r != 0)
		return r;
	if (count == 0)
		return show_all();
	r = portal_find(names[0], path);
	return r ? r : show_one(path);
}
