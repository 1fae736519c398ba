/* SPDX-License-Identifier: MIT */
/*
 * The functions of gsource/aio-lock-count.c, for lock-count.pml and handler-table.pml. Every load, compare-and-exchange
 * and lock is one atomic step. SEEN(x) is what the
 * model has to say of a state that aio_lock_count_inc() has loaded.
 */
#define LOCKED  1
#define VISITOR 2

byte state = 0;
bool mutex = 0;

/* For the properties */
byte holders = 0; /* who has taken the lock and not given it back */
bool two_hold = 0, underflow = 0;

#define MUTEX_LOCK()   atomic { !mutex -> mutex = 1 }
#define MUTEX_UNLOCK() mutex = 0
#define TAKEN()        holders++; two_hold = holders > 1; assert(!two_hold)

/* Adds @n to what @x says is there; else @x is what there is. A weak exchange that fails for nothing only does it again. */
inline EXCHANGE(x, n, done) {
    d_step {
        if
        :: state == x -> state = x + n; done = 1
        :: else -> x = state; done = 0; SEEN(x)
        fi
    }
}

#define MINUS_VISITOR 254 /* of a byte */

inline INC(x, done) { /* aio_lock_count_inc() */
    done = 0;
    d_step { x = state; SEEN(x) };
    do
#ifdef INC_ANY
    :: true ->
#else
    :: x != LOCKED ->
#endif
#ifdef INC_STORE
        state = x + VISITOR;
        break
#else
        EXCHANGE(x, VISITOR, done);
        if
        :: done -> break
        :: else
        fi
#endif
#ifndef INC_ANY
    :: else ->
#ifdef INC_SLOW_LATE
        MUTEX_LOCK();
        MUTEX_UNLOCK();
        state = state + VISITOR;
#else
        MUTEX_LOCK();
        state = state + VISITOR; /* atomic_fetch_add() */
#ifndef INC_SLOW_KEEPS
        MUTEX_UNLOCK();
#endif
#endif
        break
#endif
    od;
    done = 0; x = 0
}

inline LEAVE_IF(least, x, done) { /* leave_if() */
    x = state;
    done = 0;
    do
    :: x / VISITOR >= least ->
#ifdef LEAVE_STORE
        state = x - VISITOR;
        done = 1;
        break
#else
        EXCHANGE(x, MINUS_VISITOR, done);
        if
        :: done -> break
        :: else
        fi
#endif
    :: else -> break
    od
}

#define REPORT_UNDERFLOW() d_step { underflow = 1; assert(!underflow) } /* report_underflow() */

inline DEC(x, done) { /* aio_lock_count_dec() */
    LEAVE_IF(1, x, done);
    if
    :: !done -> REPORT_UNDERFLOW()
    :: else
    fi;
    done = 0; x = 0
}

inline LOCK() { /* aio_lock_count_lock() */
#ifdef LOCK_BY_BIT
    d_step { state = state | LOCKED; TAKEN() }
#else
#ifdef LOCK_BIT_FIRST
    state = state | LOCKED;
    atomic { !mutex -> mutex = 1; TAKEN() }
#else
#ifdef LOCK_NO_BIT
    atomic { !mutex -> mutex = 1; TAKEN() }
#else
    MUTEX_LOCK();
    d_step { state = state | LOCKED; TAKEN() } /* atomic_fetch_or() */
#endif
#endif
#endif
}

inline UNLOCK() { /* aio_lock_count_unlock() */
#ifdef UNLOCK_STORE
    uv = state;
    d_step { state = uv - (uv & LOCKED); holders--; uv = 0 };
    MUTEX_UNLOCK()
#else
#ifdef UNLOCK_MUTEX_FIRST
    d_step { MUTEX_UNLOCK(); holders-- };
    state = state - (state & LOCKED)
#else
    d_step { state = state - (state & LOCKED); holders-- }; /* atomic_fetch_and() */
#ifdef UNLOCK_KEEPS
    skip
#else
    MUTEX_UNLOCK()
#endif
#endif
#endif
}

/* aio_lock_count_dec_and_lock(): whether it was the last and holds the lock is @locked */
inline DEC_AND_LOCK(x, done, locked) {
    locked = 0;
#ifdef LEAVE_THEN_LOCK
    LEAVE_IF(1, x, done);
    if
    :: x / VISITOR == 1 -> LOCK(); locked = 1
    :: else
    fi;
#else
#ifdef ALWAYS_LOCKS
    x = state;
#else
    LEAVE_IF(2, x, done);
#endif
    if
    :: !done && x >= VISITOR ->
        LOCK();
        LEAVE_IF(1, x, done);
        if
#ifdef NO_RECHECK
        :: done -> locked = 1
#else
        :: done && x / VISITOR == 1 -> locked = 1
#endif
        :: else ->
#ifdef DEC_AND_LOCK_KEEPS
            skip
#else
            UNLOCK()
#endif
        fi;
        if
        :: !done -> REPORT_UNDERFLOW()
        :: else
        fi
    :: !done && x < VISITOR -> REPORT_UNDERFLOW()
    :: done
    fi;
#endif
    done = 0; x = 0
}

/* aio_lock_count_dec_if_lock() */
inline DEC_IF_LOCK(x, locked) {
    locked = 0;
    x = state;
    if
    :: x < VISITOR -> REPORT_UNDERFLOW()
    :: else
    fi;
    if
    :: x / VISITOR == 1 ->
        LOCK();
        d_step {
            if
#ifdef NO_RECHECK
            :: true -> state = state - VISITOR; locked = 1
#else
            :: state == (VISITOR | LOCKED) -> state = LOCKED; locked = 1
            :: else
#endif
            fi
        };
        if
        :: locked
        :: else ->
#ifdef DEC_IF_LOCK_KEEPS
            skip
#else
            UNLOCK()
#endif
        fi
    :: else
    fi;
    x = 0
}

inline INC_AND_UNLOCK() { /* aio_lock_count_inc_and_unlock() */
#ifdef INC_AFTER_UNLOCK
    UNLOCK();
    state = state + VISITOR
#else
    d_step { state = state + VISITOR - LOCKED; holders-- }; /* atomic_fetch_add() */
#ifdef INC_AND_UNLOCK_KEEPS
    skip
#else
    MUTEX_UNLOCK()
#endif
#endif
}

#define COUNT() (state / VISITOR) /* aio_lock_count_count() */
