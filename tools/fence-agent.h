/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_FENCE_AGENT_H
#define TIERCTL_FENCE_AGENT_H

#include "tool.h"

#define FENCE_AGENT_WORDS 64

/* A command that cuts another host's power. */
struct fence_agent {
	char *words[FENCE_AGENT_WORDS + 1]; /* for execvp(), NULL at the end */
	uint64_t timeout_sec;		    /* it is killed after that */
	const char *host, *portal;	    /* told to it in CXL_TIER_HOST and CXL_TIER_PORTAL */
};

/*
 * Splits @command in place, at blanks: there is no shell, and so no quoting. TOOL_USAGE after
 * complaining.
 */
int fence_agent_split(struct fence_agent *agent, char *command);

/* 0 if it has ended with 0. Its output goes to stderr; Ctrl-C ends it. */
int fence_agent_run(const struct fence_agent *agent, struct tier_problem *problem);

#endif
