/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_EXPLAIN_PROCESS_H
#define TIERCTL_EXPLAIN_PROCESS_H

#include "policy-input.h"

/* tierctl explain PID. An exit status. */
int explain_process(const char *pid);

#endif
