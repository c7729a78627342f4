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
	const char *own; /* numactl's, behind them; NULL: none */
	bool inverted, relative;
	const struct tier_node_list *request;
	const struct tier_topology *topology;
	const struct tier_config *config;
};

static void items_done(struct items *items)
{
	free(items->names);
}

/* As numactl reads it: "0-3", octal and hexadecimal as well. False if that is nothing to it, which it says. */
static bool parse_range(const char *item, unsigned long *ret_first, unsigned long *ret_last)
{
	unsigned long first, last;
	char *end;

	if (!isdigit((unsigned char)item[0]))
		return false;
	first = last = strtoul(item, &end, 0);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		last = strtoul(end + 1, &end, 0);
	if (*end != '\0' || MAX(first, last) >= TIER_NODES_MAX)
		return false;
	*ret_first = MIN(first, last);
	*ret_last = MAX(first, last);
	return true;
}

/* Numbers say nothing of what memory is there, as for tier_place_destination(). */
static int check_numbers(const struct items *items, const char *item,
			 const struct tier_node_set *nodes, struct tier_problem *problem)
{
	if (items->inverted || items->request->typed || items->request->for_cpus)
		return 0;
	for (size_t i = 0; i < items->topology->node_count; i++) {
		const struct tier_node *node = &items->topology->nodes[i];
		char next[192], regions[128];

		if (!tier_node_set_has(nodes, node->id) || !place_is_typed(node))
			continue;
		place_node_regions(items->topology, node->id, ",", regions);
		snprintf(next, sizeof(next),
			 "name it%s%s, or give --typed before numactl's options",
			 regions[0] ? ": " : "", regions);
		return tier_problem_set(problem, TIER_E_REFUSED, item, next,
					"node %d is %s memory, which a number alone does not name",
					node->id, tier_memory_type_name(node->type));
	}
	return 0;
}

/* The nodes of an item; none of what numactl will refuse. */
static int item_nodes(const struct items *items, size_t which, struct tier_node_set *ret,
		      struct tier_problem *problem)
{
	const char *item = items->names[which];
	unsigned long first, last;
	int r;

	if (is_numbers(item)) {
		if (!parse_range(item, &first, &last))
			return 0;
		for (unsigned long node = first; node <= last; node++)
			tier_node_set_add(ret, (int)node);
		return check_numbers(items, item, ret, problem);
	}
	r = place_region_nodes(items->names, items->count, which, items->topology, items->config,
			       ret, problem);
	if (r == TIER_E_NOT_FOUND && is_range_of_names(item, items->topology))
		return tier_problem_set(problem, TIER_E_REFUSED, item, "name them one by one",
					"a range is one of numbers, and regions have none");
	if (r == 0 && items->relative)
		return tier_problem_set(problem, TIER_E_REFUSED, item, "leave out the +",
					"a region is no position in a cpuset, which + asks for");
	if (r == 0 && items->request->for_cpus)
		r = check_cpus(item, ret, problem);
	return r;
}

/* The list as it is, with numbers for names. @ordinary: for "all"; NULL: numactl's own. */
static int put_items(FILE *file, const struct items *items, const struct tier_node_set *ordinary,
		     struct tier_problem *problem)
{
	const char *list = items->request->list;

	fprintf(file, "%.*s", (int)strspn(list, "!+"), list);
	for (size_t i = 0; i < items->count; i++) {
		struct tier_node_set nodes = {};
		int r = item_nodes(items, i, &nodes, problem);

		if (r)
			return r;
		if (i > 0)
			fputc(',', file);
		if (is_numbers(items->names[i]))
			fputs(items->names[i], file);
		else
			put_set(file, &nodes, "", ",");
	}
	if (items->own && items->count)
		fputc(',', file);
	if (items->own && ordinary && streq(items->own, "all"))
		put_set(file, ordinary, "", ",");
	else if (items->own)
		fputs(items->own, file);
	return 0;
}

/* What is ordinary but for the list. */
static int put_others(FILE *file, const struct items *items, const struct tier_node_set *ordinary,
		      struct tier_problem *problem)
{
	struct tier_node_set others = *ordinary, listed = {};
	bool any = false;

	for (size_t i = 0; i < items->count; i++) {
		int r = item_nodes(items, i, &listed, problem);

		if (r)
			return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others.bits); i++) {
		others.bits[i] &= ~listed.bits[i];
		any |= others.bits[i] != 0;
	}
	if (!any)
		return tier_problem_set(problem, TIER_E_REFUSED, items->request->list,
					"the nodes: tierctl nodes",
					"leaves no node but those that have to be named");
	put_set(file, &others, "", ",");
	return 0;
}

/* Is there memory that is for who names it? @ret_ordinary: all other. Negative errno without memory. */
static int look_for_named(const struct items *items, struct tier_node_set *ret_ordinary)
{
	const struct tier_place_request request = {.allowed = items->request->allowed};
	_cleanup_place_ struct tier_place *place = NULL;

	(void)tier_place_select(&request, items->topology, items->config, &place, NULL);
	if (!place)
		return -ENOMEM;
	*ret_ordinary = place->taken;
	for (size_t i = 0; i < place->node_count; i++)
		if (place->nodes[i].verdict == TIER_PLACE_NOT_NAMED ||
		    place->nodes[i].verdict == TIER_PLACE_NOT_TOLD)
			return 1;
	return 0;
}

/* Neither numactl's words for all other nodes nor positions may bring in a node that nobody named. */
static int put_named(FILE *file, const struct items *items, struct tier_problem *problem)
{
	const char *list = items->request->list;
	struct tier_node_set ordinary;
	int r = items->request->for_cpus ? 0 : look_for_named(items, &ordinary);

	if (r < 0)
		return tier_problem_set(problem, r, list, NULL, "cannot read the nodes");
	/* Of all nothing is left, whatever kinds there are. */
	if (r == 0 || (items->own && items->inverted && streq(items->own, "all")))
		return put_items(file, items, NULL, problem);
	if (items->relative && (items->inverted || !items->request->typed))
		return tier_problem_set(
			problem, TIER_E_REFUSED, list, "give numbers or regions",
			"a position in a cpuset may be a node that has to be named");
	if (!items->inverted)
		return put_items(file, items, &ordinary, problem);
	if (items->own)
		return tier_problem_set(problem, TIER_E_REFUSED, list, "give numbers or regions",
					"what is left may have nodes that have to be named");
	return put_others(file, items, &ordinary, problem);
}

static int split(struct items *items, char *at)
{
	for (; *at == '!' || *at == '+'; at++) {
		items->inverted |= *at == '!';
		items->relative |= *at == '+';
	}
	while (at) {
		const char **name;

		if (is_numactls_own(at)) {
			items->own = at;
			break;
		}
		name = array_grow(&items->names, &items->count, sizeof(*items->names));
		if (!name)
			return -ENOMEM;
		*name = strsep(&at, ",");
	}
	return 0;
}

int tier_place_node_list(const struct tier_node_list *request, const struct tier_topology *topology,
			 const struct tier_config *config, char **ret, struct tier_problem *problem)
{
	_cleanup_(items_done) struct items items = {
		.request = request, .topology = topology, .config = config};
	_cleanup_free_ char *copy = strdup(request->list);
	struct text text;
	char *done = NULL;
	int r, closed;

	if (!copy || split(&items, copy) < 0 || text_open(&text) < 0)
		return tier_problem_set(problem, -ENOMEM, request->list, NULL,
					"cannot read the nodes");
	r = put_named(text.file, &items, problem);
	closed = text_close(&text, &done);
	if (r || closed < 0) {
		free(done);
		return r
			       ?: tier_problem_set(problem, closed, request->list, NULL,
						   "cannot read the nodes");
	}
	*ret = done;
	return 0;
}
