/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "events.h"

/*
 * What happened to memory: in the journal like every decision, in a log of its own that is kept over
 * reboots, and told to whoever follows it.
 */

struct follower {
	struct follower *next;
	sd_varlink *link;
};

#define KINDS_MAX 32

struct events {
	sd_json_variant *list[TIER_EVENTS_MAX]; /* a ring */
	uint64_t total;				/* ever put into it */
	unsigned appended;			/* to the file, since it was last shortened */
	bool failed; /* the file cannot be written, and that has been told */
	struct follower *followers;
	/* Since the start, by kind, which are constant strings. */
	struct {
		const char *kind;
		uint64_t count;
	} kinds[KINDS_MAX];
};

/* Tests and dumps have nothing to do with this machine's log. */
static bool kept(const struct manager *manager)
{
	return !manager->options.sysroot && !manager->options.files_only;
}

static void keep(struct events *events, sd_json_variant *event)
{
	sd_json_variant **place = &events->list[events->total++ % TIER_EVENTS_MAX];

	sd_json_variant_unref(*place);
	*place = sd_json_variant_ref(event);
}

static int on_line(void *userdata, const char *line)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *event = NULL;

	/* A line that somebody has spoilt is no reason to show no other. */
	if (sd_json_parse(line, 0, &event, NULL, NULL) >= 0 && sd_json_variant_is_object(event))
		keep(userdata, event);
	return 0;
}

static int no_line(void *userdata, const char *line)
{
	return 0;
}

int events_start(struct manager *manager)
{
	int r;

	manager->events = calloc(1, sizeof(*manager->events));
	if (!manager->events)
		return -ENOMEM;
	if (!kept(manager))
		return 0;
	r = tier_event_log_read(TIER_EVENTS_PATH, on_line, manager->events);
	if (r < 0)
		log_decision(LOG_WARNING, TIER_EVENTS_PATH, "failed",
			     "cannot read the events of before: %s", strerror(-r));
	return 0;
}

static void append(struct manager *manager, sd_json_variant *event)
{
	struct events *events = manager->events;
	_cleanup_(freep) char *line = NULL;
	int r;

	if (!kept(manager) || manager_dry_run(manager))
		return;
	r = sd_json_variant_format(event, 0, &line);
	if (r >= 0)
		r = tier_event_log_append(TIER_EVENTS_PATH, line);
	if (r >= 0 && ++events->appended >= TIER_EVENTS_MAX) {
		events->appended = 0;
		r = tier_event_log_read(TIER_EVENTS_PATH, no_line, NULL);
	}
	if (r < 0 && !events->failed)
		log_decision(LOG_ERR, TIER_EVENTS_PATH, "failed",
			     "events are not kept over a restart: %s", strerror(-r));
	events->failed = r < 0;
}

static void count(struct events *events, const char *kind)
{
	for (size_t i = 0; i < KINDS_MAX; i++) {
		if (events->kinds[i].kind && !streq(events->kinds[i].kind, kind))
			continue;
		events->kinds[i].kind = kind;
		events->kinds[i].count++;
		return;
	}
}

const char *events_kind(const struct manager *manager, size_t which, uint64_t *ret_count)
{
	const struct events *events = manager->events;

	if (!events || which >= KINDS_MAX || !events->kinds[which].kind)
		return NULL;
	*ret_count = events->kinds[which].count;
	return events->kinds[which].kind;
}

static void tell(struct follower *follower, sd_json_variant *event)
{
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL;

	/* A follower that cannot be reached is dropped by its disconnect. */
	if (sd_json_variant_append_array(&array, event) >= 0)
		(void)sd_varlink_notifybo(follower->link,
					  SD_JSON_BUILD_PAIR_VARIANT("events", array));
}

void events_add(struct manager *manager, int priority, const char *kind, const char *object,
		sd_json_variant *details, const char *format, ...)
{
	static const char *const priorities[] = {"emerg",   "alert",  "crit", "err",
						 "warning", "notice", "info", "debug"};
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *event = NULL;
	char text[1024], boot[37];
	va_list arguments;
	int r;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printable(text);
	log_decision(priority, object, kind, "%s", text);
	count(manager->events, kind);
	tier_uuid_format(&manager->boot, boot);
	r = sd_json_buildo(&event, SD_JSON_BUILD_PAIR_UNSIGNED("usec", manager_now_usec()),
			   SD_JSON_BUILD_PAIR_STRING("boot", boot),
			   SD_JSON_BUILD_PAIR_STRING("kind", kind),
			   SD_JSON_BUILD_PAIR_STRING("priority", priorities[priority & 7]),
			   SD_JSON_BUILD_PAIR_STRING("object", object),
			   SD_JSON_BUILD_PAIR_STRING("text", text));
	if (r >= 0 && details)
		r = sd_json_variant_merge_object(&event, details);
	if (r < 0) {
		log_decision(LOG_ERR, object, "failed", "cannot note this event: %s", strerror(-r));
		return;
	}
	keep(manager->events, event);
	append(manager, event);
	for (struct follower *f = manager->events->followers; f; f = f->next)
		tell(f, event);
}

int events_to_json(struct manager *manager, uint64_t since_usec, sd_json_variant **ret)
{
	struct events *events = manager->events;
	uint64_t first = events->total > TIER_EVENTS_MAX ? events->total - TIER_EVENTS_MAX : 0;
	_cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL;
	int r = sd_json_variant_new_array(&array, NULL, 0);

	for (uint64_t i = first; r >= 0 && i < events->total; i++) {
		sd_json_variant *event = events->list[i % TIER_EVENTS_MAX];
		sd_json_variant *usec = sd_json_variant_by_key(event, "usec");

		if (usec && sd_json_variant_is_unsigned(usec) &&
		    sd_json_variant_unsigned(usec) >= since_usec)
			r = sd_json_variant_append_array(&array, event);
	}
	if (r < 0)
		return r;
	*ret = array;
	array = NULL;
	return 0;
}

int events_follow(struct manager *manager, sd_varlink *link)
{
	struct follower *follower = calloc(1, sizeof(*follower));

	if (!follower)
		return -ENOMEM;
	follower->link = sd_varlink_ref(link);
	follower->next = manager->events->followers;
	manager->events->followers = follower;
	return 0;
}

void events_disconnected(struct manager *manager, sd_varlink *link)
{
	if (!manager->events)
		return;
	for (struct follower **p = &manager->events->followers; *p;) {
		struct follower *follower = *p;

		if (follower->link != link) {
			p = &follower->next;
			continue;
		}
		*p = follower->next;
		sd_varlink_unref(follower->link);
		free(follower);
	}
}

void events_free(struct manager *manager)
{
	if (!manager->events)
		return;
	while (manager->events->followers)
		events_disconnected(manager, manager->events->followers->link);
	for (size_t i = 0; i < TIER_EVENTS_MAX; i++)
		sd_json_variant_unref(manager->events->list[i]);
	free(manager->events);
	manager->events = NULL;
}
