/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "config-keys.h"
#include "fuzz.h"
#include "tier-topology.h"

static void check_machine(const struct tier_config *config,
			  const struct tier_config_machine *machine)
{
	HOLDS(config_name_valid(machine->name));
	HOLDS(tier_config_machine(config, machine->name) == machine);
	HOLDS(machine->qemu[0] == '/');
	HOLDS(!strchr(machine->type, ',') && !strchr(machine->accelerator, ','));
	HOLDS(machine->memory_bytes % (2 << 20) == 0);
	HOLDS(machine->cpus >= 1 && machine->cpus <= 1024);
	for (size_t i = 0; i < machine->argument_count; i++)
		HOLDS(!config_argument_refused(i ? machine->arguments[i - 1] : NULL,
					       machine->arguments[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t serials[] = {0, 1, UINT64_MAX};
	const struct tier_region region = {
		.name = "region0",
		.uuid = "01234567-89ab-cdef-0123-456789abcdef",
		.serials = serials,
		.memdev_count = 3,
	};
	struct tier_problem problem = {};
	struct tier_config *config;
	int r;

	HOLDS(tier_config_new(&config) == 0);
	r = tier_config_parse(config, (const char *)data, size, "fuzz.conf", &problem);
	HOLDS(r == 0 || r == -EINVAL);
	if (r) {
		HOLDS(strncmp(problem.object, "fuzz.conf:", 10) == 0 && problem.object[10] != '0');
		HOLDS(problem.text[0] != '\0');
		/* It goes to a terminal. */
		for (size_t i = 0; problem.text[i]; i++)
			HOLDS(problem.text[i] >= ' ' && problem.text[i] <= '~');
		tier_config_free(config);
		return 0;
	}
	HOLDS(config->vm_directory[0] == '/');
	for (size_t i = 0; i < config->machine_count; i++)
		check_machine(config, &config->machines[i]);
	for (size_t i = 0; i < config->region_count; i++)
		HOLDS(config_name_valid(config->regions[i].name));
	for (size_t i = 0; i < config->portal_count; i++)
		HOLDS(config_name_valid(config->portals[i].name));
	tier_config_region_rule(config, &region);
	tier_config_portal_rule(config, &region);
	/* Something is missing in a section, or a line contradicts another one, which is named as well. */
	if (config_check(config, &problem) < 0) {
		HOLDS(problem.text[0] != '\0');
		HOLDS(problem.object[0] == '[' || (strncmp(problem.object, "fuzz.conf:", 10) == 0 &&
						   strstr(problem.text, "(fuzz.conf:")));
	}
	tier_config_free(config);
	return 0;
}
