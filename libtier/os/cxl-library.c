/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cxl-library.h"

#include <dlfcn.h>
#include <errno.h>

#include "util.h"

struct symbol {
	const char *name;
	void **address;
};

#define DEFINE_SYMBOL(name) __typeof__(name) *sym_##name;
CXL_FUNCTIONS(DEFINE_SYMBOL)
DAXCTL_FUNCTIONS(DEFINE_SYMBOL)

#define LIST_SYMBOL(name) {#name, (void **)&sym_##name},
static const struct symbol cxl_symbols[] = {CXL_FUNCTIONS(LIST_SYMBOL)};
static const struct symbol daxctl_symbols[] = {DAXCTL_FUNCTIONS(LIST_SYMBOL)};

/* It stays, whoever else opens and closes it. Done twice it finds the same. */
static int load(const char *name, const struct symbol *symbols, size_t count)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_NODELETE);
	int r = 0;

	if (!library)
		return -ELIBACC;
	for (size_t i = 0; i < count; i++) {
		*symbols[i].address = dlsym(library, symbols[i].name);
		if (!*symbols[i].address)
			r = -ELIBACC;
	}
	dlclose(library);
	return r;
}

static void cxl_no_log(struct cxl_ctx *ctx, int priority, const char *file, int line,
		       const char *fn, const char *format, va_list arguments)
{
}

static void daxctl_no_log(struct daxctl_ctx *ctx, int priority, const char *file, int line,
			  const char *fn, const char *format, va_list arguments)
{
}

int cxl_open_quietly(struct cxl_ctx **ret)
{
	int r = load("libcxl.so.1", cxl_symbols, ARRAY_SIZE(cxl_symbols));

	if (r == 0)
		r = sym_cxl_new(ret);
	if (r == 0)
		sym_cxl_set_log_fn(*ret, cxl_no_log);
	return r;
}

int daxctl_open_quietly(struct daxctl_ctx **ret)
{
	int r = load("libdaxctl.so.1", daxctl_symbols, ARRAY_SIZE(daxctl_symbols));

	if (r == 0)
		r = sym_daxctl_new(ret);
	if (r == 0)
		sym_daxctl_set_log_fn(*ret, daxctl_no_log);
	return r;
}

void cxl_unrefp(struct cxl_ctx **ctx)
{
	if (*ctx)
		sym_cxl_unref(*ctx);
}

void daxctl_unrefp(struct daxctl_ctx **ctx)
{
	if (*ctx)
		sym_daxctl_unref(*ctx);
}
