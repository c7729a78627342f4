/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* udev's rules, as far as they are about memory blocks and dax devices; see udev(7). */
#include "rivals.h"

/* KEY{attribute}OPERATOR"value" */
struct token {
	char key[32], attribute[96], operator[3], value[512];
};

/* What the rules of a file say of what the next ones are about. */
struct context {
	bool memory;	/* a GOTO has let only memory blocks get here */
	char end[64];	/* the label at which that ends; empty: at the next one */
	char begin[64]; /* the label that only memory blocks are sent to */
};

/* What a rule does and to what. */
struct rule {
	bool subsystem;	  /* it matches one */
	bool memory, dax; /* that one, or a name of theirs */
	bool not_memory;
	bool some;   /* only the blocks that it names */
	bool remove; /* for devices that go */
	char jump[64], label[64];
	char state[64], policy[64];
	char command[96];
	bool wants_unit;
};

/* 1, 0 at the end, -1 if udev would ignore the line as well. */
static int next_token(const char **at, struct token *token)
{
	const char *p = *at + strspn(*at, " \t,");
	size_t length = strcspn(p, "=!+-:{ \t"), used = 0;

	memset(token, 0, sizeof(*token));
	if (*p == '\0')
		return 0;
	snprintf(token->key, sizeof(token->key), "%.*s", (int)length, p);
	p += length;
	if (*p == '{') {
		length = strcspn(p, "}");
		if (p[length] == '\0')
			return -1;
		snprintf(token->attribute, sizeof(token->attribute), "%.*s", (int)length - 1,
			 p + 1);
		p += length + 1;
	}
	p += strspn(p, " \t");
	length = strspn(p, "=!+-:");
	if (length == 0 || length > 2)
		return -1;
	memcpy(token->operator, p, length);
	p += length;
	p += strspn(p, " \t");
	/* e"..." has escapes, i"..." ignores case. */
	p += (*p == 'e' || *p == 'i') && p[1] == '"';
	if (*p++ != '"')
		return -1;
	for (; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		if (used + 1 < sizeof(token->value))
			token->value[used++] = *p;
	}
	if (*p != '"')
		return -1;
	*at = p + 1;
	return 1;
}

/* Is one of the alternatives of a pattern that word, or one that begins with it? "memory|cpu", "memory[0-9]*" */
static bool names(const char *pattern, const char *word, bool begins)
{
	size_t length = strlen(word);

	for (const char *p = pattern;; p++) {
		size_t part = strcspn(p, "|");

		if (strncmp(p, word, length) == 0 && (begins || part == length))
			return true;
		p += part;
		if (*p == '\0')
			return false;
	}
}

static bool assigns(const struct token *token)
{
	return streq(token->operator, "=") || streq(token->operator, ":=") ||
	       streq(token->operator, "+=");
}

static void match(struct rule *rule, const struct token *token)
{
	bool equal = streq(token->operator, "==");

	if (streq(token->key, "SUBSYSTEM") || streq(token->key, "SUBSYSTEMS")) {
		bool memory = names(token->value, "memory", false);

		rule->subsystem |= equal;
		rule->memory |= equal && memory;
		rule->not_memory |= !equal && memory;
		rule->dax |= equal && names(token->value, "dax", false);
	} else if (streq(token->key, "KERNEL") && equal) {
		rule->memory |= names(token->value, "memory", true);
		rule->some |= names(token->value, "memory", true) && !strchr(token->value, '*');
		rule->dax |= names(token->value, "dax", true);
	} else if (streq(token->key, "DEVPATH") && equal) {
		rule->memory |= strstr(token->value, "system/memory") != NULL;
	} else if (streq(token->key, "ACTION") && equal) {
		rule->remove |= streq(token->value, "remove");
	}
}

static void act(struct rule *rule, const struct token *token)
{
	const char *what;

	if (streq(token->key, "GOTO")) {
		copy_string(rule->jump, sizeof(rule->jump), token->value);
	} else if (streq(token->key, "LABEL")) {
		copy_string(rule->label, sizeof(rule->label), token->value);
	} else if (streq(token->key, "ATTR") && streq(token->attribute, "state")) {
		copy_string(rule->state, sizeof(rule->state), token->value);
	} else if (streq(token->key, "ATTR") && streq(token->attribute, "online") &&
		   streq(token->value, "1")) {
		copy_string(rule->state, sizeof(rule->state), "online");
	} else if (streq(token->key, "ATTR") && strstr(token->attribute, "auto_online_blocks")) {
		copy_string(rule->policy, sizeof(rule->policy), token->value);
	} else if (streq(token->key, "RUN") || streq(token->key, "PROGRAM") ||
		   streq(token->key, "IMPORT")) {
		what = rivals_command(token->value);
		/* "echo online >/sys$devpath/state" */
		if (!what[0] && strstr(token->value, "online") && strstr(token->value, "state"))
			what = "a command that onlines it";
		if (what[0])
			copy_string(rule->command, sizeof(rule->command), what);
		rule->wants_unit |= strstr(token->value, "daxdev-reconfigure@") != NULL;
	} else if (streq(token->key, "ENV") && streq(token->attribute, "SYSTEMD_WANTS")) {
		rule->wants_unit |= strstr(token->value, "daxdev-reconfigure@") != NULL;
	}
}

static int read_rule(struct rule *rule, const char *line)
{
	struct token token;
	int r;

	*rule = (struct rule){};
	while ((r = next_token(&line, &token)) > 0) {
		/* PROGRAM== runs it as well. */
		if (assigns(&token) || streq(token.key, "PROGRAM") || streq(token.key, "IMPORT"))
			act(rule, &token);
		else
			match(rule, &token);
	}
	return r;
}

/* Is what comes next about memory blocks only? */
static void follow(struct context *context, const struct rule *rule)
{
	if (rule->label[0]) {
		if (streq(rule->label, context->begin)) {
			context->memory = true;
			context->end[0] = '\0';
		} else if (context->memory &&
			   (!context->end[0] || streq(rule->label, context->end))) {
			context->memory = false;
		}
	}
	if (rule->jump[0] && rule->not_memory) {
		context->memory = true;
		copy_string(context->end, sizeof(context->end), rule->jump);
	} else if (rule->jump[0] && rule->memory) {
		copy_string(context->begin, sizeof(context->begin), rule->jump);
	}
}

static void how_to_stop(char next[static 320], const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	if (strncmp(path, "/etc/", 5) == 0)
		snprintf(next, 320, "take that rule out of %.120s; udevadm control --reload", path);
	else
		snprintf(next, 320,
			 "mask the file, ln -s /dev/null /etc/udev/rules.d/%.80s, or copy it there "
			 "without that rule; udevadm control --reload",
			 name);
}

static int report_dax(struct rivals *rivals, const char *path, unsigned line,
		      const struct rule *rule)
{
	char next[320];

	if (rule->command[0]) {
		how_to_stop(next, path);
		return rivals_add(rivals, TIER_RIVAL_COMMAND, path, line, next,
				  "%s for new dax devices", rule->command);
	}
	if (!rivals->unit[0])
		return rivals_add(rivals, TIER_RIVAL_DAXCTL_RULE, path, line, NULL,
				  "wants daxdev-reconfigure@.service, which is not there");
	if (rivals->unit_is_ours)
		return rivals_add(rivals, TIER_RIVAL_DAXCTL_RULE, path, line, NULL,
				  "wants %s, which leaves devices to cxl-tierd", rivals->unit);
	snprintf(next, sizeof(next), "remove or mask %.200s", rivals->unit);
	return rivals_add(rivals, TIER_RIVAL_DAXCTL_RULE, path, line, next,
			  "wants %s, which does not ask cxl-tierd", rivals->unit);
}

int rivals_parse_udev(struct rivals *rivals, const char *path, const char *text)
{
	struct context context = {};
	char buffer[4096], next[320], *line;
	unsigned number = 0, at = 0;
	int r = 0;

	while (r == 0 && (line = rivals_next_line(&text, &number, &at, buffer, sizeof(buffer)))) {
		struct rule rule;
		bool memory;

		if (read_rule(&rule, line) < 0)
			continue;
		follow(&context, &rule);
		/* Nothing but memory blocks has a state that can be "online". */
		memory =
			rule.memory || (!rule.subsystem &&
					(context.memory || strncmp(rule.state, "online_", 7) == 0));
		if (rule.remove || rule.not_memory)
			continue;
		how_to_stop(next, path);
		if (rule.policy[0] && !streq(rule.policy, "offline"))
			r = rivals_add(rivals, TIER_RIVAL_POLICY, path, at, next,
				       "sets auto_online_blocks to \"%s\"", rule.policy);
		else if (memory && rule.state[0] && !streq(rule.state, "offline"))
			r = rivals_add(rivals, TIER_RIVAL_BLOCKS, path, at, rule.some ? NULL : next,
				       "sets the state of %s memory blocks to \"%s\"",
				       rule.some ? "the named" : "new", rule.state);
		else if (memory && rule.command[0])
			r = rivals_add(rivals, TIER_RIVAL_BLOCKS, path, at, rule.some ? NULL : next,
				       "runs for each %s memory block: %s",
				       rule.some ? "named" : "new", rule.command);
		else if (rule.wants_unit || (rule.command[0] && !memory &&
					     (rule.dax || strstr(rule.command, "daxctl"))))
			r = report_dax(rivals, path, at, &rule);
	}
	return r;
}
