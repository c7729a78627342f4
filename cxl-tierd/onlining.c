/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include <systemd/sd-id128.h>

#include "manager.h"

/*
 * What the next cxl-tierd of this boot has to know about memory, in a file beside the socket: what this
 * one was about to online, since a device that is half online would otherwise be taken for somebody's
 * choice; and which ordinary memory blocks have been decided about, since one that is offline may have
 * arrived while there was no daemon, or have been taken offline by an operator.
 */

static void state_path(const struct manager *manager, char path[static 300])
{
	snprintf(path, 300, "%s.onlining", manager->options.socket);
}

static void boot_text(const struct manager *manager, char text[static SD_ID128_STRING_MAX])
{
	sd_id128_t boot;

	memcpy(boot.bytes, manager->boot.bytes, sizeof(boot.bytes));
	sd_id128_to_string(boot, text);
}

static void write_runs(FILE *file, const struct onlining *state)
{
	for (size_t i = 0, last; i < state->known_count; i = last + 1) {
		char name[32];

		for (last = i; last + 1 < state->known_count &&
			       state->known[last + 1] == state->known[last] + 1;)
			last++;
		tier_run_name(name, state->known[i], state->known[last]);
		fprintf(file, "known %s\n", name);
	}
}

static int write_state(const struct manager *manager, const char *path)
{
	const struct onlining *state = &manager->onlining;
	char boot[SD_ID128_STRING_MAX];
	FILE *file = fopen(path, "we");
	int r;

	if (!file)
		return -errno;
	boot_text(manager, boot);
	fprintf(file, "boot %s\n", boot);
	if (state->name[0])
		fprintf(file, "onlining %s %" PRIu64 " %" PRIu64 " %s\n", state->name, state->start,
			state->bytes, tier_online_zone_name(state->zone));
	write_runs(file, state);
	r = ferror(file) ? -EIO : 0;
	if (fclose(file) != 0 && r == 0)
		r = -errno;
	return r;
}

static void save(struct manager *manager)
{
	char path[300], fresh[310];
	int r;

	if (manager_dry_run(manager))
		return;
	state_path(manager, path);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	r = write_state(manager, fresh);
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0 && !manager->onlining.told)
		log_decision(LOG_WARNING, path, "failed",
			     "cannot be written: %s; if this cxl-tierd is killed while it onlines "
			     "a device, that stays half online",
			     strerror(-r));
	manager->onlining.told = r < 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

bool onlining_knows(const struct manager *manager, uint64_t block)
{
	const struct onlining *state = &manager->onlining;

	return state->known_count > 0 &&
	       bsearch(&block, state->known, state->known_count, sizeof(block), compare) != NULL;
}

void onlining_know(struct manager *manager, uint64_t *blocks, size_t count)
{
	struct onlining *state = &manager->onlining;
	bool same = count == state->known_count;

	for (size_t i = 0; same && i < count; i++)
		same = blocks[i] == state->known[i];
	free(state->known);
	state->known = blocks;
	state->known_count = count;
	if (!same)
		save(manager);
}

static bool add_known(struct onlining *state, uint64_t first, uint64_t last)
{
	uint64_t count = last - first + 1, *grown;

	if (count > ONLINING_MAX_BLOCKS)
		return false;
	grown = reallocarray(state->known, state->known_count + count, sizeof(*grown));
	if (!grown)
		return false;
	state->known = grown;
	for (uint64_t block = first; block <= last; block++)
		state->known[state->known_count++] = block;
	return true;
}

static bool parse_line(struct onlining *state, const char *line)
{
	char name[32], zone[16];
	uint64_t first, last;

	if (sscanf(line, "known %31s", name) == 1)
		return tier_run_parse(name, &first, &last) == 0 && add_known(state, first, last);
	if (sscanf(line, "onlining %31s %" SCNu64 " %" SCNu64 " %15s", name, &first, &last, zone) !=
		    4 ||
	    tier_online_zone_parse(zone, &state->zone) < 0)
		return false;
	COPY(state->name, name);
	state->start = first;
	state->bytes = last;
	return true;
}

void onlining_load(struct manager *manager)
{
	char path[300], line[128], boot[SD_ID128_STRING_MAX], word[40] = "";
	struct onlining *state = &manager->onlining;
	FILE *file;

	if (manager_dry_run(manager))
		return;
	state_path(manager, path);
	file = fopen(path, "re");
	if (!file)
		return;
	boot_text(manager, boot);
	if (fgets(line, sizeof(line), file) && sscanf(line, "boot %39s", word) == 1 &&
	    streq(word, boot))
		while (fgets(line, sizeof(line), file))
			if (!parse_line(state, line))
				log_decision(LOG_WARNING, path, "failed",
					     "a line of it cannot be understood; memory may be "
					     "half online; tierctl list regions");
	fclose(file);
	if (state->known_count > 0)
		qsort(state->known, state->known_count, sizeof(*state->known), compare);
}

void onlining_free(struct manager *manager)
{
	free(manager->onlining.known);
}

void onlining_begin(struct manager *manager, const struct region *region,
		    enum tier_online_zone zone)
{
	struct onlining *state = &manager->onlining;

	COPY(state->name, region->name);
	state->start = region->start;
	state->bytes = region->bytes;
	state->zone = zone;
	save(manager);
}

void onlining_end(struct manager *manager)
{
	manager->onlining.name[0] = '\0';
	save(manager);
}

bool onlining_was(const struct manager *manager, const struct region *region)
{
	const struct onlining *state = &manager->onlining;

	return streq(state->name, region->name) && state->start == region->start &&
	       state->bytes == region->bytes;
}

void onlining_settled(struct manager *manager, const struct region *region)
{
	struct onlining *state = &manager->onlining;
	uint64_t first, last;

	if (onlining_was(manager, region))
		state->name[0] = '\0';
	else if (!region->ordinary)
		return;
	if (region->ordinary && tier_run_parse(region->name, &first, &last) == 0 &&
	    add_known(state, first, last))
		qsort(state->known, state->known_count, sizeof(*state->known), compare);
	save(manager);
}

void onlining_forget(struct manager *manager, uint64_t block)
{
	struct onlining *state = &manager->onlining;
	size_t kept = 0;

	for (size_t i = 0; i < state->known_count; i++)
		if (state->known[i] != block)
			state->known[kept++] = state->known[i];
	state->known_count = kept;
}
