/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What no single line of the configuration tells: what is missing, and which rules contradict each other. */
#include <stdarg.h>
#include <strings.h>

#include "config-keys.h"
#include "util.h"

int config_note_file(struct tier_config *config, const char *file, size_t *ret_number)
{
	_cleanup_free_ char *copy = strdup(file);
	char **slot = copy ? array_grow(&config->files, &config->file_count, sizeof(*slot)) : NULL;

	if (!slot)
		return -ENOMEM;
	*slot = TAKE(copy);
	*ret_number = config->file_count - 1;
	return 0;
}

static struct tier_config_place *find_place(const struct tier_config *config, const char *section,
					    const char *key)
{
	for (size_t i = 0; i < config->place_count; i++)
		if (streq(config->places[i].key, key) && streq(config->places[i].section, section))
			return &config->places[i];
	return NULL;
}

int config_note_place(struct tier_config *config, const char *section, const struct config_key *key,
		      size_t file, unsigned line)
{
	struct tier_config_place *place;

	/* A machine's decide about no region. */
	if (key->section == CONFIG_MACHINE)
		return 0;
	place = find_place(config, section, key->name);
	if (!place)
		place = array_grow(&config->places, &config->place_count, sizeof(*place));
	if (!place)
		return -ENOMEM;
	*place = (struct tier_config_place){.key = key->name, .file = file, .line = line};
	copy_string(place->section, sizeof(place->section), section);
	return 0;
}

const char *config_place_text(char text[static 96], const char *file, unsigned line)
{
	size_t length = strlen(file);

	/* Of a long name the end is worth more than the beginning, and the line number most. */
	if (length > 96 - 16)
		snprintf(text, 96, "...%s:%u", file + length - (96 - 16), line);
	else
		snprintf(text, 96, "%s:%u", file, line);
	return text;
}

const char *tier_config_where(const struct tier_config *config, const char *section,
			      const char *key, char text[static 96])
{
	const struct tier_config_place *place = find_place(config, section, key);

	if (!place)
		snprintf(text, 96, "the default");
	else
		config_place_text(text, config->files[place->file], place->line);
	return text;
}

struct match {
	bool by_serial;
	uint64_t serial;
	const char *uuid, *path;
};

static struct match match_of_region(const struct tier_config_region *rule)
{
	return (struct match){rule->match_serial, rule->serial, rule->match_uuid, rule->match_path};
}

static struct match match_of_portal(const struct tier_config_portal *rule)
{
	return (struct match){rule->match_serial, rule->serial, rule->match_uuid, rule->match_path};
}

static bool is_empty(struct match match)
{
	return !match.by_serial && !match.uuid[0] && !match.path[0];
}

/* Does @first match every region that @second matches, by what they say alone? */
static bool covers(struct match first, struct match second)
{
	if (is_empty(first) ||
	    (first.by_serial && !(second.by_serial && first.serial == second.serial)) ||
	    (first.uuid[0] && strcasecmp(first.uuid, second.uuid) != 0))
		return false;
	return !first.path[0] ||
	       (second.path[0] && streq(strrchr(first.path, '/'), strrchr(second.path, '/')));
}

/* "FILE:LINE" of a key, or of what the section is matched by if the key has its default. */
static const char *where(const struct tier_config *config, const char *section, const char *key,
			 char text[static 96])
{
	static const char *const matches[] = {"MatchSerial", "MatchUUID", "MatchPath"};

	for (size_t i = 0; !find_place(config, section, key) && i < ARRAY_SIZE(matches); i++)
		if (find_place(config, section, matches[i]))
			return tier_config_where(config, section, matches[i], text);
	return tier_config_where(config, section, key, text);
}

static const char *section_of(char text[static 80], const char *kind, const char *name)
{
	snprintf(text, 80, "[%s %s]", kind, name);
	return text;
}

__attribute__((format(printf, 3, 4))) static int contradiction(struct tier_problem *problem,
							       const char *place,
							       const char *format, ...)
{
	va_list arguments;
	char text[384];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tier_problem_set(problem, TIER_E_REFUSED, place, NULL, "%s", text);
	return -EINVAL;
}

/* The key in which two rules differ, with both values; NULL if they say the same. */
static const char *difference(const struct tier_config_region *a,
			      const struct tier_config_region *b, char first[static 32],
			      char second[static 32])
{
	if (a->online != b->online) {
		snprintf(first, 32, "Online=%s", tier_online_zone_name(a->online));
		snprintf(second, 32, "Online=%s", tier_online_zone_name(b->online));
		return "Online";
	}
	if (a->type != b->type) {
		snprintf(first, 32, "Type=%s", tier_memory_type_name(a->type));
		snprintf(second, 32, "Type=%s", tier_memory_type_name(b->type));
		return "Type";
	}
	if (a->weight == b->weight)
		return NULL;
	snprintf(first, 32, "Weight=%u", a->weight);
	snprintf(second, 32, "Weight=%u", b->weight);
	return "Weight";
}

static int check_pair(const struct tier_config *config, const struct tier_config_region *first,
		      const struct tier_config_region *second, struct tier_problem *problem)
{
	char value[32], other[32], head[80], other_head[80], place[96], other_place[96];
	const char *key;

	if (!covers(match_of_region(first), match_of_region(second)))
		return 0;
	key = difference(first, second, value, other);
	if (!key)
		return 0;
	section_of(head, "Region", first->name);
	section_of(other_head, "Region", second->name);
	return contradiction(problem, where(config, other_head, key, other_place),
			     "%.60s of %s contradicts %.60s of %s (%s), which comes first and has "
			     "every region that it matches",
			     other, other_head, value, head, where(config, head, key, place));
}

static int check_rule(const struct tier_config *config, const struct tier_config_region *rule,
		      struct tier_problem *problem)
{
	char head[80], other_head[80], place[96], other_place[96];

	section_of(head, "Region", rule->name);
	if (rule->online == TIER_ONLINE_KERNEL && rule->type > TIER_MEMORY_LOCAL)
		return contradiction(
			problem, where(config, head, "Online", place),
			"Online=kernel of %s contradicts its Type=%s (%s): such memory "
			"has no kernel zone",
			head, tier_memory_type_name(rule->type),
			where(config, head, "Type", other_place));
	if (rule->online == TIER_ONLINE_MOVABLE && config->ratio_percent == 0)
		return contradiction(problem, where(config, head, "Online", place),
				     "Online=movable of %s contradicts Ratio=0 (%s), which allows "
				     "nothing to be Movable",
				     head, where(config, "[Daemon]", "Ratio", other_place));
	for (size_t i = 0; rule->online != TIER_ONLINE_NO && i < config->portal_count; i++) {
		const struct tier_config_portal *portal = &config->portals[i];

		if (!covers(match_of_portal(portal), match_of_region(rule)))
			continue;
		section_of(other_head, "Portal", portal->name);
		return contradiction(problem, where(config, head, "Online", place),
				     "Online=%s of %s contradicts %s (%s): a portal is never "
				     "onlined as a whole",
				     tier_online_zone_name(rule->online), head, other_head,
				     where(config, other_head, "", other_place));
	}
	return 0;
}

static int check_rules(const struct tier_config *config, struct tier_problem *problem)
{
	char place[96], other_place[96];
	int r = 0;

	if (config->online == TIER_ONLINE_MOVABLE && config->ratio_percent == 0)
		return contradiction(
			problem, where(config, "[Daemon]", "Online", place),
			"Online=movable contradicts Ratio=0 (%s), which allows nothing "
			"to be Movable",
			where(config, "[Daemon]", "Ratio", other_place));
	if (config->ordinary == TIER_ONLINE_MOVABLE && config->ratio_percent == 0)
		return contradiction(
			problem, where(config, "[Daemon]", "OrdinaryMemory", place),
			"OrdinaryMemory=movable contradicts Ratio=0 (%s), which allows nothing "
			"to be Movable",
			where(config, "[Daemon]", "Ratio", other_place));
	for (size_t i = 0; r == 0 && i < config->region_count; i++) {
		r = check_rule(config, &config->regions[i], problem);
		for (size_t j = 0; r == 0 && j < i; j++)
			r = check_pair(config, &config->regions[j], &config->regions[i], problem);
	}
	return r;
}

static int incomplete(struct tier_problem *problem, const char *kind, const char *name,
		      const char *reason)
{
	char object[96];

	snprintf(object, sizeof(object), "[%s %s]", kind, name);
	tier_problem_set(problem, TIER_E_REFUSED, object, NULL, "%s", reason);
	return -EINVAL;
}

int config_check(const struct tier_config *config, struct tier_problem *problem)
{
	/* One beat may be late and one lost. */
	if (config->cut_off_usec < 4 * config->beat_usec) {
		tier_problem_set(problem, TIER_E_REFUSED, "[Daemon]", NULL,
				 "CutOffSec= is less than four times BeatSec=");
		return -EINVAL;
	}
	for (size_t i = 0; i < config->region_count; i++) {
		const struct tier_config_region *rule = &config->regions[i];

		if (!rule->match_serial && !rule->match_uuid[0] && !rule->match_path[0])
			return incomplete(problem, "Region", rule->name,
					  "needs MatchSerial=, MatchUUID= or MatchPath=");
	}
	for (size_t i = 0; i < config->portal_count; i++) {
		const struct tier_config_portal *rule = &config->portals[i];
		bool match = rule->match_serial || rule->match_uuid[0] || rule->match_path[0];

		if (match == (rule->file[0] != '\0'))
			return incomplete(problem, "Portal", rule->name,
					  match ? "has both File= and a Match"
						: "needs File=, MatchSerial=, MatchUUID= or "
						  "MatchPath=");
	}
	for (size_t i = 0; i < config->machine_count; i++)
		if (config->machines[i].memory_bytes == 0)
			return incomplete(problem, "Machine", config->machines[i].name,
					  "needs Memory=");
	return check_rules(config, problem);
}
