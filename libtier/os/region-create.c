/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "region-create.h"

#include <stdarg.h>

#include "tier-online.h"
#include "util.h"

/*
 * Making a volatile region, through libcxl. The kernel's order: granularity, ways, size, then for each position an
 * endpoint decoder with its part of the device's memory; commit programs the decoders, and with the driver come node
 * and dax device. The type goes in before the commit, so that there is no moment with memory of another one.
 */

struct making {
	const struct tier_declared *declared;
	struct cxl_region *region;
	const char *name;
	struct cxl_memdev *memdevs[TIER_WAYS_MAX];
	struct cxl_decoder *decoders[TIER_WAYS_MAX]; /* that were given memory, or a try at it */
	unsigned decoder_count;
	struct tier_problem *problem;
};

/* What was tried, of what, and what came of it; a @code that is 0 is none. */
__attribute__((format(printf, 3, 4))) static int step(struct making *making, int code,
						      const char *format, ...)
{
	char object[96], what[200];
	va_list arguments;

	if (code == 0)
		return 0;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	snprintf(object, sizeof(object), "[Region %s]", making->declared->name);
	/* libcxl has codes of its own for what cannot happen. */
	return tier_problem_set(making->problem, code < 0 ? code : -ENXIO, object, "dmesg",
				"cannot make %s in %s: %s", making->name ?: "a region",
				making->declared->window, what);
}

struct cxl_region *region_by_name(struct cxl_ctx *ctx, const char *name)
{
	struct cxl_decoder *decoder;
	struct cxl_region *region;
	struct cxl_bus *bus;

	for (bus = sym_cxl_bus_get_first(ctx); bus; bus = sym_cxl_bus_get_next(bus))
		for (decoder = sym_cxl_decoder_get_first(sym_cxl_bus_get_port(bus)); decoder;
		     decoder = sym_cxl_decoder_get_next(decoder))
			for (region = sym_cxl_region_get_first(decoder); region;
			     region = sym_cxl_region_get_next(region))
				if (streq(sym_cxl_region_get_devname(region), name))
					return region;
	return NULL;
}

/* The kernel takes them in the order of their numbers only. */
static struct cxl_decoder *free_decoder(struct cxl_memdev *memdev)
{
	struct cxl_endpoint *endpoint = sym_cxl_memdev_get_endpoint(memdev);
	struct cxl_decoder *decoder, *found = NULL;

	if (!endpoint)
		return NULL;
	for (decoder = sym_cxl_decoder_get_first(sym_cxl_endpoint_get_port(endpoint)); decoder;
	     decoder = sym_cxl_decoder_get_next(decoder))
		if (sym_cxl_decoder_get_size(decoder) == 0 &&
		    sym_cxl_decoder_get_dpa_size(decoder) == 0 &&
		    (!found || sym_cxl_decoder_get_id(decoder) < sym_cxl_decoder_get_id(found)))
			found = decoder;
	return found;
}

static int find_devices(struct making *making, struct cxl_ctx *ctx)
{
	struct cxl_memdev *memdev;

	for (unsigned i = 0; i < making->declared->ways; i++) {
		for (memdev = sym_cxl_memdev_get_first(ctx); memdev;
		     memdev = sym_cxl_memdev_get_next(memdev))
			if (sym_cxl_memdev_get_serial(memdev) == making->declared->serials[i])
				making->memdevs[i] = memdev;
		if (!making->memdevs[i]) {
			step(making, -ENODEV, "%s is not there any more",
			     making->declared->memdevs[i]);
			return TIER_E_STALE;
		}
	}
	return 0;
}

static int shape(struct making *making)
{
	const struct tier_declared *declared = making->declared;
	char size[16];
	int r;

	r = step(making,
		 sym_cxl_region_set_interleave_granularity(making->region,
							   declared->granularity_bytes),
		 "interleave by %u bytes", declared->granularity_bytes);
	if (r == 0)
		r = step(making, sym_cxl_region_set_interleave_ways(making->region, declared->ways),
			 "interleave over %u device%s", declared->ways,
			 declared->ways == 1 ? "" : "s");
	if (r == 0)
		r = step(making, sym_cxl_region_set_size(making->region, declared->bytes),
			 "give it %s of the window", format_bytes(size, declared->bytes));
	return r;
}

static int add_device(struct making *making, unsigned position)
{
	const struct tier_declared *declared = making->declared;
	uint64_t bytes = declared->bytes / declared->ways;
	const char *memdev = declared->memdevs[position], *name;
	struct cxl_decoder *decoder = free_decoder(making->memdevs[position]);
	char size[16];
	int r;

	if (!decoder)
		return step(making, -EBUSY, "no decoder of %s is free", memdev);
	name = sym_cxl_decoder_get_devname(decoder);
	r = step(making, unfinished_add(name), "note %s in /run/cxl-tier", name);
	if (r < 0)
		return r;
	making->decoders[making->decoder_count++] = decoder;
	if (sym_cxl_decoder_get_mode(decoder) != CXL_DECODER_MODE_RAM)
		r = step(making, sym_cxl_decoder_set_mode(decoder, CXL_DECODER_MODE_RAM),
			 "use %s of %s for volatile memory", name, memdev);
	if (r == 0)
		r = step(making, sym_cxl_decoder_set_dpa_size(decoder, bytes), "give %s %s of %s",
			 name, format_bytes(size, bytes), memdev);
	if (r == 0)
		r = step(making, sym_cxl_region_set_target(making->region, (int)position, decoder),
			 "make %s, by %s, its device %u", memdev, name, position + 1);
	return r;
}

static int set_type(struct making *making)
{
	const struct tier_declared *declared = making->declared;
	struct tier_problem problem;
	int r;

	if (declared->type == TIER_MEMORY_UNKNOWN)
		return 0;
	r = tier_memory_type_set(making->name, declared->type, &problem);
	/* A kernel without types: the configuration alone says what it is. */
	if (r == TIER_E_NOT_FOUND)
		return 0;
	return step(making, r > 0 ? -EBUSY : r, "make its memory %s",
		    tier_memory_type_name(declared->type));
}

/* From here on a failure has to be undone. */
static int build(struct making *making)
{
	int r = step(making, unfinished_begin(making->name), "note it in /run/cxl-tier");

	if (r == 0)
		r = shape(making);
	for (unsigned i = 0; r == 0 && i < making->declared->ways; i++)
		r = add_device(making, i);
	if (r == 0)
		r = set_type(making);
	if (r == 0)
		r = step(making, sym_cxl_region_decode_commit(making->region),
			 "program its decoders");
	if (r == 0)
		r = step(making, sym_cxl_region_enable(making->region), "bind its driver");
	return r;
}

int decoders_release(struct cxl_decoder *const *decoders, unsigned count)
{
	int first = 0;

	for (unsigned i = 0; i < count; i++) {
		int r = sym_cxl_decoder_get_region(decoders[i])
				? 0
				: sym_cxl_decoder_set_dpa_size(decoders[i], 0);

		first = first ?: r;
	}
	return first;
}

int region_destroy(struct cxl_region *region, struct cxl_decoder *const *decoders, unsigned count)
{
	int r = 0;

	/* What decoders still have is not to be given to anybody else: each failure ends it. */
	if (sym_cxl_region_decode_is_committed(region))
		r = sym_cxl_region_decode_reset(region);
	/* It lets go of its decoders. */
	if (r == 0)
		r = sym_cxl_region_delete(region);
	return r == 0 ? decoders_release(decoders, count) : r;
}

static void undo(struct making *making)
{
	struct tier_problem *problem = making->problem;
	int r = region_destroy(making->region, making->decoders, making->decoder_count);

	/* Otherwise the next start tries again. */
	if (r == 0)
		(void)unfinished_end();
	if (r == 0 || !problem)
		return;
	size_t used = strlen(problem->text);
	snprintf(problem->text + used, sizeof(problem->text) - used,
		 "; nor can what there is of it be destroyed: %s", strerror(-r));
	snprintf(problem->next, sizeof(problem->next), "cxl destroy-region -f %s", making->name);
}

/* There is one note: what it names has to be gone before something else is begun. */
static int clear_way(const struct making *making)
{
	struct tier_problem left = {};
	char object[96], name[32];

	if (tier_declared_remove_unfinished(name, &left) == 0)
		return 0;
	snprintf(object, sizeof(object), "[Region %s]", making->declared->name);
	return tier_problem_set(
		making->problem, TIER_E_BUSY, object, left.next,
		"cannot make a region in %s before another is out of the way: %s %s",
		making->declared->window, left.object, left.text);
}

int tier_declared_create(const struct tier_declared *declared, char ret_region[static 32],
			 struct tier_problem *problem)
{
	_cleanup_cxl_ struct cxl_ctx *ctx = NULL;
	struct making making = {.declared = declared, .problem = problem};
	struct cxl_decoder *window;
	char name[32];
	int r = clear_way(&making);

	if (r == 0)
		r = step(&making, cxl_open_quietly(&ctx), "open libcxl");
	if (r == 0)
		r = find_devices(&making, ctx);
	if (r != 0)
		return r;
	window = sym_cxl_decoder_get_by_name(ctx, declared->window);
	if (!window) {
		step(&making, -ENODEV, "the window is not there any more");
		return TIER_E_STALE;
	}
	errno = 0;
	making.region = sym_cxl_decoder_create_ram_region(window);
	if (!making.region)
		return step(&making, errno ? -errno : -ENXIO, "the kernel does not add one");
	copy_string(name, sizeof(name), sym_cxl_region_get_devname(making.region));
	making.name = name;
	r = build(&making);
	if (r != 0) {
		undo(&making);
		return r;
	}
	(void)unfinished_end();
	memcpy(ret_region, name, sizeof(name));
	return 0;
}
