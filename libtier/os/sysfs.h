/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_SYSFS_H
#define TIER_SYSFS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Files below a root directory that is "/" or the dump of a machine. Paths are relative to that
 * root ("sys/devices/..."), and printf formats so that callers need not assemble them. A symbolic
 * link cannot lead out of the root: a dump is somebody else's, and its links may point anywhere.
 *
 * Readers return 0 and a value; SYSFS_ABSENT; SYSFS_DENIED; or a negative errno for anything else,
 * -EINVAL if the file says something other than was asked for. Absent, denied and zero are three
 * different answers.
 */
enum {
	SYSFS_ABSENT = 1,
	SYSFS_DENIED = 2,
};

struct sysfs {
	int fd;
};

#define SYSFS_CLOSED ((struct sysfs){.fd = -1})

/* @root: NULL for "/". */
int sysfs_open(struct sysfs *ret, const char *root);
void sysfs_done(struct sysfs *sysfs);
#define _cleanup_sysfs_ __attribute__((cleanup(sysfs_done)))

/* Without the trailing newline; -E2BIG if it does not fit into @size. */
int sysfs_read_string(const struct sysfs *sysfs, char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Decimal, or hexadecimal after 0x. */
int sysfs_read_u64(const struct sysfs *sysfs, uint64_t *ret, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int sysfs_read_int(const struct sysfs *sysfs, int *ret, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "1", "Y", "true" and "on" are true; "0", "N", "false" and "off" are false. */
int sysfs_read_bool(const struct sysfs *sysfs, bool *ret, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A whole file of any length, terminated; free(). */
int sysfs_read_text(const struct sysfs *sysfs, char **ret, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* What a symbolic link says, unresolved. */
int sysfs_read_link(const struct sysfs *sysfs, char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Its last component: the driver of a device, the memdev of an endpoint. */
int sysfs_read_link_name(const struct sysfs *sysfs, char *buffer, size_t size, const char *format,
			 ...) __attribute__((format(printf, 4, 5)));
bool sysfs_exists(const struct sysfs *sysfs, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A list such as "0-3,8": is @number in it? Not in it when the file is absent. */
bool sysfs_list_has(const struct sysfs *sysfs, unsigned number, const char *path);
/* The same of text. */
bool list_has(const char *list, unsigned number);

/* The names in a directory that start with @prefix and go on with a digit, in natural order. */
struct sysfs_names {
	char (*names)[64];
	size_t count;
};
int sysfs_list(const struct sysfs *sysfs, struct sysfs_names *ret, const char *prefix,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));
void sysfs_names_done(struct sysfs_names *names);
#define _cleanup_names_ __attribute__((cleanup(sysfs_names_done)))

/* Writes @value in one write(). Returns 0 or the negative errno of the kernel's answer. */
int sysfs_write(const struct sysfs *sysfs, const char *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The kernel takes notice of a signal between two rounds, each of which may move a whole block. */
#define SYSFS_GRACE_MSEC (120 * 1000)

/*
 * The same in a process of its own that is killed when @timeout_msec have passed: -ETIMEDOUT, or
 * -EINPROGRESS if not even that ends it in SYSFS_GRACE_MSEC. For writes in which the kernel works until a signal comes, as when it offlines a memory block with a
 * pinned page in ZONE_MOVABLE.
 */
int sysfs_write_deadline(const struct sysfs *sysfs, const char *value, int timeout_msec,
			 const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * In parts, for a caller who has something to do meanwhile. The process ends with the thread that
 * began it: the kernel might go on for ever.
 */
struct sysfs_writer {
	int pidfd;
};

enum sysfs_write_event {
	SYSFS_WRITE_ENDED,
	SYSFS_WRITE_WAKE, /* wake_fd is readable */
	SYSFS_WRITE_TIMEOUT,
};

int sysfs_write_begin(const struct sysfs *sysfs, struct sysfs_writer *ret, const char *value,
		      const char *format, ...) __attribute__((format(printf, 4, 5)));
/* @wake_fd: -1 for none */
enum sysfs_write_event sysfs_write_wait(const struct sysfs_writer *writer, int wake_fd,
					int timeout_msec);
/*
 * Kills it unless it has ended. Returns 0 or the negative errno of the kernel's answer; -ETIMEDOUT if
 * it was killed; -EINPROGRESS if it still was not gone after @grace_msec.
 */
int sysfs_write_end(struct sysfs_writer *writer, int grace_msec);

/* A descriptor or a negative errno. */
int sysfs_vopen_file(const struct sysfs *sysfs, int flags, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));
int sysfs_open_file(const struct sysfs *sysfs, int flags, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
