/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_CLIENT_H
#define TIERCTL_CLIENT_H

/*
 * Calls to cxl-tierd. Methods are named without their interface: "Portals". Every function that
 * fails has printed one line and returns TOOL_FAILED. CXL_TIERD_SOCKET in the environment names
 * another socket than /run/cxl-tier/cxl-tierd.socket.
 */

#include <stdbool.h>

#include <systemd/sd-json.h>

/* Where cxl-tierd answers, if it runs. */
const char *client_socket(void);

/* Nothing is printed. */
bool client_daemon_running(void);
/* Nor here. False as well if it does not run. */
bool client_daemon_hears_errors(void);

/* What fetches hot memory, as GetInfo has it, and why not the better one; "" if it does not run, or does not say. */
void client_daemon_tiering(char mechanism[static 16], char reason[static 400]);

/* A call of which nothing is printed whatever comes of it; *@ret_reply is NULL then. It waits for a second. */
void client_try(const char *method, sd_json_variant *parameters, sd_json_variant **ret_reply);

/*
 * One call on a connection of its own.
 * @parameters: borrowed, NULL for none
 * @ret_reply: sd_json_variant_unref(); may be NULL
 */
int client_call(const char *method, sd_json_variant *parameters, sd_json_variant **ret_reply);

/*
 * One call that tells how far it is: @progress gets each such reply, and NULL before anything else is
 * printed. After SIGINT (tool_catch_interrupt()) the connection is closed, which cxl-tierd understands,
 * and @interrupted is what is printed. @ret_reply: also of an error that cxl-tierd replied, NULL of none.
 */
struct tier_problem;
int client_follow(const char *method, sd_json_variant *parameters,
		  const struct tier_problem *interrupted,
		  void (*progress)(void *userdata, sd_json_variant *reply), void *userdata,
		  sd_json_variant **ret_reply);

/*
 * A call that is answered again and again, until @on_reply returns nonzero, which is then returned, or
 * tool_interrupted(): TOOL_OK.
 */
int client_listen(const char *method, sd_json_variant *parameters,
		  int (*on_reply)(void *userdata, sd_json_variant *reply), void *userdata);

/*
 * A connection that is kept: cxl-tierd takes a flight's slot and extents back when the connection
 * that began it ends, as far as nobody needs them.
 */
struct client;
int client_open(struct client **ret);
struct client *client_close(struct client *client);

/*
 * If cxl-tierd was restarted meanwhile, EndFlight is tried once more on a new connection; no other
 * method is, since the call may already have had its effect.
 */
int client_session_call(struct client *client, const char *method, sd_json_variant *parameters,
			sd_json_variant **ret_reply);

/* Whatever comes of it is not told: the caller has told of something worse. */
void client_session_try(struct client *client, const char *method, sd_json_variant *parameters);

#endif
