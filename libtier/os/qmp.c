/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "clock.h"
#include "fd.h"
#include "qmp.h"

#define COMMAND_USEC  (60 * UINT64_C(1000000))
#define GREETING_USEC (10 * UINT64_C(1000000))
/* No answer that is used here comes near this; more is a broken peer. */
#define LINE_MAX_BYTES (16 * MIB)

struct qmp {
	int fd;
	pid_t peer;
	int pidfd;   /* of @peer, from the socket itself */
	uint64_t id; /* of the last command */
	char object[96];
	char *buffer;
	size_t used, size;
	sd_json_variant *reply;
};

struct qmp *qmp_free(struct qmp *qmp)
{
	if (!qmp)
		return NULL;
	closep(&qmp->fd);
	closep(&qmp->pidfd);
	sd_json_variant_unref(qmp->reply);
	free(qmp->buffer);
	free(qmp);
	return NULL;
}

pid_t qmp_peer(const struct qmp *qmp)
{
	return qmp->peer;
}

/* Reads one line and parses it. */
static int read_message(struct qmp *qmp, uint64_t deadline, sd_json_variant **ret)
{
	for (;;) {
		char *end = qmp->used ? memchr(qmp->buffer, '\n', qmp->used) : NULL;
		struct pollfd poll_fd = {.fd = qmp->fd, .events = POLLIN};
		ssize_t n;
		int r;

		if (end) {
			size_t line = (size_t)(end - qmp->buffer) + 1;

			*end = '\0';
			r = sd_json_parse(qmp->buffer, 0, ret, NULL, NULL);
			qmp->used -= line;
			memmove(qmp->buffer, qmp->buffer + line, qmp->used);
			return r < 0 ? -EBADMSG : 0;
		}
		if (now_usec() > deadline)
			return TIER_E_TIMEOUT;
		if (qmp->used == qmp->size) {
			size_t size = qmp->size ? qmp->size * 2 : 4096;
			char *grown;

			if (size > LINE_MAX_BYTES)
				return -EMSGSIZE;
			grown = realloc(qmp->buffer, size);
			if (!grown)
				return -ENOMEM;
			qmp->buffer = grown;
			qmp->size = size;
		}
		r = poll(&poll_fd, 1, poll_timeout(deadline));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0)
			return TIER_E_TIMEOUT;
		if (r < 0)
			continue;
		n = recv(qmp->fd, qmp->buffer + qmp->used, qmp->size - qmp->used, MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (n > 0)
			qmp->used += (size_t)n;
	}
}

static int send_text(struct qmp *qmp, const char *text, int fd)
{
	size_t bytes = strlen(text);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {};

	while (bytes) {
		struct iovec part = {.iov_base = (char *)text, .iov_len = bytes};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
		ssize_t n;

		if (fd >= 0) {
			message.msg_control = &control;
			message.msg_controllen = sizeof(control);
			control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
							  .cmsg_level = SOL_SOCKET,
							  .cmsg_type = SCM_RIGHTS};
			memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		}
		n = sendmsg(qmp->fd, &message, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		bytes -= (size_t)n;
		fd = -1;
	}
	return 0;
}

int qmp_command(struct qmp *qmp, const char *command, sd_json_variant *arguments, int fd,
		sd_json_variant **ret, struct tier_problem *problem)
{
	uint64_t deadline = now_usec() + COMMAND_USEC;
	sd_json_variant *request = NULL;
	_cleanup_free_ char *text = NULL;
	int r;

	r = sd_json_build(&request,
			  SD_JSON_BUILD_OBJECT(
				  SD_JSON_BUILD_PAIR_STRING("execute", command),
				  SD_JSON_BUILD_PAIR_UNSIGNED("id", ++qmp->id),
				  SD_JSON_BUILD_PAIR_CONDITION(arguments != NULL, "arguments",
							       SD_JSON_BUILD_VARIANT(arguments))));
	if (r >= 0)
		r = sd_json_variant_format(request, SD_JSON_FORMAT_NEWLINE, &text);
	sd_json_variant_unref(request);
	if (r < 0)
		return r;

	qmp->reply = sd_json_variant_unref(qmp->reply);
	r = send_text(qmp, text, fd);
	while (r == 0) {
		sd_json_variant *message = NULL, *value;

		r = read_message(qmp, deadline, &message);
		if (r)
			break;
		/* Events, and what a command that timed out is answered at last. */
		value = sd_json_variant_by_key(message, "id");
		if (!value || !sd_json_variant_is_unsigned(value) ||
		    sd_json_variant_unsigned(value) != qmp->id) {
			sd_json_variant_unref(message);
			continue;
		}
		value = sd_json_variant_by_key(message, "return");
		if (value) {
			qmp->reply = message;
			if (ret)
				*ret = value;
			return 0;
		}
		value = sd_json_variant_by_key(message, "error");
		if (value) {
			sd_json_variant *why = sd_json_variant_by_key(value, "desc");

			r = tier_problem_set(problem, TIER_E_REFUSED, qmp->object, NULL,
					     "QEMU refused %s: %s", command,
					     why && sd_json_variant_is_string(why)
						     ? sd_json_variant_string(why)
						     : "no reason given");
		}
		sd_json_variant_unref(message);
		if (value)
			return r;
	}
	return tier_problem_set(problem, r, qmp->object, NULL, "QMP %s %s", command,
				r == -EPIPE ? "failed, QEMU has ended" : "failed");
}

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* From the socket where the kernel can (6.5), since a pid may have become somebody else's. */
static int peer_pidfd(int fd, pid_t pid)
{
	int pidfd = -1;
	socklen_t size = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	if (errno != ENOPROTOOPT)
		return -errno;
	pidfd = pidfd_open(pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

int qmp_take_pidfd(struct qmp *qmp)
{
	return take_fd(&qmp->pidfd);
}

int qmp_connect(const char *path, struct qmp **ret, struct tier_problem *problem)
{
	_cleanup_(qmp_freep) struct qmp *qmp = calloc(1, sizeof(*qmp));
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	sd_json_variant *greeting = NULL;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	const struct timeval patience = {.tv_sec = GREETING_USEC / 1000000};
	int r;

	if (!qmp)
		return -ENOMEM;
	qmp->fd = qmp->pidfd = -1;
	copy_string(qmp->object, sizeof(qmp->object), path);
	if (!copy_string(address.sun_path, sizeof(address.sun_path), path))
		return tier_problem_set(problem, -ENAMETOOLONG, path, NULL, "QMP socket");
	qmp->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (qmp->fd < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot create a socket");
	/* The monitor stops accepting while it serves a client; its backlog is one. */
	if (setsockopt(qmp->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot set a time limit");
	if (connect(qmp->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == EAGAIN)
			return tier_problem_set(problem, TIER_E_TIMEOUT, path,
						"end the other client",
						"cannot connect: another client holds the monitor");
		r = errno == ENOENT || errno == ECONNREFUSED ? TIER_E_NOT_FOUND : -errno;
		return tier_problem_set(problem, r, path, NULL, "cannot connect to QEMU");
	}
	if (getsockopt(qmp->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return tier_problem_set(problem, -errno, path, NULL, "cannot tell who listens");
	qmp->peer = peer.pid;
	qmp->pidfd = peer_pidfd(qmp->fd, peer.pid);
	if (qmp->pidfd < 0)
		return tier_problem_set(problem, qmp->pidfd, path, NULL, "cannot watch process %d",
					peer.pid);

	r = read_message(qmp, now_usec() + GREETING_USEC, &greeting);
	sd_json_variant_unref(greeting);
	if (r == TIER_E_TIMEOUT)
		return tier_problem_set(problem, r, path, "end the other client",
					"no QMP greeting: another client holds the monitor");
	if (r)
		return tier_problem_set(problem, r, path, NULL, "no QMP greeting");
	r = qmp_command(qmp, "qmp_capabilities", NULL, -1, NULL, problem);
	if (r)
		return r;
	*ret = TAKE(qmp);
	return 0;
}
