/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIER_TEST_CXL_MODEL_H
#define TIER_TEST_CXL_MODEL_H

/*
 * libcxl in this program is the one below: two memory devices with two decoders each, one window, and a region. It
 * checks the order that Linux asks for, and each call that changes something may be made to fail by its number.
 */
#include <errno.h>

#include <cxl/libcxl.h>

#include "test.h"
#include "util.h"

struct cxl_decoder {
	char name[32];
	int id;
	struct cxl_decoder *next;
	enum cxl_decoder_mode mode;
	unsigned long long dpa, size;
	struct cxl_region *region;
};

struct cxl_port {
	struct cxl_decoder *decoders;
};

struct cxl_endpoint {
	struct cxl_port port;
};

struct cxl_memdev {
	struct cxl_memdev *next;
	unsigned long long serial;
	struct cxl_endpoint endpoint;
	struct cxl_decoder decoders[2];
};

struct cxl_region {
	bool there, committed, enabled;
	unsigned ways, granularity;
	unsigned long long size;
	struct cxl_decoder *targets[2];
	enum tier_memory_type type;
};

struct cxl_bus {
	struct cxl_port port;
};

struct cxl_ctx {
	int used;
};

static struct cxl_memdev model_memdevs[2];
static struct cxl_decoder model_window;
static struct cxl_region model_region;
/* Somebody else's, which has no more than a decoder. */
static struct cxl_region model_other;
static struct cxl_bus model_bus;
static struct cxl_ctx model_ctx;
/* The calls so far that change something; which two of them fail, 0 for none. */
static int model_calls, model_fail, model_fail_again;
/* Before which of them the process is killed; 0 for none. */
static int model_kill;
static jmp_buf model_killed;
static bool model_has_types;

static inline void model_new(void)
{
	memset(&model_region, 0, sizeof(model_region));
	memset(model_memdevs, 0, sizeof(model_memdevs));
	for (int i = 0; i < 2; i++) {
		struct cxl_memdev *memdev = &model_memdevs[i];

		memdev->serial = (unsigned)i + 1;
		memdev->next = i == 0 ? &model_memdevs[1] : NULL;
		/* In no order, as a directory is read. */
		memdev->endpoint.port.decoders = &memdev->decoders[1];
		memdev->decoders[1].next = &memdev->decoders[0];
		for (int d = 0; d < 2; d++) {
			memdev->decoders[d].id = d;
			snprintf(memdev->decoders[d].name, 32, "decoder%d.%d", i + 3, d);
		}
	}
	model_memdevs[1].decoders[0].mode = CXL_DECODER_MODE_RAM;
	strcpy(model_window.name, "decoder0.0");
	model_bus.port.decoders = &model_window;
	model_calls = model_fail = model_fail_again = model_kill = 0;
	model_has_types = true;
}

/* The next call that changes something: does it fail? */
static inline bool model_fails(void)
{
	model_calls++;
	if (model_calls == model_kill)
		longjmp(model_killed, 1);
	return model_calls == model_fail || model_calls == model_fail_again;
}

/* Nothing is left of any region. */
static inline bool model_is_clean(void)
{
	for (int i = 0; i < 2; i++)
		for (int d = 0; d < 2; d++)
			if (model_memdevs[i].decoders[d].dpa || model_memdevs[i].decoders[d].region)
				return false;
	return !model_region.there;
}

#define DENY_IF(condition)                                                                         \
	do {                                                                                       \
		if (condition)                                                                     \
			FAIL("the kernel would refuse: %s", #condition);                           \
	} while (0)

int cxl_new(struct cxl_ctx **ret)
{
	if (model_fails())
		return -ENOMEM;
	model_ctx.used++;
	*ret = &model_ctx;
	return 0;
}

void cxl_unref(struct cxl_ctx *ctx)
{
	ctx->used--;
}

void cxl_set_log_fn(struct cxl_ctx *ctx, void (*function)(struct cxl_ctx *, int, const char *, int,
							  const char *, const char *, va_list))
{
}

struct cxl_memdev *cxl_memdev_get_first(struct cxl_ctx *ctx)
{
	return &model_memdevs[0];
}

struct cxl_memdev *cxl_memdev_get_next(struct cxl_memdev *memdev)
{
	return memdev->next;
}

unsigned long long cxl_memdev_get_serial(struct cxl_memdev *memdev)
{
	return memdev->serial;
}

struct cxl_endpoint *cxl_memdev_get_endpoint(struct cxl_memdev *memdev)
{
	return &memdev->endpoint;
}

struct cxl_port *cxl_endpoint_get_port(struct cxl_endpoint *endpoint)
{
	return &endpoint->port;
}

struct cxl_bus *cxl_bus_get_first(struct cxl_ctx *ctx)
{
	return &model_bus;
}

struct cxl_bus *cxl_bus_get_next(struct cxl_bus *bus)
{
	return NULL;
}

struct cxl_port *cxl_bus_get_port(struct cxl_bus *bus)
{
	return &bus->port;
}

struct cxl_decoder *cxl_decoder_get_first(struct cxl_port *port)
{
	return port->decoders;
}

struct cxl_decoder *cxl_decoder_get_next(struct cxl_decoder *decoder)
{
	return decoder->next;
}

const char *cxl_decoder_get_devname(struct cxl_decoder *decoder)
{
	return decoder->name;
}

struct cxl_decoder *cxl_decoder_get_by_name(struct cxl_ctx *ctx, const char *name)
{
	if (strcmp(model_window.name, name) == 0)
		return &model_window;
	for (int i = 0; i < 2; i++)
		for (int d = 0; d < 2; d++)
			if (strcmp(model_memdevs[i].decoders[d].name, name) == 0)
				return &model_memdevs[i].decoders[d];
	return NULL;
}

struct cxl_region *cxl_decoder_get_region(struct cxl_decoder *decoder)
{
	return decoder->region;
}

int cxl_decoder_get_id(struct cxl_decoder *decoder)
{
	return decoder->id;
}

unsigned long long cxl_decoder_get_size(struct cxl_decoder *decoder)
{
	return decoder->size;
}

unsigned long long cxl_decoder_get_dpa_size(struct cxl_decoder *decoder)
{
	return decoder->dpa;
}

enum cxl_decoder_mode cxl_decoder_get_mode(struct cxl_decoder *decoder)
{
	return decoder->mode;
}

int cxl_decoder_set_mode(struct cxl_decoder *decoder, enum cxl_decoder_mode mode)
{
	if (model_fails())
		return -EBUSY;
	DENY_IF(decoder->dpa);
	decoder->mode = mode;
	return 0;
}

int cxl_decoder_set_dpa_size(struct cxl_decoder *decoder, unsigned long long size)
{
	if (model_fails())
		return -ENOSPC;
	DENY_IF(decoder->region);
	DENY_IF(size && decoder->mode != CXL_DECODER_MODE_RAM);
	DENY_IF(size && decoder->id == 1 && (decoder + -1)->dpa == 0);
	decoder->dpa = size;
	return 0;
}

struct cxl_region *cxl_decoder_create_ram_region(struct cxl_decoder *decoder)
{
	if (model_fails()) {
		errno = ENOMEM;
		return NULL;
	}
	DENY_IF(decoder != &model_window);
	/* The model has one only. */
	DENY_IF(model_region.there);
	model_region = (struct cxl_region){.there = true, .type = TIER_MEMORY_LOCAL};
	return &model_region;
}

struct cxl_region *cxl_region_get_first(struct cxl_decoder *decoder)
{
	return decoder == &model_window && model_region.there ? &model_region : NULL;
}

struct cxl_region *cxl_region_get_next(struct cxl_region *region)
{
	return NULL;
}

const char *cxl_region_get_devname(struct cxl_region *region)
{
	return "region0";
}

int cxl_region_set_interleave_granularity(struct cxl_region *region, unsigned bytes)
{
	if (model_fails())
		return -EINVAL;
	region->granularity = bytes;
	return 0;
}

int cxl_region_set_interleave_ways(struct cxl_region *region, unsigned ways)
{
	if (model_fails())
		return -EINVAL;
	region->ways = ways;
	return 0;
}

int cxl_region_set_size(struct cxl_region *region, unsigned long long size)
{
	if (model_fails())
		return -ERANGE;
	DENY_IF(!region->ways || !region->granularity);
	region->size = size;
	return 0;
}

int cxl_region_set_target(struct cxl_region *region, int position, struct cxl_decoder *decoder)
{
	if (model_fails())
		return -ENXIO;
	DENY_IF(decoder->dpa * region->ways != region->size);
	DENY_IF(position >= (int)region->ways || region->targets[position]);
	region->targets[position] = decoder;
	decoder->region = region;
	return 0;
}

unsigned cxl_region_get_interleave_ways(struct cxl_region *region)
{
	return region->ways;
}

struct cxl_decoder *cxl_region_get_target_decoder(struct cxl_region *region, int position)
{
	DENY_IF(position >= (int)region->ways);
	return region->targets[position];
}

int cxl_region_decode_commit(struct cxl_region *region)
{
	if (model_fails())
		return -EIO;
	for (unsigned i = 0; i < region->ways; i++)
		DENY_IF(!region->targets[i]);
	region->committed = true;
	return 0;
}

int cxl_region_decode_is_committed(struct cxl_region *region)
{
	return region->committed;
}

int cxl_region_decode_reset(struct cxl_region *region)
{
	if (model_fails())
		return -EBUSY;
	region->committed = false;
	return 0;
}

int cxl_region_enable(struct cxl_region *region)
{
	if (model_fails())
		return -ENXIO;
	DENY_IF(!region->committed);
	region->enabled = true;
	return 0;
}

int cxl_region_is_enabled(struct cxl_region *region)
{
	return region->enabled;
}

int cxl_region_delete(struct cxl_region *region)
{
	if (model_fails())
		return -EBUSY;
	DENY_IF(region->enabled || region->committed);
	for (unsigned i = 0; i < 2; i++)
		if (region->targets[i])
			region->targets[i]->region = NULL;
	*region = (struct cxl_region){};
	return 0;
}

/* The linker sends it here: -Wl,--wrap. */
int __wrap_tier_memory_type_set(const char *region, enum tier_memory_type type,
				struct tier_problem *problem);

int __wrap_tier_memory_type_set(const char *region, enum tier_memory_type type,
				struct tier_problem *problem)
{
	if (!model_has_types)
		return TIER_E_NOT_FOUND;
	if (model_fails())
		return -EPERM;
	/* No moment with memory of another type. */
	DENY_IF(model_region.committed || model_region.enabled || !model_region.there);
	model_region.type = type;
	return 0;
}

#endif
