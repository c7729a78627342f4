/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model of the kernel's onlining (libtier/tier-zoning.h) for a program that talks to it: a
 * command per line, an answer per line. "error N" if a call returned N; "ok" or what is said below.
 *
 *	new PAGES				pages of a block
 *	zone NODE ZONE START SPANNED PRESENT EARLY CMA
 *	block INDEX NODE GROUP 0|1 ZONE		early or not; "none": offline; "mixed"
 *	policy auto-movable|contig-zones RATIO 0|1 0|1
 *						numa_aware, movable_node
 *	group static|dynamic NODE PAGES		says its number; GROUP is that, or -1
 *	ungroup GROUP
 *	add GROUP NODE FIRST COUNT TYPE		TYPE as in auto_online_blocks
 *	grow GROUP FIRST COUNT UNITS TYPE
 *	shrink GROUP UNITS
 *	online INDEX TYPE			says the zone
 *	offline INDEX
 *	remove FIRST COUNT
 *	valid INDEX...				says the valid_zones of each, separated by commas
 *	blocks					says the indices
 *	present NODE ZONE			says start, spanned, present, early
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tier-error.h"
#include "zoning.h"

#define WORDS_MAX 4096

struct session {
	struct tier_zoning *zoning;
	struct tier_zoning_policy policy;
	char *words[WORDS_MAX];
	int count;
};

static uint64_t number(const struct session *s, int i)
{
	return i < s->count ? strtoull(s->words[i], NULL, 10) : UINT64_MAX;
}

static int integer(const struct session *s, int i)
{
	return i < s->count ? atoi(s->words[i]) : -2;
}

static const char *word(const struct session *s, int i)
{
	return i < s->count ? s->words[i] : "";
}

static enum tier_zone zone_named(const char *name)
{
	for (enum tier_zone zone = TIER_ZONE_NONE; zone <= TIER_ZONE_MIXED; zone++)
		if (streq(name, tier_zone_name(zone)))
			return zone;
	return TIER_ZONE_DEVICE;
}

static enum tier_zoning_online type_named(const char *name)
{
	return streq(name, "online")	       ? TIER_ZONING_ONLINE
	       : streq(name, "online_kernel")  ? TIER_ZONING_ONLINE_KERNEL
	       : streq(name, "online_movable") ? TIER_ZONING_ONLINE_MOVABLE
					       : TIER_ZONING_OFFLINE;
}

static void say(int r)
{
	if (r == 0)
		printf("ok\n");
	else
		printf("error %d %s\n", r, tier_strerror(r));
}

static void describe(struct session *s)
{
	if (streq(s->words[0], "zone")) {
		struct tier_zoning_zone zone = {.start_pfn = number(s, 3),
						.spanned_pages = number(s, 4),
						.present_pages = number(s, 5),
						.present_early_pages = number(s, 6),
						.cma_pages = number(s, 7)};

		say(tier_zoning_set_zone(s->zoning, integer(s, 1), zone_named(word(s, 2)), &zone));
	} else if (streq(s->words[0], "block")) {
		struct tier_zoning_block block = {.index = number(s, 1),
						  .node = integer(s, 2),
						  .group = integer(s, 3),
						  .early = integer(s, 4) == 1,
						  .zone = zone_named(word(s, 5))};

		say(tier_zoning_set_block(s->zoning, &block));
	} else if (streq(s->words[0], "policy")) {
		s->policy = (struct tier_zoning_policy){.auto_movable =
								streq(word(s, 1), "auto-movable"),
							.ratio_percent = (unsigned)number(s, 2),
							.numa_aware = integer(s, 3) == 1,
							.movable_node = integer(s, 4) == 1};
		say(0);
	} else {
		struct tier_zoning_group group = {.dynamic = streq(word(s, 1), "dynamic"),
						  .node = integer(s, 2),
						  .pages = number(s, 3)};
		int id = -1, r = tier_zoning_add_group(s->zoning, &group, &id);

		if (r == 0)
			printf("%d\n", id);
		else
			say(r);
	}
}

static void ask(struct session *s)
{
	struct tier_zoning_zone zone;

	if (streq(s->words[0], "present")) {
		int r = tier_zoning_get_zone(s->zoning, integer(s, 1), zone_named(word(s, 2)),
					     &zone);

		if (r != 0)
			say(r);
		else
			printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", zone.start_pfn,
			       zone.spanned_pages, zone.present_pages, zone.present_early_pages);
		return;
	}
	if (streq(s->words[0], "blocks"))
		for (size_t i = 0; i < s->zoning->block_count; i++)
			printf("%" PRIu64 " ", s->zoning->blocks[i].index);
	for (int i = 1; i < s->count; i++) {
		enum tier_zone zones[3];
		int count = tier_zoning_valid_zones(s->zoning, &s->policy, number(s, i), zones);

		for (int k = 0; count <= 3 && k < count; k++)
			printf("%s%s", k > 0 ? "," : "",
			       zones[k] == TIER_ZONE_MIXED ? "none" : tier_zone_name(zones[k]));
		printf("%s ", count <= 3 ? "" : "absent");
	}
	printf("\n");
}

static void act(struct session *s)
{
	const char *verb = s->words[0];
	struct tier_zoning *z = s->zoning;
	enum tier_zone zone;
	int r = -EINVAL;

	if (streq(verb, "ungroup"))
		r = tier_zoning_remove_group(z, integer(s, 1));
	else if (streq(verb, "add"))
		r = tier_zoning_add(z, &s->policy, integer(s, 1), integer(s, 2), number(s, 3),
				    number(s, 4), type_named(word(s, 5)));
	else if (streq(verb, "grow"))
		r = tier_zoning_grow(z, &s->policy, integer(s, 1), number(s, 2), number(s, 3),
				     number(s, 4), type_named(word(s, 5)));
	else if (streq(verb, "shrink"))
		r = tier_zoning_shrink(z, integer(s, 1), number(s, 2));
	else if (streq(verb, "offline"))
		r = tier_zoning_offline(z, number(s, 1));
	else if (streq(verb, "remove"))
		r = tier_zoning_remove(z, number(s, 1), number(s, 2));
	else if (streq(verb, "online"))
		r = tier_zoning_online(z, &s->policy, number(s, 1), type_named(word(s, 2)), &zone);
	if (r == 0 && streq(verb, "online"))
		printf("%s\n", tier_zone_name(zone));
	else
		say(r);
}

static void obey(struct session *s)
{
	static const char *const describing[] = {"zone", "block", "policy", "group"};
	static const char *const asking[] = {"valid", "blocks", "present"};

	if (streq(s->words[0], "new")) {
		s->zoning = tier_zoning_free(s->zoning);
		say(tier_zoning_new(number(s, 1), &s->zoning));
		return;
	}
	if (!s->zoning) {
		say(-EINVAL);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(describing); i++)
		if (streq(s->words[0], describing[i])) {
			describe(s);
			return;
		}
	for (size_t i = 0; i < ARRAY_SIZE(asking); i++)
		if (streq(s->words[0], asking[i])) {
			ask(s);
			return;
		}
	act(s);
}

int main(void)
{
	static struct session s;
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (getline(&line, &room, stdin) > 0) {
		char *rest = line, *next;

		s.count = 0;
		while ((next = strsep(&rest, " \n")) && s.count < WORDS_MAX)
			if (*next)
				s.words[s.count++] = next;
		if (s.count > 0)
			obey(&s);
	}
	tier_zoning_free(s.zoning);
	return 0;
}
