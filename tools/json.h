/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_JSON_H
#define TIERCTL_JSON_H

/* Members of cxl-tierd's answers. Absent and of another type are the same: empty, 0, false. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-json.h>

static inline const char *json_text(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);

	return value && sd_json_variant_is_string(value) ? sd_json_variant_string(value) : "";
}

static inline uint64_t json_number(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);

	return value && sd_json_variant_is_unsigned(value) ? sd_json_variant_unsigned(value) : 0;
}

static inline bool json_flag(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);

	return value && sd_json_variant_is_boolean(value) && sd_json_variant_boolean(value);
}

#endif
