/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "portal-key.h"
#include "portal-map.h"
#include "util.h"

/* Holds both copies of the superblock, and is what a devdax mapping must be aligned to. */
#define PROBE_BYTES (2 * MIB)

/* Of two bad copies, which outcome says more. */
static int rank(int outcome)
{
	static const int order[] = {TIER_E_NOT_PORTAL, TIER_E_DAMAGED, TIER_E_TRUNCATED,
				    TIER_E_INCOMPATIBLE};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (order[i] == outcome)
			return (int)i;
	return -1;
}

int portal_super_read(const struct portal_device *device, const struct portal_window *window,
		      const char *path, struct tier_super *ret, unsigned *ret_health,
		      struct tier_problem *problem)
{
	static const uint64_t offsets[2] = {0, TIER_SUPER_COPY_OFFSET};
	uint8_t copies[2][TIER_SUPER_BYTES];
	struct tier_super supers[2];
	struct tier_problem problems[2];
	enum cache_method method;
	int outcome[2], r;

	/* Not yet known whether this portal is coherent. */
	r = cache_method(false, &method);
	if (r < 0)
		method = CACHE_COHERENT;
	for (size_t i = 0; i < 2; i++) {
		if (window->bytes < offsets[i] + TIER_SUPER_BYTES) {
			outcome[i] = tier_problem_set(&problems[i], TIER_E_NOT_PORTAL, path,
						      "tierctl portal format makes one",
						      "too short for a portal superblock");
			continue;
		}
		cache_invalidate(method, window->data + offsets[i], TIER_SUPER_BYTES);
		memcpy(copies[i], window->data + offsets[i], TIER_SUPER_BYTES);
		outcome[i] = tier_super_decode(copies[i], device->capacity_bytes, &supers[i],
					       &problems[i]);
		copy_string(problems[i].object, sizeof(problems[i].object), path);
	}
	if (outcome[0] == 0 && outcome[1] == 0 && memcmp(copies[0], copies[1], sizeof(copies[0])))
		return tier_problem_set(
			problem, TIER_E_DAMAGED, path,
			"tierctl portal format --force gives up whatever lies in it",
			"the two copies of the superblock are good but differ");
	for (unsigned i = 0; i < 2; i++) {
		if (outcome[i] != 0)
			continue;
		*ret = supers[i];
		if (ret_health)
			*ret_health = (outcome[0] != 0 ? 1u : 0) | (outcome[1] != 0 ? 2u : 0);
		return 0;
	}
	unsigned worse = rank(outcome[1]) > rank(outcome[0]);

	if (problem)
		*problem = problems[worse];
	return outcome[worse];
}

int tier_portal_probe(const char *path, struct tier_super *ret, struct tier_problem *problem)
{
	_cleanup_device_ struct portal_device device = PORTAL_DEVICE_CLOSED;
	_cleanup_window_ struct portal_window window = {};
	int r;

	r = portal_device_open(path, O_RDONLY, &device, problem);
	if (r != 0)
		return r;
	r = portal_window_open(&device, PROBE_BYTES, false, &window);
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL, "cannot map it");
	return portal_super_read(&device, &window, path, ret, NULL, problem);
}

DEFINE_CLEANUP(struct tier_portal *, tier_portal_close)

/* No key vouches for the superblock: whoever can write it may clear the bit, and change the name. */
static int check_keyed(const char *path, unsigned flags, const struct tier_super *super,
		       struct tier_problem *problem)
{
	bool keyed = (super->incompat & TIER_PORTAL_INCOMPAT_KEYED) != 0;

	if (!keyed && (flags & TIER_PORTAL_KEYED))
		return tier_problem_set(
			problem, TIER_E_REFUSED, path,
			"if it was formatted so on purpose, change Keyed= in its [Portal] section",
			"cannot use portal %s: it is not keyed, which Keyed=yes demands, and may "
			"have been replaced",
			super->name);
	if (keyed && (flags & TIER_PORTAL_UNKEYED))
		return tier_problem_set(
			problem, TIER_E_REFUSED, path, "change Keyed= in its [Portal] section",
			"cannot use portal %s: it is keyed, which Keyed=no forbids", super->name);
	return 0;
}

int portal_open_with_keys(const char *path, unsigned flags, const char *key_directory,
			  struct tier_portal **ret, struct tier_problem *problem)
{
	_cleanup_(tier_portal_closep) struct tier_portal *portal = NULL;
	_cleanup_window_ struct portal_window probe = {};
	int r;

	portal = calloc(1, sizeof(*portal));
	if (!portal)
		return -ENOMEM;
	portal->device = PORTAL_DEVICE_CLOSED;
	portal->path = strdup(path);
	if (!portal->path)
		return -ENOMEM;
	portal->writable = (flags & TIER_PORTAL_WRITE) != 0;
	r = portal_device_open(path, portal->writable ? O_RDWR : O_RDONLY, &portal->device,
			       problem);
	if (r != 0)
		return r;
	r = portal_window_open(&portal->device, PROBE_BYTES, false, &probe);
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL, "cannot map it");
	r = portal_super_read(&portal->device, &probe, path, &portal->super, &portal->health,
			      problem);
	if (r == 0)
		r = check_keyed(path, flags, &portal->super, problem);
	if (r == 0 && !(flags & TIER_PORTAL_UNKEYED))
		r = portal_key_load(key_directory, &portal->super, problem);
	if (r != 0)
		return r;
	if (portal->super.control_bytes > portal->device.bytes)
		return tier_problem_set(problem, TIER_E_TRUNCATED, path,
					"daxctl list -RD shows the region's devices",
					"truncated: the device ends inside the control area");
	r = cache_method(portal->super.hardware_coherent, &portal->cache);
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL,
					"this processor's caches cannot be flushed for the portal");
	r = portal_window_open(&portal->device, portal->super.control_bytes, portal->writable,
			       &portal->window);
	if (r < 0)
		return tier_problem_set(problem, r, path, NULL, "cannot map the control area");
	*ret = TAKE(portal);
	return 0;
}

int tier_portal_open(const char *path, unsigned flags, struct tier_portal **ret,
		     struct tier_problem *problem)
{
	return portal_open_with_keys(path, flags, portal_key_directory(), ret, problem);
}

struct tier_portal *tier_portal_close(struct tier_portal *portal)
{
	if (portal) {
		portal_window_done(&portal->window);
		portal_device_done(&portal->device);
		explicit_bzero(portal->super.key, sizeof(portal->super.key));
		free(portal->path);
		free(portal);
	}
	return NULL;
}

const struct tier_super *tier_portal_super(const struct tier_portal *portal)
{
	return &portal->super;
}

const char *tier_portal_path(const struct tier_portal *portal)
{
	return portal->path;
}

unsigned tier_portal_super_health(const struct tier_portal *portal)
{
	return portal->health;
}
