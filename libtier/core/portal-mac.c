/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HMAC-SHA256 (RFC 2104, FIPS 180-4), cut to 128 bits, over what a keyed portal's hosts write. */
#include <nettle/hmac.h>
#include <nettle/sha2.h>

#include "record.h"
#include "tier-portal.h"
#include "util.h"

static_assert(SHA256_DIGEST_SIZE == TIER_PORTAL_KEY_BYTES);

void portal_mac(const struct tier_super *super, const void *data, size_t bytes,
		uint8_t ret[static TIER_PORTAL_MAC_BYTES])
{
	struct hmac_sha256_ctx context;

	if (!(super->incompat & TIER_PORTAL_INCOMPAT_KEYED)) {
		memset(ret, 0, TIER_PORTAL_MAC_BYTES);
		return;
	}
	hmac_sha256_set_key(&context, sizeof(super->key), super->key);
	hmac_sha256_update(&context, bytes, data);
	hmac_sha256_digest(&context, TIER_PORTAL_MAC_BYTES, ret);
}

void tier_portal_key_derive(const struct tier_uuid *portal, const void *secret, size_t bytes,
			    uint8_t ret[static TIER_PORTAL_KEY_BYTES])
{
	static const char purpose[] = "cxl-tier portal records, version 1";
	struct hmac_sha256_ctx context;

	hmac_sha256_set_key(&context, bytes, secret);
	hmac_sha256_update(&context, sizeof(purpose), (const uint8_t *)purpose);
	hmac_sha256_update(&context, sizeof(portal->bytes), portal->bytes);
	hmac_sha256_digest(&context, TIER_PORTAL_KEY_BYTES, ret);
}

void tier_blob_mac(const struct tier_super *super, const struct tier_uuid *flight, const void *data,
		   size_t bytes, uint8_t ret[static TIER_PORTAL_MAC_BYTES])
{
	struct hmac_sha256_ctx context;

	memset(ret, 0, TIER_PORTAL_MAC_BYTES);
	if (!(super->incompat & TIER_PORTAL_INCOMPAT_KEYED))
		return;
	hmac_sha256_set_key(&context, sizeof(super->key), super->key);
	hmac_sha256_update(&context, sizeof(flight->bytes), flight->bytes);
	hmac_sha256_update(&context, bytes, data);
	hmac_sha256_digest(&context, TIER_PORTAL_MAC_BYTES, ret);
}
