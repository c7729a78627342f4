/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_MOVER_FOLIO_H
#define TIER_MOVER_FOLIO_H

#include <stdint.h>

/*
 * Which folio each page belongs to, as struct mover_ops has it: the number of its first page frame.
 * @pagemap, @flags: of the process, and /proc/kpageflags; -1 if they could not be opened
 * @page: number of the first page, at most MOVER_BATCH_MAX of them
 */
int folios_read(int pagemap, int flags, uint64_t page, unsigned count, uint64_t *ret_folio);

#endif
