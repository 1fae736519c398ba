/* SPDX-License-Identifier: MIT */
/*
 * The table of handlers: home walks it in visits, without the lock, while other threads add, replace and remove handlers
 * and put a larger table in its place. spec/README.md says how to read this file, spec/table.mjs which flags it is run
 * with and what each run must show. A comment names the function that a statement stands for; files are in gsource/.
 *
 * The lock count is that of lock-count-functions.pml, step by step. What only who has the lock can see is one step. What
 * monitors do with handlers is spec/uring-removal.pml.
 */
#ifndef SECOND
#define SECOND 1 /* what the second thread does: 0 nothing, 1 replaces the handler of fd 0, 2 removes it, 3 adds one
                    for which the table is too small, 4 both 1 and 2 */
#endif
#ifndef WALKS
#define WALKS 2 /* of home before its last one; changes are applied after each, and once more when all others are done */
#endif
#ifndef NESTS
#define NESTS 0 /* visits in a visit of home */
#endif

#define WORKERS (1 + (SECOND != 0))

/* AioHandlerTable: 1 is there at first; 0 is NULL */
#define TABLES 3
#define FDS    4
#define FIRST_SIZE 1
byte size[TABLES + 1];
byte entries[(TABLES + 1) * FDS];
byte next_retired[TABLES + 1];
#define ENTRY(t, fd) entries[(t) * FDS + (fd)]

/* AioHandler: 1 is that of fd 0 at first */
#define HANDLERS 4
bool deleted[HANDLERS + 1];
bool changed[HANDLERS + 1];
bool monitored[HANDLERS + 1];
bool walk_mark[HANDLERS + 1];

/* AioContext */
byte handlers = 0;
byte retired = 0; /* retired_handlers */
chan changes = [HANDLERS] of { byte };
bool has_changes = 0;
bool ctx_mark = 0; /* walk_mark */

/* For the properties */
byte last_table = 1, last_handler = 1, n_done = 0;
bool changing = 0; /* somebody changes the table: between aio_context_lock_lists() and aio_context_unlock_lists() */
bool table_freed[TABLES + 1];
bool handler_freed[HANDLERS + 1];
byte walked[HANDLERS + 1];
bool use_after_free = 0, double_free = 0, leak = 0, missed = 0, walked_twice = 0, home_waits = 0, lost_wake_up = 0;
#define HOLDS(property, condition) d_step { property = !(condition); assert(!property) }
#define TOUCH_TABLE(t) HOLDS(use_after_free, t == 0 || !table_freed[t])
#define TOUCH(h) HOLDS(use_after_free, h == 0 || !handler_freed[h])
#define FREE_TABLE(t) d_step { double_free = table_freed[t]; assert(!double_free); table_freed[t] = 1 }
#define FREE(h) d_step { double_free = handler_freed[h]; assert(!double_free); handler_freed[h] = 1 }

/* Who finds that he has to wait for the lock waits for nobody who changes the table */
#define SEEN(x) home_waits = (x == LOCKED && changing); assert(!home_waits)

#include "lock-count-functions.pml"

/* --- aio-handler-table.c, aio-context-private.h */

#define VISIT(x, done) INC(x, done) /* aio_context_visit() */

inline FREE_TABLES(t) { /* free_tables() */
    do
    :: t != 0 -> TOUCH_TABLE(t); FREE_TABLE(t); t = next_retired[t]
    :: else -> break
    od
}

inline LEAVE_VISIT(x, done, locked, t) { /* aio_context_leave_visit() */
    if
#ifdef FREE_NESTED
    :: retired != 0 -> LOCK(); t = retired; retired = 0; UNLOCK(); FREE_TABLES(t); DEC(x, done)
#else
#ifdef NEVER_FREES
    :: false
#else
    :: retired != 0 -> /* aio_context_leave_and_free_tables() */
#ifdef ANYONE_FREES
        DEC(x, done); LOCK(); locked = 1;
#else
        DEC_AND_LOCK(x, done, locked);
#endif
        if
        :: locked ->
#ifdef TAKE_UNLOCKED
            UNLOCK();
            t = retired;
            retired = 0;
#else
            t = retired;
#ifndef RETIRED_STAY
            retired = 0;
#endif
#ifdef FREE_LOCKED
            FREE_TABLES(t);
#endif
            UNLOCK();
#endif
            FREE_TABLES(t);
            locked = 0
        :: else
        fi
#endif
#endif
    :: else -> DEC(x, done)
    fi
}

inline LOCK_LISTS(x, done) { /* aio_context_lock_lists() */
#ifndef LOCK_NO_VISIT
    INC(x, done);
#endif
    LOCK();
    changing = 1
}

inline UNLOCK_LISTS(x, done, locked, t) { /* aio_context_unlock_lists() */
    changing = 0;
    UNLOCK();
#ifndef LOCK_NO_VISIT
    LEAVE_VISIT(x, done, locked, t)
#endif
}

inline COPY(old, t) {
    d_step {
        ENTRY(t, 0) = ENTRY(old, 0);
        ENTRY(t, 1) = ENTRY(old, 1)
    }
}

inline GROW_TABLE(fd, old, t) { /* grow_table() */
    old = handlers;
    d_step {
        last_table++;
        t = last_table;
        size[t] = (fd + 1 > size[old] * 2 -> fd + 1 : size[old] * 2)
    };
#ifndef PUBLISH_EARLY
    COPY(old, t);
#endif
#ifdef RETIRE_FIRST
    next_retired[old] = retired;
    retired = old;
    handlers = t;
#else
    handlers = t; /* release */
#ifdef PUBLISH_EARLY
    COPY(old, t);
#endif
#ifdef FREE_AT_ONCE
    FREE_TABLE(old);
#else
    next_retired[old] = retired;
    retired = old;
#endif
#endif
    d_step { old = 0; t = 0 }
}

inline PUT_HANDLER(fd, h, old, t) { /* aio_context_put_handler() */
    if
    :: fd >= size[handlers] -> GROW_TABLE(fd, old, t)
    :: else
    fi;
    ENTRY(handlers, fd) = h /* release */
}

/* --- aio-handler.c */

#define NOTE_CHANGE(h) d_step { /* note_change() */ \
    if \
    :: !changed[h] -> changed[h] = 1; changes!h; has_changes = 1 \
    :: else \
    fi }

inline SET_HANDLER(fd, h, x, done, locked, t, old) { /* set_handler() */
    LOCK_LISTS(x, done);
    old = (fd < size[handlers] -> ENTRY(handlers, fd) : 0);
    if
    :: old != 0 ->
        TOUCH(old);
        deleted[old] = 1; /* release */
#ifdef NOTE_LATE
        skip
#else
#ifdef FREED_BY_OTHER
        FREE(old)
#else
        NOTE_CHANGE(old)
#endif
#endif
    :: else
    fi;
    if
    :: h != 0 -> NOTE_CHANGE(h)
    :: else
    fi;
#ifdef NOTE_LATE
    PUT_HANDLER(fd, h, x, t);
    if
    :: old != 0 -> NOTE_CHANGE(old)
    :: else
    fi;
#else
    PUT_HANDLER(fd, h, x, t); /* last */
#endif
    old = 0;
    UNLOCK_LISTS(x, done, locked, t)
}

#define NEW_HANDLER(h) d_step { last_handler++; h = last_handler }

/* --- other threads */

active proctype first() /* adds a handler for which the table is too small */
{
    byte x = 0, t = 0, old = 0, h = 0;
    bool done = 0, locked = 0;

    handlers != 0; /* home has begun */
    NEW_HANDLER(h);
    SET_HANDLER(1, h, x, done, locked, t, old);
    n_done++
}

#if SECOND
active proctype second()
{
    byte x = 0, t = 0, old = 0, h = 0;
    bool done = 0, locked = 0;

    handlers != 0;
#if SECOND == 1 || SECOND == 4
    NEW_HANDLER(h);
    SET_HANDLER(0, h, x, done, locked, t, old);
#endif
#if SECOND == 2 || SECOND == 4
    SET_HANDLER(0, 0, x, done, locked, t, old);
#endif
#if SECOND == 3
    NEW_HANDLER(h);
    SET_HANDLER(2, h, x, done, locked, t, old);
#endif
    n_done++
}
#endif

/* --- home */

#define ALL_DONE (n_done == WORKERS)

inline TAKE_CHANGE() { /* take_change() */
    LOCK_LISTS(x, done);
    d_step {
        if
        :: nempty(changes) -> changes?h; changed[h] = 0; del = deleted[h]
        :: empty(changes) -> h = 0
        fi;
        if
        :: empty(changes) -> has_changes = 0
        :: nempty(changes)
        fi
    };
    UNLOCK_LISTS(x, done, locked, t);
#ifdef DELETED_LATE
    del = deleted[h];
#endif
}

inline APPLY_CHANGES() { /* aio_context_apply_changes() */
    if
    :: has_changes ->
        n_changes = len(changes);
        do
        :: n_changes == 0 -> break
        :: n_changes > 0 ->
            n_changes--;
            TAKE_CHANGE();
            if
            :: h == 0 -> break
            :: else
            fi;
            TOUCH(h);
            if
            :: !del && !monitored[h] -> d_step { monitored[h] = 1; walk_mark[h] = ctx_mark }
            :: !del && monitored[h]
            :: del -> monitored[h] = 0; FREE(h) /* aio_handler_unref() */
            fi
        od
    :: else
    fi;
    skip; /* Spin: no jump into a d_step */
    d_step { h = 0; del = 0; n_changes = 0 }
}

inline WALK_TO() { /* walk_to() */
    TOUCH(h);
    d_step {
        if
#ifdef NO_MARK
        :: h != 0 && monitored[h] ->
#else
        :: h != 0 && monitored[h] && walk_mark[h] != ctx_mark ->
#endif
            walk_mark[h] = ctx_mark;
            walked[h]++;
            walked_twice = walked[h] > 1;
            assert(!walked_twice)
        :: else
        fi;
        h = 0
    }
}

inline GET_HANDLER() { /* aio_context_get_handler() */
    t = handlers; /* acquire */
    TOUCH_TABLE(t);
    h = (fd < size[t] -> ENTRY(t, fd) : 0); /* acquire */
    t = 0
}

inline WALK_TABLE() {
    do
    :: true ->
        t = handlers; /* aio_context_table_size() */
        TOUCH_TABLE(t);
        if
        :: fd >= size[t] -> t = 0; break
        :: else -> t = 0
        fi;
        GET_HANDLER();
        WALK_TO();
        fd++
    od;
    fd = 0
}

inline FOR_EACH_MONITORED() { /* for_each_monitored() */
    ctx_mark = !ctx_mark;
    VISIT(x, done);
#if NESTS
    t = handlers;
    outer = t;
    VISIT(x, done);
    t = 0;
    LEAVE_VISIT(x, done, locked, t);
    TOUCH_TABLE(outer);
    outer = 0;
#endif
    WALK_TABLE();
    LEAVE_VISIT(x, done, locked, t);
#ifndef NO_SECOND_LOOK
    if
    :: has_changes ->
        LOCK_LISTS(x, done);
        fd = len(changes);
        do
        :: fd > 0 -> d_step { changes?h; changes!h; fd-- }; WALK_TO()
        :: else -> break
        od;
        UNLOCK_LISTS(x, done, locked, t)
    :: else
    fi;
#endif
    d_step {
        h = 1;
        do
        :: h <= HANDLERS ->
            missed = monitored[h] && !handler_freed[h] && walked[h] == 0;
            assert(!missed);
            walked[h] = 0;
            h++
        :: else -> break
        od;
        h = 0
    }
}

active proctype home()
{
    byte x = 0, t = 0, h = 0, fd = 0, walks = 0, n_changes = 0;
#if NESTS
    byte outer = 0;
#endif
    bool done = 0, locked = 0, del = 0;

    d_step { size[1] = FIRST_SIZE; ENTRY(1, 0) = 1; monitored[1] = 1; handlers = 1 };
    do
    :: true ->
        FOR_EACH_MONITORED();
        if
        :: walks == WALKS -> break
        :: else
        fi;
        walks++;
        if
        :: walks == WALKS && ALL_DONE
        :: walks == WALKS && timeout -> HOLDS(lost_wake_up, ALL_DONE)
        :: walks < WALKS
        fi;
        APPLY_CHANGES()
    od;
    skip;
    /* The last walk came when all others were done */
    HOLDS(leak, retired == 0 && state == 0);
    d_step {
        h = 1;
        do
        :: h <= last_handler -> leak = deleted[h] != handler_freed[h]; assert(!leak); h++
        :: else -> break
        od;
        t = 1;
        do
        :: t <= last_table -> leak = (t != handlers) != table_freed[t]; assert(!leak); t++
        :: else -> break
        od
    }
}
