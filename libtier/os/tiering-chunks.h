/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_TIERING_CHUNKS_H
#define TIER_OS_TIERING_CHUNKS_H

#include "tier-share.h"
#include "tiering-targets.h"

/* With more processes it is these that are dealt out. */
#define TIERING_HEAPED_PROCESSES 32

struct tiering_chunk {
	struct damon_range range;
	int pid;
	struct process_identity identity;
	unsigned heap;
	uint64_t rank; /* lowest first */
	size_t order;  /* ascending within a process */
};

struct tiering_chunks {
	struct tiering_chunk *chunks;
	size_t count;
};

void tiering_chunks_done(struct tiering_chunks *chunks);
#define _cleanup_chunks_ __attribute__((cleanup(tiering_chunks_done)))

/* Which of the targets a pass is over. */
struct tiering_pick {
	struct tier_tiering_targets *targets;
	const struct tier_share_groups *groups;
	const struct tier_share_turn *turn; /* NULL: all */
	enum tier_tiering_act act;
};

/* Of what is still there. 0, negative errno. */
int tiering_chunks_cut(const struct tiering_pick *pick, struct tiering_chunks *ret);
/* In the order of a pass. */
void tiering_chunks_deal(const struct tiering_pick *pick, struct tiering_chunks *chunks);

#endif
