/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_JSON_READ_H
#define TIER_CORE_JSON_READ_H

#include <limits.h>

#include "json.h"

/* Members of a file that somebody may have spoilt: what is absent, of another type or out of range is no value. */

static inline bool json_read_number(sd_json_variant *object, const char *key, uint64_t minimum,
				    uint64_t maximum, uint64_t *ret)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);

	if (!value || !sd_json_variant_is_unsigned(value) ||
	    sd_json_variant_unsigned(value) < minimum || sd_json_variant_unsigned(value) > maximum)
		return false;
	*ret = sd_json_variant_unsigned(value);
	return true;
}

static inline bool json_read_flag(sd_json_variant *object, const char *key, bool *ret)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);

	if (!value || !sd_json_variant_is_boolean(value))
		return false;
	*ret = sd_json_variant_boolean(value);
	return true;
}

/* Printable ASCII that fits. */
static inline bool json_read_text(sd_json_variant *object, const char *key, char *buffer,
				  size_t size)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);
	const char *text =
		value && sd_json_variant_is_string(value) ? sd_json_variant_string(value) : "";

	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			return false;
	return text[0] && copy_string(buffer, size, text);
}

static inline bool json_is_array(sd_json_variant *value, size_t maximum)
{
	return value && sd_json_variant_is_array(value) &&
	       sd_json_variant_elements(value) <= maximum;
}

/* Files of ours are far smaller; how deeply they nest is bounded by sd-json. */
#define JSON_FILE_MAX_BYTES (1024 * 1024)

/* An object and nothing behind it: 0; TIER_E_DAMAGED; -ENOMEM. */
static inline int json_read(const char *text, size_t bytes, sd_json_variant **ret)
{
	_cleanup_free_ char *copy = NULL;
	_cleanup_json_ sd_json_variant *whole = NULL;
	int r;

	if (bytes > JSON_FILE_MAX_BYTES || memchr(text, '\0', bytes))
		return TIER_E_DAMAGED;
	copy = malloc(bytes + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, bytes);
	copy[bytes] = '\0';
	r = sd_json_parse(copy, 0, &whole, NULL, NULL);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || !sd_json_variant_is_object(whole))
		return TIER_E_DAMAGED;
	*ret = TAKE(whole);
	return 0;
}

#endif
