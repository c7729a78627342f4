// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The lab's agent: runs commands in an emulated host for tests/lab/host exec.
 *
 * A connection is one command. Frames in both directions: one byte type, four bytes length (big-endian), payload.
 *   to the agent:    A argument (repeated), R run, 0 standard input, C end of standard input, S signal number
 *   from the agent:  1 standard output, 2 standard error, X exit status, F could not be run (text)
 * The command is its own session; if the client goes away first, its process group is killed. What the command left
 * running in the background lives on, as after a login shell.
 *
 * May be process 1: children that nobody waits for are reaped by the kernel because SIGCHLD is ignored.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORT = 7000, PAYLOAD_MAX = 64 * 1024, ARGS_MAX = 4096 };

struct command {
	char *argv[ARGS_MAX + 1];
	size_t argc;
	pid_t pid;
	int in, out, err;
};

static int read_all(int fd, void *buf, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, (char *)buf + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		done += (size_t)n;
	}
	return 0;
}

static int write_all(int fd, const void *buf, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, (const char *)buf + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
			continue;
		}
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

static int send_frame(int fd, char type, const void *payload, uint32_t size)
{
	char frame[5 + PAYLOAD_MAX] = {type};
	uint32_t length = htonl(size);

	memcpy(frame + 1, &length, 4);
	if (size > 0)
		memcpy(frame + 5, payload, size);
	return write_all(fd, frame, 5 + size);
}

/* The caller's buffer holds PAYLOAD_MAX + 1 bytes, so that an argument can be terminated. */
static int receive_frame(int fd, char *ret_type, char *payload, uint32_t *ret_size)
{
	unsigned char head[5];
	uint32_t size;
	int r;

	r = read_all(fd, head, sizeof(head));
	if (r < 0)
		return r;
	memcpy(&size, head + 1, 4);
	size = ntohl(size);
	if (size > PAYLOAD_MAX)
		return -EMSGSIZE;
	r = read_all(fd, payload, size);
	if (r < 0)
		return r;
	payload[size] = '\0';
	*ret_type = (char)head[0];
	*ret_size = size;
	return 0;
}

static int start(struct command *c, sigset_t *mask)
{
	int in[2], out[2], err[2], failed[2], error = 0;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
	    pipe2(failed, O_CLOEXEC) < 0)
		return -errno;
	c->pid = fork();
	if (c->pid < 0)
		return -errno;
	if (c->pid == 0) {
		setsid();
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		sigprocmask(SIG_SETMASK, mask, NULL);
		signal(SIGPIPE, SIG_DFL);
		execvp(c->argv[0], c->argv);
		error = errno;
		if (write(failed[1], &error, sizeof(error)) < 0)
			_exit(126);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	close(failed[1]);
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	fcntl(c->in, F_SETFL, O_NONBLOCK);
	fcntl(c->out, F_SETFL, O_NONBLOCK);
	fcntl(c->err, F_SETFL, O_NONBLOCK);
	if (read_all(failed[0], &error, sizeof(error)) < 0)
		error = 0;
	close(failed[0]);
	return -error;
}

/*
 * What the client sent and nobody read would make close() a reset, which throws away what is still
 * on its way to the client: the answer. So this reads until the client has hung up.
 */
static void hang_up(int sock)
{
	char unread[4096];

	shutdown(sock, SHUT_WR);
	while (read(sock, unread, sizeof(unread)) > 0)
		;
}

/* One read's worth. False at the end of the stream; *ret_r < 0 if the client is gone. */
static bool forward(int sock, char type, int fd, int *ret_r)
{
	char buf[PAYLOAD_MAX];
	ssize_t n = read(fd, buf, sizeof(buf));

	*ret_r = 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n > 0)
		*ret_r = send_frame(sock, type, buf, (uint32_t)n);
	return n > 0;
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

/*
 * Returns the command's wait status, or a negative errno when the client went away. Input that the command has not
 * taken yet stays in the buffer and no further frame is read, so that a slow reader slows the sender and nothing
 * else; a client that disconnects is still noticed by POLLRDHUP.
 */
static int pump(int sock, int child_fd, struct command *c)
{
	char payload[PAYLOAD_MAX + 1], type;
	uint32_t have = 0, given = 0, size;
	int status, r;

	for (;;) {
		struct pollfd p[] = {
			{.fd = sock, .events = have > given ? POLLRDHUP : POLLIN | POLLRDHUP},
			{.fd = c->out, .events = POLLIN},
			{.fd = c->err, .events = POLLIN},
			{.fd = child_fd, .events = POLLIN},
			{.fd = have > given ? c->in : -1, .events = POLLOUT},
		};

		if (poll(p, 5, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (p[1].revents) {
			if (!forward(sock, '1', c->out, &r)) {
				close(c->out);
				c->out = -1;
			}
			if (r < 0)
				return r;
		}
		if (p[2].revents) {
			if (!forward(sock, '2', c->err, &r)) {
				close(c->err);
				c->err = -1;
			}
			if (r < 0)
				return r;
		}
		if (p[4].revents) {
			ssize_t n = write(c->in, payload + given, have - given);

			if (n >= 0)
				given += (uint32_t)n;
			else if (errno != EAGAIN && errno != EINTR)
				given = have;
		}
		if (p[3].revents && waitpid(c->pid, &status, WNOHANG) == c->pid) {
			c->pid = 0;
			while (c->out >= 0 && readable(c->out) && forward(sock, '1', c->out, &r) &&
			       r == 0)
				;
			while (c->err >= 0 && readable(c->err) && forward(sock, '2', c->err, &r) &&
			       r == 0)
				;
			return status;
		}
		if (p[0].revents & POLLIN && have == given) {
			r = receive_frame(sock, &type, payload, &size);
			if (r < 0)
				return r;
			have = given = 0;
			if (type == '0' && c->in >= 0) {
				have = size;
			} else if (type == 'C' && c->in >= 0) {
				close(c->in);
				c->in = -1;
			} else if (type == 'S') {
				kill(-c->pid, atoi(payload));
			}
		} else if (p[0].revents & (POLLRDHUP | POLLHUP | POLLERR)) {
			return -EPIPE;
		}
	}
}

static void serve(int sock)
{
	static char payload[PAYLOAD_MAX + 1];
	static struct command c;
	sigset_t child, old;
	uint32_t size, answer;
	char type;
	int child_fd, r;

	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &old);
	child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	for (;;) {
		if (receive_frame(sock, &type, payload, &size) < 0)
			return;
		if (type == 'R')
			break;
		if (type != 'A' || c.argc == ARGS_MAX)
			return;
		c.argv[c.argc++] = strdup(payload);
	}
	if (c.argc == 0)
		return;
	r = start(&c, &old);
	if (r < 0) {
		char text[PAYLOAD_MAX];

		snprintf(text, sizeof(text), "%.4000s: %s", c.argv[0], strerror(-r));
		send_frame(sock, 'F', text, (uint32_t)strlen(text));
		return;
	}
	r = pump(sock, child_fd, &c);
	if (r < 0) {
		if (c.pid > 0)
			kill(-c.pid, SIGKILL);
		return;
	}
	answer = htonl(WIFEXITED(r) ? (uint32_t)WEXITSTATUS(r) : 128 + (uint32_t)WTERMSIG(r));
	send_frame(sock, 'X', &answer, sizeof(answer));
}

int main(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int listener, one = 1;

	signal(SIGCHLD, SIG_IGN);
	if (setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1) < 0 ||
	    setenv("HOME", "/root", 1) < 0 || setenv("LANG", "C.UTF-8", 1) < 0 ||
	    setenv("USER", "root", 1) < 0 || chdir("/root") < 0)
		perror("agent: environment");
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 64) < 0) {
		perror("agent: cannot listen");
		return 1;
	}
	for (;;) {
		int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (sock < 0)
			continue;
		if (fork() == 0) {
			close(listener);
			serve(sock);
			hang_up(sock);
			_exit(0);
		}
		close(sock);
	}
}
