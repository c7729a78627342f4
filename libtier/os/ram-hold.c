/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages that must not move. A page that a pipe refers to is not migrated: its reference count is not
 * what migration expects. Such a reference is short-term for the kernel, so that it does not move
 * the page out of a movable zone first, as it would for a registered buffer.
 */
#include <fcntl.h>
#include <sys/uio.h>

#include "fd.h"
#include "ram-file.h"

/* One page each; what a pipe can be grown to without a large contiguous allocation. */
#define PIPE_SLOTS 4096
#define PIECES	   256

struct ram_hold {
	int (*pipes)[2];
	size_t count;
};

static struct ram_hold *ram_hold_free(struct ram_hold *hold)
{
	if (!hold)
		return NULL;
	for (size_t i = 0; i < hold->count; i++) {
		closep(&hold->pipes[i][0]);
		closep(&hold->pipes[i][1]);
	}
	free(hold->pipes);
	free(hold);
	return NULL;
}
DEFINE_CLEANUP(struct ram_hold *, ram_hold_free)

static int add_pipe(struct ram_hold *hold, uint64_t page_bytes)
{
	int(*grown)[2] = reallocarray(hold->pipes, hold->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	hold->pipes = grown;
	if (pipe2(grown[hold->count], O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	hold->count++;
	if (fcntl(grown[hold->count - 1][1], F_SETPIPE_SZ, (int)(PIPE_SLOTS * page_bytes)) < 0)
		return -errno;
	return 0;
}

/* As many pieces as the last pipe takes; a full one is followed by another. */
static int splice_pieces(struct ram_hold *hold, uint64_t page_bytes, struct iovec *pieces,
			 size_t count)
{
	while (count) {
		ssize_t n = hold->count == 0 ? -1
					     : vmsplice(hold->pipes[hold->count - 1][1], pieces,
							count, SPLICE_F_NONBLOCK);

		if (n < 0 && hold->count && errno != EAGAIN)
			return -errno;
		if (n <= 0) {
			int r = add_pipe(hold, page_bytes);

			if (r)
				return r;
			continue;
		}
		for (; count && (size_t)n >= pieces->iov_len; count--)
			n -= (ssize_t)(pieces++)->iov_len;
		if (count && n) {
			pieces->iov_base = (char *)pieces->iov_base + n;
			pieces->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int ram_file_hold(struct ram_file *ram)
{
	_cleanup_(ram_hold_freep) struct ram_hold *hold = calloc(1, sizeof(*hold));
	struct iovec pieces[PIECES];
	size_t count = 0;
	int r = 0;

	if (!hold)
		return -ENOMEM;
	for (uint64_t page = 0; r == 0 && page < ram->pages; page++) {
		uint8_t *at = ram->map + page * ram->page_bytes;

		if (ram->pfns[page] == 0)
			continue;
		/* No longer than a pipe, so that each piece fits an empty one. */
		if (count &&
		    (uint8_t *)pieces[count - 1].iov_base + pieces[count - 1].iov_len == at &&
		    pieces[count - 1].iov_len < PIPE_SLOTS / 2 * ram->page_bytes) {
			pieces[count - 1].iov_len += ram->page_bytes;
			continue;
		}
		if (count == PIECES) {
			r = splice_pieces(hold, ram->page_bytes, pieces, count);
			count = 0;
		}
		pieces[count++] = (struct iovec){at, ram->page_bytes};
	}
	r = r ?: splice_pieces(hold, ram->page_bytes, pieces, count);
	if (r)
		return r;
	ram_file_release(ram);
	ram->hold = TAKE(hold);
	return 0;
}

void ram_file_release(struct ram_file *ram)
{
	ram->hold = ram_hold_free(ram->hold);
}
