/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <systemd/sd-varlink.h>

#include "client.h"
#include "tool.h"

#define INTERFACE      "io.cxltier.Manager."
#define DEFAULT_SOCKET "/run/cxl-tier/cxl-tierd.socket"

/* Onlining a large region under load, or scrubbing a flight's extents, takes its time. */
#define TIMEOUT_USEC (UINT64_C(15) * 60 * 1000000)

#define TRY_USEC UINT64_C(1000000)

struct client {
	sd_varlink *link;
};

const char *client_socket(void)
{
	const char *path = getenv("CXL_TIERD_SOCKET");

	return path && path[0] ? path : DEFAULT_SOCKET;
}

static int connect_daemon(sd_varlink **ret)
{
	sd_varlink *link;
	int r;

	r = sd_varlink_connect_address(&link, client_socket());
	if (r < 0)
		return r;
	sd_varlink_set_relative_timeout(link, TIMEOUT_USEC);
	*ret = link;
	return 0;
}

static int fail_connect(int code)
{
	const char *path = client_socket();
	char text[256];

	if (code == -EACCES || code == -EPERM)
		return tool_fail_text("cxl-tierd", NULL, "cannot connect to %s: %s", path,
				      strerror(-code));
	snprintf(text, sizeof(text), "not running (no answer on %s)", path);
	return tool_fail_text("cxl-tierd", "systemctl start cxl-tierd", "%s", text);
}

bool client_daemon_running(void)
{
	sd_varlink *link;
	int r;

	r = connect_daemon(&link);
	if (r < 0)
		return false;
	r = sd_varlink_call(link, INTERFACE "Ping", NULL, NULL, NULL);
	sd_varlink_close_unref(link);
	return r >= 0;
}

bool client_daemon_hears_errors(void)
{
	sd_json_variant *reply = NULL, *hears;
	const char *error = NULL;
	sd_varlink *link;
	bool does = false;

	if (connect_daemon(&link) < 0)
		return false;
	if (sd_varlink_call(link, INTERFACE "GetInfo", NULL, &reply, &error) >= 0 && !error) {
		hears = sd_json_variant_by_key(reply, "hearsErrors");
		does = hears && sd_json_variant_boolean(hears);
	}
	sd_varlink_close_unref(link);
	return does;
}

void client_try(const char *method, sd_json_variant *parameters, sd_json_variant **ret_reply)
{
	sd_json_variant *reply = NULL;
	const char *error = NULL;
	sd_varlink *link;
	char name[128];

	*ret_reply = NULL;
	if (connect_daemon(&link) < 0)
		return;
	sd_varlink_set_relative_timeout(link, TRY_USEC);
	snprintf(name, sizeof(name), INTERFACE "%s", method);
	if (sd_varlink_call(link, name, parameters, &reply, &error) >= 0 && !error)
		*ret_reply = sd_json_variant_ref(reply);
	sd_varlink_close_unref(link);
}

static const char *field(sd_json_variant *object, const char *key)
{
	sd_json_variant *value = sd_json_variant_by_key(object, key);

	return value && sd_json_variant_is_string(value) ? sd_json_variant_string(value) : NULL;
}

void client_daemon_tiering(char mechanism[static 16], char reason[static 400])
{
	sd_json_variant *reply = NULL;
	const char *error = NULL;
	sd_varlink *link;

	mechanism[0] = reason[0] = '\0';
	if (connect_daemon(&link) < 0)
		return;
	if (sd_varlink_call(link, INTERFACE "GetInfo", NULL, &reply, &error) >= 0 && !error) {
		snprintf(mechanism, 16, "%s", field(reply, "tiering") ?: "");
		snprintf(reason, 400, "%s", field(reply, "tieringReason") ?: "");
	}
	sd_varlink_close_unref(link);
}

/* Prints an error reply: the daemon's own words if it has any. */
static int fail_reply(const char *method, const char *error, sd_json_variant *reply)
{
	const char *object = field(reply, "object"), *text = field(reply, "text");
	const char *next = field(reply, "next"), *parameter = field(reply, "parameter");

	if (object && text)
		return tool_fail_text(object, next && next[0] ? next : NULL, "%s", text);
	if (strcmp(error, SD_VARLINK_ERROR_INVALID_PARAMETER) == 0)
		return tool_fail_text("cxl-tierd", NULL, "%s: cannot use the value of \"%s\"",
				      method, parameter ?: "?");
	if (strcmp(error, SD_VARLINK_ERROR_METHOD_NOT_FOUND) == 0)
		return tool_fail_text("cxl-tierd", "restart it: systemctl restart cxl-tierd",
				      "does not know %s; it is older than this tierctl", method);
	return tool_fail_text("cxl-tierd", NULL, "%s: %s", method, error);
}

static bool connection_lost(int code)
{
	return code == -ENOTCONN || code == -ECONNRESET || code == -EPIPE || code == -EBADF;
}

/* 0 with the reply; TOOL_FAILED after printing; negative if the connection was lost. */
static int call(sd_varlink *link, const char *method, sd_json_variant *parameters,
		sd_json_variant **ret_reply)
{
	sd_json_variant *reply;
	const char *error;
	char name[128];
	int r;

	snprintf(name, sizeof(name), INTERFACE "%s", method);
	r = sd_varlink_call(link, name, parameters, &reply, &error);
	if (connection_lost(r))
		return r;
	if (r < 0)
		return tool_fail_text("cxl-tierd", "journalctl -u cxl-tierd", "%s: %s", method,
				      r == -ETIME ? "no answer in time" : strerror(-r));
	/* Some local errors come as an error id of their own. */
	if (error && strcmp(error, SD_VARLINK_ERROR_DISCONNECTED) == 0)
		return -ENOTCONN;
	if (error)
		return fail_reply(method, error, reply);
	if (ret_reply)
		*ret_reply = sd_json_variant_ref(reply); /* the link owns it */
	return 0;
}

static int fail_lost(const char *method)
{
	return tool_fail_text("cxl-tierd", "journalctl -u cxl-tierd",
			      "%s: it ended before it answered", method);
}

int client_call(const char *method, sd_json_variant *parameters, sd_json_variant **ret_reply)
{
	sd_varlink *link;
	int r;

	r = connect_daemon(&link);
	if (r < 0)
		return fail_connect(r);
	r = call(link, method, parameters, ret_reply);
	sd_varlink_close_unref(link);
	return r < 0 ? fail_lost(method) : r;
}

/*
 * A call with many replies, which @on_reply gets, until it sets @over; closes the link. Nothing may come
 * for days. 0; 1: interrupted; negative: the connection was lost.
 */
static int receive(sd_varlink *link, const char *method, sd_json_variant *parameters,
		   sd_varlink_reply_t on_reply, void *userdata, const bool *over)
{
	char name[128];
	int r;

	snprintf(name, sizeof(name), INTERFACE "%s", method);
	sd_varlink_set_relative_timeout(link, UINT64_MAX);
	sd_varlink_set_userdata(link, userdata);
	r = sd_varlink_bind_reply(link, on_reply);
	if (r >= 0)
		r = sd_varlink_observe(link, name, parameters);
	while (r >= 0 && !*over && !tool_interrupted()) {
		r = sd_varlink_process(link);
		if (r == 0)
			r = sd_varlink_wait(link, UINT64_MAX);
	}
	sd_varlink_close_unref(link);
	return *over ? 0 : tool_interrupted() ? 1 : r < 0 ? r : -ENOTCONN;
}

struct follow {
	const char *method;
	void (*progress)(void *userdata, sd_json_variant *reply);
	void *userdata;
	sd_json_variant *reply; /* the last one */
	int result;
	bool over;
};

/* Prints an error that came instead of a reply. */
static int fail_received(const char *method, const char *error, sd_json_variant *reply)
{
	/* Some local errors come as an error id of their own. */
	return strcmp(error, SD_VARLINK_ERROR_DISCONNECTED) == 0 ? fail_lost(method)
								 : fail_reply(method, error, reply);
}

static int on_followed(sd_varlink *link, sd_json_variant *parameters, const char *error,
		       sd_varlink_reply_flags_t flags, void *userdata)
{
	struct follow *follow = userdata;

	if (flags & SD_VARLINK_REPLY_CONTINUES && !error) {
		follow->progress(follow->userdata, parameters);
		return 0;
	}
	follow->progress(follow->userdata, NULL);
	follow->result = error ? fail_received(follow->method, error, parameters) : 0;
	follow->reply = sd_json_variant_ref(parameters);
	follow->over = true;
	return 0;
}

int client_follow(const char *method, sd_json_variant *parameters,
		  const struct tier_problem *interrupted,
		  void (*progress)(void *userdata, sd_json_variant *reply), void *userdata,
		  sd_json_variant **ret_reply)
{
	struct follow follow = {.method = method, .progress = progress, .userdata = userdata};
	sd_varlink *link;
	int r = connect_daemon(&link);

	*ret_reply = NULL;
	if (r < 0)
		return fail_connect(r);
	r = receive(link, method, parameters, on_followed, &follow, &follow.over);
	*ret_reply = follow.reply;
	if (r == 0)
		return follow.result;
	progress(userdata, NULL);
	return r > 0 ? tool_fail(interrupted) : fail_lost(method);
}

struct listening {
	const char *method;
	int (*on_reply)(void *userdata, sd_json_variant *reply);
	void *userdata;
	int result;
	bool over;
};

static int on_heard(sd_varlink *link, sd_json_variant *parameters, const char *error,
		    sd_varlink_reply_flags_t flags, void *userdata)
{
	struct listening *listening = userdata;

	listening->result = error ? fail_received(listening->method, error, parameters)
				  : listening->on_reply(listening->userdata, parameters);
	listening->over = listening->result != 0 || !(flags & SD_VARLINK_REPLY_CONTINUES);
	return 0;
}

int client_listen(const char *method, sd_json_variant *parameters,
		  int (*on_reply)(void *userdata, sd_json_variant *reply), void *userdata)
{
	struct listening listening = {.method = method, .on_reply = on_reply, .userdata = userdata};
	sd_varlink *link;
	int r = connect_daemon(&link);

	if (r < 0)
		return fail_connect(r);
	r = receive(link, method, parameters, on_heard, &listening, &listening.over);
	return r < 0 ? fail_lost(method) : listening.result;
}

int client_open(struct client **ret)
{
	struct client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return tool_fail_text("tierctl", NULL, "out of memory");
	r = connect_daemon(&client->link);
	if (r < 0) {
		free(client);
		return fail_connect(r);
	}
	*ret = client;
	return 0;
}

struct client *client_close(struct client *client)
{
	if (!client)
		return NULL;
	sd_varlink_close_unref(client->link);
	free(client);
	return NULL;
}

int client_session_call(struct client *client, const char *method, sd_json_variant *parameters,
			sd_json_variant **ret_reply)
{
	int r = client->link ? call(client->link, method, parameters, ret_reply) : -ENOTCONN;

	if (r >= 0)
		return r;
	client->link = sd_varlink_close_unref(client->link);
	if (strcmp(method, "EndFlight") != 0)
		return fail_lost(method);
	r = connect_daemon(&client->link);
	if (r < 0) {
		client->link = NULL;
		return fail_connect(r);
	}
	r = call(client->link, method, parameters, ret_reply);
	return r < 0 ? fail_lost(method) : r;
}

void client_session_try(struct client *client, const char *method, sd_json_variant *parameters)
{
	sd_json_variant *reply;
	const char *error;
	char name[128];

	snprintf(name, sizeof(name), INTERFACE "%s", method);
	if (client->link)
		(void)sd_varlink_call(client->link, name, parameters, &reply, &error);
}
