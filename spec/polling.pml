/* SPDX-License-Identifier: MIT */
/*
 * Userspace polling: begin and end around it, while handlers are removed, replaced, given other functions and held back,
 * by the functions themselves, by nested polls and by another thread. spec/README.md says how to read this file,
 * spec/table.mjs which flags it is run with and what each run must show. A comment names the function that a statement
 * stands for; files are in gsource/.
 *
 * The producer of events makes the file descriptor ready only if it is to kick, which begin takes back and end asks for.
 * What only home can see is one step. The code of a callback is another process of home's kind, and who calls it waits
 * for its end. Times are not modelled: whether polling pays, is over, or a handler is idle is any answer.
 */
#ifndef EVENTS
#define EVENTS 1
#endif
#ifndef OPS
#define OPS 1 /* changes of the handler, all threads together */
#endif
#ifndef THREAD
#define THREAD 0 /* another thread makes changes as well */
#endif
#ifndef DEPTH
#define DEPTH 0 /* polls nested in callbacks */
#endif
#ifndef GLIB
#define GLIB 0 /* a main context drives it as well */
#endif
#ifndef URING
#define URING 0 /* the monitor has need_wait(): it knows whether only a wait hands something over, and idle handlers retire */
#endif
#ifndef EXTERNAL
#define EXTERNAL 0 /* the handlers are external, and external clients are disabled and enabled */
#endif
#ifndef POLL_ENDS
#define POLL_ENDS 1 /* the poll function may nest code too */
#endif

/* The device: one file descriptor */
bool event = 0;    /* there is something to do, which a look in memory shows */
bool kick = 1;     /* the producer has to make the file descriptor ready */
bool fd_ready = 0;

/* AioHandler, AioPolling; 1 is there at first */
#define HANDLERS (1 + OPS)
bool deleted[HANDLERS + 1];
bool changed[HANDLERS + 1];
bool replaced[HANDLERS + 1]; /* next_begin, next_end are to take the place of begin, end: pair */
bool pair[HANDLERS + 1];
local bool monitored[HANDLERS + 1];
local bool revents[HANDLERS + 1];
local bool found[HANDLERS + 1];
local bool late[HANDLERS + 1]; /* came into the ready list in the pass that is under way */
local bool listed[HANDLERS + 1];
local bool begun[HANDLERS + 1];
local bool busy[HANDLERS + 1];
local bool owed[HANDLERS + 1];
local byte refs[HANDLERS + 1];
local byte index[HANDLERS + 1];
#if EXTERNAL
local bool held_back[HANDLERS + 1];
#define IS_HELD(h) held_back[h]
#else
#define IS_HELD(h) 0
#endif

/* AioContext */
byte entry = 0; /* the table */
chan changes = [HANDLERS] of { byte };
bool has_changes = 0;
bool notified = 0;
bool disabled = 0; /* external_disable_cnt is not 0 */
local bool external_held_back = 0;
local bool poll_started = 0;
local bool wait_spared = 0;
local bool prepared = 0; /* bit 0 of notify_me */
local bool gwake = 0;    /* g_main_context_wakeup() */

/* poll_aio_handlers; more may be appended than there are while somebody walks */
#define LIST (2 * HANDLERS + 1)
local byte list[LIST];
local byte n_list = 0, n_holes = 0, walks = 0, n_due = 0;

/* Bounds */
byte ops = 0, events = 0;
local byte nested = 0;
bool user = 0; /* a program changes the handlers of one number on one thread at a time */

/* For the properties */
local byte begun_by[HANDLERS + 1]; /* which pair's begin was called without its end: 1 + pair */
local bool freed[HANDLERS + 1];
local byte last_handler = 1;
local bool moved[3]; /* since the poll() of that depth began something has run, been accepted or registered: n_accepted, callbacks, n_appended */
bool use_after_free = 0, double_free = 0, unpaired = 0, end_missing = 0, begun_asleep = 0, lost_event = 0;
bool unseen_change = 0, miscounted = 0, bound = 0;
#define ASSERT(property, condition) property = !(condition); assert(!property)
#define HOLDS(property, condition) d_step { ASSERT(property, condition) }
#define ALIVE(h) ASSERT(use_after_free, !freed[h])
#define MOVED() moved[0] = 1; moved[1] = 1; moved[2] = 1

/* A function that is called in several places: its end goes back to the label of that number */
#define CALL(function, number, label) to_##function = number; goto function; label: skip
#define RETURNS(function, number, label) to_##function == number -> to_##function = 0; goto label

/* What the user does in a callback: nothing, or the code of a program */
#define CALLBACK(label) \
    if \
    :: nested < DEPTH || ops < OPS -> nested++; n_pr = _nr_pr; run home(); label: _nr_pr == n_pr; nested-- \
    :: true \
    fi

#if HANDLERS == 1
#define ANY(what) (what[1])
#else
#if HANDLERS == 2
#define ANY(what) (what[1] || what[2])
#else
#define ANY(what) (what[1] || what[2] || what[3])
#endif
#endif
#if EXTERNAL
#define IS_READY(h) (revents[h] || (found[h] && !held_back[h]))
#if HANDLERS == 2
#define HAS_READY (IS_READY(1) || IS_READY(2))
#else
#define HAS_READY (IS_READY(1) || IS_READY(2) || (HANDLERS > 2 && IS_READY(HANDLERS)))
#endif
#else
#define IS_READY(h) (revents[h] || found[h])
#define HAS_READY (ANY(revents) || ANY(found))
#endif

/* --- other threads */

proctype producer()
{
    bool kicks = 0;

    do
    :: events < EVENTS ->
        d_step { events++; event = 1 };
        kicks = kick;
        if
        :: kicks -> fd_ready = 1
        :: else
        fi;
        kicks = 0
    :: else -> break
    od
}

#define NOTE_CHANGE(h) \
    if \
    :: !changed[h] -> changed[h] = 1; changes!h; has_changes = 1 \
    :: else \
    fi

/* polling_new(): what was found for the old one, or is owed to it, goes with it (E3) */
#ifdef NEW_NOT_OWED
#define OWED_AT_FIRST 0
#else
#define OWED_AT_FIRST 1
#endif

/* set_handler() */
#define SET_HANDLER(h) \
    if \
    :: entry != 0 -> deleted[entry] = 1; NOTE_CHANGE(entry) \
    :: else \
    fi; \
    if \
    :: h != 0 -> NOTE_CHANGE(h) \
    :: else \
    fi; \
    entry = h; \
    h = 0

#define NEW_HANDLER(h) last_handler++; h = last_handler; refs[h] = 1; owed[h] = OWED_AT_FIRST

/* aio_context_set_poll_functions() */
#define SET_FUNCTIONS() replaced[entry] = 1; NOTE_CHANGE(entry)

/* aio_context_enable_external() */
#ifdef ENABLES_QUIETLY
#define ENABLE_NOTIFIES 0
#else
#define ENABLE_NOTIFIES !disabled
#endif

#define MAY_CHANGE ops < OPS && !user -> ops++; user = 1
#define MAY_REMOVE entry != 0
#define MAY_REPLACE last_handler < HANDLERS

#if THREAD
proctype thread()
{
    byte h = 0;

    do
    :: d_step { MAY_CHANGE };
        if
        :: d_step { MAY_REMOVE -> SET_HANDLER(h) }; notified = 1
        :: d_step { MAY_REPLACE -> NEW_HANDLER(h); SET_HANDLER(h) }; notified = 1
        :: d_step { MAY_REMOVE -> SET_FUNCTIONS() }
        :: notified = 1 /* aio_context_notify() */
#if EXTERNAL
        :: disabled = !disabled; notified = notified || ENABLE_NOTIFIES
#endif
        fi;
        user = 0
    :: ops == OPS -> break
    od
}
#endif

/* --- aio-polling.c */

#define CHECK_DUE() \
    i = 1; due = 0; \
    do \
    :: i <= HANDLERS -> due = due + (listed[i] && owed[i]); i++ \
    :: else -> break \
    od; \
    ASSERT(miscounted, due == n_due); \
    i = 0; due = 0

#ifdef NEW_SLEPT_OVER
#define APPENDED() skip
#else
#define APPENDED() MOVED()
#endif
#define LIST_APPEND(h) /* list_append() */ \
    ASSERT(bound, n_list < LIST); \
    index[h] = n_list; listed[h] = 1; list[n_list] = h; n_list++; \
    n_due = n_due + owed[h]; \
    APPENDED() /* n_appended */

#define LIST_REMOVE(h, last) /* list_remove() */ \
    listed[h] = 0; \
    n_due = n_due - owed[h]; \
    if \
    :: walks > 0 -> list[index[h]] = 0; n_holes++ \
    :: else -> \
        n_list--; \
        last = list[n_list]; \
        list[index[h]] = last; \
        index[last] = index[h]; \
        list[n_list] = 0; \
        last = 0 \
    fi; \
    index[h] = 0

#define CLOSE_HOLES(i, n) /* list_close_holes() */ \
    i = 0; n = 0; \
    do \
    :: i < n_list && list[i] != 0 -> list[n] = list[i]; index[list[n]] = n; n++; i++ \
    :: i < n_list && list[i] == 0 -> i++ \
    :: else -> break \
    od; \
    i = n; \
    do \
    :: i < n_list -> list[i] = 0; i++ \
    :: else -> break \
    od; \
    n_list = n; n_holes = 0; i = 0; n = 0

#define SET_OWED(h, value) /* set_owed() */ \
    n_due = n_due + listed[h] * (value) - listed[h] * owed[h]; \
    owed[h] = value

/* begin(): the function is what has the producer spare its kicks */
#define BEGIN(h) d_step { \
    ALIVE(h); \
    begun[h] = 1; \
    ASSERT(unpaired, begun_by[h] == 0); \
    begun_by[h] = 1 + pair[h]; \
    kick = 0 }

#ifdef NEVER_OWED
#define OWES 0
#else
#define OWES 1
#endif
/* end_by() */
#define END(h, by) d_step { \
    ALIVE(h); \
    begun[h] = 0; \
    SET_OWED(h, OWES); \
    ASSERT(unpaired, begun_by[h] == 1 + by); \
    begun_by[h] = 0; \
    kick = 1 }

#ifdef RETIRE_OWED
#define RETIRES(h) !busy[h]
#else
#ifdef RETIRE_BUSY
#define RETIRES(h) !owed[h]
#else
#define RETIRES(h) (!owed[h] && !busy[h])
#endif
#endif

#if EXTERNAL
#define APPLY_EXTERNAL() d_step { /* aio_context_apply_external(), aio_handler_set_held_back() */ \
    if \
    :: disabled != external_held_back -> \
        external_held_back = disabled; \
        held_back[entry] = (entry != 0 && monitored[entry] -> disabled : held_back[entry]) \
    :: else \
    fi }
#else
#define APPLY_EXTERNAL() skip
#endif

#define MAY_BE_ASKED(h) (listed[h] && !busy[h] && !IS_HELD(h) && !deleted[h]) /* may_be_asked() */

#define UNREF(h) \
    ASSERT(double_free, refs[h] > 0); \
    refs[h]--; \
    if \
    :: refs[h] == 0 -> ASSERT(end_missing, begun_by[h] == 0); freed[h] = 1 \
    :: else \
    fi

#if URING
#define NEED_WAIT fd_ready /* need_wait() */
#else
#define NEED_WAIT 0
#endif

#define WAIT_IS_OVER (HAS_READY || notified || moved[depth]) /* wait_is_over() */

#ifdef LEFT_BLINDLY
#define LEFT_IS_OVER 0
#else
#define LEFT_IS_OVER WAIT_IS_OVER
#endif

/* What the monitor finds ready, or poll(2) for GLib */
#define FINDS (fd_ready && entry != 0 && monitored[entry] && !IS_HELD(entry))

#define WAKE_PREPARED_SOURCE() gwake = gwake || prepared /* aio_context_wake_prepared_source() */

/* Home is about to sleep */
#define GOES_TO_SLEEP() HOLDS(begun_asleep, !ANY(begun))

/* Nothing can happen any more, and home sleeps */
#define QUIET() d_step { \
    ASSERT(unseen_change, !has_changes || !THREAD || replaced[entry]); \
    ASSERT(lost_event, entry == 0 || !monitored[entry] || busy[entry] || IS_HELD(entry) || !event) }

/* --- home */

#define V_END   1
#define V_ASK   2
#define V_BEGIN 3 /* begin_and_ask() */
#define V_DUE   4 /* ask_if_due() */
#define V_IDLE  5 /* retire_if_idle() */

proctype home()
{
    byte to_apply = 0, to_walk = 0, to_leave = 0, to_dispatch = 0; /* see CALL */
    byte depth = 0, i = 0, due = 0, n_pr = 0;
    byte h = 0, by = 0, visit = 0, n = 0, at = 0, who = 0, caller = 0, n_changes = 0;
    bool blocking = 0, is_blocking = 0, sleeps = 0, del = 0, was_busy = 0, any = 0, yes = 0, ended = 0;
    bool had_ready = 0, asked_all = 0, polled = 0, success = 0, called_revents = 0, caller_busy = 0;

    depth = nested;
loop: /* the code of a program, or of a callback */
    if
    :: depth <= DEPTH -> blocking = 1; goto poll
    :: depth <= DEPTH -> blocking = 0; goto poll
#if GLIB
    :: depth == 0 -> goto iteration
#endif
    :: d_step { MAY_CHANGE };
        if
        :: d_step { MAY_REMOVE -> SET_HANDLER(h) }
        :: d_step { MAY_REPLACE -> NEW_HANDLER(h); SET_HANDLER(h) }
        :: d_step { MAY_REMOVE -> SET_FUNCTIONS() }
#if EXTERNAL
        :: d_step { disabled = !disabled; notified = notified || ENABLE_NOTIFIES }
#endif
        fi;
        d_step { user = 0; notified = notified || prepared };
        CALL(apply, 1, set_applied);
        goto loop
    :: depth > 0 -> goto over
    fi;

apply: /* aio_context_apply_changes() */
    n_changes = len(changes);
    do
    :: n_changes > 0 && has_changes ->
        d_step { /* take_change() */
            n_changes--;
            changes?h;
            changed[h] = 0;
            del = deleted[h];
            has_changes = (len(changes) > 0);
            ALIVE(h);
            if
            :: !del && !monitored[h] -> /* aio_polling_add() */
                monitored[h] = 1;
#if EXTERNAL
                held_back[h] = external_held_back;
#endif
                LIST_APPEND(h)
            :: del -> /* aio_handler_unqueue(), aio_polling_remove() */
                revents[h] = 0;
                found[h] = 0;
                monitored[h] = 0;
                if
                :: listed[h] -> LIST_REMOVE(h, i)
                :: else
                fi
            :: else
            fi;
            by = pair[h];
            if
            :: !del && replaced[h] -> /* aio_polling_apply_functions() */
                replaced[h] = 0;
                pair[h] = !pair[h];
                refs[h]++
            :: !del && !replaced[h] -> h = 0
            :: del
            fi
        };
#ifdef REMOVE_NO_END
        if
        :: del -> begun[h] = 0
        :: else
        fi;
#endif
#ifdef FUNCTIONS_NEW_END
        by = pair[h];
#endif
        if
#ifdef FUNCTIONS_NO_END
        :: h != 0 && !del
        :: h != 0 && del && begun[h] ->
#else
        :: h != 0 && begun[h] ->
#endif
            was_busy = busy[h];
            END(h, by);
            busy[h] = 1;
            CALLBACK(end_apply_end);
            busy[h] = was_busy;
            if
            :: !del && poll_started && listed[h] && !begun[h] ->
                was_busy = busy[h];
                BEGIN(h);
                busy[h] = 1;
                CALLBACK(end_apply_begin);
                busy[h] = was_busy
            :: else
            fi
        :: else
        fi;
        d_step {
            if
            :: h != 0 -> UNREF(h)
            :: else
            fi;
            h = 0; del = 0; by = 0; was_busy = 0
        }
    :: n_changes == 0 || !has_changes -> break
    od;
    n_changes = 0;
    if
    :: RETURNS(apply, 1, set_applied)
    :: RETURNS(apply, 2, wait_applied)
    :: RETURNS(apply, 3, dispatch_applied)
#if GLIB
    :: RETURNS(apply, 4, prepare_applied)
#endif
    fi;

walk: /* for_each_polled(); any: whether one visit returned TRUE */
    skip;
    d_step { n = n_list; any = 0; walks++; at = 0 };
    do
    :: at < n ->
        d_step {
            who = list[at];
            at++;
            if
            :: who != 0 -> ALIVE(who); refs[who]++
            :: else
            fi;
            yes = 0
        };
        if
        :: who == 0 || (visit == V_END && !begun[who]) || (visit == V_DUE && !owed[who]) -> goto visited
        :: visit == V_IDLE -> goto visited /* it is not */
        :: visit == V_END || visit == V_IDLE ->
            if
            :: !URING && visit == V_IDLE -> goto visited
            :: else
            fi;
            ended = begun[who];
            if
            :: ended ->
                was_busy = busy[who];
                END(who, pair[who]);
                busy[who] = 1;
                CALLBACK(end_walk_end);
                busy[who] = was_busy
            :: else
            fi;
            if
            :: visit == V_END -> any = any || ended; goto visited
            :: visit == V_IDLE && !ended -> goto retire
            :: visit == V_IDLE && ended
            fi
        :: visit == V_BEGIN || visit == V_DUE ->
            APPLY_EXTERNAL();
            if
#ifdef BEGIN_UNASKED
            :: poll_started && !begun[who] ->
#else
            :: poll_started && !begun[who] && MAY_BE_ASKED(who) ->
#endif
                was_busy = busy[who];
                BEGIN(who);
                busy[who] = 1;
                CALLBACK(end_walk_begin);
                busy[who] = was_busy
            :: else
            fi
        :: visit == V_ASK
        fi;
        /* ask() */
        do
        :: true ->
            APPLY_EXTERNAL();
            if
            :: !MAY_BE_ASKED(who) -> yes = 0; break
            :: else
            fi;
            d_step {
                ALIVE(who);
                SET_OWED(who, 0);
                busy[who] = 1
            };
            yes = event; /* its poll function */
#if POLL_ENDS
            CALLBACK(end_ask);
#endif
            busy[who] = 0;
            if
#ifdef ASK_ONCE
            :: true -> break
#else
            :: yes || !owed[who] -> break
            :: else
#endif
            fi
        od;
        if
        :: yes && listed[who] -> d_step { late[who] = late[who] || !IS_READY(who); found[who] = 1; any = 1 } /* aio_handler_set_found() */
        :: else
        fi;
        if
        :: visit == V_IDLE && !(yes && listed[who]) -> goto retire
        :: else -> goto visited
        fi;
retire:
        skip;
        d_step {
            if
            :: listed[who] && RETIRES(who) -> LIST_REMOVE(who, i)
            :: else
            fi
        };
visited:
        skip;
        d_step {
            if
            :: who != 0 -> UNREF(who)
            :: else
            fi;
            who = 0; yes = 0; ended = 0; was_busy = 0
        }
    :: at == n -> break
    od;
    skip; /* Spin: no jump into a d_step */
    d_step {
        walks--;
        n = 0;
        if
        :: walks == 0 && n_holes > 0 -> CLOSE_HOLES(i, n)
        :: else
        fi;
        visit = 0; at = 0;
        CHECK_DUE()
    };
    if
#if URING
    :: RETURNS(walk, 1, retired)
#endif
    :: RETURNS(walk, 2, looked)
    :: RETURNS(walk, 3, polled_once)
    :: RETURNS(walk, 4, due_asked)
    :: RETURNS(walk, 5, mode_ended)
    :: RETURNS(walk, 6, last_look)
#if GLIB
    :: RETURNS(walk, 7, prepare_asked)
#endif
    fi;

leave: /* leave_poll_mode() */
    poll_started = 0;
    visit = V_END;
    CALL(walk, 5, mode_ended);
    any = 0;
    if
#ifdef NO_LAST_LOOK
    :: false -> visit = V_DUE; CALL(walk, 6, last_look)
#else
    :: n_due > 0 -> visit = V_DUE; CALL(walk, 6, last_look)
#endif
    :: else
    fi;
    if
    :: RETURNS(leave, 1, left)
#if GLIB
    :: RETURNS(leave, 2, prepare_left)
#endif
    fi;

poll: /* aio_context_poll_for() */
    skip;
    d_step {
        is_blocking = blocking;
        sleeps = blocking && !HAS_READY; /* aio_context_compute_timeout() */
        blocking = 0;
        had_ready = HAS_READY;
        asked_all = 1;
        polled = (n_list > 0 || poll_started);
        moved[depth] = 0;
        success = 0
    };
    if
    :: !polled -> goto wait
    :: else
    fi;
    /* aio_polling_before_wait() */
#if URING
    if
    :: sleeps -> visit = V_IDLE; CALL(walk, 1, retired); success = any
    :: true /* max_ns is 0 */
    fi;
#endif
    if
    :: !sleeps -> visit = V_BEGIN; CALL(walk, 2, looked); goto no_wait
    :: sleeps && !success -> /* there is time to poll for */
        APPLY_EXTERNAL(); /* need_wait() */
        if
        :: NEED_WAIT -> goto due_only
        :: else
        fi;
        poll_started = 1; /* poll_handlers() */
        do
        :: !success && !WAIT_IS_OVER && !NEED_WAIT ->
            visit = V_BEGIN;
            CALL(walk, 3, polled_once);
            success = any;
            if
            :: true -> break /* the time is over */
            :: true
            fi;
            APPLY_EXTERNAL() /* need_wait() */
        :: success || WAIT_IS_OVER || NEED_WAIT -> break
        od
    :: sleeps -> /* there is none */
due_only:
        asked_all = 0;
        if
        :: n_due > 0 && !poll_started -> visit = V_DUE; CALL(walk, 4, due_asked); success = success || any
        :: else
        fi
    fi;
    if
    :: success || WAIT_IS_OVER -> goto no_wait
    :: else
    fi;
    if
    :: !poll_started -> goto wait
    :: else
    fi;
#ifdef KEEP_POLLING
    if
    :: true -> goto wait
    :: false
    fi;
#endif
    CALL(leave, 1, left);
    if
    :: any || LEFT_IS_OVER -> goto no_wait
    :: else
    fi;
    goto wait;
no_wait:
    sleeps = 0;
    /* aio_polling_spares_wait() */
    if
    :: had_ready || !asked_all || (!HAS_READY && !notified) -> goto wait
    :: URING && NEED_WAIT -> goto wait
    :: !URING && ((!HAS_READY && !is_blocking) || wait_spared) -> goto wait
    :: else -> wait_spared = 1; goto waited
    fi;
wait:
    sleeps = sleeps && !HAS_READY;
    CALL(apply, 2, wait_applied);
    APPLY_EXTERNAL();
#ifndef ENABLED_TOO_LATE
    sleeps = sleeps && !HAS_READY;
#endif
    wait_spared = 0;
    d_step { /* aio_context_forget_ready() */
        i = 1;
        do
        :: i <= HANDLERS -> revents[i] = 0; i++
        :: else -> break
        od;
        i = 0
    };
    if
    :: !sleeps
    :: sleeps ->
        if
        :: FINDS || notified
        :: else ->
            GOES_TO_SLEEP();
            if
            :: FINDS || notified
            :: depth > 0 /* aio_context_poll_for(): its time is over */
            :: timeout -> QUIET(); goto quiet
            fi
        fi
    fi;
    d_step { late[entry] = (late[entry] || !IS_READY(entry)) && entry != 0; revents[entry] = FINDS }; /* aio_handler_set_ready() */
waited:
    skip;
    d_step {
        sleeps = 0; is_blocking = 0; had_ready = 0; asked_all = 0; polled = 0; success = 0; any = 0;
        if
        :: notified -> notified = 0; MOVED(); WAKE_PREPARED_SOURCE() /* aio_context_accept() */
        :: else
        fi
    };
    CALL(dispatch, 1, poll_dispatched);
#ifndef POLLING_NO_WAKE
    d_step {
        if
        :: poll_started -> WAKE_PREPARED_SOURCE()
        :: else
        fi
    };
#endif
    goto loop;

dispatch: /* aio_context_dispatch_ready() */
    CALL(apply, 3, dispatch_applied);
    d_step {
        i = 1;
        do
        :: i <= HANDLERS -> late[i] = 0; i++
        :: else -> break
        od;
        i = 0
    };
    do
    :: true ->
        d_step {
            caller = 1;
            do
            :: caller <= HANDLERS && !(IS_READY(caller) && !late[caller]) -> caller++
            :: else -> break
            od;
            if
            :: caller <= HANDLERS ->
                ALIVE(caller);
                refs[caller]++;
                called_revents = revents[caller];
                revents[caller] = 0;
                if
                :: !listed[caller] && monitored[caller] -> LIST_APPEND(caller) /* aio_polling_note_dispatch() */
                :: else
                fi
            :: else -> caller = 0
            fi
        };
        if
        :: caller == 0 -> break
        :: else
        fi;
        APPLY_EXTERNAL();
        if /* call_handler() */
        :: deleted[caller]
        :: !deleted[caller] && IS_HELD(caller) -> /* what was found is kept, for nothing would find it again */
#ifdef FOUND_DROPPED
            found[caller] = 0
#else
            skip
#endif
        :: !deleted[caller] && !IS_HELD(caller) && called_revents ->
            d_step { found[caller] = 0; fd_ready = 0; event = 0; MOVED() }; /* read */
            CALLBACK(end_read)
        :: !deleted[caller] && !IS_HELD(caller) && !called_revents ->
            d_step { caller_busy = busy[caller]; found[caller] = 0; busy[caller] = 1; event = 0; MOVED() }; /* call_poll_ready() */
            CALLBACK(end_ready);
            busy[caller] = caller_busy
        fi;
        d_step {
            UNREF(caller);
            caller = 0; called_revents = 0; caller_busy = 0
        }
    od;
    skip;
    if
    :: RETURNS(dispatch, 1, poll_dispatched)
#if GLIB
    :: RETURNS(dispatch, 2, dispatched)
#endif
    fi;

#if GLIB
iteration: /* aio_source_prepare() */
    prepared = 1;
    d_step { /* aio_context_forget_ready() */
        i = 1;
        do
        :: i <= HANDLERS -> revents[i] = 0; i++
        :: else -> break
        od;
        i = 0;
        moved[depth] = 0
    };
    CALL(apply, 4, prepare_applied);
    APPLY_EXTERNAL();
    /* aio_polling_prepare() */
    if
    :: n_due > 0 -> visit = V_DUE; CALL(walk, 7, prepare_asked)
    :: else
    fi;
    do
#ifdef GLIB_KEEPS_POLLING
    :: poll_started && !HAS_READY && false -> CALL(leave, 2, prepare_left)
#else
#ifdef GLIB_LEAVES_ONCE
    :: poll_started && !HAS_READY -> CALL(leave, 2, prepare_left); break
#else
    :: poll_started && !HAS_READY -> CALL(leave, 2, prepare_left)
#endif
#endif
    :: else -> break
    od;
    skip;
    any = 0;
    sleeps = !HAS_READY && !notified && !moved[depth];
    if
    :: nested < DEPTH || ops < OPS -> nested++; n_pr = _nr_pr; run home(); end_prepare: _nr_pr == n_pr; nested-- /* another source's prepare */
    :: true
    fi;
    if
    :: !sleeps
    :: sleeps ->
        if
        :: gwake || notified || FINDS
        :: else ->
            GOES_TO_SLEEP();
            if
            :: notified || FINDS
            :: timeout -> QUIET(); goto quiet
            fi
        fi
    fi;
    d_step {
        sleeps = 0; gwake = 0; prepared = 0;
        notified = 0; /* aio_source_check(): drain() */
        late[entry] = (late[entry] || !IS_READY(entry)) && entry != 0;
        revents[entry] = revents[entry] || FINDS
    };
    if
    :: HAS_READY -> CALL(dispatch, 2, dispatched)
    :: else
    fi;
    goto loop;
#endif

quiet:
end:
    false;
over:
    skip
}

init
{
    d_step { entry = 1; refs[1] = 1; NOTE_CHANGE(1) };
    atomic {
        run producer();
#if THREAD
        run thread();
#endif
        run home()
    }
}
