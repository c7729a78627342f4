/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "tier-ras.h"
#include "util.h"

/*
 * The text of the kernel's trace events, "NAME: key=value key='several words' ...". It is for people,
 * and grows from version to version, so only fields that are asked for are looked for, by their name,
 * wherever they stand. Names of devices and addresses are the kernel's, flags and types may be any
 * number that a device has put into its record.
 */

static const struct {
	const char *event;
	enum tier_ras_kind kind;
} events[] = {
	{"cxl_poison", TIER_RAS_POISON},
	{"cxl_general_media", TIER_RAS_MEDIA},
	{"cxl_dram", TIER_RAS_DRAM},
	{"cxl_memory_module", TIER_RAS_MODULE},
	{"cxl_generic_event", TIER_RAS_GENERIC},
	{"cxl_aer_uncorrectable_error", TIER_RAS_AER},
	{"cxl_overflow", TIER_RAS_OVERFLOW},
	{"memory_failure_event", TIER_RAS_PAGE},
};

/* What a record about media says lies at its address. */
#define LINE_BYTES 64

const char *tier_ras_kind_name(enum tier_ras_kind kind)
{
	static const char *const names[] = {
		[TIER_RAS_POISON] = "poison",	  [TIER_RAS_MEDIA] = "media",
		[TIER_RAS_DRAM] = "dram",	  [TIER_RAS_MODULE] = "module",
		[TIER_RAS_GENERIC] = "generic",	  [TIER_RAS_AER] = "aer",
		[TIER_RAS_OVERFLOW] = "overflow", [TIER_RAS_PAGE] = "page",
		[TIER_RAS_LOST] = "lost",
	};

	return names[kind];
}

static void copy_part(char *to, size_t size, const char *from, size_t length)
{
	size_t n = MIN(length, size - 1);

	for (size_t i = 0; i < n; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
	to[n] = '\0';
}

/* The value of a field, cut to fit; false if there is no such field. */
static bool field(const char *line, const char *key, char *value, size_t size)
{
	size_t length = strlen(key);
	const char *p = line, *end;

	/* A quoted value may hold anything, so it is passed over as a whole. */
	for (bool quoted = false; *p; p++) {
		if (*p == '\'')
			quoted = !quoted;
		if (quoted || p == line || p[-1] != ' ' || strncmp(p, key, length) != 0)
			continue;
		/* "status: 'x'" beside "status='x'" */
		if (p[length] == '=')
			p += length + 1;
		else if (p[length] == ':' && p[length + 1] == ' ' && p[length + 2] == '\'')
			p += length + 2;
		else
			continue;
		if (*p == '\'')
			end = strchr(++p, '\'');
		else
			end = p + strcspn(p, " ");
		if (!end)
			return false;
		/* "serial=1: status" */
		if (end > p && end[-1] == ':')
			end--;
		copy_part(value, size, p, (size_t)(end - p));
		return true;
	}
	return false;
}

/* A whole number and nothing else. */
static bool number(const char *line, const char *key, int base, uint64_t *ret)
{
	char text[32], *end;
	const char *digits = text;
	bool negative;

	if (!field(line, key, text, sizeof(text)))
		return false;
	/* The kernel prints a serial number as if it had a sign. */
	negative = text[0] == '-';
	digits += negative;
	if (!isxdigit((unsigned char)digits[0]))
		return false;
	errno = 0;
	*ret = strtoull(digits, &end, base);
	if (errno != 0 || *end != '\0')
		return false;
	if (negative)
		*ret = 0 - *ret;
	return true;
}

static void append(struct tier_ras_event *event, const char *line, const char *key,
		   const char *before)
{
	size_t used = strlen(event->what);
	char value[64];

	if (field(line, key, value, sizeof(value)) && value[0])
		snprintf(event->what + used, sizeof(event->what) - used, "%s%s%s", used ? ", " : "",
			 before, value);
}

/* Addresses that the kernel could not translate are all ones. */
static bool parse_addresses(const char *line, struct tier_ras_event *event)
{
	if (!number(line, "dpa", 16, &event->dpa))
		return false;
	if (!number(line, "hpa", 16, &event->hpa))
		event->hpa = TIER_UNKNOWN_U64;
	event->bytes = LINE_BYTES;
	return true;
}

static bool parse_poison(const char *line, struct tier_ras_event *event)
{
	char type[16] = "";

	/* A device that lists more than there are addresses is lying. */
	if (!parse_addresses(line, event) || !number(line, "dpa_length", 16, &event->bytes) ||
	    event->bytes == 0 || event->dpa > TIER_UNKNOWN_U64 - event->bytes)
		return false;
	(void)field(line, "trace_type", type, sizeof(type));
	event->cleared = streq(type, "Clear");
	event->uncorrectable = !event->cleared;
	append(event, line, "source", "source ");
	append(event, line, "flags", "");
	return true;
}

static bool parse_media(const char *line, struct tier_ras_event *event)
{
	char flags[96] = "";

	if (!parse_addresses(line, event))
		return false;
	(void)field(line, "descriptor", flags, sizeof(flags));
	event->uncorrectable = strstr(flags, "UNCORRECTABLE_EVENT") != NULL;
	append(event, line, "type", "");
	append(event, line, "transaction_type", "");
	if (!event->uncorrectable)
		append(event, line, "descriptor", "");
	return event->dpa <= TIER_UNKNOWN_U64 - LINE_BYTES;
}

/* "memory_failure_event: pfn 0x5c0000: recovery action for dirty LRU page: Recovered" */
static bool parse_page(const char *rest, struct tier_ras_event *event)
{
	unsigned long long page;
	int used = 0;

	if (sscanf(rest, "pfn 0x%13llx: recovery action for %n", &page, &used) != 1 || used == 0)
		return false;
	event->hpa =
		page * 4096; /* x86: the only architecture with CXL that the kernel has so far */
	event->bytes = 4096;
	event->uncorrectable = true;
	copy_part(event->what, sizeof(event->what), rest + used, strlen(rest + used));
	return true;
}

static bool parse_device(const char *line, struct tier_ras_event *event)
{
	/* decimal */
	return number(line, "serial", 10, &event->serial) &&
	       field(line, "memdev", event->memdev, sizeof(event->memdev)) && event->memdev[0];
}

static bool parse_fields(const char *line, const char *rest, struct tier_ras_event *event)
{
	if (event->kind == TIER_RAS_PAGE)
		return parse_page(rest, event);
	/* The first field stands right after the name, so that there is a space before it as well. */
	if (!parse_device(line, event))
		return false;
	(void)field(line, "region", event->region, sizeof(event->region));
	(void)field(line, "log", event->severity, sizeof(event->severity));
	switch (event->kind) {
	case TIER_RAS_POISON:
		return parse_poison(line, event);
	case TIER_RAS_MEDIA:
	case TIER_RAS_DRAM:
		return parse_media(line, event);
	case TIER_RAS_MODULE:
		append(event, line, "event_type", "");
		append(event, line, "health_status", "");
		append(event, line, "media_status", "media ");
		return true;
	case TIER_RAS_AER:
		event->uncorrectable = true;
		append(event, line, "status", "");
		return true;
	case TIER_RAS_GENERIC:
		append(event, line, "uuid", "record ");
		return true;
	default:
		return true;
	}
}

int tier_ras_parse(const char *line, struct tier_ras_event *ret)
{
	struct tier_ras_event event = {
		.serial = TIER_UNKNOWN_U64, .dpa = TIER_UNKNOWN_U64, .hpa = TIER_UNKNOWN_U64};
	size_t length = strcspn(line, ":");

	/* "CPU:1 [LOST 12 EVENTS]" */
	if (strncmp(line, "CPU:", 4) == 0 && strstr(line, " [LOST ")) {
		event.kind = TIER_RAS_LOST;
		*ret = event;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (strlen(events[i].event) != length ||
		    strncmp(line, events[i].event, length) != 0 ||
		    strncmp(line + length, ": ", 2) != 0)
			continue;
		event.kind = events[i].kind;
		if (!parse_fields(line, line + length + 2, &event))
			return TIER_E_DAMAGED;
		*ret = event;
		return 0;
	}
	return TIER_E_NOT_FOUND;
}
