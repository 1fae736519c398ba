/* SPDX-License-Identifier: MIT */
/*
 * The flags and the queue of bottom halves: two schedulers, a canceller and deleters work on one bottom half while the
 * home thread runs it; next to it a oneshot makes the lists longer than one. spec/README.md says how to read this file,
 * spec/table.mjs which flags it is run with and what each run must show. A comment names the function that a statement
 * stands for; files are in gsource/.
 *
 * Every statement is one atomic step. An access that is ordered by a read-modify-write in the code and is not in a
 * mutation is moved to the other side of it. A thread's last step and the note that it is over are one: nobody can see
 * what is between them. The wake-up itself is spec/wakeup.pml: here a notification is never lost.
 */
#ifndef SECOND
#define SECOND 1 /* what the second scheduler does: 0 nothing, 1 aio_bh_schedule(), 2 aio_bh_schedule_idle() */
#endif
#ifndef CANCELLERS
#define CANCELLERS 0
#endif
#ifndef DELETERS
#define DELETERS 0
#endif
#ifndef RESCHEDULES
#define RESCHEDULES 1 /* what the callback does on its own bottom half: schedule it */
#endif
#ifndef NESTS
#define NESTS 1 /* passes nested in callbacks */
#endif
#ifndef ONESHOTS
#define ONESHOTS 1 /* 2: the callback of the oneshot drops the last reference to the context */
#endif

#ifndef LAST
#define LAST (ONESHOTS != 2) /* schedules once more when all others are done */
#endif

#define WORKERS (1 + (SECOND != 0) + CANCELLERS + DELETERS)

/* aio-bh-private.h */
#define PENDING   1
#define SCHEDULED 2
#define IDLE      4
#define DELETED   8
#define ONESHOT   16

/* AioBh: 1 is the one that all work on, 2 the oneshot; 0 is NULL */
byte flags[3];
byte ref_count[3] = (ONESHOTS == 2 -> 1 : 1 + WORKERS + LAST); /* the context's, and those of the others and of last */
byte next[3];
bool has_ctx[3] = 1; /* ctx is not NULL */

/* AioContext */
byte bh_list = 0;
byte slice[2]; /* bh_slice_list: of the outer pass and of the one nested in it */
byte pins = 0;
bool notified = 0;
bool ctx_freed = 0;

/* For the properties */
byte queued[3];    /* how often it is in bh_list and the slices */
byte released[3];
bool payload[4];   /* what is written before a schedule: 1 and 2 by the schedulers, 3 by the last one; 0 does not count */
bool seen[4];      /* what the callback has seen of it */
byte n_done = 0;
bool last_done = 0;
bool cancelled = 0;
bool asked = 0; /* aio_bh_schedule() was called since the last run */
bool double_insertion = 0, use_after_free = 0, run_after_delete = 0, double_free = 0, lost_run = 0, late_run = 0, leak = 0;
#define HOLDS(property, condition) d_step { property = !(condition); assert(!property) }
#define ALIVE(bh) HOLDS(use_after_free, ref_count[bh] > 0)
#define CTX_ALIVE HOLDS(use_after_free, !ctx_freed)

/* aio_context_pin(), aio_context_unpin(): other threads only */
inline PIN(home) {
#ifndef NO_PIN
    if
    :: !home -> pins++
    :: else
    fi
#else
    skip
#endif
}

inline UNPIN(home) {
#ifndef NO_PIN
    if
    :: !home -> CTX_ALIVE; pins--
    :: else
    fi
#else
    skip
#endif
}

inline NOTIFY() { /* aio_context_notify() */
    CTX_ALIVE;
    notified = 1
}

/* The loop around the compare-and-exchange in bh_enqueue() and aio_bh_delete() */
inline PUSH(bh, head) {
    head = bh_list;
    do
    :: true ->
        ALIVE(bh);
        next[bh] = head;
#ifdef PUSH_STORE
        d_step { bh_list = bh; queued[bh]++ };
        break
#else
        if
        :: atomic { bh_list == head -> bh_list = bh; queued[bh]++ };
            break
        :: else -> head = bh_list
        fi
#endif
    od;
    skip; /* Spin: no jump into a d_step */
    HOLDS(double_insertion, queued[bh] <= 1)
}

inline ENQUEUE(bh, set, home, old, head, pay) { /* bh_enqueue() */
    ALIVE(bh);
    if
    :: has_ctx[bh] -> /* ctx = bh->ctx */
#ifndef PIN_LATE
        PIN(home);
#endif
#ifdef EARLY_RETURN
        /* no read-modify-write: what the caller wrote may become visible after the load */
        old = flags[bh];
        payload[pay] = 1;
        if
        :: (old & (PENDING | set)) == (PENDING | set)
        :: else -> d_step { old = flags[bh]; flags[bh] = old | PENDING | set }
        fi;
#else
#ifdef PAYLOAD_LATE
        d_step { old = flags[bh]; flags[bh] = old | PENDING | set };
        payload[pay] = 1;
#else
        payload[pay] = 1;
#ifdef SET_STORE
        old = flags[bh];
        flags[bh] = old | PENDING | set;
#else
#ifdef FIRST_WINS
        d_step { old = flags[bh]; flags[bh] = old | PENDING | (old & PENDING -> 0 : set); asked = asked || (bh == 1 && set == SCHEDULED) };
#else
        d_step { /* atomic_fetch_or(), acq_rel */
            old = flags[bh]; flags[bh] = old | PENDING | set;
            asked = asked || (bh == 1 && set == SCHEDULED)
        };
#endif
#endif
#endif
#endif
        if
#ifdef ENQUEUE_DELETED
        :: !(old & PENDING) ->
#else
        :: !(old & (PENDING | DELETED)) ->
#endif
            PUSH(bh, head);
#ifdef TOUCH_AFTER_PUSH
            ALIVE(bh); /* bh->ctx once more */
#endif
#ifdef NOTIFY_IF_PUSHED
            NOTIFY()
#endif
        :: else
        fi;
#ifdef PIN_LATE
        PIN(home);
#endif
#ifndef NOTIFY_IF_PUSHED
#ifdef SKIP_NOTIFY
        if
        :: old & PENDING -> NOTIFY()
        :: else
        fi;
#else
        NOTIFY();
#endif
#endif
        UNPIN(home)
    :: else
    fi;
    old = 0; head = 0
}

inline UNREF(bh) { /* aio_bh_unref() */
    ALIVE(bh);
    ref_count[bh]--
}

inline RELEASE(bh) { /* aio_bh_release() */
    d_step { double_free = released[bh] > 0; assert(!double_free); released[bh]++ };
    has_ctx[bh] = 0;
    UNREF(bh)
}

inline DELETE(bh, old, head) { /* aio_bh_delete() */
    ALIVE(bh);
    if
    :: has_ctx[bh] ->
        PIN(0);
#ifdef DELETE_BLIND
        d_step { old = flags[bh]; flags[bh] = old | DELETED | PENDING };
        old = old & ~DELETED;
#else
        d_step { /* the loop around the compare-and-exchange */
            old = flags[bh];
            if
            :: !(old & DELETED) ->
#ifdef DELETE_NOT_PENDING
                flags[bh] = old | DELETED
#else
                flags[bh] = old | DELETED | PENDING
#endif
            :: else
            fi
        };
#endif
        if
        :: !(old & DELETED) ->
#ifdef FREE_AT_ONCE
            RELEASE(bh)
#else
            if
            :: !(old & PENDING) -> PUSH(bh, head)
            :: else
            fi;
#ifdef DELETE_SKIPS_NOTIFY
            skip
#else
            NOTIFY()
#endif
#endif
        :: else
        fi;
        UNPIN(0)
    :: else
    fi;
    old = 0; head = 0
}

/* --- other threads; each has a reference of aio_bh_ref() to the bottom half, as a language binding has */

active proctype first()
{
    byte old = 0, head = 0;

#if ONESHOTS
    /* aio_context_schedule_oneshot(): has no reference to what it makes */
    d_step { flags[2] = ONESHOT; ref_count[2] = 1; has_ctx[2] = 1 };
    ENQUEUE(2, SCHEDULED, 0, old, head, 0);
#endif
#if ONESHOTS != 2
    ENQUEUE(1, SCHEDULED, 0, old, head, 1);
    atomic { UNREF(1); n_done++ }
#else
    n_done++
#endif
}

#if SECOND
active proctype second()
{
    byte old = 0, head = 0;

#if SECOND == 1
    ENQUEUE(1, SCHEDULED, 0, old, head, 2); /* aio_bh_schedule() */
#else
    ENQUEUE(1, IDLE, 0, old, head, 0); /* aio_bh_schedule_idle() */
#endif
    atomic { UNREF(1); n_done++ }
}
#endif

#if CANCELLERS
active [CANCELLERS] proctype canceller()
{
    cancelled = 1;
    ALIVE(1);
#ifdef CANCEL_CLEARS_PENDING
    d_step { flags[1] = flags[1] & ~(PENDING | SCHEDULED | IDLE); asked = 0 };
#else
    d_step { flags[1] = flags[1] & ~(SCHEDULED | IDLE); asked = 0 }; /* aio_bh_cancel(): atomic_fetch_and() */
#endif
    atomic { UNREF(1); n_done++ }
}
#endif

#if DELETERS
active [DELETERS] proctype deleter()
{
    byte old = 0, head = 0;

    DELETE(1, old, head);
    atomic { UNREF(1); n_done++ }
}
#endif

#if LAST
/* Schedules once more when all others are done: whatever they did, this runs unless it was deleted */
active proctype last()
{
    byte old = 0, head = 0;

    n_done == WORKERS;
    ENQUEUE(1, SCHEDULED, 0, old, head, 3);
    UNREF(1);
    last_done = 1
}
#endif

/* --- home */

#define ALL_DONE (n_done == WORKERS && (last_done || !LAST))
#define UNSEEN(i) (payload[i] && !seen[i])

/* Whether a bottom half is in a queue and wants what @flag says: aio_context_bh_queue_state() */
#define QUEUED(flag)    (QUEUED_(1, flag) || QUEUED_(2, flag))
#define QUEUED_(i, flag) (queued[i] > 0 && (flags[i] & flag) && !(flags[i] & DELETED))

/* take_scheduled(): an exchange; the list is turned round, oldest first. Home alone has it from then on. */
inline TAKE_SCHEDULED(to) {
    d_step {
        to = 0; bh = bh_list; bh_list = 0;
        do
        :: bh != 0 -> after = next[bh]; next[bh] = to; to = bh; bh = after
        :: else -> break
        od;
        after = 0
    }
}

inline UNLINK() { /* slice->head = bh->next */
    d_step {
        if
        :: slice[0] != 0 -> slice[0] = next[bh]
        :: else -> slice[1] = next[bh]
        fi;
        queued[bh]--
    }
}

/* The callback reads what was written for it */
inline SEE() {
    d_step {
        if
        :: bh == 1 -> seen[1] = payload[1]; seen[2] = payload[2]; seen[3] = payload[3]
        :: else
        fi
    }
}

/* peek(), then dequeue(): bh, and what its flags were in old; bh == 0 if there is none */
inline DEQUEUE() {
    bh = (slice[0] != 0 -> slice[0] : slice[1]);
    if
    :: bh != 0 ->
        ALIVE(bh);
#ifdef CLEAR_BEFORE_UNLINK
        d_step { old = flags[bh]; flags[bh] = old & ~(PENDING | SCHEDULED | IDLE) };
        UNLINK()
#else
        UNLINK();
#ifdef DEQUEUE_RELAXED
        SEE();
#endif
#ifdef CLEAR_STORE
        old = flags[bh];
        flags[bh] = old & ~(PENDING | SCHEDULED | IDLE)
#else
#ifdef CLEAR_AFTER_RUN
        old = flags[bh]
#else
        d_step { /* atomic_fetch_and(), acq_rel */
            old = flags[bh]; flags[bh] = old & ~(PENDING | SCHEDULED | IDLE);
            if
            :: bh == 1 ->
                late_run = asked && !(old & (SCHEDULED | DELETED)); /* it would run, but not count as progress */
                assert(!late_run);
                asked = 0
            :: else
            fi
        }
#endif
#endif
#endif
    :: else -> old = 0
    fi
}

inline CLEAR_BHS() { /* aio_context_clear_bhs() */
    d_step { old = flags[1]; flags[1] = (old & DELETED -> old : old | DELETED | PENDING) };
    if
    :: !(old & (DELETED | PENDING)) -> PUSH(1, head); head = 0
    :: else
    fi;
    do
    :: bh_list == 0 && slice[0] == 0 && slice[1] == 0 -> break
    :: else ->
        if
        :: slice[0] == 0 -> TAKE_SCHEDULED(slice[0])
        :: slice[0] != 0 && slice[1] == 0 -> TAKE_SCHEDULED(slice[1])
        :: else
        fi;
        do
        :: slice[0] == 0 && slice[1] == 0 -> break
        :: else -> DEQUEUE(); RELEASE(bh)
        od
    od;
    bh = 0; old = 0
}

active proctype home()
{
    byte bh = 0, after = 0, old = 0, head = 0, t = 0;
    byte outer = 0, reschedules = 0, nests = 0; /* outer: whose callback has nested a pass */
    bool closed = 0, unowned = 0, outer_oneshot = 0;

poll: /* aio_context_poll(), aio_source_prepare() ..: computes a timeout, waits, accepts, runs */
    if
    :: closed || unowned -> goto finalize
    :: else
    fi;
    if
    :: QUEUED(SCHEDULED) -> t = 0
    :: !QUEUED(SCHEDULED) && QUEUED(IDLE) -> t = 1
    :: else -> t = 2
    fi;
    if
    :: t == 0 || notified
    :: t == 1 && !ALL_DONE /* 10 ms are over */
    :: t == 1 && ALL_DONE && !notified -> HOLDS(late_run, !UNSEEN(1) && !UNSEEN(3))
    :: t == 2 && ALL_DONE && !notified ->
        HOLDS(lost_run, (flags[1] & DELETED) || (!UNSEEN(3) && (cancelled || (!UNSEEN(1) && !UNSEEN(2)))));
        HOLDS(leak, !(flags[1] & DELETED) || released[1] == 1);
        goto finalize
    fi;
    t = 0;
    notified = 0; /* aio_context_accept() */

bh_poll: /* aio_context_bh_poll() */
    if
    :: outer == 0 -> TAKE_SCHEDULED(slice[0])
    :: else -> TAKE_SCHEDULED(slice[1])
    fi;
    do
    :: true ->
        DEQUEUE();
        if
        :: bh == 0 -> break
        :: bh != 0 && (old & DELETED) -> RELEASE(bh)
        :: bh != 0 && !(old & DELETED) && !(old & (SCHEDULED | IDLE))
        :: else ->
            HOLDS(run_after_delete, released[bh] == 0);
            ALIVE(bh);
#ifndef DEQUEUE_RELAXED
            SEE();
#endif
            old = old & ONESHOT;
            /* the callback */
            if
            :: bh == 1 && reschedules < RESCHEDULES -> reschedules++; ENQUEUE(1, SCHEDULED, 1, t, head, 0)
            :: true
            fi;
#if ONESHOTS == 2
            if
            :: bh == 2 -> unowned = 1
            :: else
            fi;
#endif
#ifdef CLOSES
            if
            :: !closed && outer == 0 -> outer = bh; outer_oneshot = (old != 0); closed = 1; CLEAR_BHS(); bh = outer; old = (outer_oneshot -> ONESHOT : 0); outer = 0; outer_oneshot = 0
            :: true
            fi;
#endif
            if
            :: nests < NESTS && outer == 0 && !closed ->
                nests++;
                d_step { outer = bh; outer_oneshot = (old != 0) };
                notified = 0;
                goto bh_poll
            :: true
            fi;
returned:
#ifdef CLEAR_AFTER_RUN
            flags[bh] = flags[bh] & ~(PENDING | SCHEDULED | IDLE);
#endif
            if
            :: old & ONESHOT -> RELEASE(bh)
            :: else
            fi
        fi
    od;
    if
    :: outer != 0 -> /* back to the outer pass */
        d_step { bh = outer; old = (outer_oneshot -> ONESHOT : 0); outer = 0; outer_oneshot = 0 };
        goto returned
    :: else -> goto poll
    fi;

finalize: /* aio_context_finalize(), once the last reference is gone */
#if ONESHOTS != 2
    ALL_DONE;
#endif
    pins == 0;
    CLEAR_BHS();
    ctx_freed = 1;
    ALL_DONE;
    HOLDS(leak, ref_count[1] == 0 && (ONESHOTS == 0 || ref_count[2] == 0))
}
