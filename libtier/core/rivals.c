/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "rivals.h"

#define LINE_BYTES 4096

int rivals_add(struct rivals *rivals, enum tier_rival_kind kind, const char *path, unsigned line,
	       const char *next, const char *format, ...)
{
	struct tier_rival *rival = array_grow(&rivals->all, &rivals->count, sizeof(*rival));
	va_list arguments;

	if (!rival)
		return -ENOMEM;
	rival->kind = kind;
	if (line)
		snprintf(rival->place, sizeof(rival->place), "%.180s:%u", path, line);
	else
		copy_string(rival->place, sizeof(rival->place), path);
	va_start(arguments, format);
	vsnprintf(rival->what, sizeof(rival->what), format, arguments);
	va_end(arguments);
	/* Files are anybody's: nothing of them may look like another line. */
	for (char *c = rival->what; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	copy_string(rival->next, sizeof(rival->next), next ?: "");
	return 0;
}

const char *tier_rival_cost(enum tier_rival_kind kind)
{
	switch (kind) {
	case TIER_RIVAL_COMMAND:
		return "regions may come online by no rule of cxl-tierd, before it has looked for "
		       "a "
		       "portal in them";
	case TIER_RIVAL_DAXCTL_RULE:
	case TIER_RIVAL_DAXCTL_CONFIG:
		return "two decide about each new dax device";
	default:
		return "memory goes online as soon as it appears, by no rule, and a portal before "
		       "anybody has looked: another host's VM is overwritten";
	}
}

const struct tier_rival *tier_rivals_likely(const struct tier_rival *rivals, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!tier_rival_stands_back(&rivals[i]))
			return &rivals[i];
	return NULL;
}

char *rivals_next_line(const char **at, unsigned *number, unsigned *ret_line, char *buffer,
		       size_t size)
{
	size_t used = 0;
	bool more = false;

	while (**at) {
		const char *start = *at;
		size_t length = strcspn(start, "\n");
		size_t blank = strspn(start, " \t");

		*at += length + (start[length] == '\n');
		++*number;
		/* A comment between continued lines does not end them. */
		if (start[blank] == '#')
			continue;
		if (!more)
			*ret_line = *number;
		else
			start += MIN(blank, length), length -= MIN(blank, length);
		more = length > 0 && start[length - 1] == '\\';
		length -= more;
		length = MIN(length, size - 1 - used);
		memcpy(buffer + used, start, length);
		used += length;
		if (!more && used > 0)
			break;
	}
	buffer[used] = '\0';
	return used > 0 ? buffer : NULL;
}

static bool has(const char *text, const char *word)
{
	return strstr(text, word) != NULL;
}

/* The word, as against the name of auto_online_blocks itself. */
static bool says_online(const char *command)
{
	for (const char *p = command; (p = strstr(p, "online")); p++)
		if (p - command < 5 || strncmp(p - 5, "auto_", 5) != 0)
			return true;
	return false;
}

const char *rivals_command(const char *command)
{
	/* What this project installs. */
	if (has(command, "cxl-tier"))
		return "";
	if (has(command, "auto_online_blocks"))
		return says_online(command) ? "sets auto_online_blocks" : "";
	if (has(command, "daxctl") && has(command, "reconfigure-device") &&
	    !has(command, "--check-config"))
		return "runs daxctl reconfigure-device";
	if (has(command, "daxctl") && has(command, "online-memory"))
		return "runs daxctl online-memory";
	if (has(command, "chmem") && (has(command, " -e") || has(command, "--enable")))
		return "runs chmem --enable";
	if (has(command, "system/memory/memory") && has(command, "online"))
		return "onlines memory blocks";
	return "";
}

static enum tier_rival_kind kind_of(const char *what)
{
	return has(what, "auto_online") ? TIER_RIVAL_POLICY : TIER_RIVAL_COMMAND;
}

int rivals_parse_unit(struct rivals *rivals, const char *path, const char *text)
{
	char buffer[LINE_BYTES], next[320], *line;
	unsigned number = 0, at = 0;
	int r = 0;

	while (r == 0 && (line = rivals_next_line(&text, &number, &at, buffer, sizeof(buffer)))) {
		const char *what;

		line += strspn(line, " \t");
		what = strncmp(line, "Exec", 4) == 0 ? rivals_command(line) : "";
		if (!what[0])
			continue;
		snprintf(next, sizeof(next), "systemctl mask --now %.200s", strrchr(path, '/') + 1);
		r = rivals_add(rivals, kind_of(what), path, at, next, "%s, when it is started",
			       what);
	}
	return r;
}

int rivals_parse_script(struct rivals *rivals, const char *path, const char *text)
{
	char buffer[LINE_BYTES], next[320], *line;
	unsigned number = 0, at = 0;
	int r = 0;

	while (r == 0 && (line = rivals_next_line(&text, &number, &at, buffer, sizeof(buffer)))) {
		const char *what = rivals_command(line);

		if (!what[0])
			continue;
		snprintf(next, sizeof(next), "take that line out of %.200s", path);
		r = rivals_add(rivals, kind_of(what), path, at, next, "%s", what);
	}
	return r;
}

/* "w /sys/devices/system/memory/auto_online_blocks - - - - online" */
int rivals_parse_tmpfiles(struct rivals *rivals, const char *path, const char *text)
{
	char buffer[LINE_BYTES], next[320], *line;
	unsigned number = 0, at = 0;
	int r = 0;

	while (r == 0 && (line = rivals_next_line(&text, &number, &at, buffer, sizeof(buffer)))) {
		char type[16], file[256], argument[64] = "";
		bool policy;

		if (sscanf(line, "%15s %255s %*s %*s %*s %*s %63s", type, file, argument) != 3 ||
		    !has(file, "/devices/system/memory/") || strncmp(argument, "online", 6) != 0)
			continue;
		policy = has(file, "auto_online_blocks");
		if (!policy && !has(file, "/state"))
			continue;
		snprintf(next, sizeof(next), "mask it: ln -s /dev/null /etc/tmpfiles.d/%.200s",
			 strrchr(path, '/') + 1);
		r = rivals_add(
			rivals, policy ? TIER_RIVAL_POLICY : TIER_RIVAL_BLOCKS, path, at, next,
			policy ? "sets auto_online_blocks to %s" : "onlines memory blocks: %s",
			argument);
	}
	return r;
}

/* Sections of devices that are to become system RAM. They are told by the UUID of an NVDIMM's namespace. */
int rivals_parse_daxctl(struct rivals *rivals, const char *path, const char *text)
{
	char buffer[LINE_BYTES], section[96] = "", *line;
	unsigned number = 0, at = 0, begun = 0;
	bool ram = true, any = false;
	int r = 0;

	for (;;) {
		line = rivals_next_line(&text, &number, &at, buffer, sizeof(buffer));
		if (line)
			line += strspn(line, " \t");
		if (line && line[0] != '[') {
			any |= has(line, "nvdimm.uuid");
			if (has(line, "mode") && has(line, "devdax"))
				ram = false;
			continue;
		}
		if (section[0] && any && ram && r == 0)
			r = rivals_add(
				rivals, TIER_RIVAL_DAXCTL_CONFIG, path, begun, NULL,
				"%s: for a namespace of persistent memory, no volatile region",
				section);
		if (!line || r < 0)
			return r;
		section[0] = '\0';
		if (has(line, "reconfigure-device"))
			snprintf(section, sizeof(section), "%.*s", (int)strcspn(line, "]") + 1,
				 line);
		ram = true;
		any = false;
		begun = at;
	}
}

/* The last one counts, as in the kernel. */
int rivals_parse_command_line(struct rivals *rivals, const char *text)
{
	static const char key[] = "memhp_default_state=";
	char value[32] = "";

	for (const char *p = text; (p = strstr(p, key)); p += strlen(key))
		if (p == text || p[-1] == ' ')
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + strlen(key), " \n"),
				 p + strlen(key));
	if (!value[0] || streq(value, "offline"))
		return 0;
	return rivals_add(rivals, TIER_RIVAL_COMMAND_LINE, "kernel command line", 0,
			  "memhp_default_state=offline in the boot loader's kernel command line",
			  "%s%s: the kernel onlines new memory", key, value);
}
