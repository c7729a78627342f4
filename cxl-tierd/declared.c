/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>

#include "manager.h"

/*
 * Regions that the configuration declares, made before regions are scanned: on start, and whenever devices come and
 * go. What failed is tried again only when there are other devices, since trying causes device events itself. A region
 * that was there and has gone although its devices are there was destroyed by somebody, and stays so for as long as
 * this process knows of it.
 */

struct declared {
	struct declared *next;
	char name[64];
	bool existed;	       /* since its devices were last missing */
	uint64_t failed_among; /* devices() when it failed; 0: it has not */
	char text[512];
};

void declared_free(struct manager *manager)
{
	while (manager->declared) {
		struct declared *declared = manager->declared;

		manager->declared = declared->next;
		free(declared);
	}
}

/* FNV-1a over what is there: a number that tells one state of the devices from another; never 0. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t devices(const struct tier_topology *topology)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < topology->memdev_count; i++) {
		const struct tier_memdev *memdev = &topology->memdevs[i];

		hash = mix(hash, memdev->name, strlen(memdev->name) + 1);
		hash = mix(hash, &memdev->serial, sizeof(memdev->serial));
		hash = mix(hash, memdev->ports, sizeof(memdev->ports));
	}
	for (size_t i = 0; i < topology->region_count; i++) {
		const struct tier_region *region = &topology->regions[i];

		hash = mix(hash, region->name, strlen(region->name) + 1);
		hash = mix(hash, &region->start, sizeof(region->start));
	}
	return hash ?: 1;
}

static struct declared *find(struct manager *manager, const char *name)
{
	struct declared *declared;

	for (declared = manager->declared; declared; declared = declared->next)
		if (streq(declared->name, name))
			return declared;
	declared = calloc(1, sizeof(*declared));
	if (!declared)
		return NULL;
	COPY(declared->name, name);
	declared->next = manager->declared;
	manager->declared = declared;
	return declared;
}

/* Tells it, unless it was the last thing that was told of it. */
__attribute__((format(printf, 5, 6))) static void tell(struct declared *declared, int priority,
						       const char *decision, const char *next,
						       const char *format, ...)
{
	char text[sizeof(declared->text)], object[80];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (streq(text, declared->text))
		return;
	COPY(declared->text, text);
	snprintf(object, sizeof(object), "[Region %s]", declared->name);
	log_decision(priority, object, decision, "%s%s%s", text, next[0] ? "; " : "", next);
}

static void devices_text(const struct tier_declared *plan, char text[static 128])
{
	size_t used = 0;

	for (unsigned i = 0; i < plan->ways && used < 128; i++)
		used += (size_t)snprintf(text + used, 128 - used, "%s%s", i ? ", " : "",
					 plan->memdevs[i]);
}

/* True if a region was made, so that a plan made before is out of date. */
static bool create(struct manager *manager, struct declared *declared,
		   const struct tier_declared *plan, uint64_t among)
{
	struct tier_problem problem = {};
	char region[32], memdevs[128];
	int r;

	devices_text(plan, memdevs);
	if (declared->existed) {
		tell(declared, LOG_WARNING, "left-absent", "systemctl reload cxl-tierd",
		     "its region was destroyed by somebody, and is not made again until a reload, "
		     "a restart, or until its devices come again");
		return false;
	}
	if (manager_dry_run(manager)) {
		tell(declared, LOG_NOTICE, "would-create", "",
		     "dry run: %" PRIu64 " MiB on %s would be made a region in %s",
		     plan->bytes >> 20, memdevs, plan->window);
		return false;
	}
	if (declared->failed_among == among)
		return false;
	r = tier_declared_create(plan, region, &problem);
	if (r != 0) {
		/* What is in its way may go without other devices. */
		declared->failed_among = r == TIER_E_BUSY ? 0 : among;
		tell(declared, LOG_ERR, "create-failed", problem.next, "%s", problem.text);
		return false;
	}
	declared->existed = true;
	declared->failed_among = 0;
	tell(declared, LOG_NOTICE, "created", "", "%s made: %" PRIu64 " MiB on %s in %s", region,
	     plan->bytes >> 20, memdevs, plan->window);
	return true;
}

static bool apply(struct manager *manager, const struct tier_declared *plan, uint64_t among)
{
	struct declared *declared = find(manager, plan->name);

	if (!declared)
		return false;
	switch (plan->state) {
	case TIER_DECLARED_EXISTS:
		declared->existed = true;
		declared->failed_among = 0;
		tell(declared, LOG_INFO, "taken-over", "", "is %s", plan->region);
		return false;
	case TIER_DECLARED_WAITS:
		declared->existed = false;
		tell(declared, LOG_NOTICE, "waits", plan->problem.next, "%s", plan->problem.text);
		return false;
	case TIER_DECLARED_REFUSED:
		tell(declared, LOG_ERR, "create-refused", plan->problem.next, "%s",
		     plan->problem.text);
		return false;
	default:
		return create(manager, declared, plan, among);
	}
}

/* Makes the first that can be made; true if there may be more. */
static bool apply_one(struct manager *manager)
{
	_cleanup_(tier_topology_freep) struct tier_topology *topology = NULL;
	_cleanup_(freep) struct tier_declared *plan = NULL;
	struct tier_problem problem = {};
	size_t count = 0;
	uint64_t among;
	int r;

	manager_alive(manager);
	r = tier_topology_read(manager->options.sysroot, &topology, &problem);
	if (r == 0) {
		r = tier_declared_plan(manager->config, topology, &plan, &count);
		if (r < 0)
			tier_problem_set(&problem, r, "declared regions", NULL, "cannot plan");
	}
	if (r != 0) {
		log_problem(LOG_ERR, "failed", &problem);
		return false;
	}
	among = devices(topology);
	for (size_t i = 0; i < count; i++)
		if (apply(manager, &plan[i], among))
			return true;
	return false;
}

static bool is_configured(const struct manager *manager, const struct declared *declared)
{
	for (size_t i = 0; i < manager->config->region_count; i++)
		if (manager->config->regions[i].create.count > 0 &&
		    streq(manager->config->regions[i].name, declared->name))
			return true;
	return false;
}

/* On request everything is tried again; what has been told is news again only if it was a failure. */
static void start_afresh(struct manager *manager)
{
	for (struct declared **p = &manager->declared; *p;) {
		struct declared *declared = *p;

		if (!is_configured(manager, declared)) {
			*p = declared->next;
			free(declared);
			continue;
		}
		if (declared->failed_among)
			declared->text[0] = '\0';
		declared->existed = false;
		declared->failed_among = 0;
		p = &declared->next;
	}
}

/*
 * As often as one is noted. False if it stays: it may look like one that is declared, and nothing else is begun before it
 * has gone.
 */
static bool remove_unfinished(struct manager *manager)
{
	struct tier_problem problem = {};
	char region[32];

	if (manager_dry_run(manager))
		return true;
	if (tier_declared_remove_unfinished(region, &problem) != 0) {
		if (!streq(manager->unfinished, problem.text))
			log_decision(LOG_ERR, problem.object, "failed",
				     "%s; no declared region is made before it has gone%s%s",
				     problem.text, problem.next[0] ? "; " : "", problem.next);
		COPY(manager->unfinished, problem.text);
		return false;
	}
	if (region[0])
		log_decision(LOG_NOTICE, region, "unfinished", "was left half made; destroyed");
	manager->unfinished[0] = '\0';
	return true;
}

void declared_apply(struct manager *manager, bool everything)
{
	bool any = false;

	for (size_t i = 0; i < manager->config->region_count; i++)
		any |= manager->config->regions[i].create.count > 0;
	if (everything)
		start_afresh(manager);
	if (manager->options.files_only || !remove_unfinished(manager))
		return;
	while (any && apply_one(manager))
		;
}
