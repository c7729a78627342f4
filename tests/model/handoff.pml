/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hand-off of one VM, for spin. The decisions and plans are those of libtier/core/handoff.rules,
 * which the C code compiles too; the facts that they are made of are defined here as handoff.c
 * defines them. tests/model/run says which bounds are checked, and which mutations must be caught.
 *
 * Hosts: S has the VM and offers it, D is the destination, E (with -DHOSTS=3) may fence and inherit.
 *
 * Records. Each is atomic (torn writes are ruled out by the format, not here) and has one writer
 * host. What a host writes is in its cache (_c) until it is flushed or evicted (_v: what the others
 * see). A host that dies may lose it. A read of an own record writes it back, as clflush and dc civac
 * do. A host's record of its boot is stored before anything else happens in that boot, so that
 * inc[] is what others see.
 *
 * A carrier reads the records one after the other, decides, and carries the plan out step by step.
 * Between any two of these anything may happen elsewhere; a suspended tool or host is nothing else
 * than one that is slow. Storing is two steps: written, flushed.
 *
 * Faults, each a budget by -D: KILLS of a tool (its VM and the caches stay), CRASHES of a host,
 * FAILS of a step (a store that fails may have been written), DEATHS of a QEMU, WISHES (a person
 * cancels, or a deadline passes early), FENCINGS. Who fences whom: -DNF=1 -DF0=HE -DT0=HS -DHEIR0=HE,
 * F1... for a second one.
 *
 * Checked:
 *  one      at most one host runs the VM
 *  fresh    what is resumed is the VM as it was when it stopped: no copy that another run outdated
 *  kept     it exists somewhere, unless it ended with a process or host whose VM it was
 *  ends     when nothing more can happen, every deadline having passed and settle having been run on
 *           each host, the flight has ended, and the VM runs or has ended. A host that stays down is one that
 *           was fenced: then the VM runs without it.
 *  clean    and no stopped process is left of it
 *  process  nothing is resumed that has no state, nothing ended that runs and is up to date
 *  stored   no step follows a store that the others cannot see
 *  fenced   a boot that has read that it is fenced starts, resumes and stores nothing
 *
 * With -DLIE the agent says that a host is off, and it is not: it was suspended, say, and wakes. Then only
 * the last of these is checked, and no more can hold: what it had decided before it was suspended it
 * carries out, and its VM runs on, until it looks again.
 */

#define HS 0
#define HD 1
#define HE 2
#define NOBODY 9

#ifndef HOSTS
#define HOSTS 2
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef FAILS
#define FAILS 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef WISHES
#define WISHES 0
#endif
#ifndef FENCINGS
#define FENCINGS 0
#endif
/* How often the agent ends a host, if it is asked: two that fence each other could go on for ever. */
#ifndef STRIKES
#define STRIKES FENCINGS
#endif
#ifndef NF
#define NF 0
#endif
#ifndef F0
#define F0 NOBODY
#define T0 NOBODY
#define HEIR0 NOBODY
#endif
#ifndef F1
#define F1 NOBODY
#define T1 NOBODY
#define HEIR1 NOBODY
#endif
/* The mutations that are not edits of the rules: a store that is not flushed, and more below. */
#ifndef UNFLUSHED
#define UNFLUSHED 0
#endif

mtype = {
	/* states of offers and answers */
	F_NONE, F_REQUESTED, F_OFFERED, F_PUBLISHED, F_COMMITTED, F_WITHDRAWN, F_ABORTED, F_CLOSED,
	F_READY, F_ACCEPTED, F_RUNNING, F_DONE, F_REFUSED,
	/* of a fence */
	T_NONE, T_INTENT, T_FENCED, T_RETRACTED,
	/* actions */
	A_WAIT, A_HOLD, A_OVER, A_DIE, A_ABANDON, A_OFFER, A_PUBLISH, A_COMMIT, A_WITHDRAW, A_RELEASE,
	A_DISCARD, A_TAKE, A_PREPARE, A_ACCEPT, A_RUN, A_FINISH, A_REFUSE, A_BACK_OUT, A_DROP, A_CLEAR,
	A_INTEND, A_ASK, A_CONFIRM, A_RETRACT,
	/* steps */
	Z_END, Z_STORE_OFFERED, Z_STORE_PUBLISHED, Z_STORE_COMMITTED, Z_STORE_WITHDRAWN,
	Z_STORE_ABORTED, Z_STORE_CLOSED, Z_STORE_READY, Z_STORE_ACCEPTED, Z_STORE_RUNNING,
	Z_STORE_DONE, Z_STORE_REFUSED, Z_STORE_INTENT, Z_STORE_FENCED, Z_STORE_RETRACTED,
	Z_CHECK_CLAIMS, Z_MOVE_VM, Z_PAUSE_VM, Z_PUT_VM, Z_CHECK_PLACEMENT, Z_START_VM, Z_FETCH_VM,
	Z_RESUME_VM, Z_END_VM, Z_CLOSE_EXTENTS, Z_RUN_AGENT,
	/* what is checked */
	P_ONE, P_FRESH, P_KEPT, P_ENDS, P_CLEAN, P_PROCESS, P_STORED, P_FENCED,
	/* processes of the VM: none; waits for a state; has it, stopped; runs */
	V_NONE, V_WAITS, V_STOPPED, V_RUNS
};

/* Boot 1 of each host is history: fence records about it are left. */
#define FIRST_BOOT 2

/* ---- the portal ---- */

mtype offer_c = F_REQUESTED, offer_v = F_REQUESTED;
byte for_c = 0, for_v = 0; /* the boot of D that the offer is for */
typedef answer {
	mtype state;
	byte inc;
	bit old; /* of a former flight in this slot */
};
answer ans_c[HOSTS], ans_v[HOSTS];
bit content_c = 0, content_v = 0; /* pages, state and manifest: all there, or not what the manifest says */
typedef fence {
	mtype state;
	byte upto;
	byte heir;
	byte fenced; /* the boots that this host has FENCED before, kept while it fences a later one */
};
fence fence_c[2], fence_v[2];

/* ---- the hosts ---- */

bit up[HOSTS];
bit stays_down[HOSTS];
byte inc[HOSTS];
mtype vm[HOSTS];

/* What a carrier has read so far. */
typedef view {
	bit s_fenced, s_fencing, self_fenced, heir;
	byte d_fenced, d_fencing; /* upto */
	bit s_newer;
	byte d_inc, e_inc;
	mtype offer, d_state, e_state;
	byte boot, d_answer_inc, e_answer_inc;
};
view v[HOSTS];

/* Where a carrier is: 0: there is none; reading; then: */
#ifdef FENCES_LAST
#define AT_OFFER   1
#define AT_D       2
#define AT_E       3
#define AT_FENCES  4
#define AT_HOSTS   5
#else
#define AT_FENCES  1
#define AT_HOSTS   2
#define AT_OFFER   3
#define AT_D       4
#define AT_E       5
#endif
#define AT_DECIDE  6
#define AT_STEP    7
#define AT_FLUSH   8
#define AT_WAIT    9
#define AT_HELD    10
#define AT_OVER    11
byte pc[HOSTS];
mtype act[HOSTS];
byte index[HOSTS], last[HOSTS];
mtype step; /* only within one transition */
byte mark[HOSTS]; /* the boot that answered, for PUBLISHED */
bit failed[HOSTS], stuck[HOSTS], recovering[HOSTS], cancelled[HOSTS], expired[HOSTS];
bit begun[HOSTS]; /* this host has taken up the flight */
bit news[HOSTS];  /* something has changed since it began to read */
bit aware[HOSTS]; /* it has read that it is fenced */

byte kills = KILLS, crashes = CRASHES, fails = FAILS, deaths = DEATHS, wishes = WISHES, fencings = FENCINGS, strikes = STRIKES;

/* ---- what really is: nobody decides on this ---- */

bit fresh[HOSTS];
bit content_fresh = 0;
bit ended = 0;
bit stop = 0;
hidden byte each, n, best, whom;
hidden byte yes;

#ifdef LIE
#define LIES true
#define MUST(name, what) \
	if \
	:: P_##name == P_FENCED && !(what) -> printf("violated: %e\n", P_##name); assert(false) \
	:: else \
	fi
#else
#define LIES false
#define MUST(name, what) \
	if \
	:: !(what) -> printf("violated: %e\n", P_##name); assert(false) \
	:: else \
	fi
#endif
#define RUNNERS ((vm[HS] == V_RUNS) + (vm[HD] == V_RUNS) + (HOSTS > 2 && vm[HOSTS - 1] == V_RUNS))
#define HAS(h)	((vm[h] == V_RUNS || vm[h] == V_STOPPED) && fresh[h])
#define KEPT	(ended || HAS(HS) || HAS(HD) || HAS(HOSTS - 1) || ((content_c || content_v) && content_fresh))

#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define READS(h)  ((pc[h] > 1 && pc[h] <= AT_DECIDE) || pc[h] >= AT_WAIT)

inline tell()
{
	news[HS] = news[HS] || READS(HS);
	news[HD] = news[HD] || READS(HD);
	news[HOSTS - 1] = news[HOSTS - 1] || READS(HOSTS - 1)
}

inline show_offer()
{
	if
	:: offer_c != offer_v || for_c != for_v ->
		offer_v = offer_c;
		for_v = for_c;
		tell()
	:: else
	fi
}

inline show_answer(h)
{
	if
	:: ans_c[h].state != ans_v[h].state || ans_c[h].inc != ans_v[h].inc || ans_c[h].old != ans_v[h].old ->
		ans_v[h].state = ans_c[h].state;
		ans_v[h].inc = ans_c[h].inc;
		ans_v[h].old = ans_c[h].old;
		tell()
	:: else
	fi
}

inline show_fence(k)
{
	if
	:: fence_c[k].state != fence_v[k].state || fence_c[k].upto != fence_v[k].upto ->
		fence_v[k].state = fence_c[k].state;
		fence_v[k].upto = fence_c[k].upto;
		fence_v[k].fenced = fence_c[k].fenced;
		fence_v[k].heir = fence_c[k].heir;
		tell()
	:: else
	fi
}

#define OFFER_PENDING	  (offer_c != offer_v || for_c != for_v)
#define ANSWER_PENDING(h) (ans_c[h].state != ans_v[h].state || ans_c[h].inc != ans_v[h].inc || \
			   ans_c[h].old != ans_v[h].old)
#define FENCE_PENDING(k)  (fence_c[k].state != fence_v[k].state || fence_c[k].upto != fence_v[k].upto)

#define FENCER_OF(k) (k == 0 -> F0 : F1)
#define TARGET_OF(k) (k == 0 -> T0 : T1)
#define HEIR_OF(k)   (k == 0 -> HEIR0 : HEIR1)

/* What one fence record says of its target's boots. */
#ifdef FENCE_FORGETS
#define SAYS_FENCED(r) (r.state == T_FENCED -> r.upto : 0)
#else
#define SAYS_FENCED(r) (r.state == T_FENCED -> r.upto : r.fenced)
#endif
#define SAYS_FENCING(r) (r.state == T_INTENT -> r.upto : SAYS_FENCED(r))
#ifdef ANY_INCARNATION
#define COVERS(upto, boot) (boot != 0 && upto != 0)
#else
#define COVERS(upto, boot) (boot != 0 && upto >= boot)
#endif

/* The VM is this host's by what it has stored: what becomes of its process there is no loss of ours. */
#define OWNS(h) ((h == HS && (offer_c == F_REQUESTED || offer_c == F_OFFERED || offer_c == F_WITHDRAWN || \
			      offer_c == F_ABORTED)) || \
		 ((ans_c[h].state == F_RUNNING || ans_v[h].state == F_RUNNING) && !ans_c[h].old))

/*
 * About to be resumed without another look. A source does not ask the portal again; a taker does, but
 * not if something else goes wrong as well before it has said so.
 */
#define TAKES_BACK(h) (vm[h] == V_STOPPED && (act[h] == A_TAKE || act[h] == A_WITHDRAW || \
					      (act[h] == A_RUN && KILLS + CRASHES + FAILS + FENCINGS > 0)))

inline end_carrier(h, where)
{
	pc[h] = where;
	act[h] = 0;
	index[h] = 0;
	last[h] = 0;
	mark[h] = 0;
	stuck[h] = 0;
	recovering[h] = 0;
	cancelled[h] = 0;
	expired[h] = 0;
	aware[h] = 0;
	forget(h)
}

inline forget(h)
{
	v[h].s_fenced = 0;
	v[h].s_fencing = 0;
	v[h].self_fenced = 0;
	v[h].heir = 0;
	v[h].d_fenced = 0;
	v[h].d_fencing = 0;
	v[h].s_newer = 0;
	v[h].d_inc = 0;
	v[h].e_inc = 0;
	v[h].offer = 0;
	v[h].d_state = 0;
	v[h].e_state = 0;
	v[h].boot = 0;
	v[h].d_answer_inc = 0;
	v[h].e_answer_inc = 0
}

byte f_at[2]; /* 0: no tool; 1, 2: reads; 3: a step; 4: its flush */
mtype f_act[2];
byte f_inc[2];	 /* of the target, as read */
byte f_other[2]; /* upto which boot another host fences it */
byte f_heir[2]; /* whom a fence of the target already names */
bit f_self[2];
byte agent[2]; /* 1: it is off; 2: refused */

inline fencer_ends(k)
{
	f_at[k] = 0;
	f_act[k] = 0;
	f_inc[k] = 0;
	f_other[k] = 0;
	f_self[k] = 0;
	f_heir[k] = 0;
	agent[k] = 0
}

/* In an atomic sequence: each write that is not flushed yet may be lost. */
inline die(h)
{
	up[h] = 0;
	if
	:: h == HS && OFFER_PENDING -> show_offer()
	:: h == HS && OFFER_PENDING -> offer_c = offer_v; for_c = for_v
	:: else
	fi;
	if
	:: h == HS && content_c != content_v -> content_v = content_c
	:: h == HS && content_c != content_v -> content_c = content_v
	:: else
	fi;
	if
	:: ANSWER_PENDING(h) -> show_answer(h)
	:: ANSWER_PENDING(h) ->
		ans_c[h].state = ans_v[h].state;
		ans_c[h].inc = ans_v[h].inc;
		ans_c[h].old = ans_v[h].old
	:: else
	fi;
#if NF > 0
	if
	:: F0 == h && FENCE_PENDING(0) -> show_fence(0)
	:: F0 == h && FENCE_PENDING(0) ->
		fence_c[0].state = fence_v[0].state;
		fence_c[0].upto = fence_v[0].upto;
		fence_c[0].fenced = fence_v[0].fenced;
		fence_c[0].heir = fence_v[0].heir
	:: else
	fi;
	if
	:: F0 == h -> fencer_ends(0)
	:: else
	fi;
#endif
#if NF > 1
	if
	:: F1 == h && FENCE_PENDING(1) -> show_fence(1)
	:: F1 == h && FENCE_PENDING(1) ->
		fence_c[1].state = fence_v[1].state;
		fence_c[1].upto = fence_v[1].upto;
		fence_c[1].fenced = fence_v[1].fenced;
		fence_c[1].heir = fence_v[1].heir
	:: else
	fi;
	if
	:: F1 == h -> fencer_ends(1)
	:: else
	fi;
#endif
	d_step {
		ended = ended || (HAS(h) && (vm[h] == V_RUNS || OWNS(h)));
		vm[h] = V_NONE;
		fresh[h] = 0;
		end_carrier(h, 0);
		failed[h] = 0;
		news[h] = 0;
		content_fresh = content_fresh && (content_c || content_v);
		MUST(KEPT, KEPT)
	}
}

/* ---- carriers ---- */

#define OFFER(x)     (v[h].offer == F_##x)
#define THERE(x)     (v[h].d_state == F_##x)
#define ANSWER(x)    ((h == HD -> v[h].d_state : v[h].e_state) == F_##x)
#define READY	     THERE(READY)
#define ACCEPTED     THERE(ACCEPTED)
#define REFUSED	     THERE(REFUSED)
#define ADDRESSED    (v[h].boot == v[h].d_answer_inc)
#define RAN_D	     (THERE(RUNNING) || THERE(DONE))
#define RAN_E	     (v[h].e_state == F_RUNNING || v[h].e_state == F_DONE)
#define RAN	     (RAN_D || RAN_E)
#define FINISHED     (THERE(DONE) || (!RAN_D && v[h].e_state == F_DONE))
#define D_OVER(boot) (COVERS(v[h].d_fenced, boot) || v[h].d_inc > boot)
#define RUNNER_DEAD  ((RAN_D && D_OVER(v[h].d_answer_inc)) || (!RAN_D && RAN_E && v[h].e_inc > v[h].e_answer_inc))
#define S_FENCED     (v[h].s_fenced)
#define S_FENCING    (v[h].s_fencing)
#define S_DEAD	     (v[h].s_fenced || v[h].s_newer)
#define D_FENCED     COVERS(v[h].d_fenced, v[h].boot)
#define D_FENCING    COVERS(v[h].d_fencing, v[h].boot)
#define D_DEAD	     (!THERE(NONE) && D_OVER(v[h].d_answer_inc))
#define DESTINATION  (h == HD)
#define HEIR	     (v[h].heir)
#define SELF_FENCED  (v[h].self_fenced)
#define LATER	     (h == HS -> inc[h] > FIRST_BOOT : \
		      (!ANSWER(NONE) && inc[h] > (h == HD -> v[h].d_answer_inc : v[h].e_answer_inc)))
#ifdef WAITING_IS_NOT_GONE
#define VM_GONE	     (vm[h] == V_NONE)
#else
#define VM_GONE	     (vm[h] == V_NONE || (h == HS && vm[h] == V_WAITS))
#endif
#define GRANTED	     true
#define CANCELLED    (cancelled[h])
#define EXPIRED	     (expired[h])
#define FAILED	     (failed[h])
#define STUCK	     (stuck[h])
#define RECOVERING   (recovering[h])

/* The step that is next, and how many there are. */
#define PLAN_STEP(action, a, b, c, d, e, f, g) \
	if \
	:: act[h] == A_##action -> \
		step = (index[h] == 0 -> Z_##a : (index[h] == 1 -> Z_##b : (index[h] == 2 -> Z_##c : \
		       (index[h] == 3 -> Z_##d : (index[h] == 4 -> Z_##e : (index[h] == 5 -> Z_##f : Z_##g)))))) \
	:: else \
	fi;
#define PLAN_LENGTH(action, a, b, c, d, e, f, g) \
	if \
	:: act[h] == A_##action -> \
		last[h] = (Z_##a != Z_END) + (Z_##b != Z_END) + (Z_##c != Z_END) + (Z_##d != Z_END) + \
			  (Z_##e != Z_END) + (Z_##f != Z_END) + (Z_##g != Z_END) \
	:: else \
	fi;

#define IS_STORE(z) (z >= Z_STORE_RETRACTED && z <= Z_STORE_OFFERED)

/* The plan ends here; the carrier reads again. */
inline again(h)
{
	act[h] = 0;
	index[h] = 0;
	last[h] = 0;
	mark[h] = 0;
	aware[h] = 0;
	pc[h] = 1;
	news[h] = 0
}

inline fail(h)
{
	printf("%d: %e fails\n", h, step);
	failed[h] = 1;
	stuck[h] = stuck[h] || (act[h] == A_RUN && step == Z_RESUME_VM);
	step = 0;
	again(h)
}

/* Which writes of a host all others can see. */
#define SHOWN(h) (!(h == HS && OFFER_PENDING) && !ANSWER_PENDING(h) && !(h == HS && content_c != content_v))

#ifdef STORED_UNCHECKED
#define CHECK_STORED(h) skip
#else
#define CHECK_STORED(h) MUST(STORED, SHOWN(h))
#endif

inline done(h)
{
	CHECK_STORED(h);
	step = 0;
	index[h]++;
	if
	:: index[h] == last[h] && act[h] == A_DIE -> end_carrier(h, AT_OVER)
	:: index[h] == last[h] && act[h] != A_DIE ->
		recovering[h] = recovering[h] && act[h] != A_TAKE;
		again(h)
	:: else
	fi
}

inline begin(h, r)
{
	printf("%d: a carrier begins, recovering %d\n", h, r);
	begun[h] = 1;
	recovering[h] = r;
	failed[h] = 0;
	pc[h] = 1;
	news[h] = 0
}

#define NAMED_HEIR(h) ((NF > 0 && T0 == HS && fence_v[0].heir == h && SAYS_FENCED(fence_v[0]) >= FIRST_BOOT) || \
		       (NF > 1 && T1 == HS && fence_v[1].heir == h && SAYS_FENCED(fence_v[1]) >= FIRST_BOOT))

#define RULES_ACT(when, action) \
	if \
	:: act[h] == 0 && (when) -> act[h] = A_##action \
	:: else \
	fi;

proctype host(byte h)
{
end:	do
	/* -- a look: what is read of others is what they have shown -- */
	:: d_step {
		pc[h] == AT_FENCES ->
		if
		:: pc[h] == 1 -> news[h] = 0
		:: else
		fi;
		best = 0;
		whom = NOBODY;
		n = 0;
		do
		:: n < NF ->
			if
			:: FENCER_OF(n) == h -> show_fence(n)
			:: else
			fi;
			if
			:: TARGET_OF(n) == HS ->
				v[h].s_fenced = v[h].s_fenced || COVERS(SAYS_FENCED(fence_v[n]), FIRST_BOOT);
				v[h].s_fencing = v[h].s_fencing || COVERS(SAYS_FENCING(fence_v[n]), FIRST_BOOT);
				if
				:: SAYS_FENCED(fence_v[n]) > best -> best = SAYS_FENCED(fence_v[n]); whom = fence_v[n].heir
				:: else
				fi;
			:: TARGET_OF(n) == HD ->
				v[h].d_fenced = MAX(v[h].d_fenced, SAYS_FENCED(fence_v[n]));
				v[h].d_fencing = MAX(v[h].d_fencing, SAYS_FENCING(fence_v[n]))
			:: else
			fi;
			if
			:: TARGET_OF(n) == h ->
				v[h].self_fenced = v[h].self_fenced || COVERS(SAYS_FENCED(fence_v[n]), inc[h])
			:: else
			fi;
			n++
		:: else -> break
		od;
		v[h].heir = (whom == h);
		aware[h] = v[h].self_fenced;
		n = 0;
		best = 0;
		whom = 0;
		pc[h]++
	   }
	:: d_step {
		pc[h] == AT_HOSTS ->
		v[h].s_newer = (inc[HS] > FIRST_BOOT);
		v[h].d_inc = inc[HD];
		v[h].e_inc = inc[HOSTS - 1];
		pc[h]++
	   }
	:: d_step {
		pc[h] == AT_OFFER ->
		if
		:: pc[h] == 1 -> news[h] = 0
		:: else
		fi;
		if
		:: h == HS -> show_offer(); content_v = content_c
		:: else
		fi;
		v[h].offer = offer_v;
		v[h].boot = for_v;
		pc[h]++
	   }
	:: d_step {
		pc[h] == AT_D ->
		if
		:: h == HD -> show_answer(h)
		:: else
		fi;
#ifdef ANY_GENERATION
		v[h].d_state = ans_v[HD].state;
		v[h].d_answer_inc = ans_v[HD].inc;
#else
		v[h].d_state = (ans_v[HD].old -> F_NONE : ans_v[HD].state);
		v[h].d_answer_inc = (ans_v[HD].old -> 0 : ans_v[HD].inc);
#endif
		pc[h]++
	   }
	:: d_step {
		pc[h] == AT_E ->
#if HOSTS > 2
		if
		:: h == HE -> show_answer(h)
		:: else
		fi;
		v[h].e_state = ans_v[HE].state;
		v[h].e_answer_inc = ans_v[HE].inc;
#else
		v[h].e_state = F_NONE;
#endif
		pc[h]++
	   }
	/* -- the decision -- */
	:: d_step {
		pc[h] == AT_DECIDE ->
		act[h] = 0;
		if
		:: h == HS ->
#define SOURCE(when, action) RULES_ACT(when, action)
#define SOURCE_PLAN(action, a, b, c, d, e, f, g) PLAN_LENGTH(action, a, b, c, d, e, f, g)
#include "../../libtier/core/handoff.rules"
			skip
		:: else ->
#define TAKER(when, action) RULES_ACT(when, action)
#define TAKER_PLAN(action, a, b, c, d, e, f, g) PLAN_LENGTH(action, a, b, c, d, e, f, g)
#include "../../libtier/core/handoff.rules"
			skip
		fi;
		printf("%d: offer %e for %d, answers %e %d, %e: %e\n", h, v[h].offer, v[h].boot, v[h].d_state,
		       v[h].d_answer_inc, v[h].e_state, act[h]);
		stuck[h] = stuck[h] && act[h] != A_RUN;
		mark[h] = (act[h] == A_PUBLISH -> v[h].d_answer_inc : 0);
		forget(h);
		MUST(FENCED, act[h] == A_DIE || act[h] == A_OVER || !aware[h]);
		if
		:: act[h] == A_WAIT -> pc[h] = AT_WAIT; act[h] = 0
		:: act[h] == A_HOLD || act[h] == 0 -> end_carrier(h, AT_HELD)
		:: act[h] == A_OVER -> end_carrier(h, AT_OVER); failed[h] = 0
		:: else -> pc[h] = AT_STEP; index[h] = 0; failed[h] = 0; news[h] = 0
		fi
	   }
	:: d_step { pc[h] == AT_WAIT && news[h] -> pc[h] = 1 }
	/* -- a step -- */
	:: atomic {
		pc[h] == AT_STEP || pc[h] == AT_FLUSH ->
		d_step {
			step = Z_END;
			if
			:: h == HS ->
#define SOURCE_PLAN(action, a, b, c, d, e, f, g) PLAN_STEP(action, a, b, c, d, e, f, g)
#include "../../libtier/core/handoff.rules"
				skip
			:: else ->
#define TAKER_PLAN(action, a, b, c, d, e, f, g) PLAN_STEP(action, a, b, c, d, e, f, g)
#include "../../libtier/core/handoff.rules"
				skip
			fi
		}
		if
		:: d_step { fails > 0 -> fails--; fail(h) }
		:: d_step {
			pc[h] == AT_FLUSH ->
			if
			:: step == Z_PUT_VM -> content_v = content_c
			:: step != Z_PUT_VM && h == HS -> show_offer()
			:: else -> show_answer(h)
			fi;
			pc[h] = AT_STEP;
			done(h)
		   }
		:: d_step {
			pc[h] == AT_STEP ->
			printf("%d: %e\n", h, step);
			yes = 1; /* done; 0: it is not possible */
			if
			:: step == Z_PAUSE_VM ->
				yes = (vm[h] == V_RUNS);
				vm[h] = (yes -> V_STOPPED : vm[h])
			:: step == Z_PUT_VM ->
				yes = (vm[h] == V_STOPPED);
				if
				:: yes -> content_c = 1; content_fresh = fresh[h]
				:: else
				fi
			:: step == Z_START_VM ->
				yes = (vm[h] == V_NONE);
				vm[h] = (yes -> V_WAITS : vm[h])
			:: step == Z_FETCH_VM ->
				if
				:: h == HS -> content_v = content_c
				:: else
				fi;
				yes = (vm[h] == V_WAITS && content_v);
				if
				:: yes -> vm[h] = V_STOPPED; fresh[h] = content_fresh
				:: else
				fi
			:: step == Z_RESUME_VM ->
				/* One that is empty would begin a life of its own. */
				MUST(PROCESS, vm[h] != V_WAITS);
				/* In RUN it is known that without a process it has not run; in FINISH it is not. */
				yes = !(act[h] == A_RUN && vm[h] == V_NONE);
				if
				:: vm[h] == V_STOPPED ->
					MUST(ONE, RUNNERS == 0);
					MUST(FRESH, fresh[h]);
					vm[h] = V_RUNS;
					each = 0;
					do
					:: each < HOSTS -> fresh[each] = (each == h); each++
					:: else -> break
					od;
					each = 0;
					content_fresh = 0
				:: else
				fi
			:: step == Z_END_VM ->
				MUST(PROCESS, act[h] == A_DIE || !(vm[h] == V_RUNS && fresh[h]));
				vm[h] = V_NONE;
				fresh[h] = 0
			:: IS_STORE(step) && h == HS ->
				offer_c = (step == Z_STORE_OFFERED -> F_OFFERED : (step == Z_STORE_PUBLISHED -> F_PUBLISHED :
					  (step == Z_STORE_COMMITTED -> F_COMMITTED : (step == Z_STORE_WITHDRAWN -> F_WITHDRAWN :
					  (step == Z_STORE_ABORTED -> F_ABORTED : F_CLOSED)))));
				for_c = (step == Z_STORE_PUBLISHED -> mark[h] : for_c);
				/* A person has given it up. */
				ended = ended || (act[h] == A_DISCARD && step == Z_STORE_ABORTED)
			:: IS_STORE(step) && h != HS ->
				ans_c[h].state = (step == Z_STORE_READY -> F_READY : (step == Z_STORE_ACCEPTED -> F_ACCEPTED :
					  (step == Z_STORE_RUNNING -> F_RUNNING : (step == Z_STORE_DONE -> F_DONE : F_REFUSED))));
				ans_c[h].inc = inc[h];
				ans_c[h].old = 0
			:: else
			fi;
			MUST(KEPT, KEPT);
			if
			:: !yes -> fail(h)
			:: yes && step != UNFLUSHED && (IS_STORE(step) || step == Z_PUT_VM) -> pc[h] = AT_FLUSH
			:: else -> done(h)
			fi;
			yes = 0;
			step = 0
		   }
		fi
	   }
	/* -- what goes wrong -- */
	:: d_step {
		pc[h] > 0 && pc[h] <= AT_WAIT && kills > 0 ->
		printf("%d: its tool is killed\n", h);
		kills--;
		end_carrier(h, 0);
		failed[h] = 0;
		news[h] = 0
	   }
	:: d_step {
		up[h] && vm[h] != V_NONE && deaths > 0 ->
		printf("%d: its QEMU dies\n", h);
		deaths--;
		ended = ended || (HAS(h) && (vm[h] == V_RUNS || OWNS(h) || (h == HS && offer_v == F_OFFERED) || TAKES_BACK(h)));
		vm[h] = V_NONE;
		fresh[h] = 0;
		news[h] = news[h] || READS(h);
		MUST(KEPT, KEPT)
	   }
	:: d_step {
		pc[h] > 0 && pc[h] <= AT_WAIT && wishes > 0 && !cancelled[h] ->
		printf("%d: cancelled\n", h);
		wishes--;
		cancelled[h] = 1;
		news[h] = news[h] || READS(h)
	   }
	:: d_step {
		pc[h] > 0 && pc[h] <= AT_WAIT && wishes > 0 && !expired[h] ->
		printf("%d: its deadline passes\n", h);
		wishes--;
		expired[h] = 1;
		news[h] = news[h] || READS(h)
	   }
	:: atomic {
		up[h] && crashes > 0 ->
		printf("%d: crashes\n", h);
		crashes--;
		die(h)
	   }
	/* -- and what happens by itself, or by a person that puts it right -- */
	:: d_step {
		!up[h] && !stays_down[h] ->
		printf("%d: boots\n", h);
		up[h] = 1;
		inc[h]++;
		tell()
	   }
	:: d_step { up[h] && pc[h] == 0 && begun[h] -> begin(h, 1) }
	:: d_step { up[h] && pc[h] == 0 && !begun[h] && h == HD && offer_v == F_OFFERED -> begin(h, 0) }
	:: d_step { up[h] && pc[h] == 0 && !begun[h] && h != HS && NAMED_HEIR(h) -> begin(h, 1) }
	:: d_step { pc[h] == AT_HELD && (news[h] || failed[h]) -> begin(h, 1) }
	:: d_step { pc[h] == AT_OVER && news[h] && h != HS && NAMED_HEIR(h) -> begin(h, 1) }
	:: d_step { h == HS && OFFER_PENDING -> printf("%d: its offer is evicted\n", h); show_offer() }
	:: d_step { h == HS && content_c != content_v -> content_v = content_c }
	:: d_step { ANSWER_PENDING(h) -> printf("%d: its answer is evicted\n", h); show_answer(h) }
	:: stop -> break
	od
}

/* ---- fencing ---- */

/* From when on: what is fenced before the VM is in the portal takes the VM with it, or nothing. */
#ifdef FENCE_LATE
#define FENCE_NOW (offer_c == F_PUBLISHED || offer_c == F_COMMITTED)
#else
#define FENCE_NOW true
#endif

#define FENCE(x)     ((fence_c[k].state != T_INTENT && fence_c[k].upto < f_inc[k] -> T_NONE : fence_c[k].state) == T_##x)
#define OTHER	     (f_other[k] != 0)
#define TARGET_NEWER (f_inc[k] > fence_c[k].upto)
#define AGENT_OK     (agent[k] == 1)
#define AGENT_FAILED (agent[k] == 2)

proctype fencer(byte k)
{
end:	do
	:: d_step {
		f_at[k] == 0 && up[FENCER_OF(k)] && (fencings > 0 && FENCE_NOW || fence_c[k].state == T_INTENT) ->
		printf("%d: fences %d\n", FENCER_OF(k), TARGET_OF(k));
		fencings = (fence_c[k].state == T_INTENT -> fencings : fencings - 1);
		f_at[k] = 1
	   }
	:: d_step {
		f_at[k] == 1 ->
#ifndef OWN_UNREAD
		show_fence(k);
#endif
		if
		:: NF > 1 && TARGET_OF(0) == TARGET_OF(1) ->
#ifdef OTHER_SAME_BOOT
			f_other[k] = (fence_v[1 - k].state == T_INTENT || fence_v[1 - k].state == T_FENCED -> fence_v[1 - k].upto : 0)
#else
			/* Two that fence different boots of one host at a time would name two heirs. */
			f_other[k] = (fence_v[1 - k].state == T_INTENT -> 255 : SAYS_FENCED(fence_v[1 - k]))
#endif
		:: else
		fi;
		if
		:: NF > 1 && TARGET_OF(1 - k) == FENCER_OF(k) ->
			f_self[k] = SAYS_FENCED(fence_v[1 - k]) >= inc[FENCER_OF(k)]
		:: else
		fi;
		/* An heir that has been named for a boot stays it as long as a flight of that boot may be open. */
		f_heir[k] = HEIR_OF(k);
#ifndef HEIR_CHANGES
		if
		:: NF > 1 && TARGET_OF(0) == TARGET_OF(1) && SAYS_FENCED(fence_v[1 - k]) >= FIRST_BOOT ->
			f_heir[k] = fence_v[1 - k].heir
		:: else
		fi;
#endif
		f_at[k] = 2
	   }
	:: d_step {
		f_at[k] == 2 ->
		f_inc[k] = inc[TARGET_OF(k)];
#ifdef OTHER_SAME_BOOT
		f_other[k] = (f_other[k] == (fence_c[k].state == T_INTENT -> fence_c[k].upto : f_inc[k]) -> 255 : 0);
#else
		f_other[k] = (f_other[k] == 255 || f_other[k] >= f_inc[k] -> 255 : 0);
#endif
		f_act[k] = 0;
#undef SELF_FENCED
#define SELF_FENCED (f_self[k])
#define FENCER(when, action) \
		if \
		:: f_act[k] == 0 && (when) -> f_act[k] = A_##action \
		:: else \
		fi;
#include "../../libtier/core/handoff.rules"
		printf("%d: fence %d is %e, now boot %d, other %d: %e\n", FENCER_OF(k), TARGET_OF(k), fence_c[k].state,
		       f_inc[k], f_other[k], f_act[k]);
		f_other[k] = 0;
		f_self[k] = 0;
		if
		:: f_act[k] == A_OVER || f_act[k] == A_DIE || f_act[k] == 0 -> fencer_ends(k)
		:: else -> f_at[k] = 3
		fi
	   }
	:: atomic {
		f_at[k] == 3 ->
		d_step {
#define FENCER_PLAN(action, a) \
			if \
			:: f_act[k] == A_##action -> step = Z_##a \
			:: else \
			fi;
#include "../../libtier/core/handoff.rules"
			printf("%d: %e\n", FENCER_OF(k), step)
		}
		if
		:: step == Z_RUN_AGENT ->
			step = 0;
			if
			:: strikes > 0 ->
				printf("the agent has ended %d\n", TARGET_OF(k));
				strikes--;
				agent[k] = 1;
				if
				:: up[TARGET_OF(k)] && !LIES -> die(TARGET_OF(k))
				:: else
				fi;
				if
				:: !up[TARGET_OF(k)] -> stays_down[TARGET_OF(k)] = 1
				:: skip
				fi
			:: printf("the agent refuses\n"); agent[k] = 2
			fi;
			f_at[k] = 1;
			f_act[k] = 0;
			f_heir[k] = 0;
			f_inc[k] = 0
		:: d_step { step != Z_RUN_AGENT ->
			if
			:: step == Z_STORE_INTENT ->
				fence_c[k].state = T_INTENT;
				fence_c[k].upto = f_inc[k];
				agent[k] = 0
			:: step == Z_STORE_FENCED ->
				fence_c[k].upto = (fence_c[k].state == T_INTENT -> fence_c[k].upto : f_inc[k]);
				fence_c[k].state = T_FENCED;
				fence_c[k].fenced = fence_c[k].upto;
				fence_c[k].heir = f_heir[k]
			:: step == Z_STORE_RETRACTED -> fence_c[k].state = T_RETRACTED
			fi;
			f_act[k] = 0;
			f_inc[k] = 0;
			f_heir[k] = 0;
			f_at[k] = (step == UNFLUSHED -> 1 : 4);
			step = 0
		   }
		fi
	   }
	:: d_step { f_at[k] == 4 -> show_fence(k); f_at[k] = 1 }
	:: d_step { FENCE_PENDING(k) -> show_fence(k) }
	:: d_step {
		f_at[k] > 0 && kills > 0 ->
		printf("%d: the tool that fences is killed\n", FENCER_OF(k));
		kills--;
		fencer_ends(k)
	   }
	:: stop -> break
	od
}

/* ---- the end ---- */

/*
 * Without being fenced a host that stays down is waited for. So is one that has left an INTENT, which
 * only it can retract, and an heir.
 */
#define SAYS_OFF(k, h)	((k == 0 -> T0 : T1) == h && SAYS_FENCED(fence_v[k]) >= inc[h])
#define HAS_INTENT(k, h) ((k == 0 -> F0 : F1) == h && fence_v[k].state == T_INTENT)
#define WANTED_BACK(h)	(!SAYS_OFF(0, h) && !SAYS_OFF(1, h) || HAS_INTENT(0, h) || HAS_INTENT(1, h) || \
			 (NAMED_HEIR(h) && !(RUNNERS == 1 || ended)))
#define OVER_NOW  (offer_v == F_ABORTED || offer_v == F_CLOSED)
#define RESTS(h)  (!up[h] || vm[h] == V_NONE || vm[h] == V_RUNS)

proctype rest()
{
end:	do
	:: atomic {
		timeout ->
		if
		:: pc[HS] == AT_WAIT && !expired[HS] -> expired[HS] = 1; news[HS] = 1
		:: pc[HD] == AT_WAIT && !expired[HD] -> expired[HD] = 1; news[HD] = 1
		:: pc[HOSTS - 1] == AT_WAIT && !expired[HOSTS - 1] -> expired[HOSTS - 1] = 1; news[HOSTS - 1] = 1
		:: else ->
			if
			:: stays_down[HS] && WANTED_BACK(HS) -> stays_down[HS] = 0
			:: stays_down[HD] && WANTED_BACK(HD) -> stays_down[HD] = 0
			:: stays_down[HOSTS - 1] && WANTED_BACK(HOSTS - 1) -> stays_down[HOSTS - 1] = 0
			:: else ->
			d_step {
				printf("rest: offer %e, answer %e, VM %e %e %e, ended %d\n", offer_v, ans_v[HD].state, vm[HS],
				       vm[HD], vm[HOSTS - 1], ended);
				MUST(ENDS, RUNNERS == 1 || ended);
				MUST(ENDS, OVER_NOW || stays_down[HS]);
				MUST(CLEAN, RESTS(HS) && RESTS(HD) && RESTS(HOSTS - 1));
				stop = 1
			}
			fi
		fi
	   }
	:: stop -> break
	od
}

init {
	atomic {
		each = 0;
		do
		:: each < HOSTS ->
			up[each] = 1;
			inc[each] = FIRST_BOOT;
			vm[each] = V_NONE;
			ans_c[each].state = F_NONE;
			ans_v[each].state = F_NONE;
			each++
		:: else -> break
		od;
		vm[HS] = V_RUNS;
		fresh[HS] = 1;
		begun[HS] = 1;
		pc[HS] = 1;
#ifdef REFUSED_FIRST
		/* Bounds that begin in the middle: D has refused what S had committed, and S does not know. */
		vm[HS] = V_STOPPED;
		content_c = 1;
		content_v = 1;
		content_fresh = 1;
		offer_c = F_COMMITTED;
		offer_v = F_COMMITTED;
		for_c = FIRST_BOOT;
		for_v = FIRST_BOOT;
		ans_c[HD].state = F_REFUSED;
		ans_v[HD].state = F_REFUSED;
		ans_c[HD].inc = FIRST_BOOT;
		ans_v[HD].inc = FIRST_BOOT;
		begun[HD] = 1;
		pc[HD] = AT_OVER;
		pc[HS] = AT_WAIT;
		news[HS] = 1;
#else
		/* What a former flight has left in D's slot, and what has been fenced before. */
		if
		:: skip
		:: ans_c[HD].state = F_ACCEPTED
		:: ans_c[HD].state = F_DONE
		:: ans_c[HD].state = F_REFUSED
		fi;
		ans_c[HD].old = (ans_c[HD].state != F_NONE);
		ans_c[HD].inc = (ans_c[HD].state != F_NONE -> FIRST_BOOT : 0);
		ans_v[HD].state = ans_c[HD].state;
		ans_v[HD].inc = ans_c[HD].inc;
		ans_v[HD].old = ans_c[HD].old;
#endif
		n = 0;
		do
		:: n < 2 ->
			fence_c[n].state = T_NONE;
			fence_v[n].state = T_NONE;
			if
			:: n < NF ->
				fence_c[n].state = T_FENCED;
				fence_c[n].upto = 1;
				fence_c[n].fenced = 1;
				fence_v[n].state = T_FENCED;
				fence_v[n].upto = 1;
				fence_v[n].fenced = 1
			:: else
			fi;
			n++
		:: else -> break
		od;
		n = 0;
		each = 0;
		run host(HS);
		run host(HD);
#if HOSTS > 2
		run host(HE);
#endif
#if NF > 0
		run fencer(0);
#endif
#if NF > 1
		run fencer(1);
#endif
		run rest()
	}
}
