/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/kernel-page-flags.h>

#include "fd.h"
#include "mover-engine.h"
#include "mover-folio.h"
#include "util.h"

/* Source: admin-guide/mm/pagemap. */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_FRAME	((UINT64_C(1) << 55) - 1)

/* Folios are aligned to their size: in a block of frames like this one begins every folio in it. */
#define BLOCK MOVER_BATCH_MAX

int folios_read(int pagemap, int flags, uint64_t page, unsigned count, uint64_t *ret_folio)
{
	uint64_t entries[MOVER_BATCH_MAX], block[BLOCK], block_start = UINT64_MAX;
	const size_t bytes = count * sizeof(entries[0]);

	if (pagemap < 0 || flags < 0)
		return -EOPNOTSUPP;
	if (pread(pagemap, entries, bytes, (off_t)(page * sizeof(entries[0]))) != (ssize_t)bytes)
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < count; i++) {
		uint64_t frame = entries[i] & PAGEMAP_FRAME, at = frame % BLOCK;
		ssize_t n;

		ret_folio[i] = MOVER_NO_FOLIO;
		if (!(entries[i] & PAGEMAP_PRESENT))
			continue;
		/* The kernel hides frames from those who lack CAP_SYS_ADMIN. */
		if (frame == 0)
			return -EOPNOTSUPP;
		if (frame - at != block_start) {
			memset(block, 0, sizeof(block));
			n = pread(flags, block, sizeof(block),
				  (off_t)((frame - at) * sizeof(block[0])));
			if (n <= 0)
				return -EOPNOTSUPP;
			block_start = frame - at;
		}
		while (at > 0 && block[at] >> KPF_COMPOUND_TAIL & 1)
			at--;
		ret_folio[i] = block_start + at;
	}
	return 0;
}
