/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CXL_TIERD_VARLINK_H
#define CXL_TIERD_VARLINK_H

#include "manager.h"

/* Replies Refused with the problem. */
int varlink_refuse(sd_varlink *link, const struct tier_problem *problem);
/* With what came of an offline; NULL: nothing is known of that. */
int varlink_refuse_with(sd_varlink *link, const struct tier_problem *problem,
			sd_json_variant *report);
int varlink_reply_plan(sd_varlink *link, const struct tier_plan *plan, sd_json_variant *report);
/* True: the caller is not root, and has been told so; @ret is what the method returns. */
bool varlink_denied(sd_varlink *link, const char *method, int *ret);

int varlink_on_begin(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		     void *userdata);
int varlink_on_accept(sd_varlink *link, sd_json_variant *parameters,
		      sd_varlink_method_flags_t flags, void *userdata);
int varlink_on_metrics(sd_varlink *link, sd_json_variant *parameters,
		       sd_varlink_method_flags_t flags, void *userdata);
int varlink_on_end(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags,
		   void *userdata);

#endif
