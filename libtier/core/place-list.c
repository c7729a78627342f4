/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of nodes as other programs take them. */
#include <ctype.h>

#include "place.h"
#include "topology.h"

/* Opens a string that grows; NULL without memory. */
struct text {
	char *bytes;
	size_t length;
	FILE *file;
};

static int text_open(struct text *text)
{
	text->file = open_memstream(&text->bytes, &text->length);
	return text->file ? 0 : -ENOMEM;
}

static int text_close(struct text *text, char **ret)
{
	bool bad = fflush(text->file) != 0;

	bad |= fclose(text->file) != 0;
	if (bad) {
		free(text->bytes);
		return -ENOMEM;
	}
	*ret = text->bytes;
	return 0;
}

static void put_set(FILE *file, const struct tier_node_set *set, const char *before,
		    const char *between)
{
	bool any = false;

	for (int i = 0; i < TIER_NODES_MAX; i++)
		if (tier_node_set_has(set, i)) {
			fprintf(file, "%s%s%d", any ? between : "", before, i);
			any = true;
		}
}

int tier_node_set_list(const struct tier_node_set *set, char **ret)
{
	struct text text;

	if (text_open(&text) < 0)
		return -ENOMEM;
	put_set(text.file, set, "", ",");
	return text_close(&text, ret);
}

int tier_node_set_qemu(const struct tier_node_set *set, char **ret)
{
	struct text text;

	if (text_open(&text) < 0)
		return -ENOMEM;
	/* A list is a property that is repeated: a comma would end its value. */
	put_set(text.file, set, "host-nodes=", ",");
	fputs(",policy=bind", text.file);
	return text_close(&text, ret);
}

/* What numactl resolves by itself, to the end of the list: numactl 2.0.19, affinity.c. */
static bool is_numactls_own(const char *rest)
{
	static const char *const prefixes[] = {"netdev:", "ip:", "file:", "block:", "pci:"};

	if (streq(rest, "all") || streq(rest, "same"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(rest, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* Numbers, a range of them, or what is wrong with a number: numactl's to judge. */
static bool is_numbers(const char *item)
{
	return item[strspn(item, "0123456789xXabcdefABCDEF-")] == '\0' &&
	       (item[0] == '\0' || isdigit((unsigned char)item[0]));
}

/* "region0-region3" or "0-region3": is one end of a range a name, and the whole none? */
static bool is_range_of_names(const char *item, const struct tier_topology *topology)
{
	const char *dash = strchr(item, '-');
	char first[64];

	if (!dash || dash == item || dash[1] == '\0')
		return false;
	copy_string(first, sizeof(first), item);
	first[MIN((size_t)(dash - item), sizeof(first) - 1)] = '\0';
	return tier_topology_region(topology, first) || tier_topology_region(topology, dash + 1);
}

static int check_cpus(const char *name, const struct tier_node_set *nodes,
		      struct tier_problem *problem)
{
	for (int i = 0; i < TIER_NODES_MAX; i++)
		if (tier_node_set_has(nodes, i))
			return tier_problem_set(problem, TIER_E_REFUSED, name,
						"give a node with CPUs: tierctl list nodes",
						"its node %d has no CPUs to run on", i);
	return 0;
}

struct items {
	const char **names; /* of all items, so that those which share a node know of each other */
	size_t count;
	bool relative;
	bool for_cpus;
};

static int put_item(FILE *file, const struct items *items, size_t which,
		    const struct tier_topology *topology, const struct tier_config *config,
		    struct tier_problem *problem)
{
	const char *item = items->names[which];
	struct tier_node_set nodes = {};
	int r;

	if (is_numbers(item)) {
		fputs(item, file);
		return 0;
	}
	r = place_region_nodes(items->names, items->count, which, topology, config, &nodes,
			       problem);
	if (r == TIER_E_NOT_FOUND && is_range_of_names(item, topology))
		return tier_problem_set(problem, TIER_E_REFUSED, item, "name them one by one",
					"a range is one of numbers, and regions have none");
	if (r == 0 && items->relative)
		return tier_problem_set(problem, TIER_E_REFUSED, item, "leave out the +",
					"a region is no position in a cpuset, which + asks for");
	if (r == 0 && items->for_cpus)
		r = check_cpus(item, &nodes, problem);
	if (r)
		return r;
	put_set(file, &nodes, "", ",");
	return 0;
}

static int put_items(FILE *file, const char *list, bool for_cpus,
		     const struct tier_topology *topology, const struct tier_config *config,
		     struct tier_problem *problem)
{
	_cleanup_free_ char *copy = strdup(list);
	_cleanup_free_ const char **names = NULL;
	struct items items = {.for_cpus = for_cpus};
	char *at = copy;

	if (!copy)
		return tier_problem_set(problem, -ENOMEM, list, NULL, "cannot read the nodes");
	for (; *at == '!' || *at == '+'; at++) {
		items.relative |= *at == '+';
		fputc(*at, file);
	}
	const char *own = NULL;
	while (at) {
		const char **name;

		if (is_numactls_own(at)) {
			own = at;
			break;
		}
		name = array_grow(&names, &items.count, sizeof(*names));
		if (!name)
			return tier_problem_set(problem, -ENOMEM, list, NULL,
						"cannot read the nodes");
		*name = strsep(&at, ",");
	}
	items.names = names;
	for (size_t i = 0; i < items.count; i++) {
		int r;

		if (i > 0)
			fputc(',', file);
		r = put_item(file, &items, i, topology, config, problem);
		if (r)
			return r;
	}
	if (own)
		fprintf(file, "%s%s", items.count ? "," : "", own);
	return 0;
}

int tier_place_node_list(const char *list, bool for_cpus, const struct tier_topology *topology,
			 const struct tier_config *config, char **ret, struct tier_problem *problem)
{
	struct text text;
	char *done = NULL;
	int r, closed;

	if (text_open(&text) < 0)
		return tier_problem_set(problem, -ENOMEM, list, NULL, "cannot read the nodes");
	r = put_items(text.file, list, for_cpus, topology, config, problem);
	closed = text_close(&text, &done);
	if (r || closed < 0) {
		free(done);
		return r ?: tier_problem_set(problem, closed, list, NULL, "cannot read the nodes");
	}
	*ret = done;
	return 0;
}
