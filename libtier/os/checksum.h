/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CHECKSUM_H
#define TIER_CHECKSUM_H

#include "crc32c.h"

/* The way to take CRC-32C that is fastest on this processor, measured now in about a millisecond. */
crc32c_function checksum_fastest(void);

#endif
