/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "manager.h"

/*
 * Who else onlines memory on this host: told on start and after a reload, each once, and named when a region comes
 * online by another hand than cxl-tierd's.
 */

static bool was_told(const struct manager *manager, const struct tier_rival *rival)
{
	for (size_t i = 0; i < manager->rival_count; i++)
		if (streq(manager->rivals[i].place, rival->place) &&
		    streq(manager->rivals[i].what, rival->what))
			return true;
	return false;
}

void rivals_look(struct manager *manager)
{
	struct tier_rival *rivals = NULL;
	struct tier_rivals_unread unread;
	struct tier_problem problem = {};
	size_t count = 0;

	if (tier_rivals_read(manager->options.sysroot, &rivals, &count, &unread, &problem) != 0) {
		log_problem(LOG_WARNING, "failed", &problem);
		return;
	}
	/* Of the kernel's own policy scan.c tells, whenever it changes. */
	for (size_t i = 0; i < count; i++)
		if (!tier_rival_stands_back(&rivals[i]) && rivals[i].kind != TIER_RIVAL_KERNEL &&
		    !was_told(manager, &rivals[i]))
			log_decision(LOG_WARNING, rivals[i].place, "rival", "%s: %s; %s",
				     rivals[i].what, tier_rival_cost(rivals[i].kind),
				     rivals[i].next);
	if (unread.count && !streq(unread.first, manager->unread.first))
		log_decision(LOG_WARNING, unread.first, "rival-unknown",
			     "cannot be read: %s; whether it onlines memory is not known",
			     tier_strerror(unread.code));
	manager->unread = unread;
	free(manager->rivals);
	manager->rivals = rivals;
	manager->rival_count = count;
}

const char *rivals_likely(const struct manager *manager, char text[static 256])
{
	const struct tier_rival *rival = tier_rivals_likely(manager->rivals, manager->rival_count);

	if (rival)
		snprintf(text, 256, "most likely by %s", rival->place);
	else if (manager->unread.count)
		snprintf(text, 256, "by hand or by %s, which cannot be read",
			 manager->unread.first);
	else
		snprintf(text, 256, "by hand, as nothing is set up that does it");
	return text;
}
