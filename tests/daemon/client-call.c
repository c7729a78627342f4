/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tools/client.c on its own: client-call METHOD [PARAMETERS] prints the reply. */
#include "client.h"
#include "tool.h"

int main(int argc, char **argv)
{
	sd_json_variant *parameters = NULL, *reply = NULL;
	int r;

	if (argc < 2 || (argc > 2 && sd_json_parse(argv[2], 0, &parameters, NULL, NULL) < 0))
		return TOOL_USAGE;
	if (strcmp(argv[1], "running") == 0)
		r = client_daemon_running() ? TOOL_OK : TOOL_FAILED;
	else
		r = client_call(argv[1], parameters, &reply);
	if (reply)
		sd_json_variant_dump(reply, SD_JSON_FORMAT_NEWLINE, stdout, NULL);
	sd_json_variant_unref(reply);
	sd_json_variant_unref(parameters);
	return r;
}
