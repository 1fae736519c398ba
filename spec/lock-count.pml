/* SPDX-License-Identifier: MIT */
/*
 * The lock count as the documentation of AioLockCount has it used: visitors read what removers take out of a list, and
 * who finds that nobody visits frees it. spec/README.md says how to read this file, spec/table.mjs which flags it is run
 * with and what each run must show. A comment names the function that a statement stands for; files are in gsource/.
 *
 * The functions are in lock-count-functions.pml. The mutex is taken as pthread_mutex_lock() promises it, in any order. A
 * visitor that comes in or leaves without acquire or release has what it reads before or after that (ENTER_RELAXED,
 * LEAVE_RELAXED).
 */
#ifndef SECOND
#define SECOND 1 /* the second visitor: 0 there is none, 1 aio_lock_count_dec_and_lock(), 2 aio_lock_count_dec_if_lock()
                    first, 3 aio_lock_count_inc_and_unlock() once it has the lock */
#endif
#ifndef NESTS
#define NESTS 0 /* the first visitor comes in once more, and leaves by aio_lock_count_dec() */
#endif
#ifndef REMOVERS
#define REMOVERS 1
#endif

#define WORKERS (1 + (SECOND != 0) + REMOVERS)
#define ITEMS   (1 + REMOVERS)

#define SEEN(x)

#include "lock-count-functions.pml"

byte list = 1;        /* what visitors find */
byte retired = 0;     /* with the lock: what was taken out and is not freed */
byte next[ITEMS + 1]; /* with the lock: next_retired */
byte last_item = 1;

/* For the properties */
bool freed[ITEMS + 1];
byte n_done = 0;
bool use_after_free = 0, double_free = 0, leak = 0, lost_count = 0, lost_wake_up = 0;
#define HOLDS(property, condition) d_step { property = !(condition); assert(!property) }
#define TOUCH(i) HOLDS(use_after_free, i == 0 || !freed[i])
#define FREE(i) d_step { double_free = freed[i]; assert(!double_free); freed[i] = 1 }

#ifdef UNLOCK_STORE
byte uv = 0; /* under the mutex */
#endif

inline FREE_ALL(i) {
    do
    :: retired != 0 ->
        i = retired;
        TOUCH(i);
        retired = next[i];
        FREE(i)
    :: else -> break
    od;
    i = 0
}

/* A visitor reads the list, and what it has found there */
inline READ(i) {
    i = list; /* acquire */
    TOUCH(i)
}

/* The last one to leave frees */
inline LEAVE(x, i, done, locked) {
#ifdef LEAVE_DEC
    DEC(x, done);
#else
    DEC_AND_LOCK(x, done, locked);
    if
    :: locked ->
#ifdef FREE_UNLOCKED
        UNLOCK();
        FREE_ALL(i);
#else
        FREE_ALL(i);
        UNLOCK();
#endif
        locked = 0
    :: else
    fi;
#endif
#ifdef LEAVE_RELAXED
    TOUCH(i);
#endif
    i = 0
}

active proctype first()
{
    byte x = 0, i = 0;
    bool done = 0, locked = 0;

#ifdef ENTER_RELAXED
    i = list;
    INC(x, done);
    TOUCH(i);
#else
    INC(x, done);
    READ(i);
#endif
#if NESTS
    INC(x, done);
    TOUCH(i);
    DEC(x, done);
#endif
    TOUCH(i);
    LEAVE(x, i, done, locked);
    n_done++
}

#if SECOND
active proctype second()
{
    byte x = 0, i = 0;
    bool done = 0, locked = 0;

    INC(x, done);
    READ(i);
#if SECOND == 1
    LEAVE(x, i, done, locked);
#endif
#if SECOND == 2
    DEC_IF_LOCK(x, locked);
    if
    :: locked -> FREE_ALL(i); UNLOCK(); locked = 0
    :: else -> TOUCH(i); LEAVE(x, i, done, locked)
    fi;
#endif
#if SECOND == 3
    DEC_AND_LOCK(x, done, locked);
    if
    :: locked ->
        FREE_ALL(i);
        i = list;
        locked = 0;
        INC_AND_UNLOCK();
        TOUCH(i);
        LEAVE(x, i, done, locked)
    :: else
    fi;
#endif
    n_done++
}
#endif

/* Takes an item out and puts another one there. If nobody visits it is freed before it is even out of the list */
active [REMOVERS] proctype remover()
{
    byte i = 0, old = 0;
    bool nobody = 0;

#ifdef COUNT_FIRST
    nobody = (COUNT() == 0);
#endif
    LOCK();
#ifndef COUNT_FIRST
#ifdef NEVER_COUNTS
    nobody = 0;
#else
#ifdef NEVER_WAITS
    nobody = 1;
#else
    nobody = (COUNT() == 0);
#endif
#endif
#endif
    old = list;
    d_step { last_item++; i = last_item };
    if
    :: nobody ->
        FREE(old);
        list = i;
        FREE_ALL(i)
    :: else ->
        list = i; /* atomic_exchange() */
        next[old] = retired;
        retired = old
    fi;
    UNLOCK();
    d_step { i = 0; old = 0 };
    n_done++
}

active proctype all_over()
{
    timeout;
    HOLDS(lost_wake_up, n_done == WORKERS);
    HOLDS(lost_count, state == 0);
    HOLDS(leak, retired == 0)
}
