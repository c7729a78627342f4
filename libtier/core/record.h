/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_RECORD_H
#define TIER_RECORD_H

/* What every record begins and ends with, and the steps that every encoder and decoder share. */

#include "wire.h"

struct wire_head {
	char magic[4];
	le16 version;
	le16 bytes; /* of the record, head and tail included */
	uint8_t uuid[16];
	le64 incarnation;
	le64 generation;
	le32 host;  /* slot of the writer */
	le32 index; /* flight slot or extent */
};
static_assert(sizeof(struct wire_head) == 48);
static_assert(offsetof(struct wire_head, uuid) == 8);
static_assert(offsetof(struct wire_head, incarnation) == 24);
static_assert(offsetof(struct wire_head, generation) == 32);
static_assert(offsetof(struct wire_head, host) == 40);

struct wire_tail {
	le64 sequence;
	uint8_t mac[TIER_PORTAL_MAC_BYTES]; /* of everything before it; zero unless keyed */
	uint8_t reserved[4];
	le32 crc; /* of everything before it */
};
static_assert(sizeof(struct wire_tail) == 32);

#define FLIGHT_RECORD_BYTES 1024 /* an offer or an answer */

void record_put_head(struct wire_head *head, const struct tier_super *super,
		     enum tier_record_kind kind, uint32_t host, uint32_t index,
		     const struct tier_stamp *stamp);
void record_seal(const struct tier_super *super, void *buffer, void *wire, size_t bytes,
		 const struct tier_stamp *stamp);
int record_open(const struct tier_super *super, const void *wire, size_t bytes,
		struct tier_stamp *ret_stamp);

/* Of @bytes bytes; zero if the portal is not keyed. */
void portal_mac(const struct tier_super *super, const void *data, size_t bytes,
		uint8_t ret[static TIER_PORTAL_MAC_BYTES]);

#endif
