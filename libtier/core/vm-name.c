/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-name.h"

#include "util.h"

void vm_name(const char *arguments, size_t size, char *ret, size_t ret_size)
{
	const char *end = arguments + size, *slash = strrchr(arguments, '/');
	const char *program = slash ? slash + 1 : arguments;

	ret[0] = '\0';
	if (strncmp(program, "qemu-", 5) != 0 && !streq(program, "kvm"))
		return;
	for (const char *p = arguments; p < end; p += strlen(p) + 1) {
		const char *value = p + strlen(p) + 1;

		if ((!streq(p, "-name") && !streq(p, "--name")) || value >= end)
			continue;
		/* "guest=NAME,debug-threads=on", or "NAME,process=..." */
		if (strncmp(value, "guest=", 6) == 0)
			value += 6;
		snprintf(ret, ret_size, "%.*s", (int)strcspn(value, ","), value);
		break;
	}
	for (char *c = ret; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}
