/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "idle-pages.h"

/* The kernel has a bit for each frame, in words of the machine's order. */
#define WORD_BITS 64

int idle_pages_open(struct idle_pages *ret, const struct sysfs *sysfs)
{
	struct idle_pages pages = IDLE_CLOSED;

	pages.bitmap = sysfs_open_file(sysfs, O_RDWR, IDLE_BITMAP);
	pages.flags = pages.bitmap < 0 ? pages.bitmap
				       : sysfs_open_file(sysfs, O_RDONLY, "proc/kpageflags");
	if (pages.flags < 0) {
		int r = pages.flags;

		idle_pages_done(&pages);
		return r;
	}
	*ret = pages;
	return 0;
}

void idle_pages_done(struct idle_pages *pages)
{
	if (pages->bitmap >= 0)
		close(pages->bitmap);
	if (pages->flags >= 0)
		close(pages->flags);
	*pages = IDLE_CLOSED;
}

/* Of the frames from @first on, how many are in the same word. */
static size_t same_word(const uint64_t *frames, size_t first, size_t count)
{
	size_t next = first;

	while (next < count && frames[next] / WORD_BITS == frames[first] / WORD_BITS)
		next++;
	return next - first;
}

int idle_pages_mark(const struct idle_pages *pages, const uint64_t *frames, size_t count)
{
	for (size_t first = 0, n; first < count; first += n) {
		off_t at = (off_t)(frames[first] / WORD_BITS * sizeof(uint64_t));
		uint64_t word = 0;

		n = same_word(frames, first, count);
		for (size_t i = 0; i < n; i++)
			word |= UINT64_C(1) << frames[first + i] % WORD_BITS;
		/* 0: not all of the word's frames are there. */
		if (pwrite(pages->bitmap, &word, sizeof(word), at) < 0)
			return -errno;
	}
	return 0;
}

int idle_pages_test(const struct idle_pages *pages, const uint64_t *frames, size_t count,
		    bool *ret_idle)
{
	for (size_t first = 0, n; first < count; first += n) {
		off_t at = (off_t)(frames[first] / WORD_BITS * sizeof(uint64_t));
		uint64_t word = 0;

		n = same_word(frames, first, count);
		if (pread(pages->bitmap, &word, sizeof(word), at) < 0)
			return -errno;
		for (size_t i = 0; i < n; i++)
			ret_idle[first + i] = word >> frames[first + i] % WORD_BITS & 1;
	}
	return 0;
}

int idle_pages_flags(const struct idle_pages *pages, const uint64_t *frames, size_t count,
		     uint64_t *ret_flags)
{
	for (size_t first = 0, n; first < count; first += n) {
		ssize_t bytes;

		for (n = 1; first + n < count && frames[first + n] == frames[first] + n;)
			n++;
		bytes = pread(pages->flags, ret_flags + first, n * sizeof(*ret_flags),
			      (off_t)(frames[first] * sizeof(*ret_flags)));
		if (bytes < 0)
			return -errno;
		/* Memory that has gone. */
		for (size_t i = (size_t)bytes / sizeof(*ret_flags); i < n; i++)
			ret_flags[first + i] = 0;
	}
	return 0;
}
