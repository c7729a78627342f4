/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The device state of a paused machine, in and out of QEMU by descriptor; the RAM stays behind. */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "clock.h"
#include "fd.h"
#include "machine.h"

#define STATE_USEC (120 * UINT64_C(1000000))
#define POLL_USEC  UINT64_C(5000)
/* Observed: 300 to 400 KB. Far more means that RAM went into the stream. */
#define STATE_LIMIT (64 * MIB)

static int set_capabilities(struct tier_machine *machine, bool incoming,
			    struct tier_problem *problem)
{
	/* late-block-activate: the disks stay the source's until cont. */
	return qmp_commandb(
		machine->qmp, "migrate-set-capabilities", -1, NULL, problem,
		SD_JSON_BUILD_PAIR(
			"capabilities",
			SD_JSON_BUILD_ARRAY(
				SD_JSON_BUILD_OBJECT(
					SD_JSON_BUILD_PAIR_STRING("capability", "x-ignore-shared"),
					SD_JSON_BUILD_PAIR_BOOLEAN("state", true)),
				SD_JSON_BUILD_OBJECT(
					SD_JSON_BUILD_PAIR_STRING("capability",
								  "late-block-activate"),
					SD_JSON_BUILD_PAIR_BOOLEAN("state", incoming)))));
}

/* Waits until query-migrate says completed. */
static int await_completed(struct tier_machine *machine, struct tier_problem *problem)
{
	uint64_t deadline = now_usec() + STATE_USEC;

	for (;;) {
		sd_json_variant *reply, *status, *why;
		struct pollfd poll_fd = {.fd = machine->pidfd, .events = POLLIN};
		const char *text;
		int r = qmp_command(machine->qmp, "query-migrate", NULL, -1, &reply, problem);

		if (r)
			return r;
		status = sd_json_variant_by_key(reply, "status");
		text = status && sd_json_variant_is_string(status) ? sd_json_variant_string(status)
								   : "none";
		if (streq(text, "completed"))
			return 0;
		if (streq(text, "failed") || streq(text, "cancelled")) {
			why = sd_json_variant_by_key(reply, "error-desc");
			return tier_problem_set(problem, TIER_E_REFUSED, machine->name, NULL,
						"QEMU could not transfer the device state: %s",
						why && sd_json_variant_is_string(why)
							? sd_json_variant_string(why)
							: text);
		}
		if (now_usec() > deadline)
			return tier_problem_set(problem, TIER_E_TIMEOUT, machine->name, NULL,
						"QEMU did not finish the device state (%s)", text);
		poll(&poll_fd, 1, poll_timeout(now_usec() + POLL_USEC));
	}
}

static int send_descriptor(struct tier_machine *machine, int fd, struct tier_problem *problem)
{
	return qmp_commandb(machine->qmp, "getfd", fd, NULL, problem,
			    SD_JSON_BUILD_PAIR_STRING("fdname", "cxl-tier-state"));
}

static int read_all(int fd, uint64_t deadline, void **ret, size_t *ret_bytes)
{
	_cleanup_free_ char *buffer = NULL;
	size_t used = 0, size = 0;

	for (;;) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (used == size) {
			char *grown;

			size = size ? size * 2 : MIB;
			if (size > STATE_LIMIT)
				return -EFBIG;
			grown = realloc(buffer, size);
			if (!grown)
				return -ENOMEM;
			buffer = grown;
		}
		n = poll(&poll_fd, 1, poll_timeout(deadline));
		if (n == 0)
			return TIER_E_TIMEOUT;
		if (n > 0)
			n = read(fd, buffer + used, size - used);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		if (n > 0)
			used += (size_t)n;
	}
	*ret = TAKE(buffer);
	*ret_bytes = used;
	return 0;
}

/* A VM cannot be resumed while its migration is not over, one way or the other. */
static void cancel_migration(struct tier_machine *machine)
{
	if (qmp_command(machine->qmp, "migrate_cancel", NULL, -1, NULL, NULL) == 0)
		(void)await_completed(machine, NULL);
}

int tier_machine_save_state(struct tier_machine *machine, void **ret, size_t *ret_bytes,
			    struct tier_problem *problem)
{
	_cleanup_free_ void *state = NULL;
	_cleanup_close_ int reader = -1, writer = -1;
	size_t bytes = 0;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return tier_problem_set(problem, -errno, machine->name, NULL, "pipe");
	reader = fds[0];
	writer = fds[1];
	r = set_capabilities(machine, false, problem);
	r = r ?: send_descriptor(machine, writer, problem);
	if (r)
		return r;
	close(take_fd(&writer));
	r = qmp_commandb(machine->qmp, "migrate", -1, NULL, problem,
			 SD_JSON_BUILD_PAIR_STRING("uri", "fd:cxl-tier-state"));
	if (r)
		return r;
	r = read_all(reader, now_usec() + STATE_USEC, &state, &bytes);
	if (r)
		tier_problem_set(problem, r, machine->name, NULL,
				 "cannot read the device state from QEMU");
	r = r ?: await_completed(machine, problem);
	if (r) {
		cancel_migration(machine);
		return r;
	}
	if (bytes == 0)
		return tier_problem_set(problem, -EIO, machine->name, NULL,
					"QEMU wrote no device state");
	*ret = TAKE(state);
	*ret_bytes = bytes;
	return 0;
}

static int write_all(int fd, const char *data, size_t bytes, uint64_t deadline)
{
	while (bytes) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
		ssize_t n = poll(&poll_fd, 1, poll_timeout(deadline));

		if (n == 0)
			return TIER_E_TIMEOUT;
		if (n > 0)
			n = send(fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0) {
			data += n;
			bytes -= (size_t)n;
		}
	}
	return 0;
}

int tier_machine_load_state(struct tier_machine *machine, const void *state, size_t bytes,
			    struct tier_problem *problem)
{
	_cleanup_close_ int reader = -1, writer = -1;
	int fds[2], r, written;

	/* A socket, since a write to it can fail without SIGPIPE. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return tier_problem_set(problem, -errno, machine->name, NULL, "socketpair");
	reader = fds[0];
	writer = fds[1];
	r = set_capabilities(machine, true, problem);
	r = r ?: send_descriptor(machine, reader, problem);
	if (r)
		return r;
	close(take_fd(&reader));
	r = qmp_commandb(machine->qmp, "migrate-incoming", -1, NULL, problem,
			 SD_JSON_BUILD_PAIR_STRING("uri", "fd:cxl-tier-state"),
			 SD_JSON_BUILD_PAIR_BOOLEAN("exit-on-error", false));
	if (r)
		return r;
	/* QEMU stops reading a stream that it cannot use; its own words say more than EPIPE. */
	written = write_all(writer, state, bytes, now_usec() + STATE_USEC);
	close(take_fd(&writer));
	r = await_completed(machine, problem);
	if (r == 0 && written)
		return tier_problem_set(problem, written, machine->name, NULL,
					"cannot hand the device state to QEMU");
	return r;
}
