/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_CORE_VM_NAME_H
#define TIER_CORE_VM_NAME_H

#include <stddef.h>

/*
 * The guest's name in the command line of a QEMU, as libvirt, people and tier_machine_start() give it.
 * @arguments: as in /proc/PID/cmdline, @size bytes with a zero byte after them
 * @ret: printable; empty if it is no QEMU, or has no name
 */
void vm_name(const char *arguments, size_t size, char *ret, size_t ret_size);

#endif
