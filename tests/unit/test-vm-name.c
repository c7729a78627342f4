/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"
#include "vm-name.h"

/* A string literal's own end is the zero byte after the last argument's. */
#define NAME(arguments) (vm_name(arguments, sizeof(arguments) - 1, name, sizeof(name)), name)

TEST(names_of_guests)
{
	char name[16];

	CHECK_STR(NAME("/usr/bin/qemu-system-x86_64\0-name\0demo,process=cxl-tier:demo\0-m\0"),
		  "demo");
	CHECK_STR(NAME("qemu-system-x86_64\0-m\0001G\0-name\0guest=web,debug-threads=on\0"), "web");
	CHECK_STR(NAME("/usr/bin/kvm\0--name\0old\0"), "old");
	CHECK_STR(NAME("/usr/libexec/qemu-kvm\0-name\0a\nb\0"), "a?b");
	CHECK_STR(NAME("qemu-kvm\0-name\0a-name-that-is-too-long\0"), "a-name-that-is-");
}

TEST(what_has_no_name)
{
	char name[16];

	CHECK_STR(NAME("/usr/bin/qemu-system-x86_64\0-m\0001G\0"), "");
	CHECK_STR(NAME("/usr/bin/qemu-system-x86_64\0-name\0"), "");
	CHECK_STR(NAME("/usr/bin/qemu-system-x86_64\0-name"), "");
	CHECK_STR(NAME("/bin/cat\0-name\0demo\0"), "");
	CHECK_STR(NAME(""), "");
}
