/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_OS_CXL_LIBRARY_H
#define TIER_OS_CXL_LIBRARY_H

#include <cxl/libcxl.h>
#include <daxctl/libdaxctl.h>

/*
 * libcxl makes regions, libdaxctl loads modules: both are rare, and they bring libkmod, libzstd and libcrypto with
 * them, more than two megabytes of what cxl-tierd would keep in memory. So they are opened when they are needed.
 */

#define CXL_FUNCTIONS(X)                                                                           \
	X(cxl_new)                                                                                 \
	X(cxl_unref)                                                                               \
	X(cxl_set_log_fn)                                                                          \
	X(cxl_bus_get_first)                                                                       \
	X(cxl_bus_get_next)                                                                        \
	X(cxl_bus_get_port)                                                                        \
	X(cxl_decoder_create_ram_region)                                                           \
	X(cxl_decoder_get_by_name)                                                                 \
	X(cxl_decoder_get_devname)                                                                 \
	X(cxl_decoder_get_dpa_size)                                                                \
	X(cxl_decoder_get_first)                                                                   \
	X(cxl_decoder_get_id)                                                                      \
	X(cxl_decoder_get_mode)                                                                    \
	X(cxl_decoder_get_next)                                                                    \
	X(cxl_decoder_get_region)                                                                  \
	X(cxl_decoder_get_size)                                                                    \
	X(cxl_decoder_set_dpa_size)                                                                \
	X(cxl_decoder_set_mode)                                                                    \
	X(cxl_endpoint_get_port)                                                                   \
	X(cxl_memdev_get_endpoint)                                                                 \
	X(cxl_memdev_get_first)                                                                    \
	X(cxl_memdev_get_next)                                                                     \
	X(cxl_memdev_get_serial)                                                                   \
	X(cxl_region_decode_commit)                                                                \
	X(cxl_region_decode_is_committed)                                                          \
	X(cxl_region_decode_reset)                                                                 \
	X(cxl_region_delete)                                                                       \
	X(cxl_region_enable)                                                                       \
	X(cxl_region_get_devname)                                                                  \
	X(cxl_region_get_first)                                                                    \
	X(cxl_region_get_interleave_ways)                                                          \
	X(cxl_region_get_next)                                                                     \
	X(cxl_region_get_target_decoder)                                                           \
	X(cxl_region_is_enabled)                                                                   \
	X(cxl_region_set_interleave_granularity)                                                   \
	X(cxl_region_set_interleave_ways)                                                          \
	X(cxl_region_set_size)                                                                     \
	X(cxl_region_set_target)

#define DAXCTL_FUNCTIONS(X)                                                                        \
	X(daxctl_new)                                                                              \
	X(daxctl_unref)                                                                            \
	X(daxctl_set_log_fn)                                                                       \
	X(daxctl_dev_disable)                                                                      \
	X(daxctl_dev_enable_devdax)                                                                \
	X(daxctl_dev_enable_ram)                                                                   \
	X(daxctl_dev_get_devname)                                                                  \
	X(daxctl_dev_get_first)                                                                    \
	X(daxctl_dev_get_next)                                                                     \
	X(daxctl_region_get_first)                                                                 \
	X(daxctl_region_get_next)

/* sym_cxl_new() is cxl_new(), and so on, once a context was opened. */
#define DECLARE_SYMBOL(name) extern __typeof__(name) *sym_##name;
CXL_FUNCTIONS(DECLARE_SYMBOL)
DAXCTL_FUNCTIONS(DECLARE_SYMBOL)
#undef DECLARE_SYMBOL

/* A context that writes nothing to stderr. 0; -ELIBACC: the library, or a function of it, is not there; negative errno. */
int cxl_open_quietly(struct cxl_ctx **ret);
int daxctl_open_quietly(struct daxctl_ctx **ret);

void cxl_unrefp(struct cxl_ctx **ctx);
void daxctl_unrefp(struct daxctl_ctx **ctx);
#define _cleanup_cxl_	 __attribute__((cleanup(cxl_unrefp)))
#define _cleanup_daxctl_ __attribute__((cleanup(daxctl_unrefp)))

#endif
