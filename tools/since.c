/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <time.h>

#include "since.h"
#include "tool.h"

int since_parse_duration(const char *text, uint64_t *ret_usec)
{
	static const char units[] = "smhd";
	static const uint64_t seconds[] = {1, 60, 3600, 86400};
	size_t length = strlen(text);
	const char *unit = length > 1 ? strchr(units, text[length - 1]) : NULL;
	char digits[24];
	uint64_t number;

	if (!unit || length > sizeof(digits))
		return -EINVAL;
	snprintf(digits, sizeof(digits), "%.*s", (int)length - 1, text);
	if (tool_parse_number(digits, false, &number) < 0 ||
	    __builtin_mul_overflow(number, seconds[unit - units] * 1000000, ret_usec))
		return -EINVAL;
	return 0;
}

int since_parse(const char *text, uint64_t now_usec, uint64_t *ret_usec)
{
	static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"};

	uint64_t ago;

	if (since_parse_duration(text, &ago) == 0) {
		*ret_usec = ago < now_usec ? now_usec - ago : 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(text, formats[i], &tm);
		time_t time;

		if (!end || *end != '\0')
			continue;
		time = mktime(&tm);
		if (time < 0)
			return -EINVAL;
		*ret_usec = (uint64_t)time * 1000000;
		return 0;
	}
	return -EINVAL;
}
