/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TIER_ERROR_H
#define TIER_ERROR_H

#include <stddef.h>

/*
 * 0 is success. A negative errno means "could not do it" and is passed on unchanged. A positive
 * TIER_E_* is an outcome that the function documents and that its caller handles.
 */
enum {
	TIER_E_BASE = 1000,
	TIER_E_NOT_PORTAL,   /* no superblock of ours */
	TIER_E_DAMAGED,	     /* ours, but a checksum or a field is wrong */
	TIER_E_INCOMPATIBLE, /* ours, written by a version that this one cannot read */
	TIER_E_TRUNCATED,    /* the region is smaller than its superblock says */
	TIER_E_RATIO,	     /* the MOVABLE:KERNEL ratio does not allow it */
	TIER_E_REFUSED,	     /* a precondition does not hold; the problem says which */
	TIER_E_PEER,	     /* the other host refused or aborted; the problem quotes its reason */
	TIER_E_BUSY,	     /* the object is in use */
	TIER_E_NOT_FOUND,    /* no such object */
	TIER_E_CANCELLED,    /* the caller asked to stop */
	TIER_E_TIMEOUT,	     /* a deadline passed */
	TIER_E_NO_SPACE,     /* not enough free extents or room in a record */
	TIER_E_STALE,	     /* what was read is no longer so */
	_TIER_E_MAX,
};

/**
 * struct tier_problem - why something was refused or failed, for a person
 * @object: what it happened to, e.g. "region3", "portal0", "/etc/cxl-tier/cxl-tierd.conf:12"
 * @text: what was tried and what went wrong, no newline
 * @next: the next step for the reader, or empty
 *
 * The library never prints. Functions that can refuse take a problem to fill in; NULL is allowed.
 */
struct tier_problem {
	char object[96];
	char text[384];
	char next[256];
};

/**
 * tier_problem_set() - fill in a problem and return its code
 * @problem: may be NULL
 * @code: negative errno or TIER_E_*; returned as it is, so "return tier_problem_set(...)" works
 * @object: copied, truncated to fit
 * @next: next step or NULL; copied
 * @format: printf format of the text; a negative @code appends ": strerror"
 *
 * Return: @code.
 */
int tier_problem_set(struct tier_problem *problem, int code, const char *object, const char *next,
		     const char *format, ...) __attribute__((format(printf, 5, 6)));

/**
 * tier_strerror() - text for a return value of this library
 * @code: negative errno, TIER_E_* or 0
 *
 * Return: a constant string.
 */
const char *tier_strerror(int code);

#endif
