/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"

/* Which processes and VMs have what was hit. */

/* More than these are counted, not named. */
#define NAMED 8

struct search {
	struct manager *manager;
	uint64_t deadline_usec;
};

static int in_time(void *userdata)
{
	struct search *search = userdata;

	manager_alive(search->manager);
	return manager_monotonic_usec() > search->deadline_usec;
}

static void __attribute__((format(printf, 2, 3))) say(struct users *users, const char *format, ...)
{
	size_t used = strlen(users->text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(users->text + used, sizeof(users->text) - used, format, arguments);
	va_end(arguments);
}

static int add_json(struct users *users, const struct tier_page_user *user)
{
	const char *vm = user->vm;

	return sd_json_variant_append_arraybo(
		&users->json, SD_JSON_BUILD_PAIR_INTEGER("pid", user->pid),
		SD_JSON_BUILD_PAIR_STRING("comm", user->comm),
		SD_JSON_BUILD_PAIR_UNSIGNED("pages", user->pages),
		SD_JSON_BUILD_PAIR_CONDITION(vm[0] != '\0', "vm", SD_JSON_BUILD_STRING(vm)));
}

static void tell(struct users *users, const struct tier_page_user *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct tier_page_user *user = &list[i];

		if (i < NAMED && user->vm[0])
			say(users, "%sVM %s (process %d)", i ? ", " : "", user->vm, user->pid);
		else if (i < NAMED)
			say(users, "%sprocess %d (%s)", i ? ", " : "", user->pid, user->comm);
		/* The log stays bounded as well. */
		if (i < 8 * NAMED)
			(void)add_json(users, user);
	}
	if (count > NAMED)
		say(users, " and %zu more", count - NAMED);
}

void users_find(struct manager *manager, uint64_t start, uint64_t bytes, uint64_t deadline_usec,
		struct users *ret)
{
	struct search search = {.manager = manager, .deadline_usec = deadline_usec};
	_cleanup_(freep) struct tier_page_user *list = NULL;
	bool complete = false;
	size_t count = 0;
	int r;

	*ret = (struct users){};
	(void)sd_json_variant_new_array(&ret->json, NULL, 0);
	r = tier_page_users(start, bytes, in_time, &search, &list, &count, &complete);
	if (r < 0) {
		say(ret, "who maps it is not known: %s", strerror(-r));
		return;
	}
	ret->complete = complete;
	tell(ret, list, count);
	if (count > 0)
		say(ret, " %s it", count == 1 ? "maps" : "map");
	else if (complete)
		say(ret, "no process maps it");
	if (!complete)
		say(ret, "%snot every process could be looked at", count ? "; " : "");
}

void users_done(struct users *users)
{
	users->json = sd_json_variant_unref(users->json);
}
