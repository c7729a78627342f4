/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>

#include "tier-error.h"
#include "util.h"

void *array_grow(void *array_pointer, size_t *count, size_t element_bytes)
{
	void **array = array_pointer;
	size_t n = *count;

	/* Capacity doubles at powers of two, so that no separate field has to be kept. */
	if ((n & (n - 1)) == 0) {
		size_t capacity = n == 0 ? 1 : n * 2;
		void *grown = reallocarray(*array, capacity, element_bytes);
		if (!grown)
			return NULL;
		*array = grown;
	}
	*count = n + 1;
	return memset((char *)*array + n * element_bytes, 0, element_bytes);
}

int parse_u64(const char *text, uint64_t *ret)
{
	char *end;
	unsigned long long value;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end != '\0')
		return -EINVAL;
	*ret = value;
	return 0;
}

int parse_bytes(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	char digits[32];
	size_t length = strlen(text);
	uint64_t value, factor = 1;
	int r;

	if (length == 0 || length >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, length + 1);
	const char *unit = strchr(units, toupper((unsigned char)digits[length - 1]));
	if (unit) {
		factor = UINT64_C(1) << (10 * (unit - units + 1));
		digits[length - 1] = '\0';
	}
	r = parse_u64(digits, &value);
	if (r < 0)
		return r;
	if (__builtin_mul_overflow(value, factor, &value) || value > INT64_MAX)
		return -ERANGE;
	*ret_bytes = value;
	return 0;
}

const char *format_bytes(char buffer[static 16], uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	size_t unit = 0;
	double value = (double)bytes;

	while (value >= 1024 && units[unit + 1]) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(buffer, 16, "%" PRIu64 "B", bytes);
	else if (value == (double)(uint64_t)value)
		snprintf(buffer, 16, "%.0f%c", value, units[unit]);
	else
		snprintf(buffer, 16, "%.1f%c", value, units[unit]);
	return buffer;
}

char *make_printable(char *text)
{
	for (char *at = text; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return text;
}

int tier_problem_set(struct tier_problem *problem, int code, const char *object, const char *next,
		     const char *format, ...)
{
	va_list arguments;

	if (!problem)
		return code;
	copy_string(problem->object, sizeof(problem->object), object);
	copy_string(problem->next, sizeof(problem->next), next ?: "");
	va_start(arguments, format);
	vsnprintf(problem->text, sizeof(problem->text), format, arguments);
	va_end(arguments);
	if (code < 0) {
		size_t used = strlen(problem->text);
		snprintf(problem->text + used, sizeof(problem->text) - used, ": %s",
			 tier_strerror(code));
	}
	return code;
}

const char *tier_strerror(int code)
{
	static const char *const outcomes[] = {
		[TIER_E_NOT_PORTAL - TIER_E_BASE] = "not a portal",
		[TIER_E_DAMAGED - TIER_E_BASE] = "damaged",
		[TIER_E_INCOMPATIBLE - TIER_E_BASE] = "incompatible version",
		[TIER_E_TRUNCATED - TIER_E_BASE] = "truncated",
		[TIER_E_RATIO - TIER_E_BASE] = "MOVABLE:KERNEL ratio exceeded",
		[TIER_E_REFUSED - TIER_E_BASE] = "refused",
		[TIER_E_PEER - TIER_E_BASE] = "refused by the other host",
		[TIER_E_BUSY - TIER_E_BASE] = "in use",
		[TIER_E_NOT_FOUND - TIER_E_BASE] = "not found",
		[TIER_E_CANCELLED - TIER_E_BASE] = "cancelled",
		[TIER_E_TIMEOUT - TIER_E_BASE] = "timed out",
		[TIER_E_NO_SPACE - TIER_E_BASE] = "not enough space",
		[TIER_E_STALE - TIER_E_BASE] = "changed meanwhile",
	};

	if (code == 0)
		return "success";
	if (code < 0)
		return strerror(-code);
	if (code > TIER_E_BASE && code < _TIER_E_MAX)
		return outcomes[code - TIER_E_BASE];
	return "unknown";
}
