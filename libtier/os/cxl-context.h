/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_CXL_CONTEXT_H
#define TIER_OS_CXL_CONTEXT_H

#include <cxl/libcxl.h>

static inline void cxl_unrefp(struct cxl_ctx **ctx)
{
	if (*ctx)
		cxl_unref(*ctx);
}
#define _cleanup_cxl_ __attribute__((cleanup(cxl_unrefp)))

/* The library writes to stderr by itself otherwise. */
static inline void cxl_no_log(struct cxl_ctx *ctx, int priority, const char *file, int line,
			      const char *fn, const char *format, va_list arguments)
{
}

/* 0, negative errno. */
static inline int cxl_open_quietly(struct cxl_ctx **ret)
{
	int r = cxl_new(ret);

	if (r == 0)
		cxl_set_log_fn(*ret, cxl_no_log);
	return r;
}

#endif
