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

static unsigned find_decoders(struct cxl_ctx *ctx, char (*names)[32], unsigned count,
			      struct cxl_decoder *ret[static TIER_WAYS_MAX])
{
	struct cxl_memdev *memdev;
	unsigned found = 0;

	for (unsigned i = 0; i < count; i++)
		cxl_memdev_foreach(ctx, memdev)
		{
			struct cxl_decoder *decoder = decoder_by_name(memdev, names[i]);

			if (decoder && found < TIER_WAYS_MAX)
				ret[found++] = decoder;
		}
	return found;
}

static int read_note(char region[static 32], char (*decoders)[32], unsigned *ret_count)
{
	FILE *file = fopen(NOTE, "re");
	unsigned count = 0;

	if (!file)
		return -errno;
	if (fscanf(file, "%31s", region) != 1)
		region[0] = '\0';
	while (count < TIER_WAYS_MAX && fscanf(file, "%31s", decoders[count]) == 1)
		count++;
	fclose(file);
	*ret_count = count;
	return 0;
}

int tier_declared_remove_unfinished(char ret_region[static 32], struct tier_problem *problem)
{
	_cleanup_cxl_ struct cxl_ctx *ctx = NULL;
	struct cxl_decoder *decoders[TIER_WAYS_MAX];
	char names[TIER_WAYS_MAX][32], name[32];
	struct cxl_region *region;
	unsigned count = 0;
	int r = read_note(name, names, &count);

	if (r == -ENOENT) {
		ret_region[0] = '\0';
		return 0;
	}
	if (r == 0)
		r = cxl_open_quietly(&ctx);
	if (r < 0)
		return tier_problem_set(problem, r, NOTE, NULL,
					"cannot look for a region that is half made");
	region = region_by_name(ctx, name);
	/* With its driver it is finished. */
	if (!region || cxl_region_is_enabled(region))
		name[0] = '\0';
	count = region && !name[0] ? 0 : find_decoders(ctx, names, count, decoders);
	if (region && name[0])
		r = region_destroy(region, decoders, count);
	for (unsigned i = 0; !region && i < count; i++)
		if (cxl_decoder_get_size(decoders[i]) == 0)
			r = cxl_decoder_set_dpa_size(decoders[i], 0) ?: r;
	if (r < 0)
		return tier_problem_set(problem, r, name[0] ? name : "region",
					"cxl destroy-region -f",
					"is half made, and cannot be destroyed");
	(void)unfinished_end();
	memcpy(ret_region, name, sizeof(name));
	return 0;
}
