/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <strings.h>

#include "config-keys.h"
#include "util.h"

/* More than any host has regions, and few enough that looking one up stays quick. */
#define SECTIONS_MAX   1024
#define LINE_MAX_BYTES 4096

DEFINE_CLEANUP(struct tier_config *, tier_config_free)

int tier_config_new(struct tier_config **ret)
{
	struct tier_config *config = calloc(1, sizeof(*config));

	if (!config)
		return -ENOMEM;
	config_section_defaults(CONFIG_DAEMON, config);
	config_section_defaults(CONFIG_TIERING, config);
	*ret = config;
	return 0;
}

struct tier_config *tier_config_free(struct tier_config *config)
{
	if (!config)
		return NULL;
	for (size_t i = 0; i < config->machine_count; i++) {
		for (size_t j = 0; j < config->machines[i].argument_count; j++)
			free(config->machines[i].arguments[j]);
		free(config->machines[i].arguments);
	}
	for (size_t i = 0; i < config->file_count; i++)
		free(config->files[i]);
	free(config->files);
	free(config->places);
	free(config->machines);
	free(config->policies);
	free(config->portals);
	free(config->regions);
	free(config);
	return NULL;
}

struct parser {
	struct tier_config *config;
	const char *file;
	unsigned line;
	size_t file_number;
	char head[80]; /* "[Region near]" */
	bool in_section;
	enum config_section section;
	void *target; /* the struct of the section; moves when its array grows */
	struct tier_problem *problem;
};

/* For messages: what is not printable becomes '?', and a long text is cut. */
static const char *quote(char buffer[static 68], const char *text)
{
	size_t i;

	for (i = 0; text[i] && i < 64; i++)
		buffer[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	strcpy(buffer + i, text[i] ? "..." : "");
	return buffer;
}

__attribute__((format(printf, 2, 3))) static int complain(struct parser *p, const char *format, ...)
{
	char object[96], text[sizeof(p->problem->text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	config_place_text(object, p->file, p->line);
	/* The reason says it all: no strerror() behind it. */
	tier_problem_set(p->problem, TIER_E_REFUSED, object, NULL, "%s", text);
	return -EINVAL;
}

/* Finds the section's element by its name, which is every element's first field, or adds one. */
static int find_or_add(struct parser *p, void *array_pointer, size_t *count, size_t bytes,
		       const char *name)
{
	char *array = *(char **)array_pointer;

	for (size_t i = 0; i < *count; i++)
		if (streq(array + i * bytes, name)) {
			p->target = array + i * bytes;
			return 0;
		}
	if (*count == SECTIONS_MAX)
		return complain(p, "more than %d sections of one kind", SECTIONS_MAX);
	p->target = array_grow(array_pointer, count, bytes);
	if (!p->target)
		return -ENOMEM;
	copy_string(p->target, sizeof(((struct tier_config_region *)0)->name), name);
	config_section_defaults(p->section, p->target);
	return 0;
}

static_assert(offsetof(struct tier_config_region, name) == 0 &&
		      offsetof(struct tier_config_portal, name) == 0 &&
		      offsetof(struct tier_config_machine, name) == 0 &&
		      offsetof(struct tier_config_policy, name) == 0 &&
		      sizeof(((struct tier_config_policy *)0)->name) ==
			      sizeof(((struct tier_config_region *)0)->name) &&
		      sizeof(((struct tier_config_portal *)0)->name) ==
			      sizeof(((struct tier_config_region *)0)->name) &&
		      sizeof(((struct tier_config_machine *)0)->name) ==
			      sizeof(((struct tier_config_region *)0)->name),
	      "find_or_add() takes the name for the first field");

static int open_section(struct parser *p, char *head)
{
	static const char *const kinds[] = {
		[CONFIG_DAEMON] = "Daemon",   [CONFIG_TIERING] = "Tiering",
		[CONFIG_REGION] = "Region",   [CONFIG_PORTAL] = "Portal",
		[CONFIG_MACHINE] = "Machine", [CONFIG_POLICY] = "Policy",
	};
	struct tier_config *config = p->config;
	char *name = head + strcspn(head, " \t"), shown[68];
	size_t i;

	if (*name) {
		*name++ = '\0';
		name += strspn(name, " \t");
	}
	for (i = 0; i < ARRAY_SIZE(kinds) && !streq(head, kinds[i]); i++)
		;
	if (i == ARRAY_SIZE(kinds))
		return complain(p,
				"unknown section [%s]; there are Daemon, Tiering, Region, Portal, "
				"Machine, Policy",
				quote(shown, head));
	p->section = (enum config_section)i;
	p->in_section = true;
	snprintf(p->head, sizeof(p->head), "[%s%s%.68s]", kinds[i], *name ? " " : "", name);
	if (p->section == CONFIG_DAEMON || p->section == CONFIG_TIERING) {
		p->target = config;
		return *name ? complain(p, "section [%s] takes no name", kinds[i]) : 0;
	}
	if (*name == '\0')
		return complain(p, "section [%s] needs a name: [%s NAME]", kinds[i], kinds[i]);
	if (!config_name_valid(name))
		return complain(p,
				"name \"%s\": only letters, digits, '.', '_' and '-', and neither "
				"'.' nor '-' first",
				quote(shown, name));
	if (strlen(name) >= sizeof(config->regions->name))
		return complain(p, "name \"%s\": too long", quote(shown, name));
	switch (p->section) {
	case CONFIG_REGION:
		return find_or_add(p, &config->regions, &config->region_count,
				   sizeof(*config->regions), name);
	case CONFIG_PORTAL:
		return find_or_add(p, &config->portals, &config->portal_count,
				   sizeof(*config->portals), name);
	case CONFIG_POLICY:
		return find_or_add(p, &config->policies, &config->policy_count,
				   sizeof(*config->policies), name);
	default:
		return find_or_add(p, &config->machines, &config->machine_count,
				   sizeof(*config->machines), name);
	}
}

static int assign(struct parser *p, const char *name, const char *value)
{
	const char *reason = "not understood";
	char shown[68];
	int r;

	for (size_t i = 0; i < config_key_count; i++) {
		const struct config_key *key = &config_keys[i];

		if (key->section != p->section || !streq(key->name, name))
			continue;
		if (value[0] == '\0' && key->fallback)
			value = key->fallback;
		r = key->store((char *)p->target + key->offset, key->bytes, value, &reason);
		if (r == -EINVAL)
			return complain(p, "%s=%s: %s", name, quote(shown, value), reason);
		return r < 0 ? r
			     : config_note_place(p->config, p->head, key, p->file_number, p->line);
	}
	return complain(p, "unknown key \"%s\" in this section", quote(shown, name));
}

static char *strip(char *text)
{
	size_t length;

	text += strspn(text, " \t");
	length = strlen(text);
	while (length > 0 && strchr(" \t\r", text[length - 1]))
		text[--length] = '\0';
	return text;
}

static int parse_line(struct parser *p, char *line)
{
	char shown[68], *equals;

	line = strip(line);
	if (line[0] == '\0' || line[0] == '#' || line[0] == ';')
		return 0;
	for (size_t i = 0; line[i]; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == '\x7f')
			return complain(p, "control character \\x%02x", (unsigned char)line[i]);
	if (line[0] == '[') {
		size_t length = strlen(line);

		if (line[length - 1] != ']')
			return complain(p, "\"%s\": a section ends with ]", quote(shown, line));
		line[length - 1] = '\0';
		return open_section(p, strip(line + 1));
	}
	equals = strchr(line, '=');
	if (!equals)
		return complain(p, "\"%s\": neither [Section] nor Key=Value", quote(shown, line));
	*equals = '\0';
	if (!p->in_section)
		return complain(p, "%s= stands before the first section",
				quote(shown, strip(line)));
	return assign(p, strip(line), strip(equals + 1));
}

int tier_config_parse(struct tier_config *config, const char *text, size_t bytes, const char *file,
		      struct tier_problem *problem)
{
	struct parser p = {.config = config, .file = file, .problem = problem};
	char line[LINE_MAX_BYTES];
	int r;

	r = config_note_file(config, file, &p.file_number);
	if (r < 0)
		return r;
	for (size_t at = 0; at < bytes;) {
		const char *end = memchr(text + at, '\n', bytes - at);
		size_t length = end ? (size_t)(end - text) - at : bytes - at;

		p.line++;
		if (length >= sizeof(line))
			return complain(&p, "longer than %zu bytes", sizeof(line) - 1);
		if (memchr(text + at, '\0', length))
			return complain(&p, "control character \\x00");
		memcpy(line, text + at, length);
		line[length] = '\0';
		r = parse_line(&p, line);
		if (r < 0)
			return r;
		at += length + 1;
	}
	return 0;
}

const struct tier_config_machine *tier_config_machine(const struct tier_config *config,
						      const char *name)
{
	for (size_t i = 0; i < config->machine_count; i++)
		if (streq(config->machines[i].name, name))
			return &config->machines[i];
	return NULL;
}

/* Every Match* that is given must hold, and at least one must be given. */
static bool matches(const struct tier_region *region, bool match_serial, uint64_t serial,
		    const char *uuid, const char *path)
{
	bool found = false;

	if (!match_serial && !uuid[0] && !path[0])
		return false;
	for (size_t i = 0; match_serial && i < region->memdev_count && !found; i++)
		found = region->serials[i] == serial;
	if (match_serial && !found)
		return false;
	if (uuid[0] && strcasecmp(uuid, region->uuid) != 0)
		return false;
	/* The snapshot keeps the region's name; sysfs names it by the last component of any path. */
	return !path[0] || streq(strrchr(path, '/') + 1, region->name);
}

bool config_is_declared(const struct tier_config_region *rule, const struct tier_region *region)
{
	if (region->memdev_count != rule->create.count || streq(region->mode, "pmem") ||
	    (rule->size_bytes && region->bytes != rule->size_bytes))
		return false;
	for (size_t i = 0; i < region->memdev_count; i++)
		if (region->serials[i] != rule->create.serials[i])
			return false;
	return true;
}

const struct tier_config_region *tier_config_region_rule(const struct tier_config *config,
							 const struct tier_region *region)
{
	for (size_t i = 0; i < config->region_count; i++) {
		const struct tier_config_region *rule = &config->regions[i];

		if (rule->create.count ? config_is_declared(rule, region)
				       : matches(region, rule->match_serial, rule->serial,
						 rule->match_uuid, rule->match_path))
			return rule;
	}
	return NULL;
}

const struct tier_config_portal *tier_config_portal_rule(const struct tier_config *config,
							 const struct tier_region *region)
{
	for (size_t i = 0; i < config->portal_count; i++) {
		const struct tier_config_portal *rule = &config->portals[i];

		if (matches(region, rule->match_serial, rule->serial, rule->match_uuid,
			    rule->match_path))
			return rule;
	}
	return NULL;
}
