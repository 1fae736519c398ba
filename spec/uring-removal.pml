/* SPDX-License-Identifier: MIT */
/*
 * The io_uring monitor: handlers are removed and replaced, by callbacks and by another thread, their file descriptor is
 * closed and its number used again, while polls are queued, in the kernel, or completed. spec/README.md says how to read
 * this file, spec/table.mjs which flags it is run with and what each run must show. A comment names the function that a
 * statement stands for; files are in gsource/.
 *
 * The kernel is a process: it completes a poll once it was woken for it, at any time, with what it was woken for. What
 * only home can see is one step. The code of a callback, which may change handlers and nest polls, is another process of
 * home's kind, and who calls it waits for its end. The table of handlers and its lock are spec/handler-table.pml, the
 * protocol of the notifier is spec/wakeup.pml: here every notification makes it ready.
 */
#ifndef EVENTS
#define EVENTS 2 /* how often a file becomes ready */
#endif
#ifndef OPS
#define OPS 2 /* changes of the handler and of what its number stands for, all threads together */
#endif
#ifndef THREAD
#define THREAD 1 /* another thread makes changes as well */
#endif
#ifndef GLIB
#define GLIB 0 /* a main context drives it as well, and polls are nested in another source's prepare */
#endif
#ifndef DEPTH
#define DEPTH 0 /* polls nested in callbacks */
#endif
#ifndef MAX_DEPTH
#define MAX_DEPTH 1 /* AIO_HANDLER_MAX_DEPTH */
#endif
#ifndef OTHER
#define OTHER 0 /* a second file descriptor, with a handler that stays */
#endif
#ifndef EXTERNAL
#define EXTERNAL 0 /* the handlers of fd 0 are external, and external clients are disabled and enabled */
#endif
#ifndef SQ_SIZE
#define SQ_SIZE 2
#endif
#ifndef CQ_SIZE
#define CQ_SIZE 2
#endif
#ifndef FAILS
#define FAILS 0 /* how often the kernel refuses what it must not refuse */
#endif

/* Files. fd 0 is A, then B; fd 1 is C */
#define A 1
#define B 2
#define C 3
#define NOTIFIER 4
#define FDS (1 + OTHER)
byte file_of[2];
bool ready[5];

/* AioHandler: 1 has fd 0 at first, OTHER_HANDLER has fd 1 */
#define HANDLERS (OPS + 2)
#define OTHER_HANDLER (OPS + 2)
local byte gen[HANDLERS + 1];
local byte index[HANDLERS + 1];
local bool to_arm[HANDLERS + 1];
local bool monitored[HANDLERS + 1];
bool deleted[HANDLERS + 1];
bool changed[HANDLERS + 1];
local bool queued[HANDLERS + 1]; /* in the ready list, with revents */
local bool late[HANDLERS + 1];   /* came there in the pass that is under way */
local bool parked[HANDLERS + 1];
#if EXTERNAL
local bool held_back[HANDLERS + 1];
#define IS_HELD(h) held_back[h]
#else
#define IS_HELD(h) 0
#endif
local bool in_source[HANDLERS + 1]; /* of the poll monitor */
local byte depth_of[HANDLERS + 1];
local byte refs[HANDLERS + 1];
#define FD(h) (h == OTHER_HANDLER -> 1 : 0)

/* AioContext */
byte entries[2]; /* the table */
chan changes = [HANDLERS] of { byte };
bool has_changes = 0;
bool disabled = 0; /* external_disable_cnt is not 0 */
local bool external_held_back = 0;
local bool prepared = 0; /* bit 0 of notify_me */
local bool gwake = 0;    /* g_main_context_wakeup() */
local bool uring = 1;    /* the monitor: io_uring, or poll */

/* AioFdMonUring */
#define ARRAY (2 * (2 + OTHER))
local byte arm[ARRAY]; /* to_arm */
local byte n_arm = 0;
local bool failed = 0;
local byte own = 0; /* notifier.data */
local bool own_ready = 0;
chan to_cancel = [6] of { byte };

/* The ring. A generation is a number that no poll has, until it is forgotten by all */
#define GENERATIONS 5
#define ADD    1
#define REMOVE 2
#define OVERFLOWS 8
#define READY    1
#define CANCELED 2
#define BADF     3
chan sq = [SQ_SIZE] of { byte, byte };
chan cq = [CQ_SIZE] of { byte, byte };
chan overflow = [OVERFLOWS] of { byte, byte };
byte not_advanced = 0; /* CQEs that home has looked at, but not given back */
byte enter = 0;        /* home is in io_uring_enter(2): 1 submits, 2 asks for what did not fit as well */

/* The kernel */
byte polls[GENERATIONS + 1]; /* the file of a poll */
bool woken[GENERATIONS + 1];
bool dying[GENERATIONS + 1]; /* cancelled, and its CQE is to come */

/* Bounds */
byte ops = 0, events = 0;
local byte fails = 0, nested = 0;
bool waking = 0; /* the producer has written, and not woken who polls */
bool user = 0; /* a program changes the handlers of one number on one thread at a time */

/* For the properties */
byte owner[GENERATIONS + 1]; /* who armed it: a handler, or OWN */
byte uses[GENERATIONS + 1];  /* who knows it */
#define OWN (HANDLERS + 1)
byte last_handler = 1;
byte file_was[HANDLERS + 1]; /* its fd stood for */
bool freed[HANDLERS + 1];
bool gone[HANDLERS + 1]; /* home has removed it */
bool use_after_free = 0, double_free = 0, leak = 0, wrong_generation = 0, called_when_gone = 0, empty_call = 0;
bool lost_readiness = 0, unseen_change = 0, stale_poll = 0, missed_look = 0, too_deep = 0, held_open = 0, bound = 0;
#define HOLDS(property, condition) d_step { property = !(condition); assert(!property) }
#define ASSERT(property, condition) property = !(condition); assert(!property)
#define ALIVE(h) ASSERT(use_after_free, h == 0 || !freed[h])

/* A function that is called in several places: its end goes back to the label of that number */
#define CALL(function, number, label) to_##function = number; goto function; label: skip
#define RETURNS(function, number, label) to_##function == number -> to_##function = 0; goto label

#define HAS_READY (queued[1] || queued[2] || (HANDLERS > 2 && queued[HANDLERS - (HANDLERS > 2)]) || queued[HANDLERS])

/* --- the kernel */

#define POST(g, res) \
    if \
    :: len(cq) + not_advanced < CQ_SIZE && len(overflow) == 0 -> cq!g, res \
    :: else -> ASSERT(bound, len(overflow) < OVERFLOWS); overflow!g, res \
    fi

#define FILE_OF(g) (owner[g] == OWN -> NOTIFIER : file_of[FD(owner[g])])

#define FORGET(g, n) uses[g] = uses[g] - n; owner[g] = (uses[g] == 0 -> 0 : owner[g])

#define COMPLETES(g) atomic { woken[g] -> woken[g] = 0; polls[g] = 0; POST(g, READY) }
#define IS_CANCELED(g) atomic { dying[g] -> dying[g] = 0; POST(g, CANCELED) }

proctype kernel()
{
    byte op = 0, g = 0, f = 0;

end:
    do
    :: COMPLETES(1) :: COMPLETES(2) :: COMPLETES(3) :: COMPLETES(4) :: COMPLETES(5)
    :: IS_CANCELED(1) :: IS_CANCELED(2) :: IS_CANCELED(3) :: IS_CANCELED(4) :: IS_CANCELED(5)
    :: atomic { enter != 0 && len(sq) > 0 ->
        sq?op, g;
        if
        :: op == ADD ->
            f = FILE_OF(g);
            if
            :: f == 0 -> POST(g, BADF)
            :: f != 0 && ready[f] -> POST(g, READY)
            :: else -> polls[g] = f
            fi
        :: op == REMOVE ->
            FORGET(g, 1);
            if
            :: polls[g] != 0 && !woken[g] ->
                polls[g] = 0;
                if
                :: true -> POST(g, CANCELED); POST(0, 0)
                :: true -> POST(0, 0); dying[g] = 1
                fi
            :: else -> POST(0, 0) /* ENOENT, EALREADY */
            fi
        fi;
        op = 0; g = 0; f = 0
       }
    :: d_step { enter != 0 && len(sq) == 0 ->
        do
        :: enter == 2 && len(overflow) > 0 && len(cq) + not_advanced < CQ_SIZE -> overflow?op, g; cq!op, g
        :: !(enter == 2 && len(overflow) > 0 && len(cq) + not_advanced < CQ_SIZE) -> break
        od;
        op = 0; g = 0; enter = 0
       }
    od
}

#define WAKE(f) \
    i = 1; \
    do \
    :: i <= GENERATIONS -> woken[i] = woken[i] || polls[i] == f; i++ \
    :: else -> break \
    od; \
    i = 0

/* Files become ready, and who has them so wakes who polls */
proctype producer()
{
    byte i = 0;

end:
    do
    :: d_step { events < EVENTS && !ready[A] -> events++; ready[A] = 1; waking = 1 }; d_step { WAKE(A); waking = 0 }
    :: d_step { events < EVENTS && file_of[0] == B && !ready[B] -> events++; ready[B] = 1; waking = 1 }; d_step { WAKE(B); waking = 0 }
#if OTHER
    :: d_step { events < EVENTS && !ready[C] -> events++; ready[C] = 1; waking = 1 }; d_step { WAKE(C); waking = 0 }
#endif
    :: events == EVENTS -> break
    od
}

/* --- aio-handler.c */

#define NOTE_CHANGE(h) \
    if \
    :: !changed[h] -> changed[h] = 1; changes!h; has_changes = 1 \
    :: else \
    fi

#define NEW_HANDLER(h) last_handler++; h = last_handler; refs[h] = 1; file_was[h] = file_of[0]

/* set_handler(): how the table looks meanwhile is spec/handler-table.pml. Home has taken leave of the old one then */
#define SET_HANDLER(h, old, home) \
    old = entries[0]; \
    if \
    :: old != 0 -> deleted[old] = 1; gone[old] = home; NOTE_CHANGE(old) \
    :: else \
    fi; \
    if \
    :: h != 0 -> NOTE_CHANGE(h) \
    :: else \
    fi; \
    entries[0] = h; \
    old = 0; h = 0

/* What a program may do: remove the handler, put one in its place, or close the fd and have its number for another file */
#define MAY_CHANGE  ops < OPS && !user -> ops++; user = 1
#define MAY_REMOVE  entries[0] != 0
#define MAY_REPLACE last_handler <= OPS
#define MAY_REOPEN  entries[0] == 0 && file_of[0] == A

proctype thread()
{
    byte h = 0, old = 0, i = 0;

    do
    :: d_step { MAY_CHANGE };
        if
        :: d_step { MAY_REMOVE -> SET_HANDLER(h, old, 0) }
        :: d_step { MAY_REPLACE -> NEW_HANDLER(h); SET_HANDLER(h, old, 0) }
        :: MAY_REOPEN -> file_of[0] = 0; file_of[0] = B
#if EXTERNAL
        :: disabled = !disabled
#endif
        fi;
        d_step { user = 0; ready[NOTIFIER] = 1; WAKE(NOTIFIER) } /* aio_context_notify_waiter() */
    :: ops == OPS -> break
    od
}

/* --- aio-fdmon-uring.c, what handlers want */

#define WATCHED(h) (!parked[h] && !IS_HELD(h)) /* aio_handler_is_watched() */

#define ADD_TO_ARM(h) /* add_to_arm() */ \
    ASSERT(bound, n_arm < ARRAY); \
    to_arm[h] = 1; index[h] = n_arm; arm[n_arm] = h; n_arm++

#ifdef STAYS_TO_ARM
#define DISARMS 0
#else
#define DISARMS 1
#endif
#ifdef NO_CANCEL
#define CANCELS 0
#else
#define CANCELS 1
#endif
#ifdef INDEX_STAYS
#define FIX_INDEX(h, last)
#else
#define FIX_INDEX(h, last) index[last] = index[h]
#endif

#define REMOVE_TO_ARM(h, last) /* remove_to_arm() */ \
    last = arm[n_arm - 1]; \
    ALIVE(last); \
    to_arm[h] = 0; \
    arm[index[h]] = last; \
    n_arm--; \
    arm[n_arm] = 0; \
    FIX_INDEX(h, last); \
    index[h] = 0

#define LEAVE(h, last) /* leave() */ \
    if \
    :: to_arm[h] && DISARMS -> REMOVE_TO_ARM(h, last) \
    :: else \
    fi; \
    if \
    :: gen[h] != 0 && CANCELS -> to_cancel!gen[h]; gen[h] = 0 \
    :: gen[h] != 0 && !CANCELS -> FORGET(gen[h], 1); gen[h] = 0 \
    :: else \
    fi; \
    last = 0

#define UPDATE(h, last) /* uring_update() */ \
    if \
    :: uring && (gen[h] != 0 || to_arm[h]) && !WATCHED(h) -> LEAVE(h, last) \
    :: uring && !(gen[h] != 0 || to_arm[h]) && WATCHED(h) -> ADD_TO_ARM(h) \
    :: else \
    fi

#if EXTERNAL
#define APPLY_EXTERNAL(h, last) d_step { /* aio_context_apply_external(), aio_handler_set_held_back() */ \
    if \
    :: disabled != external_held_back -> \
        external_held_back = disabled; \
        h = entries[0]; \
        if \
        :: h != 0 && monitored[h] -> held_back[h] = disabled; UPDATE(h, last) \
        :: else \
        fi; \
        h = 0 \
    :: else \
    fi }
#else
#define APPLY_EXTERNAL(h, last) skip
#endif

/* --- SQEs */

#define QUEUE_CANCELLATIONS(g) /* queue_cancellations(): who knew the generation is the SQE now */ \
    do \
    :: len(to_cancel) > 0 && len(sq) < SQ_SIZE -> to_cancel?g; sq!REMOVE, g \
    :: else -> break \
    od; \
    g = 0

/* queue_poll(): g, which the ring knows and @by; 0 if the ring is full */
#define QUEUE_POLL(by, g) \
    g = 0; \
    if \
    :: len(sq) < SQ_SIZE -> \
        g = 1; \
        do \
        :: g <= GENERATIONS && uses[g] > 0 -> g++ \
        :: else -> break \
        od; \
        ASSERT(bound, g <= GENERATIONS); \
        owner[g] = by; uses[g] = 2; \
        sq!ADD, g \
    :: len(sq) == SQ_SIZE \
    fi

#ifdef BY_FD
#define MATCHES(h, g) (h != 0 && monitored[h])
#else
#ifdef BY_HANDLER
#define MATCHES(h, g) (h != 0 && monitored[h] && owner[g] == h)
#else
#ifdef BY_GENERATION
#define MATCHES(h, g) (h != 0 && gen[h] == g)
#else
#define MATCHES(h, g) (h != 0 && monitored[h] && gen[h] == g)
#endif
#endif
#endif

/* aio_handler_set_ready() */
#define SET_READY(h, value) d_step { late[h] = late[h] || !queued[h]; queued[h] = value }

#define UNREF(h) \
    refs[h]--; \
    if \
    :: refs[h] == 0 -> ASSERT(double_free, !freed[h]); freed[h] = 1; file_was[h] = 0 \
    :: else \
    fi

/* aio_fdmon_choose(): all handlers are handed over to the poll monitor */
#define CHOOSE() d_step { \
    if \
    :: uring && failed -> \
        uring = 0; gwake = prepared; own = 0; own_ready = 0; n_arm = 0; \
        do \
        :: len(sq) > 0 -> sq?i, h \
        :: len(cq) > 0 -> cq?i, h \
        :: len(overflow) > 0 -> overflow?i, h \
        :: len(to_cancel) > 0 -> to_cancel?i \
        :: len(sq) == 0 && len(cq) == 0 && len(overflow) == 0 && len(to_cancel) == 0 -> break \
        od; \
        i = 1; \
        do \
        :: i <= HANDLERS -> gen[i] = 0; to_arm[i] = 0; index[i] = 0; i++ \
        :: else -> break \
        od; \
        i = 0; \
        do \
        :: i < ARRAY -> arm[i] = 0; i++ \
        :: else -> break \
        od; \
        i = 1; \
        do \
        :: i <= GENERATIONS -> polls[i] = 0; woken[i] = 0; dying[i] = 0; uses[i] = 0; owner[i] = 0; i++ \
        :: else -> break \
        od; \
        i = 0; h = 0 \
    :: else \
    fi }

#define FORGET_READY() d_step { /* aio_context_forget_ready() */ \
    i = 1; \
    do \
    :: i <= HANDLERS -> queued[i] = 0; i++ \
    :: else -> break \
    od; \
    i = 0 }

/* What poll(2) finds: the fd of a handler that the poll monitor has */
#define POLL_FINDS(h) (h != 0 && monitored[h] && WATCHED(h) && (file_of[FD(h)] == 0 || ready[file_of[FD(h)]]))

#define WAKE_PREPARED_SOURCE() gwake = gwake || prepared /* aio_context_wake_prepared_source() */

/* Nothing can happen any more, and home sleeps */
#define QUIET() d_step { \
    ASSERT(unseen_change, !has_changes); \
    i = 0; \
    do \
    :: i < FDS -> \
        h = entries[i]; \
        ASSERT(lost_readiness, h == 0 || parked[h] || (EXTERNAL && disabled) || !ready[file_of[i]]); \
        i++ \
    :: else -> break \
    od; \
    i = 1; \
    do \
    :: i <= last_handler -> ASSERT(leak, !deleted[i] || freed[i] || depth_of[i] > 0); i++ \
    :: else -> break \
    od; \
    i = 1; \
    do \
    :: i <= GENERATIONS -> \
        ASSERT(stale_poll, polls[i] == 0 || own == i || (owner[i] != OWN && gen[owner[i]] == i)); \
        i++ \
    :: else -> break \
    od; \
    i = 0; h = 0 }

#ifdef NO_PARK
#define UPDATES(value) !(value)
#else
#ifdef NO_UNPARK
#define UPDATES(value) (value)
#else
#define UPDATES(value) 1
#endif
#endif

#define SET_PARKED(h, value, last) /* set_depth() */ \
    if \
    :: parked[h] != (value) -> \
        parked[h] = (value); \
        if \
        :: monitored[h] && UPDATES(value) -> UPDATE(h, last) \
        :: else \
        fi \
    :: else \
    fi

/* --- home */

proctype home()
{
    byte to_apply = 0, to_reap = 0, to_queue_all = 0, to_submit = 0, to_dispatch = 0; /* see CALL */
    byte i = 0, h = 0, caller = 0, old = 0, g = 0, res = 0, n_armed = 0, n = 0, expected = 0, n_pr = 0, n_changes = 0;
    bool is_nested = 0, blocking = 0, sleeps = 0, found = 0, with_own = 0, is_full = 0, del = 0, armed = 0;

    is_nested = (nested > 0);
loop: /* the code of a program, of a callback, or of another source's prepare */
    if
    :: nested <= DEPTH -> blocking = 1; goto poll
    :: nested <= DEPTH -> blocking = 0; goto poll
#if GLIB
    :: !is_nested -> goto iteration
#endif
    :: d_step { MAY_CHANGE };
        if
        :: d_step { MAY_REMOVE -> SET_HANDLER(h, old, 1) }
        :: d_step { MAY_REPLACE -> NEW_HANDLER(h); SET_HANDLER(h, old, 1) }
        :: d_step { MAY_REOPEN -> file_of[0] = B }
#if EXTERNAL
        :: disabled = !disabled
#endif
        fi;
        CALL(apply, 3, set_applied);
        d_step { /* nothing holds the old file open for who was removed */
            i = 1;
            do
            :: i <= GENERATIONS ->
                ASSERT(held_open, polls[i] == 0 || woken[i] || owner[i] == OWN || !gone[owner[i]] || fails > 0);
                i++
            :: else -> break
            od;
            i = 0;
            user = 0;
            if
            :: prepared -> ready[NOTIFIER] = 1; WAKE(NOTIFIER) /* aio_context_notify_waiter() */
            :: else
            fi
        };
        goto loop
    :: is_nested -> goto over
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
            armed = 0;
            if
            :: !del && !monitored[h] ->
                monitored[h] = 1;
#if EXTERNAL
                held_back[h] = external_held_back;
#endif
                UPDATE(h, i)
            :: !del && monitored[h]
            :: del -> /* aio_handler_unqueue(), uring_remove() */
#ifndef NO_UNQUEUE
                queued[h] = 0;
#endif
                in_source[h] = 0;
#ifdef CANCEL_LATE
                armed = 0;
#else
                armed = (monitored[h] && gen[h] != 0 && !failed);
#endif
                monitored[h] = 0;
                LEAVE(h, i);
                if
                :: armed -> QUEUE_CANCELLATIONS(i)
                :: else
                fi
            fi;
            h = (del -> h : 0)
        };
        if
        :: armed -> enter = 1; enter == 0 /* io_uring_submit() */
#if FAILS
        :: armed && fails < FAILS -> fails++
#endif
        :: !armed
        fi;
        d_step {
            if
            :: h != 0 -> UNREF(h)
            :: else
            fi;
            h = 0; del = 0; armed = 0
        }
    :: n_changes == 0 || !has_changes -> break
    od;
    n_changes = 0;
    if
    :: RETURNS(apply, 1, poll_applied)
    :: RETURNS(apply, 2, dispatch_applied)
    :: RETURNS(apply, 3, set_applied)
#if GLIB
    :: RETURNS(apply, 4, prepare_applied)
#endif
    fi;

reap: /* aio_uring_reap() */
    do
#ifdef NO_OVERFLOW
    :: len(cq) > 0 ->
#else
    :: len(cq) > 0 || len(overflow) > 0 ->
#endif
        do
        :: len(cq) > 0 ->
            d_step { /* take() */
                cq?g, res;
                not_advanced++;
                if
                :: g == 0
                :: g != 0 && g == own -> /* take_own() */
                    own = 0;
                    own_ready = (res == READY -> found : own_ready);
                    FORGET(g, 2);
                    g = 0
                :: else
                fi
            };
            if
#ifdef BY_ADDRESS
            :: g != 0 -> h = (owner[g] == OWN -> 0 : owner[g])
#else
            :: g != 0 -> h = entries[FD(owner[g])] /* aio_context_find_handler() */
#endif
            :: else
            fi;
            d_step {
                ALIVE(h);
                if
                :: g != 0 && MATCHES(h, g) -> /* take_handler() */
                    ASSERT(wrong_generation, owner[g] == h && gen[h] == g);
                    FORGET(g, 2);
                    gen[h] = 0;
#ifndef NO_REARM
                    ADD_TO_ARM(h)
#endif
                :: g != 0 && !MATCHES(h, g) -> FORGET(g, 1); h = 0
                :: g == 0
                fi;
                g = 0
            };
            if
            :: h != 0 && found && res != CANCELED -> /* aio_fdmon_look(), aio_handler_set_ready() */
#ifdef NO_LOOK_AGAIN
                SET_READY(h, 1)
#else
                SET_READY(h, (file_of[FD(h)] == 0 || ready[file_of[FD(h)]]))
#endif
            :: else
            fi;
            d_step { h = 0; res = 0 }
        :: len(cq) == 0 -> break
        od;
        not_advanced = 0; /* io_uring_cq_advance() */
        if
#ifdef NO_OVERFLOW
        :: true
#endif
        :: len(overflow) > 0 -> enter = 2; enter == 0 /* aio_uring_enter(): no wait */
#if FAILS
        :: len(overflow) > 0 && fails < FAILS -> fails++; failed = 1; break
#endif
        :: len(overflow) == 0
        fi
#ifdef NO_OVERFLOW
    :: len(cq) == 0 -> break
#else
    :: len(cq) == 0 && len(overflow) == 0 -> break
#endif
    od;
    found = 0;
    if
    :: RETURNS(reap, 1, begun)
    :: RETURNS(reap, 2, queue_reaped)
    :: RETURNS(reap, 3, wait_reaped)
#if GLIB
    :: RETURNS(reap, 4, prepare_begun)
    :: RETURNS(reap, 5, prepare_reaped)
    :: RETURNS(reap, 6, checked)
#endif
    fi;

submit:
    do
    :: len(sq) > 0 -> enter = 1; enter == 0
#if FAILS
    :: len(sq) > 0 && fails < FAILS -> fails++; failed = 1; break
#endif
    :: len(sq) == 0 -> break
    od;
    if
    :: RETURNS(submit, 1, queue_submitted)
#if GLIB
    :: RETURNS(submit, 2, prepare_submitted)
#endif
    fi;

queue_all:
    n = n_arm;
    do
    :: true ->
        d_step {
            QUEUE_CANCELLATIONS(i);
            is_full = (len(to_cancel) > 0);
            if
            :: !is_full && with_own && own == 0 -> /* queue_own() */
                QUEUE_POLL(OWN, i);
                own = i;
                is_full = (own == 0)
            :: else
            fi;
            do
            :: !is_full && n_armed < n -> /* queue_handlers(), queue_handler() */
                h = arm[n_armed];
                ALIVE(h);
                QUEUE_POLL(h, i);
                gen[h] = i;
                to_arm[h] = (i == 0);
                is_full = (i == 0);
                n_armed = n_armed + !is_full
            :: else -> break
            od;
            i = 0; h = 0
        };
        if
        :: !is_full -> break
        :: else
        fi;
#ifdef ONE_RINGFUL
        break;
#endif
        CALL(submit, 1, queue_submitted);
        if
        :: failed -> break
        :: else
        fi;
        found = 1;
        CALL(reap, 2, queue_reaped);
    od;
    skip; /* Spin: no jump into a d_step */
    d_step { /* g_ptr_array_remove_range(), and the indices */
        i = 0;
        do
        :: i < ARRAY ->
            if
            :: i + n_armed < n_arm -> arm[i] = arm[i + n_armed]; index[arm[i]] = i
            :: else -> arm[i] = 0
            fi;
            i++
        :: else -> break
        od;
        n_arm = n_arm - n_armed;
        i = 0; n_armed = 0; n = 0; is_full = 0; with_own = 0
    };
    if
    :: RETURNS(queue_all, 1, wait_queued)
#if GLIB
    :: RETURNS(queue_all, 2, prepare_queued)
#endif
    fi;

poll: /* aio_context_poll_for() */
    skip;
    d_step { sleeps = blocking && !HAS_READY; blocking = 0 }; /* aio_context_compute_timeout() */
    CALL(apply, 1, poll_applied);
    APPLY_EXTERNAL(h, i);
    CHOOSE();
    d_step { /* a look finds what is ready, unless something is going on */
        h = entries[0];
        if
        :: !sleeps && (ops == OPS || !THREAD) && !user && !has_changes && !waking && h != 0 && WATCHED(h) ->
            expected = (ready[file_of[0]] -> h : 0);
            i = 1;
            do
            :: i <= GENERATIONS -> expected = (woken[i] || dying[i] -> 0 : expected); i++
            :: else -> break
            od;
            i = 0
        :: else
        fi;
        h = 0
    };
    FORGET_READY();
    if
    :: uring -> /* uring_wait() */
        CALL(reap, 1, begun); /* begin() */
        do
        :: true ->
            with_own = 1;
            CALL(queue_all, 1, wait_queued);
            if
            :: failed -> break
            :: else
            fi;
            sleeps = sleeps && !HAS_READY && !own_ready;
            if /* aio_uring_enter() */
            :: enter = 2; enter == 0
#if FAILS
            :: fails < FAILS -> fails++; failed = 1; break
#endif
            fi;
            if
#ifdef SLEEP_UNARMED
            :: !sleeps
            :: sleeps && len(cq) > 0
            :: sleeps && timeout -> QUIET(); goto quiet
#else
            :: !sleeps || n_arm > 0 /* no wait */
            :: sleeps && n_arm == 0 && len(cq) > 0
            :: sleeps && n_arm == 0 && timeout -> QUIET(); goto quiet
#endif
            fi;
            found = 1;
            CALL(reap, 3, wait_reaped);
            if
            :: HAS_READY || own_ready || !sleeps || failed -> break
            :: else
            fi
        od;
        skip; /* Spin: no jump into a d_step */
        d_step {
            own_ready = 0;
            if
#ifndef WAIT_NO_WAKE
            :: !failed && n_arm > 0 -> WAKE_PREPARED_SOURCE()
#endif
            :: else
            fi
        }
    :: else
    fi;
    CHOOSE();
    if
    :: !uring -> /* poll_wait() */
        if
        :: !sleeps
        :: sleeps && (ready[NOTIFIER] || POLL_FINDS(entries[0]) || POLL_FINDS(entries[1]))
        :: sleeps && timeout -> QUIET(); goto quiet
        fi;
        d_step {
            i = 1;
            do
            :: i <= HANDLERS -> late[i] = !queued[i]; queued[i] = POLL_FINDS(i); i++
            :: else -> break
            od;
            i = 0
        }
    :: else
    fi;
    d_step {
        ASSERT(missed_look, expected == 0 || queued[expected]);
        expected = 0; sleeps = 0;
        if
        :: ready[NOTIFIER] -> ready[NOTIFIER] = 0; WAKE_PREPARED_SOURCE() /* aio_context_accept() */
        :: else
        fi
    };
    CALL(dispatch, 1, poll_dispatched);
    goto loop;

dispatch: /* aio_context_dispatch_ready() */
    CALL(apply, 2, dispatch_applied);
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
            :: caller <= HANDLERS && !(queued[caller] && !late[caller]) -> caller++
            :: else -> break
            od;
            caller = (caller <= HANDLERS -> caller : 0)
        };
        if
        :: caller == 0 -> break
        :: else
        fi;
        d_step {
            ALIVE(caller);
            queued[caller] = 0;
#ifndef NO_FRAME_REF
            refs[caller]++;
#endif
            depth_of[caller]++;
            ASSERT(too_deep, depth_of[caller] <= MAX_DEPTH);
            SET_PARKED(caller, depth_of[caller] >= MAX_DEPTH, i)
        };
        APPLY_EXTERNAL(h, i);
        if /* may_be_called() */
        :: deleted[caller] || IS_HELD(caller)
        :: !deleted[caller] && !IS_HELD(caller) -> /* the callback */
            d_step {
                ASSERT(called_when_gone, !gone[caller]);
                ASSERT(empty_call, ready[file_was[caller]])
            };
            if
            :: ready[file_was[caller]] = 0 /* it reads what there is */
            :: true
            fi;
            if
            :: ops < OPS || nested < DEPTH -> nested++; n_pr = _nr_pr; run home(); end_callback: _nr_pr == n_pr; nested--
            :: true
            fi
        fi;
        d_step {
            depth_of[caller]--;
            ALIVE(caller);
            SET_PARKED(caller, depth_of[caller] >= MAX_DEPTH, i);
#ifndef NO_FRAME_REF
            UNREF(caller);
#endif
            caller = 0
        }
    od;
    if
    :: RETURNS(dispatch, 1, poll_dispatched)
#if GLIB
    :: RETURNS(dispatch, 2, dispatched)
#endif
    fi;

#if GLIB
iteration: /* aio_source_prepare() */
    prepared = 1;
    FORGET_READY();
    CALL(apply, 4, prepare_applied);
    APPLY_EXTERNAL(h, i);
    CHOOSE();
    if
    :: uring -> /* uring_gsource_prepare() */
        CALL(reap, 4, prepare_begun);
        CALL(queue_all, 2, prepare_queued);
        if
        :: !failed -> CALL(submit, 2, prepare_submitted);
        :: else
        fi;
        if
        :: !failed -> found = 1; CALL(reap, 5, prepare_reaped);
        :: else
        fi;
        if
#ifndef PREPARE_NO_WAKE
        :: !failed && !HAS_READY && n_arm > 0 -> WAKE_PREPARED_SOURCE()
#endif
        :: else
        fi
    :: else
    fi;
    CHOOSE();
    d_step { /* poll_gsource_prepare() */
        i = 1;
        do
        :: !uring && i <= HANDLERS -> in_source[i] = monitored[i] && WATCHED(i); i++
        :: else -> break
        od;
        i = 0
    };
    sleeps = !HAS_READY;
    if
    :: ops < OPS || DEPTH > 0 -> nested++; n_pr = _nr_pr; run home(); end_prepare: _nr_pr == n_pr; nested-- /* another source's prepare */
    :: true
    fi;
    if
    :: !sleeps
    :: sleeps && (gwake || ready[NOTIFIER])
    :: sleeps && uring && (len(cq) > 0 || len(overflow) > 0) /* the ring is readable */
    :: sleeps && !uring && in_source[entries[0]] && POLL_FINDS(entries[0])
    :: sleeps && !uring && in_source[entries[1]] && POLL_FINDS(entries[1])
    :: sleeps && timeout -> QUIET(); goto quiet
    fi;
    d_step { sleeps = 0; gwake = 0; prepared = 0; ready[NOTIFIER] = 0 }; /* aio_source_check(): drain() */
    if
    :: uring -> /* uring_gsource_check() */
        found = 1;
        CALL(reap, 6, checked);
        own_ready = 0
    :: else -> d_step { /* poll_gsource_check() */
            i = 1;
            do
            :: i <= HANDLERS -> late[i] = !queued[i]; queued[i] = queued[i] || (in_source[i] && POLL_FINDS(i)); i++
            :: else -> break
            od;
            i = 0
        }
    fi;
    if
    :: HAS_READY -> CALL(dispatch, 2, dispatched);
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
    byte i = 0;

    d_step {
        file_of[0] = A; entries[0] = 1; refs[1] = 1; file_was[1] = A; NOTE_CHANGE(1);
#if OTHER
        file_of[1] = C; entries[1] = OTHER_HANDLER; refs[OTHER_HANDLER] = 1; file_was[OTHER_HANDLER] = C;
        NOTE_CHANGE(OTHER_HANDLER)
#endif
    };
    atomic {
        run kernel();
        run producer();
#if THREAD
        run thread();
#endif
        run home()
    }
}
