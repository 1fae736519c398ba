/* SPDX-License-Identifier: MIT */
/*
 * The wake-up protocol: any thread publishes work and notifies; the home thread, driven by aio_context_poll() and by a
 * GMainContext, nested in each other, must neither sleep over it nor spin. spec/README.md says how to read this file,
 * spec/table.mjs which flags it is run with and what each run must show. A comment names the function that a statement
 * stands for; files are in gsource/.
 *
 * Every statement is one atomic step. Home's stores to notify_me go through a store buffer (STORE_NM, FENCE), for
 * nothing but a fence orders them against later loads. A fence that a notifier lacks has its load of notify_me before
 * its stores; an accept that is a store and not an exchange goes through a buffer of its own (ACCEPT_STORE).
 */
#ifndef NOTIFIERS
#define NOTIFIERS 2
#endif
#ifndef POSTS
#define POSTS 1 /* of each notifier */
#endif
#ifndef MIX
#define MIX 2 /* what may happen beside a loop that only blocks: skipped phases, nested calls, polls that do not block */
#endif
#ifndef DEPTH
#define DEPTH 1 /* callbacks on the stack */
#endif
#ifndef HOME_POSTS
#define HOME_POSTS 1 /* what callbacks may publish */
#endif
#ifndef MAXSPUR
#define MAXSPUR 3 /* passes once everything is quiet: an old eventfd, an old g_main_context_wakeup(), a notification */
#endif
#ifdef THIEF
#define WORKERS (NOTIFIERS + 1)
#else
#define WORKERS NOTIFIERS
#endif

/* AioContext (aio-context-private.h) */
byte nm = 0;       /* notify_me, as other threads see it */
byte nm_home = 0;  /* notify_me, as home has stored it */
bool notified = 0;
bool nw = 0;       /* notifier_written */
bool efd = 0;      /* the counter of the eventfd is not zero */
bool revents = 0;  /* notifier_poll_fd.revents */
bool handlers = 0; /* n_handlers != 0: only then does a poll that does not block look at the eventfd */

/* The work */
bool bh = 0;  /* bh_list is not empty */
bool chg = 0; /* n_changes: handlers that the monitor does not know yet */
byte tmr = 0; /* a timer: LATER or DUE */
#define LATER 1
#define DUE   2

/* GMainContext */
bool gwake = 0; /* g_main_context_wakeup() */
bool ready = 0; /* G_SOURCE_READY */

#define ARM_TIMER atomic { tmr == 0 -> if :: tmr = LATER :: tmr = DUE fi } /* with the list's lock */

/* A computed timeout */
#define ZERO   0
#define FINITE 1
#define NEVER  2

/* What home is in the middle of, innermost last: frames[0 .. depth - 1] */
#define IN_POLL     1 /* a callback that aio_context_poll() runs */
#define IN_DISPATCH 2 /* a callback that aio_source_dispatch() runs */
#define IN_PREPARE  3 /* another source's prepare, after ours */
#define IN_CHECK    4 /* another source's check, before ours */
byte depth = 0;
byte frames[DEPTH];
bool consumed[DEPTH]; /* of IN_POLL: what aio_context_accept() returned */

/* Bounds */
byte mix = 0; byte home_posts = 0; byte n_done = 0; byte spur = 0;
#define IDLE_WORLD (n_done == WORKERS)
#define MIXED      mix < MIX -> mix++

/* For the properties */
bool stolen = 0; /* since the source was found ready, something else ran callbacks */
bool lost_wake_up = 0, unheard_notification = 0, busy_loop = 0, empty_dispatch = 0, stale_bit_0 = 0, accepted_elsewhere = 0;
#define HOLDS(property, condition) d_step { property = !(condition); assert(!property) }

/* --- home's store buffer */

bool nbuf = 0; /* ACCEPT_STORE: home's 'notified = FALSE', which others do not see yet */

#define STORE_NM(value) nm_home = value
#define FENCE()         d_step { nm = nm_home; if :: nbuf -> notified = 0; nbuf = 0 :: else fi } /* aio_fence() */
#define NOTIFIED_HOME   (notified && !nbuf)

active proctype store_buffer()
{
end:
    do
    :: atomic { nm != nm_home -> nm = nm_home }
#ifdef ACCEPT_STORE
    :: atomic { nbuf -> notified = 0; nbuf = 0 }
#endif
    od
}

/* --- aio-notify.c */

inline WRITE_NOTIFIER() { /* write_notifier() */
#ifdef NW_AFTER_WRITE
    efd = 1; nw = 1
#else
    nw = 1;
    efd = 1 /* aio_notifier_set() */
#endif
}

#ifdef DISPATCHING_FLAG
#define MUST_WRITE(x) (x != 0 && depth == 0)
#else
#define MUST_WRITE(x) (x != 0)
#endif

inline NOTIFY_OTHER(x) { /* aio_context_notify() on a thread that is not home */
#ifdef SKIP_AFTER_FENCE
    if
    :: notified -> x = 0
    :: else -> notified = 1; x = nm
    fi;
#else
    notified = 1; /* release */
    x = nm;       /* after aio_fence() */
#endif
    if
    :: MUST_WRITE(x) -> WRITE_NOTIFIER()
    :: else
    fi
}

inline NOTIFY_HOME() { /* aio_context_notify() on the home thread: no fence */
    if
    :: nbuf -> FENCE() /* stores to one variable keep their order */
    :: else
    fi;
    notified = 1;
    if
    :: MUST_WRITE(nm_home) -> WRITE_NOTIFIER()
    :: else
    fi
}

inline NOTIFY_WAITER_HOME() { /* aio_context_notify_waiter() on the home thread */
#ifdef ALWAYS_NOTIFY
    NOTIFY_HOME()
#else
#ifdef NEVER_NOTIFY_HOME
    skip
#else
    if
    :: nm_home != 0 -> NOTIFY_HOME()
    :: else /* whatever waits next looks at it when it begins */
    fi
#endif
#endif
}

/* aio_context_accept(), aio_context_accept_some(): x = notifier_ready in, whether there was anything out */
inline ACCEPT(x) {
#ifndef NO_OWNER_ASSERT
    HOLDS(accepted_elsewhere, _pid == home_pid);
#endif
#ifdef NO_DRAIN
    x = 0;
#else
    if
#ifdef NW_ONLY
    :: nw ->
#else
#ifdef NO_NW
    :: x ->
#else
    :: x || nw ->
#endif
#endif
        x = 0;
#ifdef CLEAR_NW_LATE
        if
        :: d_step { efd -> efd = 0; x = 1 }
        :: else
        fi;
        nw = 0
#else
        nw = 0;
        if
        :: d_step { efd -> efd = 0; x = 1 } /* aio_notifier_test_and_clear() */
        :: else
        fi
#endif
    :: else -> x = 0
    fi;
#endif
    if
    :: NOTIFIED_HOME -> /* aio_context_notify_accept(): an exchange */
#ifdef ACCEPT_STORE
        nbuf = 1;
#else
        notified = 0;
#endif
        x = 1
    :: else
    fi
}

/* --- other threads */

byte home_pid;

active [NOTIFIERS] proctype notifier()
{
    byte posts = 0, x = 0;

    do
    :: posts < POSTS ->
        posts++;
        if
        :: true -> /* aio_bh_schedule(), aio_bh_delete(): bh_enqueue(), then aio_context_notify() */
#ifdef NO_FENCE_NOTIFY
            x = nm; bh = 1; notified = 1;
            if
            :: MUST_WRITE(x) -> WRITE_NOTIFIER()
            :: else
            fi
#else
#ifdef SKIP_IF_NOTIFIED
            x = notified; bh = 1;
            if
            :: !x -> NOTIFY_OTHER(x)
            :: else
            fi
#else
#ifdef NOTIFIED_FIRST
            notified = 1; bh = 1; x = nm;
            if
            :: MUST_WRITE(x) -> WRITE_NOTIFIER()
            :: else
            fi
#else
            bh = 1;
            NOTIFY_OTHER(x)
#endif
#endif
#endif
        :: ARM_TIMER -> /* aio_timer_mod(): modify() made the deadline earlier, then aio_context_notify_waiter() */
#ifdef SHORTCUT_ANYWHERE
            x = nm;
            if
            :: x != 0 -> NOTIFY_OTHER(x)
            :: else
            fi
#else
            NOTIFY_OTHER(x)
#endif
        :: true -> /* aio_context_set_fd_handler(): set_handler(), then aio_context_notify_waiter() */
            chg = 1;
            NOTIFY_OTHER(x)
        :: true -> /* aio_context_notify() alone */
            NOTIFY_OTHER(x)
        fi;
        x = 0
    :: else -> break
    od;
    n_done++
}

#ifdef THIEF
active proctype thief() /* aio_context_poll(ctx, FALSE) on another thread */
{
    bool x = 0;
#ifdef NO_HOME_CHECK
    x = handlers && efd;
    ACCEPT(x);
    d_step { bh = 0; stolen = 1 };
    if
    :: d_step { tmr == DUE -> tmr = 0 }
    :: else
    fi;
#else
    skip; /* aio_context_check(): AIO_ERROR_WRONG_THREAD */
#endif
    n_done++
}
#endif

/* --- home */

/* poll(2), by the monitor's wait() or by GLib, which has its own wake-up too */
inline SLEEP(until, by_glib) {
    if
    :: efd || (by_glib && gwake)
    :: until == FINITE && tmr != DUE -> /* the deadline, or one that the timer had before */
        if
        :: tmr == LATER -> tmr = DUE
        :: else
        fi
    :: by_glib && MIXED /* for another source's sake */
    :: IDLE_WORLD && !efd && !(by_glib && gwake) && (until == NEVER || tmr == DUE || bh || chg || notified) ->
        HOLDS(lost_wake_up, !bh && !chg && tmr != DUE && (tmr == 0 || until == FINITE));
        HOLDS(unheard_notification, !NOTIFIED_HOME);
        goto quiesced
    fi
}

/* Bottom halves are taken all at once; a callback may do anything that code on the home thread can */
#define RUN_BHS(kind, any)                                                    \
    if                                                                        \
    :: bh ->                                                                  \
        bh = 0; /* take_scheduled() */                                        \
        stolen = 1;                                                           \
        if                                                                    \
        :: depth < DEPTH ->                                                   \
            d_step { frames[depth] = kind; consumed[depth] = any; depth++; any = 0; t = 0; x = 0 }; \
            goto loop                                                         \
        :: true                                                               \
        fi                                                                    \
    :: else                                                                   \
    fi

/* The source is ready if @condition, and stays so until it is dispatched */
inline FOUND_READY(condition) {
    d_step {
        if
        :: condition -> ready = 1; stolen = 0
        :: else
        fi
    }
}

inline RUN_TIMERS() { /* aio_context_run_timers() */
    if
    :: d_step { tmr == DUE -> tmr = 0; stolen = 1 }
    :: else
    fi
}

inline WAKE_PREPARED_SOURCE(any) { /* aio_context_wake_prepared_source() */
#ifndef NO_WAKE_PREPARED
    if
    :: any && (nm_home & 1) -> gwake = 1
    :: else
    fi;
#endif
    any = 0
}

inline CLEAR_BIT_0() { /* clear_bit_0() */
    if
    :: nm_home & 1 -> STORE_NM(nm_home & 254)
    :: else
    fi
}

inline DRAIN(x) { /* drain() */
    d_step { x = revents; revents = 0 };
    ACCEPT(x);
    x = 0
}

active proctype home()
{
    byte t = 0, glib_timeout = 0;
    bool x = 0, blocking = 0, may_sleep = 0;
    bool dispatches = 0;   /* g_main_context_iteration(), not g_main_context_pending() */
    bool outranked = 0;    /* in this iteration a source of higher priority was ready */
    bool in_phase = 0;     /* GLib is in a prepare or check: no iteration may be nested */

    d_step { home_pid = _pid; }
    if
    :: handlers = 0
    :: handlers = 1
    fi;

loop: /* code of a callback if depth > 0, of the program otherwise */
    if
    :: depth == 0 && IDLE_WORLD && !bh && !chg && tmr == 0 && mix == MIX ->
        spur++;
        HOLDS(busy_loop, spur <= MAXSPUR)
    :: else
    fi;
    if
    :: depth == 0 -> blocking = 1; goto poll
    :: depth > 0 && MIXED -> blocking = 1; goto poll
    :: MIXED -> blocking = 0; goto poll
    :: depth == 0 -> dispatches = 1; goto iteration
    :: depth > 0 && !in_phase && MIXED -> dispatches = 1; goto iteration
    :: !in_phase && MIXED -> dispatches = 0; goto iteration
    :: depth > 0 && home_posts < HOME_POSTS ->
        home_posts++;
        if
        :: bh = 1; NOTIFY_HOME()             /* aio_bh_schedule() */
        :: ARM_TIMER -> NOTIFY_WAITER_HOME() /* aio_timer_mod() */
        :: chg = 0; NOTIFY_WAITER_HOME()     /* aio_context_set_fd_handler(): applied at once */
        :: NOTIFY_HOME()                     /* aio_context_notify() */
        fi;
        goto loop
    :: depth > 0 -> /* the callback returns */
        depth--;
        if
        :: frames[depth] == IN_POLL ->
            x = consumed[depth];
            d_step { frames[depth] = 0; consumed[depth] = 0 };
            RUN_TIMERS();
            goto poll_end
        :: frames[depth] == IN_DISPATCH ->
            frames[depth] = 0;
            RUN_TIMERS();
            goto loop
        :: frames[depth] == IN_PREPARE -> frames[depth] = 0; in_phase = 0; goto prepared
        :: frames[depth] == IN_CHECK -> frames[depth] = 0; in_phase = 0; goto polled
        fi
    fi;

poll: /* aio_context_poll_for() */
    if
    :: !blocking && !bh && !NOTIFIED_HOME && !nw && !chg && !handlers && tmr == 0 -> goto loop /* is_quiet() */
    :: else
    fi;
    if /* aio_context_compute_timeout() */
    :: !blocking || bh -> t = ZERO
    :: else ->
        if
        :: tmr == DUE -> t = ZERO
        :: tmr == LATER -> t = FINITE
        :: else -> t = NEVER
        fi
    fi;
    blocking = 0;
    may_sleep = (t != ZERO);
    if
    :: may_sleep ->
        STORE_NM(nm_home + 2);
#ifndef NO_FENCE_POLL
        FENCE();
#endif
#ifndef POLL_NO_NOTIFIED
        if
        :: NOTIFIED_HOME -> t = ZERO
        :: else
        fi
#endif
    :: else
    fi;
    /* wait() */
    chg = 0; /* aio_context_apply_changes() */
    if
    :: t == ZERO && !handlers -> x = 0
    :: t == ZERO && handlers -> x = efd
    :: t != ZERO -> SLEEP(t, 0); x = efd
    fi;
    t = 0;
    if
    :: may_sleep -> STORE_NM(nm_home - 2); may_sleep = 0
    :: else
    fi;
#ifndef RUN_BEFORE_ACCEPT
    ACCEPT(x);
    WAKE_PREPARED_SOURCE(x);
#endif
    RUN_BHS(IN_POLL, x); /* run(): aio_context_bh_poll() */
    RUN_TIMERS();
poll_end:
#ifdef RUN_BEFORE_ACCEPT
    ACCEPT(x);
    WAKE_PREPARED_SOURCE(x);
#endif
    goto loop;

iteration: /* g_main_context_iterate(): g_main_context_prepare() */
    if
    :: ready -> glib_timeout = ZERO /* found ready before and not dispatched: our prepare is skipped */
    :: !ready && MIXED -> glib_timeout = ZERO; outranked = 1 /* a source of higher priority is ready: the same */
    :: !ready -> /* aio_source_prepare() */
#ifdef LOOK_BEFORE_BIT
        glib_timeout = (bh || tmr == DUE -> ZERO : NEVER);
#endif
        STORE_NM(nm_home | 1);
#ifndef NO_FENCE_PREPARE
        FENCE();
#endif
        chg = 0; /* aio_context_prepare() */
#ifndef LOOK_BEFORE_BIT
        if /* aio_context_compute_timeout() */
        :: bh -> glib_timeout = ZERO
        :: else -> glib_timeout = (tmr == DUE -> ZERO : NEVER)
        fi;
#endif
        if
        :: glib_timeout == ZERO -> FOUND_READY(1)
#ifndef PREPARE_NO_NOTIFIED
        :: glib_timeout != ZERO && NOTIFIED_HOME ->
            glib_timeout = ZERO;
#ifdef PREPARE_READY_IF_NOTIFIED
            FOUND_READY(1)
#endif
#endif
        :: else -> glib_timeout = (tmr != 0 -> FINITE : NEVER) /* aio_context_arm_deadlines() */
        fi
    fi;
    if
    :: depth < DEPTH && MIXED -> d_step { frames[depth] = IN_PREPARE; depth++; in_phase = 1 }; goto loop
    :: true
    fi;
prepared: /* g_main_context_query(), poll(2) */
    if
    :: glib_timeout != ZERO && dispatches -> SLEEP(glib_timeout, 1)
    :: else
    fi;
    glib_timeout = ZERO;
    d_step {
        if
        :: !outranked -> revents = efd
        :: else
        fi;
        gwake = 0
    };
    if
    :: depth < DEPTH && MIXED -> d_step { frames[depth] = IN_CHECK; depth++; in_phase = 1 }; goto loop
    :: true
    fi;
polled: /* g_main_context_check() */
    if
    :: outranked -> outranked = 0; goto iteration_end
    :: !outranked && MIXED -> goto iteration_end /* the poll set has changed, or a source of higher priority won */
    :: ready
    :: !outranked && !ready -> /* aio_source_check() */
#ifdef LOOK_BEFORE_ACCEPT
        FOUND_READY(bh || tmr == DUE);
#endif
        CLEAR_BIT_0();
#ifdef NOTIFIER_READY
        FOUND_READY(revents);
#endif
#ifndef CHECK_NO_DRAIN
        DRAIN(x);
#endif
#ifndef LOOK_BEFORE_ACCEPT
        if
        :: bh -> FOUND_READY(1) /* aio_context_bh_queue_state() */
        :: else ->
            if
            :: tmr == DUE -> FOUND_READY(1) /* aio_context_timer_timeout() */
            :: else
            fi
        fi
#endif
    fi;
    if
    :: ready && dispatches -> /* g_main_context_dispatch(): aio_source_dispatch() */
        ready = 0;
#ifndef DISPATCH_NO_CLEAR
        CLEAR_BIT_0();
#endif
#ifdef RUN_BEFORE_ACCEPT
        HOLDS(stale_bit_0, !(nm_home & 1));
        d_step { bh = 0; x = 0 };
        DRAIN(x);
#else
#ifndef DISPATCH_NO_DRAIN
        DRAIN(x);
#endif
        HOLDS(stale_bit_0, !(nm_home & 1));
#ifndef NO_OWNER_ASSERT
        HOLDS(empty_dispatch, bh || tmr == DUE || stolen);
#endif
        RUN_BHS(IN_DISPATCH, x); /* aio_context_dispatch(): run() */
#endif
        RUN_TIMERS()
    :: else
    fi;
iteration_end:
    dispatches = 0;
    goto loop;

quiesced:
    skip
}
