/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "tier-ras.h"
#include "util.h"

/*
 * What the kernel only prints: nothing else tells that somebody has asked for a device, or that memory
 * could not be removed. The lines come as trace events of their own ("console: TEXT").
 */

/* "PCI address": digits, letters and dots, nothing that could be a path. */
static bool copy_name(char *to, size_t size, const char *from, size_t length)
{
	if (length == 0 || length >= size || from[0] == '.')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)from[i]) && !strchr(":.-_", from[i]))
			return false;
	memcpy(to, from, length);
	to[length] = '\0';
	return true;
}

/* "pcieport 0000:20:00.0: pciehp: Slot(2): Button press: will power off in 5 sec" */
static bool parse_button(const char *text, struct tier_unplug *unplug)
{
	static const char driver[] = "pcieport ", slot[] = ": pciehp: Slot(",
			  button[] = "): Button press: will power off";
	const char *port, *name, *end;

	if (strncmp(text, driver, strlen(driver)) != 0)
		return false;
	port = text + strlen(driver);
	end = strstr(port, slot);
	if (!end || !copy_name(unplug->device, sizeof(unplug->device), port, (size_t)(end - port)))
		return false;
	name = end + strlen(slot);
	end = strstr(name, button);
	unplug->kind = TIER_UNPLUG_REQUEST;
	return end && copy_name(unplug->slot, sizeof(unplug->slot), name, (size_t)(end - name));
}

/* "memory memory32: Offline failed." */
static bool parse_eject_failed(const char *text, struct tier_unplug *unplug)
{
	static const char prefix[] = "memory memory", failed[] = ": Offline failed";
	char digits[21];
	size_t length;

	if (strncmp(text, prefix, strlen(prefix)) != 0)
		return false;
	text += strlen(prefix);
	length = strcspn(text, ":");
	if (strncmp(text + length, failed, strlen(failed)) != 0 ||
	    !copy_name(digits, sizeof(digits), text, length))
		return false;
	unplug->kind = TIER_UNPLUG_EJECT_FAILED;
	return parse_u64(digits, &unplug->block) == 0;
}

/* "acpi PNP0C80:00: Eject disabled" */
static bool parse_eject_disabled(const char *text, struct tier_unplug *unplug)
{
	static const char prefix[] = "acpi ", disabled[] = ": Eject disabled";
	const char *end = strstr(text, disabled);

	if (strncmp(text, prefix, strlen(prefix)) != 0 || !end)
		return false;
	text += strlen(prefix);
	unplug->kind = TIER_UNPLUG_EJECT_DISABLED;
	return copy_name(unplug->device, sizeof(unplug->device), text, (size_t)(end - text));
}

/* "kmem dax0.0: mapping0: 0x590000000-0x5cfffffff cannot be hotremoved until the next reboot" */
static bool parse_lost(const char *text, struct tier_unplug *unplug)
{
	unsigned long long start, last;
	char name[32];
	unsigned mapping;
	int used = 0;

	if (sscanf(text, "kmem %31[a-z0-9.]: mapping%u: 0x%16llx-0x%16llx cannot be hotremoved%n",
		   name, &mapping, &start, &last, &used) != 4 ||
	    used == 0 || last < start || last == UINT64_MAX)
		return false;
	unplug->kind = TIER_UNPLUG_LOST;
	unplug->start = start;
	unplug->bytes = last - start + 1;
	return copy_name(unplug->device, sizeof(unplug->device), name, strlen(name));
}

int tier_unplug_parse(const char *line, struct tier_unplug *ret)
{
	static bool (*const parsers[])(const char *, struct tier_unplug *) = {
		parse_button, parse_eject_failed, parse_eject_disabled, parse_lost};
	static const char prefix[] = "console: ";

	if (strncmp(line, prefix, strlen(prefix)) != 0)
		return TIER_E_NOT_FOUND;
	for (size_t i = 0; i < ARRAY_SIZE(parsers); i++) {
		struct tier_unplug unplug = {};

		if (!parsers[i](line + strlen(prefix), &unplug))
			continue;
		*ret = unplug;
		return 0;
	}
	return TIER_E_NOT_FOUND;
}
