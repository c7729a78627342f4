/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instead of top-screen.c in a build without ncurses. */
#include "top.h"

int top_screen(struct top_source *source, uint64_t interval_usec, bool processes)
{
	return tool_fail_text("top", "print it once: tierctl top --once",
			      "this tierctl was built without ncurses");
}
