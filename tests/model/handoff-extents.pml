/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lending of one extent, for spin: its home host E grants it, the flights of two sources S and D use
 * it one after the other, E wipes it in between. The home's decisions and plans, and the order in
 * which a source closes its extents, are those of libtier/core/handoff.rules. What goes on in a
 * flight is in handoff.pml; here a source goes through its states as that model allows it.
 *
 * Records, caches and budgets are as there. -DFLIGHTS=N is how many flights each source has, one after the
 * other in the same slot.
 *
 * Checked:
 *  alone    no two sources have the extent open
 *  clean    a source that opens it finds it zeroed
 *  kept     what has been put there for a flight is there when it is fetched
 *  spared   what an open flight lists is not wiped
 */

#ifndef FLIGHTS
#define FLIGHTS 2
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef UNREADABLES
#define UNREADABLES 1
#endif
#ifndef UNFLUSHED
#define UNFLUSHED 0
#endif

#define NOBODY 2
#define CLEAN  0
#define TAG(h, g) (1 + (h) * 4 + (g))

mtype = {
	P_ALONE, P_CLEAN, P_KEPT, P_SPARED,
	F_NONE, F_REQUESTED, F_OFFERED, F_PUBLISHED, F_ABORTED, F_CLOSED,
	X_FREE, X_CLAIMED, X_SCRUB,
	A_KEEP, A_GRANT, A_RECLAIM, A_SCRUB,
	A_DIE, A_ABANDON, A_OFFER, A_PUBLISH, A_COMMIT, A_WITHDRAW, A_TAKE, A_RELEASE, A_DISCARD,
	Z_END, Z_STORE_CLAIMED, Z_STORE_SCRUB, Z_STORE_FREE, Z_ZERO,
	Z_STORE_OFFERED, Z_STORE_PUBLISHED, Z_STORE_COMMITTED, Z_STORE_WITHDRAWN, Z_STORE_ABORTED, Z_STORE_CLOSED,
	Z_CHECK_CLAIMS, Z_MOVE_VM, Z_PAUSE_VM, Z_PUT_VM, Z_CHECK_PLACEMENT, Z_START_VM, Z_FETCH_VM,
	Z_RESUME_VM, Z_END_VM, Z_CLOSE_EXTENTS
};

/* ---- the portal: _c in the writer's cache, _v what the others see ---- */

typedef offer {
	mtype state;
	byte gen;
	byte inc; /* the boot that asked */
	bit lists;
};
offer offer_c[2], offer_v[2];
typedef extent {
	mtype state;
	byte owner, gen, inc;
};
extent extent_c, extent_v;
byte bytes = CLEAN;
bit zeroing = 0; /* zeros in the home's cache */
byte putting[2]; /* what a source has in its cache for it */

/* ---- the hosts ---- */

byte inc[2];
bit opened[2];
/* A source: 0: between flights; 1: asks; 2: may offer; 3: may publish; 4: opened; 5: put; 6: ends; 7: is gone. */
byte at[2];
mtype act[2];
byte index[2];
bit flush[2];
byte kills = KILLS, crashes = CRASHES, unreadables = UNREADABLES;
mtype step;

#define MUST(name, what) \
	if \
	:: !(what) -> printf("violated: %e\n", P_##name); assert(false) \
	:: else \
	fi
#define OPEN(o) (o.lists && (o.state == F_OFFERED || o.state == F_PUBLISHED))
#define SHOW_OFFER(h) \
	offer_v[h].state = offer_c[h].state; offer_v[h].gen = offer_c[h].gen; \
	offer_v[h].inc = offer_c[h].inc; offer_v[h].lists = offer_c[h].lists
#define DROP_OFFER(h) \
	offer_c[h].state = offer_v[h].state; offer_c[h].gen = offer_v[h].gen; \
	offer_c[h].inc = offer_v[h].inc; offer_c[h].lists = offer_v[h].lists
#define OFFER_PENDING(h) (offer_c[h].state != offer_v[h].state || offer_c[h].gen != offer_v[h].gen)
#define SHOW_EXTENT() \
	extent_v.state = extent_c.state; extent_v.owner = extent_c.owner; \
	extent_v.gen = extent_c.gen; extent_v.inc = extent_c.inc
#define DROP_EXTENT() \
	extent_c.state = extent_v.state; extent_c.owner = extent_v.owner; \
	extent_c.gen = extent_v.gen; extent_c.inc = extent_v.inc
#define EXTENT_PENDING (extent_c.state != extent_v.state || extent_c.owner != extent_v.owner || \
			extent_c.gen != extent_v.gen)
#ifdef ANY_GENERATION
#define CLAIMED_FOR(h) (extent_v.state == X_CLAIMED && extent_v.owner == h)
#else
#define CLAIMED_FOR(h) (extent_v.state == X_CLAIMED && extent_v.owner == h && extent_v.gen == offer_c[h].gen)
#endif

#define PLAN7(action, a, b, c, d, e, f, g) \
	if \
	:: act[h] == A_##action -> \
		step = (index[h] == 0 -> Z_##a : (index[h] == 1 -> Z_##b : (index[h] == 2 -> Z_##c : \
		       (index[h] == 3 -> Z_##d : (index[h] == 4 -> Z_##e : (index[h] == 5 -> Z_##f : \
		       (index[h] == 6 -> Z_##g : Z_END))))))) \
	:: else \
	fi;

proctype source(byte h)
{
end:	do
	:: d_step {
		at[h] == 0 && offer_c[h].gen < FLIGHTS ->
		offer_c[h].gen++;
		offer_c[h].state = F_REQUESTED;
		offer_c[h].inc = inc[h];
		offer_c[h].lists = 0;
		printf("%d: asks for flight %d\n", h, offer_c[h].gen);
		at[h] = 1
	   }
	:: d_step { at[h] == 1 && OFFER_PENDING(h) -> SHOW_OFFER(h) }
#ifdef NO_HOME
	:: d_step { at[h] == 1 && !OFFER_PENDING(h) && extent_v.state == X_FREE -> at[h] = 8 }
	:: d_step {
		at[h] == 8 ->
		printf("%d: claims it itself\n", h);
		extent_c.state = X_CLAIMED;
		extent_c.owner = h;
		extent_c.gen = offer_c[h].gen;
		extent_c.inc = inc[h];
		SHOW_EXTENT();
		at[h] = 1
	   }
#endif
	:: d_step { at[h] == 1 && !OFFER_PENDING(h) && CLAIMED_FOR(h) -> at[h] = 2 }
	:: d_step {
		at[h] == 2 ->
		printf("%d: STORE_OFFERED\n", h);
		offer_c[h].state = F_OFFERED;
		offer_c[h].lists = 1;
		at[h] = 3
	   }
	:: d_step { at[h] == 3 && OFFER_PENDING(h) -> SHOW_OFFER(h) }
	:: d_step {
		at[h] == 3 && !OFFER_PENDING(h) && CLAIMED_FOR(h) ->
		printf("%d: opens it\n", h);
		MUST(ALONE, !opened[1 - h]);
		MUST(CLEAN, bytes == CLEAN && putting[1 - h] == 0);
		opened[h] = 1;
		at[h] = 4
	   }
	:: d_step { at[h] == 4 -> printf("%d: PUT_VM\n", h); putting[h] = TAG(h, offer_c[h].gen); at[h] = 5 }
	:: d_step { at[h] == 5 && putting[h] != 0 -> bytes = putting[h]; putting[h] = 0 }
	:: d_step {
		at[h] == 5 && putting[h] == 0 ->
		printf("%d: STORE_PUBLISHED\n", h);
		offer_c[h].state = F_PUBLISHED;
		at[h] = 6
	   }
	:: d_step { at[h] == 6 && act[h] == 0 && OFFER_PENDING(h) -> SHOW_OFFER(h) }
	/* The flight may end in each of its states; from PUBLISHED on somebody may fetch it. */
	:: d_step {
		at[h] == 6 && act[h] == 0 && !OFFER_PENDING(h) ->
		MUST(KEPT, bytes == TAG(h, offer_c[h].gen) && !zeroing);
		act[h] = A_RELEASE
	   }
	:: d_step { at[h] >= 3 && at[h] <= 6 && act[h] == 0 -> at[h] = 6; act[h] = A_WITHDRAW }
	:: d_step { (at[h] == 1 || at[h] == 2) && act[h] == 0 -> at[h] = 6; act[h] = A_ABANDON }
	:: atomic {
		at[h] == 6 && act[h] != 0 ->
		d_step {
			step = Z_END;
#define SOURCE_PLAN(action, a, b, c, d, e, f, g) PLAN7(action, a, b, c, d, e, f, g)
#include "../../libtier/core/handoff.rules"
			if
			:: step == Z_END -> at[h] = 0; act[h] = 0; index[h] = 0
			:: (step == Z_STORE_ABORTED || step == Z_STORE_CLOSED) && !flush[h] ->
				printf("%d: %e\n", h, step);
				offer_c[h].state = (step == Z_STORE_ABORTED -> F_ABORTED : F_CLOSED);
				flush[h] = 1
			:: (step == Z_STORE_ABORTED || step == Z_STORE_CLOSED) && flush[h] ->
				SHOW_OFFER(h);
				flush[h] = 0;
				index[h]++
			:: step == Z_CLOSE_EXTENTS ->
				printf("%d: CLOSE_EXTENTS\n", h);
				/* Nothing of it is left in this host's caches. */
				bytes = (putting[h] != 0 && step != UNFLUSHED -> putting[h] : bytes);
				putting[h] = (step == UNFLUSHED -> putting[h] : 0);
				opened[h] = 0;
				index[h]++
			:: else -> index[h]++
			fi;
			step = 0
		}
	   }
	/* Whatever is in a cache may be written back at any time. */
	:: d_step { putting[h] != 0 -> bytes = putting[h]; putting[h] = 0 }
	:: d_step { OFFER_PENDING(h) -> SHOW_OFFER(h) }
	:: d_step {
		kills > 0 && at[h] > 0 ->
		printf("%d: its tool is killed\n", h);
		kills--;
		SHOW_OFFER(h);
		flush[h] = 0;
		index[h] = 0;
		act[h] = (offer_c[h].state == F_REQUESTED -> A_ABANDON : (offer_c[h].state == F_ABORTED ||
			 offer_c[h].state == F_CLOSED -> 0 : A_WITHDRAW));
		at[h] = (act[h] == 0 -> 0 : 6)
	   }
	:: atomic {
		crashes > 0 && at[h] > 0 ->
		crashes--;
		printf("%d: crashes\n", h);
		if
		:: d_step { OFFER_PENDING(h) -> SHOW_OFFER(h) }
		:: d_step { OFFER_PENDING(h) -> DROP_OFFER(h) }
		:: else
		fi;
		if
		:: d_step { putting[h] != 0 -> bytes = putting[h]; putting[h] = 0 }
		:: d_step { putting[h] != 0 -> putting[h] = 0 }
		:: else
		fi;
		d_step {
			opened[h] = 0;
			flush[h] = 0;
			act[h] = 0;
			index[h] = 0;
			at[h] = 7
		}
	   }
	:: d_step {
		at[h] == 7 ->
		printf("%d: boots\n", h);
		inc[h]++;
		act[h] = (offer_c[h].state == F_REQUESTED || offer_c[h].state == F_OFFERED -> A_ABANDON :
			 (offer_c[h].state == F_PUBLISHED -> A_TAKE : 0));
		at[h] = (act[h] == 0 -> 0 : 6)
	   }
	od
}

/* ---- the home ---- */

byte h_at;	/* 0: rests; 1: hosts; 2: offer; 3: steps */
byte h_of;	/* whose offer it looks at */
byte h_inc;	/* that host's boot */
mtype h_offer, h_act;
byte h_gen, h_boot, h_index;
bit h_lists, h_flush;

#define EXTENT(x)      (extent_c.state == X_##x)
#define OWNER_OFFER(x) (h_offer == F_##x)
#define UNREADABLE     (h_offer == 0)
#define LISTED	       (h_lists)
#define OWNER_DEAD     (h_inc > extent_c.inc)
#define WANTED	       (h_offer == F_REQUESTED)
#ifdef HOSTS_LAST
#define H_HOSTS 2
#define H_OFFER 1
#else
#define H_HOSTS 1
#define H_OFFER 2
#endif

inline rest_home()
{
	h_at = 0;
	h_of = 0;
	h_inc = 0;
	h_offer = 0;
	h_act = 0;
	h_gen = 0;
	h_boot = 0;
	h_index = 0;
	h_lists = 0;
	h_flush = 0
}

/* An open flight's list counts as long as its own claim was granted: it was, or it could not be open. */
#define CLAIMS(h) (extent_c.owner == h)

proctype home()
{
	byte h = 0;
end:	do
	/* It looks when there may be something to do; two looks at the same thing are one. */
	:: d_step { h_at == 0 && EXTENT_PENDING -> SHOW_EXTENT() }
	:: d_step { h_at == 0 && !EXTENT_PENDING && extent_c.state == X_FREE && offer_v[0].state == F_REQUESTED -> h_of = 0; h_at = 1 }
	:: d_step { h_at == 0 && !EXTENT_PENDING && extent_c.state == X_FREE && offer_v[1].state == F_REQUESTED -> h_of = 1; h_at = 1 }
	:: d_step { h_at == 0 && !EXTENT_PENDING && extent_c.state != X_FREE -> h_of = extent_c.owner; h_at = 1 }
	:: d_step { h_at == H_HOSTS -> h_inc = inc[h_of]; h_at++ }
	:: d_step { h_at == H_OFFER && unreadables > 0 -> unreadables--; h_offer = 0; h_at++ }
	:: d_step {
		h_at == H_OFFER ->
		h_offer = offer_v[h_of].state;
		h_lists = offer_v[h_of].lists;
		h_gen = offer_v[h_of].gen;
		h_boot = offer_v[h_of].inc;
#ifndef ANY_GENERATION
		if
		:: extent_c.state == X_CLAIMED && h_gen != extent_c.gen -> h_offer = F_NONE; h_lists = 0
		:: else
		fi;
#endif
		h_at++
	   }
	:: d_step {
		h_at == 3 && h_act == 0 ->
#define HOME(when, action) \
		if \
		:: h_act == 0 && (when) -> h_act = A_##action \
		:: else \
		fi;
#include "../../libtier/core/handoff.rules"
		if
		:: h_act != 0 && h_act != A_KEEP -> printf("home: extent %e, offer %e %d: %e\n", extent_c.state, h_offer, h_gen, h_act)
		:: else
		fi;
		if
		:: h_act == 0 || h_act == A_KEEP -> rest_home()
		:: else
		fi
	   }
	:: d_step {
		h_at == 3 && h_act != 0 ->
		step = Z_END;
#define HOME_PLAN(action, a, b, c, d) \
		if \
		:: h_act == A_##action -> \
			step = (h_index == 0 -> Z_##a : (h_index == 1 -> Z_##b : (h_index == 2 -> Z_##c : Z_##d))) \
		:: else \
		fi;
#include "../../libtier/core/handoff.rules"
		if
		:: step == Z_END -> rest_home()
		:: step != Z_END && h_flush ->
			if
			:: step == Z_ZERO && zeroing -> bytes = CLEAN; zeroing = 0
			:: step == Z_ZERO && !zeroing
			:: else -> SHOW_EXTENT()
			fi;
			h_flush = 0;
			h_index++
		:: step != Z_END && !h_flush ->
			printf("home: %e\n", step);
			if
			:: step == Z_STORE_CLAIMED ->
				extent_c.state = X_CLAIMED;
				extent_c.owner = h_of;
				extent_c.gen = h_gen;
				extent_c.inc = h_boot
			:: step == Z_STORE_SCRUB -> extent_c.state = X_SCRUB
			:: step == Z_STORE_FREE ->
				extent_c.state = X_FREE;
				extent_c.owner = NOBODY;
				extent_c.gen = 0;
				extent_c.inc = 0
			:: step == Z_ZERO ->
				MUST(SPARED, !(OPEN(offer_c[0]) && CLAIMS(0)) && !(OPEN(offer_c[1]) && CLAIMS(1)));
				MUST(SPARED, !opened[0] && !opened[1]);
				zeroing = 1
			fi;
			h_flush = (step != UNFLUSHED);
			h_index = (step != UNFLUSHED -> h_index : h_index + 1)
		fi;
		step = 0
	   }
	:: d_step { zeroing -> bytes = CLEAN; zeroing = 0 }
	:: d_step { EXTENT_PENDING -> SHOW_EXTENT() }
	:: d_step { kills > 0 && h_at > 0 -> printf("home: killed\n"); kills--; rest_home(); SHOW_EXTENT() }
	:: atomic {
		crashes > 0 ->
		crashes--;
		printf("home: crashes\n");
		if
		:: d_step { EXTENT_PENDING -> SHOW_EXTENT() }
		:: d_step { EXTENT_PENDING -> DROP_EXTENT() }
		:: else
		fi;
		if
		:: d_step { zeroing -> bytes = CLEAN; zeroing = 0 }
		:: d_step { zeroing -> zeroing = 0 }
		:: else
		fi;
		d_step { rest_home() }
	   }
	od
}

init {
	d_step {
		inc[0] = 1;
		inc[1] = 1;
		offer_c[0].state = F_NONE;
		offer_c[1].state = F_NONE;
		offer_v[0].state = F_NONE;
		offer_v[1].state = F_NONE;
		extent_c.state = X_FREE;
		extent_v.state = X_FREE;
		extent_c.owner = NOBODY;
		extent_v.owner = NOBODY
	}
	atomic {
		run source(0);
		run source(1);
		run home()
	}
}
