/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "fd.h"
#include "sysfs.h"
#include "util.h"

static int outcome(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return SYSFS_ABSENT;
	case EACCES:
	case EPERM:
		return SYSFS_DENIED;
	default:
		return -error;
	}
}

int sysfs_open(struct sysfs *ret, const char *root)
{
	int fd = open(root ?: "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ret->fd = fd;
	return 0;
}

void sysfs_done(struct sysfs *sysfs)
{
	if (sysfs->fd >= 0)
		close(sysfs->fd);
	sysfs->fd = -1;
}

/* Each fails only if a rename hits the microseconds of this very call. */
#define OPEN_ATTEMPTS 1000

/* Returns a descriptor or -errno. */
static int open_path(const struct sysfs *sysfs, int flags, const char *path)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};

	/* EAGAIN: a rename anywhere raced with a ".." of the path; openat2(2) says to try again. */
	for (int attempt = 0;; attempt++) {
		long fd = syscall(SYS_openat2, sysfs->fd, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN || attempt == OPEN_ATTEMPTS)
			return -errno;
	}
}

int sysfs_vopen_file(const struct sysfs *sysfs, int flags, const char *format, va_list arguments)
{
	char path[PATH_MAX];
	int length = vsnprintf(path, sizeof(path), format, arguments);

	if (length < 0 || (size_t)length >= sizeof(path))
		return -ENAMETOOLONG;
	return open_path(sysfs, flags, path);
}

int sysfs_open_file(const struct sysfs *sysfs, int flags, const char *format, ...)
{
	va_list arguments;
	int fd;

	va_start(arguments, format);
	fd = sysfs_vopen_file(sysfs, flags, format, arguments);
	va_end(arguments);
	return fd;
}

/* Reads until the end or until the buffer is full; terminates. Returns bytes or -errno. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
	size_t used = 0;

	while (used < size - 1) {
		ssize_t n = read(fd, buffer + used, size - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	buffer[used] = '\0';
	return (ssize_t)used;
}

static int read_string(const struct sysfs *sysfs, char *buffer, size_t size, const char *format,
		       va_list arguments)
{
	_cleanup_close_ int fd = sysfs_vopen_file(sysfs, O_RDONLY, format, arguments);
	char text[4097];

	if (fd < 0)
		return outcome(-fd);
	ssize_t length = read_all(fd, text, sizeof(text));
	if (length < 0)
		return outcome((int)-length);
	while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' '))
		text[--length] = '\0';
	if ((size_t)length >= size)
		return -E2BIG;
	memcpy(buffer, text, (size_t)length + 1);
	return 0;
}

int sysfs_read_string(const struct sysfs *sysfs, char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int r = read_string(sysfs, buffer, size, format, arguments);
	va_end(arguments);
	return r;
}

int sysfs_read_u64(const struct sysfs *sysfs, uint64_t *ret, const char *format, ...)
{
	char text[64];
	va_list arguments;

	va_start(arguments, format);
	int r = read_string(sysfs, text, sizeof(text), format, arguments);
	va_end(arguments);
	return r ? r : parse_u64(text, ret);
}

int sysfs_read_int(const struct sysfs *sysfs, int *ret, const char *format, ...)
{
	char text[64];
	uint64_t value;
	va_list arguments;

	va_start(arguments, format);
	int r = read_string(sysfs, text, sizeof(text), format, arguments);
	va_end(arguments);
	if (r)
		return r;
	bool negative = text[0] == '-';
	r = parse_u64(text + negative, &value);
	if (r < 0)
		return r;
	if (value > INT_MAX)
		return -ERANGE;
	*ret = negative ? -(int)value : (int)value;
	return 0;
}

int sysfs_read_bool(const struct sysfs *sysfs, bool *ret, const char *format, ...)
{
	static const char *const yes[] = {"1", "Y", "y", "true", "on"};
	static const char *const no[] = {"0", "N", "n", "false", "off"};
	char text[64];
	va_list arguments;

	va_start(arguments, format);
	int r = read_string(sysfs, text, sizeof(text), format, arguments);
	va_end(arguments);
	if (r)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!streq(text, yes[i]) && !streq(text, no[i]))
			continue;
		*ret = streq(text, yes[i]);
		return 0;
	}
	return -EINVAL;
}

int sysfs_read_text(const struct sysfs *sysfs, char **ret, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 16384, used = 0;
	va_list arguments;

	va_start(arguments, format);
	_cleanup_close_ int fd = sysfs_vopen_file(sysfs, O_RDONLY, format, arguments);
	va_end(arguments);
	if (fd < 0)
		return outcome(-fd);
	for (;;) {
		char *grown = realloc(text, size);
		if (!grown)
			return -ENOMEM;
		text = grown;
		ssize_t length = read_all(fd, text + used, size - used);
		if (length < 0)
			return outcome((int)-length);
		used += (size_t)length;
		if (used < size - 1)
			break;
		size *= 2;
	}
	*ret = TAKE(text);
	return 0;
}

static int read_link(const struct sysfs *sysfs, char *buffer, size_t size, const char *format,
		     va_list arguments)
{
	_cleanup_close_ int fd = sysfs_vopen_file(sysfs, O_PATH | O_NOFOLLOW, format, arguments);
	char text[PATH_MAX];

	if (fd < 0)
		return outcome(-fd);
	ssize_t length = readlinkat(fd, "", text, sizeof(text));
	if (length < 0) /* ENOENT: not a link */
		return outcome(errno);
	if ((size_t)length >= size)
		return -E2BIG;
	memcpy(buffer, text, (size_t)length);
	buffer[length] = '\0';
	return 0;
}

int sysfs_read_link(const struct sysfs *sysfs, char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int r = read_link(sysfs, buffer, size, format, arguments);
	va_end(arguments);
	return r;
}

int sysfs_read_link_name(const struct sysfs *sysfs, char *buffer, size_t size, const char *format,
			 ...)
{
	char target[PATH_MAX];
	va_list arguments;

	va_start(arguments, format);
	int r = read_link(sysfs, target, sizeof(target), format, arguments);
	va_end(arguments);
	if (r)
		return r;
	const char *slash = strrchr(target, '/');
	return copy_string(buffer, size, slash ? slash + 1 : target) ? 0 : -E2BIG;
}

bool sysfs_exists(const struct sysfs *sysfs, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	_cleanup_close_ int fd = sysfs_vopen_file(sysfs, O_PATH, format, arguments);
	va_end(arguments);
	return fd >= 0;
}

bool list_has(const char *list, unsigned number)
{
	const char *p = list;

	while (*p >= '0' && *p <= '9') {
		char *end;
		unsigned long first = strtoul(p, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (number >= first && number <= last)
			return true;
		if (*end != ',')
			break;
		p = end + 1;
	}
	return false;
}

bool sysfs_list_has(const struct sysfs *sysfs, unsigned number, const char *path)
{
	char list[1024];

	return sysfs_read_string(sysfs, list, sizeof(list), "%s", path) == 0 &&
	       list_has(list, number);
}

static int compare_names(const void *a, const void *b)
{
	return strverscmp(a, b);
}

int sysfs_list(const struct sysfs *sysfs, struct sysfs_names *ret, const char *prefix,
	       const char *format, ...)
{
	_cleanup_names_ struct sysfs_names names = {};
	size_t length = strlen(prefix);
	va_list arguments;

	va_start(arguments, format);
	int fd = sysfs_vopen_file(sysfs, O_RDONLY | O_DIRECTORY, format, arguments);
	va_end(arguments);
	if (fd < 0)
		return outcome(-fd);
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strncmp(entry->d_name, prefix, length) != 0 || entry->d_name[length] < '0' ||
		    entry->d_name[length] > '9' || strlen(entry->d_name) >= sizeof(names.names[0]))
			continue;
		char(*name)[64] = array_grow(&names.names, &names.count, sizeof(names.names[0]));
		if (!name) {
			closedir(dir);
			return -ENOMEM;
		}
		copy_string(*name, sizeof(*name), entry->d_name);
	}
	closedir(dir);
	if (names.count)
		qsort(names.names, names.count, sizeof(names.names[0]), compare_names);
	*ret = names;
	names = (struct sysfs_names){};
	return 0;
}

void sysfs_names_done(struct sysfs_names *names)
{
	free(names->names);
	*names = (struct sysfs_names){};
}

int sysfs_write(const struct sysfs *sysfs, const char *value, const char *format, ...)
{
	va_list arguments;
	ssize_t n;

	va_start(arguments, format);
	_cleanup_close_ int fd = sysfs_vopen_file(sysfs, O_WRONLY, format, arguments);
	va_end(arguments);
	if (fd < 0)
		return fd;
	n = write(fd, value, strlen(value));
	if (n < 0)
		return -errno;
	return (size_t)n == strlen(value) ? 0 : -EIO;
}
