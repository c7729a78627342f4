/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What no single line of the configuration tells: what is missing, and which rules contradict each other. */
#include <stdarg.h>
#include <strings.h>

#include "config-keys.h"
#include "tier-share.h"
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
	const struct tier_config_devices *create; /* NULL if the section declares nothing */
	uint64_t size_bytes;
};

static struct match match_of_region(const struct tier_config_region *rule)
{
	return (struct match){
		.by_serial = rule->match_serial,
		.serial = rule->serial,
		.uuid = rule->match_uuid,
		.path = rule->match_path,
		.create = rule->create.count ? &rule->create : NULL,
		.size_bytes = rule->size_bytes,
	};
}

static struct match match_of_portal(const struct tier_config_portal *rule)
{
	return (struct match){
		.by_serial = rule->match_serial,
		.serial = rule->serial,
		.uuid = rule->match_uuid,
		.path = rule->match_path,
	};
}

static bool is_empty(struct match match)
{
	return !match.by_serial && !match.uuid[0] && !match.path[0];
}

/* Does @first match every region that @second matches, by what they say alone? */
static bool covers(struct match first, struct match second)
{
	if (first.create)
		return second.create && config_same_devices(first.create, second.create) &&
		       (first.size_bytes == 0 || first.size_bytes == second.size_bytes);
	if (first.by_serial && second.create && !first.uuid[0] && !first.path[0])
		return config_has_device(second.create, first.serial);
	if (is_empty(first) ||
	    (first.by_serial && !(second.by_serial && first.serial == second.serial)) ||
	    (first.uuid[0] && strcasecmp(first.uuid, second.uuid) != 0))
		return false;
	return !first.path[0] ||
	       (second.path[0] && streq(strrchr(first.path, '/'), strrchr(second.path, '/')));
}

const char *config_where(const struct tier_config *config, const char *section, const char *key,
			 char text[static 96])
{
	static const char *const matches[] = {"MatchSerial", "MatchUUID", "MatchPath", "Create"};

	for (size_t i = 0; !find_place(config, section, key) && i < ARRAY_SIZE(matches); i++)
		if (find_place(config, section, matches[i]))
			return tier_config_where(config, section, matches[i], text);
	return tier_config_where(config, section, key, text);
}

const char *config_section_name(char text[static 80], const char *kind, const char *name)
{
	snprintf(text, 80, "[%s %s]", kind, name);
	return text;
}

int config_contradiction(struct tier_problem *problem, const char *place, const char *format, ...)
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
	if (a->weight != b->weight) {
		snprintf(first, 32, "Weight=%u", a->weight);
		snprintf(second, 32, "Weight=%u", b->weight);
		return "Weight";
	}
	if (a->interleave_weight == b->interleave_weight)
		return NULL;
	snprintf(first, 32, "InterleaveWeight=%u", a->interleave_weight);
	snprintf(second, 32, "InterleaveWeight=%u", b->interleave_weight);
	return "InterleaveWeight";
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
	config_section_name(head, "Region", first->name);
	config_section_name(other_head, "Region", second->name);
	return config_contradiction(
		problem, config_where(config, other_head, key, other_place),
		"%.60s of %s contradicts %.60s of %s (%s), which comes first and has "
		"every region that it matches",
		other, other_head, value, head, config_where(config, head, key, place));
}

static int check_rule(const struct tier_config *config, const struct tier_config_region *rule,
		      struct tier_problem *problem)
{
	char head[80], other_head[80], place[96], other_place[96];

	config_section_name(head, "Region", rule->name);
	if (rule->online == TIER_ONLINE_KERNEL && rule->type > TIER_MEMORY_LOCAL)
		return config_contradiction(
			problem, config_where(config, head, "Online", place),
			"Online=kernel of %s contradicts its Type=%s (%s): such memory "
			"has no kernel zone",
			head, tier_memory_type_name(rule->type),
			config_where(config, head, "Type", other_place));
	if (rule->interleave_weight && rule->type > TIER_MEMORY_LOCAL)
		return config_contradiction(
			problem, config_where(config, head, "InterleaveWeight", place),
			"InterleaveWeight=%u of %s contradicts its Type=%s (%s): nobody's pages "
			"are spread over such memory",
			rule->interleave_weight, head, tier_memory_type_name(rule->type),
			config_where(config, head, "Type", other_place));
	if (rule->online == TIER_ONLINE_MOVABLE && config->ratio_percent == 0)
		return config_contradiction(
			problem, config_where(config, head, "Online", place),
			"Online=movable of %s contradicts Ratio=0 (%s), which allows "
			"nothing to be Movable",
			head, config_where(config, "[Daemon]", "Ratio", other_place));
	for (size_t i = 0; rule->online != TIER_ONLINE_NO && i < config->portal_count; i++) {
		const struct tier_config_portal *portal = &config->portals[i];

		if (!covers(match_of_portal(portal), match_of_region(rule)))
			continue;
		config_section_name(other_head, "Portal", portal->name);
		return config_contradiction(
			problem, config_where(config, head, "Online", place),
			"Online=%s of %s contradicts %s (%s): a portal is never "
			"onlined as a whole",
			tier_online_zone_name(rule->online), head, other_head,
			config_where(config, other_head, "", other_place));
	}
	return 0;
}

static int check_policies(const struct tier_config *config, struct tier_problem *problem)
{
	for (size_t i = 0; i < config->policy_count; i++) {
		const struct tier_config_policy *policy = &config->policies[i];
		const char *wrong = tier_share_check(&policy->policy);
		char head[80];

		config_section_name(head, "Policy", policy->name);
		if (!policy->cgroup[0])
			wrong = "Cgroup= is missing: a unit, or a path below the root";
		if (wrong) {
			tier_problem_set(problem, TIER_E_REFUSED, head, NULL, "%s", wrong);
			return -EINVAL;
		}
	}
	return 0;
}

static int check_rules(const struct tier_config *config, struct tier_problem *problem)
{
	char place[96], other_place[96];
	int r = 0;

	if (config->online == TIER_ONLINE_MOVABLE && config->ratio_percent == 0)
		return config_contradiction(
			problem, config_where(config, "[Daemon]", "Online", place),
			"Online=movable contradicts Ratio=0 (%s), which allows nothing "
			"to be Movable",
			config_where(config, "[Daemon]", "Ratio", other_place));
	if (config->ordinary == TIER_ONLINE_MOVABLE && config->ratio_percent == 0)
		return config_contradiction(
			problem, config_where(config, "[Daemon]", "OrdinaryMemory", place),
			"OrdinaryMemory=movable contradicts Ratio=0 (%s), which allows nothing "
			"to be Movable",
			config_where(config, "[Daemon]", "Ratio", other_place));
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
	int r;

	/* One beat may be late and one lost. */
	if (config->cut_off_usec < 4 * config->beat_usec) {
		tier_problem_set(problem, TIER_E_REFUSED, "[Daemon]", NULL,
				 "CutOffSec= is less than four times BeatSec=");
		return -EINVAL;
	}
	for (size_t i = 0; i < config->region_count; i++) {
		const struct tier_config_region *rule = &config->regions[i];

		if (!rule->match_serial && !rule->match_uuid[0] && !rule->match_path[0] &&
		    rule->create.count == 0)
			return incomplete(problem, "Region", rule->name,
					  "needs MatchSerial=, MatchUUID=, MatchPath= or Create=");
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
	r = config_check_declared(config, problem);
	r = r < 0 ? r : check_policies(config, problem);
	return r < 0 ? r : check_rules(config, problem);
}
