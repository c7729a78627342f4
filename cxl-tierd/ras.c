/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/epoll.h>

#include "events.h"

/*
 * The kernel's events about errors of memory. A device tells of an address when it is read, or when its
 * own scrubber finds it; what it has found before is in its poison list, which is read when the daemon
 * starts, when the device appears, and whenever something about that device is heard.
 */

/* For all that has come at once: naming processes must not keep portals waiting. */
#define USERS_USEC (UINT64_C(10) * 1000000)

/* Memdevs whose poison list has been asked for. */
struct known {
	struct known *next;
	char memdev[32];
	uint64_t serial;
	bool seen;
};

struct ras {
	struct tier_trace *trace;
	sd_event_source *source;
	struct known *known;
	unsigned switched_on; /* kinds of events */
	bool told_none;	      /* that there are none */
	bool failed;	      /* nothing can be read any more */
};

struct batch {
	struct tier_ras_event *events;
	size_t count;
	uint64_t lost;
};

static bool off(const struct manager *manager)
{
	return manager->options.sysroot || manager->options.files_only;
}

/* What the kernel has given up by itself, or because somebody else asked it to. */
static void handle_page(struct manager *manager, const struct tier_topology *topology,
			const struct tier_ras_event *event, uint64_t deadline)
{
	const struct tier_region *region = tier_ras_region_of(topology, event->hpa);
	struct tier_ras_place place = {.start = event->hpa, .bytes = event->bytes, .exact = true};
	struct tier_problem problem = {};
	uint64_t serial, dpa, bytes;

	/* DRAM: others look after that. */
	if (!region || tier_ras_device_range(topology, region->name, event->hpa - region->start,
					     event->bytes, &serial, &dpa, &bytes, &problem) != 0)
		return;
	/* An error of any byte of it is why the kernel has given it up. */
	if (manager->retired &&
	    tier_retired_overlaps(manager->retired, topology, event->hpa, event->bytes))
		return;
	COPY(place.region, region->name);
	ras_note_places(manager, topology, event, &place, 1, deadline);
	retired_add(manager, topology, serial, dpa, bytes, "page given up by the kernel");
}

static void handle_address(struct manager *manager, const struct tier_topology *topology,
			   const struct tier_ras_event *event, uint64_t deadline)
{
	bool known = retired_has(manager, event->serial, event->dpa, event->bytes);
	_cleanup_(freep) struct tier_ras_place *places = NULL;
	char reason[96];
	size_t count = 0;

	/* The list says the same at each start; that somebody ran into it once more is news. */
	if (known && event->kind == TIER_RAS_POISON && !event->cleared)
		return;
	(void)tier_ras_locate(topology, event->serial, event->dpa, event->bytes, &places, &count);
	ras_note_places(manager, topology, event, places, count, deadline);
	if (!event->uncorrectable || known)
		return;
	snprintf(reason, sizeof(reason), "%s: %.80s", tier_ras_kind_name(event->kind), event->what);
	retired_add(manager, topology, event->serial, event->dpa, event->bytes, reason);
}

static void handle(struct manager *manager, const struct tier_topology *topology,
		   const struct tier_ras_event *event, uint64_t deadline)
{
	_cleanup_(freep) struct tier_ras_place *places = NULL;
	size_t count = 0;

	switch (event->kind) {
	case TIER_RAS_POISON:
	case TIER_RAS_MEDIA:
	case TIER_RAS_DRAM:
		handle_address(manager, topology, event, deadline);
		return;
	case TIER_RAS_PAGE:
		handle_page(manager, topology, event, deadline);
		return;
	case TIER_RAS_AER:
		/* No address: whoever has anything of that device. */
		(void)tier_ras_locate(topology, event->serial, TIER_UNKNOWN_U64, 0, &places,
				      &count);
		ras_note_places(manager, topology, event, places, count, deadline);
		return;
	default:
		ras_note(manager, event, NULL, NULL, "");
	}
}

static void read_batch(struct manager *manager, struct batch *batch)
{
	struct ras *ras = manager->ras;
	const char *line;
	int r;

	while ((r = tier_trace_next(ras->trace, &line)) == 0) {
		struct tier_ras_event event, *grown;

		struct tier_unplug unplug;

		manager_alive(manager);
		if (tier_unplug_parse(line, &unplug) == 0) {
			unplug_handle(manager, &unplug);
			continue;
		}
		r = tier_ras_parse(line, &event);
		if (r == TIER_E_DAMAGED)
			log_decision(LOG_WARNING, "tracefs", "failed",
				     "an event cannot be understood: %.200s", line);
		if (r != 0)
			continue;
		if (event.kind == TIER_RAS_LOST) {
			batch->lost++;
			continue;
		}
		grown = reallocarray(batch->events, batch->count + 1, sizeof(*grown));
		if (!grown)
			break;
		batch->events = grown;
		batch->events[batch->count++] = event;
	}
	if (r < 0) {
		log_decision(LOG_ERR, "tracefs", "failed",
			     "no more events of memory errors can be read: %s", strerror(-r));
		sd_event_source_set_enabled(ras->source, SD_EVENT_OFF);
		ras->failed = true;
	}
}

/* All devices, or one; what comes of it is an event each. */
static void read_poison(struct manager *manager, const char *memdev)
{
	int r = tier_trace_poison_list(memdev);

	if (r < 0)
		log_decision(LOG_WARNING, memdev, "failed", "cannot read its poison list: %s",
			     strerror(-r));
}

void ras_look_again(struct manager *manager)
{
	for (struct known *known = manager->ras ? manager->ras->known : NULL; known;
	     known = known->next)
		read_poison(manager, known->memdev);
}

/* A device that reports an error may have found more than it says. */
static void read_poison_of(struct manager *manager, const struct batch *batch)
{
	struct ras *ras = manager->ras;

	for (struct known *known = ras->known; known; known = known->next) {
		bool told = batch->lost > 0;

		for (size_t i = 0; i < batch->count; i++)
			told |= batch->events[i].kind != TIER_RAS_POISON &&
				batch->events[i].serial == known->serial;
		if (told)
			read_poison(manager, known->memdev);
	}
}

static void drain(struct manager *manager)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	uint64_t deadline = manager_monotonic_usec() + USERS_USEC;
	struct tier_problem problem = {};
	struct batch batch = {};

	read_batch(manager, &batch);
	if (batch.lost > 0)
		events_add(manager, LOG_WARNING, "lost", "tracefs", NULL,
			   "the kernel's buffer was full and events were lost; the poison lists of "
			   "all devices are read again");
	if (batch.count > 0 && tier_topology_read(NULL, &topology, &problem) != 0) {
		log_problem(LOG_ERR, "failed", &problem);
		/* What is not located is told, and retired, all the same. */
		if (tier_topology_new(&topology) < 0)
			batch.count = 0;
	}
	for (size_t i = 0; i < batch.count; i++) {
		manager_alive(manager);
		handle(manager, topology, &batch.events[i], deadline);
	}
	read_poison_of(manager, &batch);
	free(batch.events);
}

static int on_trace(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	drain(userdata);
	return 0;
}

void ras_devices(struct manager *manager, const struct tier_topology *topology)
{
	struct ras *ras = manager->ras;
	bool any = false;

	if (!ras)
		return;
	ras->switched_on = tier_trace_enable(ras->trace);
	if (ras->switched_on == 0 && topology->memdev_count > 0 && !ras->told_none) {
		log_decision(LOG_WARNING, "tracefs", "failed",
			     "this kernel has no events of CXL memory errors; only poison lists "
			     "would be read, and they come as such events");
		ras->told_none = true;
	}
	for (struct known *known = ras->known; known; known = known->next)
		known->seen = false;
	for (size_t i = 0; i < topology->memdev_count; i++) {
		const struct tier_memdev *memdev = &topology->memdevs[i];
		struct known *known = ras->known;

		while (known &&
		       !(streq(known->memdev, memdev->name) && known->serial == memdev->serial))
			known = known->next;
		/* Its list is there once its driver is. */
		if (!memdev->enabled)
			continue;
		if (known) {
			known->seen = true;
			continue;
		}
		known = calloc(1, sizeof(*known));
		if (!known)
			return;
		COPY(known->memdev, memdev->name);
		known->serial = memdev->serial;
		known->seen = true;
		known->next = ras->known;
		ras->known = known;
		read_poison(manager, memdev->name);
		any = true;
	}
	for (struct known **p = &ras->known; *p;) {
		struct known *known = *p;

		if (known->seen) {
			p = &known->next;
			continue;
		}
		events_add(manager, LOG_NOTICE, "gone", known->memdev, NULL,
			   "the memdev with serial 0x%" PRIx64 " has gone, or has lost its driver",
			   known->serial);
		*p = known->next;
		free(known);
	}
	/* Before a rule onlines what is bad. */
	if (any)
		drain(manager);
}

bool ras_listens(const struct manager *manager)
{
	return manager->ras && !manager->ras->failed && manager->ras->switched_on > 0;
}

int ras_start(struct manager *manager)
{
	struct tier_problem problem = {};
	struct ras *ras;
	int r;

	if (off(manager))
		return 0;
	ras = calloc(1, sizeof(*ras));
	if (!ras)
		return -ENOMEM;
	/* Whether or not the next request can be heard. */
	unplug_start(manager);
	r = tier_trace_open(&ras->trace, &problem);
	if (r != 0) {
		log_problem(LOG_WARNING, "no-events", &problem);
		free(ras);
		return r < 0 ? r : 0;
	}
	manager->ras = ras;
	r = sd_event_add_io(manager->event, &ras->source, tier_trace_fd(ras->trace), EPOLLIN,
			    on_trace, manager);
	if (r < 0)
		log_decision(LOG_ERR, "tracefs", "failed", "event loop: %s", strerror(-r));
	return r < 0 ? r : 0;
}

void ras_free(struct manager *manager)
{
	struct ras *ras = manager->ras;

	if (!ras)
		return;
	while (ras->known) {
		struct known *known = ras->known;

		ras->known = known->next;
		free(known);
	}
	sd_event_source_disable_unref(ras->source);
	tier_trace_close(ras->trace);
	free(ras);
	manager->ras = NULL;
}
