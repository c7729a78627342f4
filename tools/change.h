/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIERCTL_CHANGE_H
#define TIERCTL_CHANGE_H

/* What a verb that changes memory asks first. 0, or what is returned after printing why not. */

/* As root, and never on somebody's dump. */
int change_allowed(const char *verb, const char *object);
/* Better said before the daemon is asked, and also when it does not run. */
int change_check_regions(char **names, int count);

#endif
