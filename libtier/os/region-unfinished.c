/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "region-create.h"

#include "fd.h"
#include "util.h"

/*
 * Who dies while it makes a region leaves one that nobody would dare to destroy, and decoders with memory that no
 * region has. So what is being made is noted, in a directory that is empty after a reboot, as the regions are.
 */

#define DIRECTORY "/run/cxl-tier"
#define NOTE	  DIRECTORY "/region-unfinished"

static int append(const char *name, int flags)
{
	_cleanup_close_ int fd = open(NOTE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0644);
	char line[64];
	int length = snprintf(line, sizeof(line), "%s\n", name);

	if (fd < 0)
		return -errno;
	if (write(fd, line, (size_t)length) != length)
		return -EIO;
	return 0;
}

int unfinished_begin(const char *region)
{
	mkdir(DIRECTORY, 0755);
	return append(region, O_CREAT | O_TRUNC);
}

int unfinished_add(const char *decoder)
{
	return append(decoder, O_APPEND);
}

int unfinished_end(void)
{
	return unlink(NOTE) < 0 && errno != ENOENT ? -errno : 0;
}

struct note {
	char region[32];
	char decoders[TIER_WAYS_MAX][32];
	unsigned count;
};

static int read_note(struct note *note)
{
	FILE *file = fopen(NOTE, "re");

	*note = (struct note){};
	if (!file)
		return -errno;
	(void)!fscanf(file, "%31s", note->region);
	while (note->count < TIER_WAYS_MAX &&
	       fscanf(file, "%31s", note->decoders[note->count]) == 1)
		note->count++;
	fclose(file);
	return 0;
}

static bool has_decoder(const struct note *note, struct cxl_decoder *decoder)
{
	for (unsigned i = 0; i < note->count; i++)
		if (streq(note->decoders[i], sym_cxl_decoder_get_devname(decoder)))
			return true;
	return false;
}

/*
 * With its driver it is finished. The kernel gives names anew as soon as they are free, so a region with a decoder that
 * is not in the note is somebody else's.
 */
static bool is_unfinished(const struct note *note, struct cxl_region *region)
{
	unsigned ways = sym_cxl_region_get_interleave_ways(region);

	if (sym_cxl_region_is_enabled(region))
		return false;
	for (unsigned i = 0; i < MIN(ways, TIER_WAYS_MAX); i++) {
		struct cxl_decoder *decoder = sym_cxl_region_get_target_decoder(region, (int)i);

		if (decoder && !has_decoder(note, decoder))
			return false;
	}
	return true;
}

static unsigned find_decoders(struct cxl_ctx *ctx, const struct note *note,
			      struct cxl_decoder *ret[static TIER_WAYS_MAX])
{
	unsigned found = 0;

	for (unsigned i = 0; i < note->count; i++) {
		struct cxl_decoder *decoder = sym_cxl_decoder_get_by_name(ctx, note->decoders[i]);

		if (decoder)
			ret[found++] = decoder;
	}
	return found;
}

int tier_declared_remove_unfinished(char ret_region[static 32], struct tier_problem *problem)
{
	_cleanup_cxl_ struct cxl_ctx *ctx = NULL;
	struct cxl_decoder *decoders[TIER_WAYS_MAX];
	struct cxl_region *region;
	struct note note;
	unsigned count;
	bool unfinished;
	char next[64];
	int r = read_note(&note);

	if (r == -ENOENT) {
		ret_region[0] = '\0';
		return 0;
	}
	if (r < 0)
		return tier_problem_set(problem, r, NOTE, NULL, "cannot be read");
	r = cxl_open_quietly(&ctx);
	if (r < 0)
		return tier_problem_set(problem, r, note.region, NULL,
					"may be half made, and libcxl cannot be opened");
	region = region_by_name(ctx, note.region);
	unfinished = region && is_unfinished(&note, region);
	count = find_decoders(ctx, &note, decoders);
	r = unfinished ? region_destroy(region, decoders, count)
		       : decoders_release(decoders, count);
	snprintf(next, sizeof(next), "cxl destroy-region -f %s", note.region);
	if (r < 0)
		return tier_problem_set(problem, r, note.region, unfinished ? next : "dmesg",
					unfinished ? "is half made, and cannot be destroyed"
						   : "was half made, and what its decoders have "
						     "of their devices cannot be given back");
	(void)unfinished_end();
	copy_string(ret_region, 32, unfinished ? note.region : "");
	return 0;
}
