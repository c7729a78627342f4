/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tierctl top on a terminal: lines that libtier makes, and keys. */
#include <ncurses.h>
#include <poll.h>

#include "top.h"

struct screen {
	struct top_source *source;
	struct tier_top *top;
	struct tier_top_view view;
	bool processes;
	size_t shown; /* rows that there was room for */
};

static attr_t attributes_of(enum tier_top_style style)
{
	switch (style) {
	case TIER_TOP_TITLE:
	case TIER_TOP_TYPED:
		return A_BOLD;
	case TIER_TOP_HEAD:
	case TIER_TOP_KEYS:
		return A_REVERSE;
	case TIER_TOP_NOTE:
		return A_DIM;
	default:
		return A_NORMAL;
	}
}

static int draw(struct screen *screen)
{
	struct tier_top_lines lines;

	screen->view.width = (unsigned)COLS;
	screen->view.height = (unsigned)LINES;
	tier_top_sort(screen->top, screen->view.by);
	if (tier_top_lines(screen->top, &screen->view, &lines) < 0)
		return -ENOMEM;
	erase();
	for (size_t i = 0; i < lines.count; i++) {
		attr_t attributes = attributes_of(lines.lines[i].style);

		(void)attrset((int)attributes);
		(void)mvaddnstr((int)i, 0, lines.lines[i].text, COLS);
	}
	(void)attrset(A_NORMAL);
	screen->shown = lines.rows;
	tier_top_lines_done(&lines);
	/* Where nothing is, so that it does not blink in a number. */
	(void)move(LINES - 1, COLS - 1);
	(void)refresh();
	return 0;
}

static void scroll_by(struct screen *screen, long rows)
{
	if (rows < 0 && screen->view.first < (size_t)-rows)
		screen->view.first = 0;
	else
		screen->view.first += (size_t)rows;
}

/* 0: drawn anew; 1: read anew; negative: that is the end. */
static int on_key(struct screen *screen, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		return -1;
	case 'p':
		screen->processes = !screen->processes;
		screen->view.first = 0;
		return 1;
	case 'n':
		screen->view.by_node = !screen->view.by_node;
		return 0;
	case 's':
		screen->view.by = tier_top_next_sort(screen->top, screen->view.by);
		screen->view.first = 0;
		return 0;
	case KEY_UP:
		scroll_by(screen, -1);
		return 0;
	case KEY_DOWN:
		scroll_by(screen, 1);
		return 0;
	case KEY_PPAGE:
		scroll_by(screen, -(long)screen->shown);
		return 0;
	case KEY_NPAGE:
		scroll_by(screen, (long)screen->shown);
		return 0;
	case KEY_HOME:
		screen->view.first = 0;
		return 0;
	default:
		return 0; /* also KEY_RESIZE */
	}
}

/* Keys until then: 0; 1: it has to be read before that; negative: the end. */
static int handle_keys(struct screen *screen, uint64_t until_usec)
{
	uint64_t now;

	while ((now = top_now_usec()) < until_usec) {
		struct pollfd terminal = {.fd = STDIN_FILENO, .events = POLLIN};
		uint64_t msec = (until_usec - now + 999) / 1000;
		int key, r;

		/* getch() would not notice a signal; one that comes right before this is noticed a second later. */
		(void)poll(&terminal, 1, msec < 1000 ? (int)msec : 1000);
		if (tool_interrupted() || (terminal.revents & (POLLHUP | POLLERR)))
			return -1;
		key = getch();
		if (key == ERR)
			continue;
		r = on_key(screen, key);
		if (r)
			return r;
		if (draw(screen) < 0)
			return -1;
	}
	return 0;
}

static int look(struct screen *screen, struct tier_problem *problem)
{
	struct tier_top *top;
	int r = top_source_look(screen->source, screen->processes, &top, problem);

	if (r)
		return r;
	tier_top_free(screen->top);
	screen->top = top;
	return 0;
}

int top_screen(struct top_source *source, uint64_t interval_usec, bool processes)
{
	struct screen screen = {
		.source = source, .processes = processes, .view.by = TIER_TOP_BY_TOTAL};
	struct tier_problem problem = {};
	SCREEN *terminal;
	int r = look(&screen, &problem);

	if (r)
		return tool_fail(&problem);
	tool_catch_interrupt();
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		tier_top_free(screen.top);
		return tool_fail_text("top", "print it once: tierctl top --once",
				      "the terminal cannot be used: TERM=%s", getenv("TERM") ?: "");
	}
	(void)cbreak();
	(void)noecho();
	(void)curs_set(0);
	(void)keypad(stdscr, true);
	(void)nodelay(stdscr, true);
	while (r == 0 && draw(&screen) == 0 &&
	       handle_keys(&screen, top_now_usec() + interval_usec) >= 0)
		r = look(&screen, &problem);
	(void)endwin();
	delscreen(terminal);
	tier_top_free(screen.top);
	return r ? tool_fail(&problem) : TOOL_OK;
}
