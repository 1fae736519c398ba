// What the models are run with, and what each run must show. An entry is [flags, expectation, why]: the expectation is
// 'holds', or the property whose assertion must fail. Lines of `full` are run by `node spec/run.mjs --full` only.

const one = 'NOTIFIERS=1 MIX=1';
const small = 'ONESHOTS=0 NESTS=0 RESCHEDULES=0';

export const table = {
  wakeup: [
    ['NOTIFIERS=1 MIX=2', 'holds', 'one notifier; two detours of home'],
    ['NOTIFIERS=2 MIX=0 HOME_POSTS=0', 'holds', 'two notifiers'],
    ['NOTIFIERS=1 POSTS=2 MIX=0', 'holds', 'one notifier that notifies twice'],
    [`${one} DEPTH=2 HOME_POSTS=2`, 'holds', 'callbacks in callbacks'],

    [`${one} NO_FENCE_NOTIFY`, 'lost_wake_up', 'A4: notify loads notify_me before its stores are seen'],
    [`${one} NO_FENCE_POLL`, 'lost_wake_up', 'A4: poll loads notified before its notify_me is seen'],
    [`${one} NO_FENCE_PREPARE`, 'unheard_notification', 'A4: prepare looks before its notify_me is seen'],
    [
      `${one} ACCEPT_STORE MAXSPUR=9`,
      'lost_wake_up',
      'A4: accept is a store, which may come after a later notification',
    ],
    [`${one} NOTIFIED_FIRST`, 'lost_wake_up', 'notified is set before the work is published'],
    ['NOTIFIERS=1 POSTS=2 MIX=0 SKIP_IF_NOTIFIED', 'lost_wake_up', 'A3: nothing is done if notified is set'],
    [
      `${one} SHORTCUT_ANYWHERE`,
      'lost_wake_up',
      'the shortcut of aio_context_notify_waiter() on other threads',
    ],
    [
      `${one} NEVER_NOTIFY_HOME`,
      'lost_wake_up',
      'rule 5: home does not notify itself although notify_me is set',
    ],
    [`${one} DISPATCHING_FLAG`, 'lost_wake_up', 'A1: no eventfd write while a callback runs'],
    [`${one} POLL_NO_NOTIFIED`, 'lost_wake_up', 'poll does not look at notified'],
    [`${one} PREPARE_NO_NOTIFIED`, 'unheard_notification', 'A8, rule 3: prepare does not look at notified'],
    [`${one} CHECK_NO_DRAIN`, 'busy_loop', 'rule 3: check does not accept'],
    [`${one} NOTIFIER_READY`, 'empty_dispatch', 'rule 3: the eventfd makes the source ready'],
    [`${one} PREPARE_READY_IF_NOTIFIED`, 'empty_dispatch', 'rule 3: notified makes the source ready'],
    [`${one} DISPATCH_NO_CLEAR`, 'stale_bit_0', 'rule 1: dispatch takes it that check has run'],
    [
      `NOTIFIERS=1 MIX=2 NO_WAKE_PREPARED`,
      'lost_wake_up',
      'A7, rule 2: g_main_context_wakeup() is not called',
    ],
    [`${one} NO_DRAIN`, 'busy_loop', 'nobody reads the eventfd'],
    [
      `${one} NW_ONLY`,
      'busy_loop',
      'the eventfd is read only if notifier_written is set, whatever poll(2) says',
    ],
    [`${one} NO_NW`, 'busy_loop', 'without notifier_written: one wake-up too many, for an eventfd left set'],
    [`${one} THIEF NO_HOME_CHECK`, 'accepted_elsewhere', 'A5: another thread polls'],
    [
      'NOTIFIERS=1 POSTS=2 MIX=0 THIEF NO_HOME_CHECK NO_OWNER_ASSERT',
      'lost_wake_up',
      'A5: and what comes of it',
    ],

    ['NOTIFIERS=1 MIX=0 THIEF', 'holds', 'another thread that polls gets an error'],
    [`${one} ALWAYS_NOTIFY MAXSPUR=4`, 'holds', 'the shortcut only spares notifications, and an empty wait'],
    [
      `${one} LOOK_BEFORE_BIT`,
      'holds',
      'prepare computes its timeout early, like poll: notified is what counts',
    ],
    [`${one} LOOK_BEFORE_ACCEPT`, 'holds', 'check looks before it accepts: the next wait looks again'],
    [
      `${one} RUN_BEFORE_ACCEPT`,
      'holds',
      'A2: bottom halves run before the accept: the next wait looks again',
    ],
    [`${one} DISPATCH_NO_DRAIN MAXSPUR=4`, 'holds', 'dispatch does not accept: one empty wait more'],
    [`${one} NW_AFTER_WRITE`, 'holds', 'notifier_written after the write: poll(2) tells what it does not'],
    [`${one} CLEAR_NW_LATE`, 'holds', 'notifier_written cleared after the read: the same'],
    [
      'NOTIFIERS=1 POSTS=2 MIX=0 SKIP_AFTER_FENCE',
      'holds',
      'A3 with a fence before it, for prepare looks at notified',
    ],
  ],
  'bottom-half': [
    ['', 'holds', 'two schedulers, a oneshot; callbacks that schedule, and a nested pass'],
    ['NESTS=0 RESCHEDULES=0 SECOND=2', 'holds', 'one of them schedules it idle'],
    [`${small} CANCELLERS=1 DELETERS=1`, 'holds', 'two schedulers, a canceller and a deleter'],
    [`${small} CANCELLERS=1`, 'holds', 'two schedulers and a canceller'],
    [`${small} DELETERS=1`, 'holds', 'two schedulers and a deleter'],
    [`${small} SECOND=0 CANCELLERS=1 DELETERS=1`, 'holds', 'one scheduler, a canceller and a deleter'],
    [`${small} SECOND=0 DELETERS=2`, 'holds', 'two deleters'],
    ['ONESHOTS=0 SECOND=0 DELETERS=1', 'holds', 'deleted while its callback runs and nests'],
    ['NESTS=0 SECOND=0 CLOSES', 'holds', 'the context is closed in a callback'],
    ['SECOND=0 ONESHOTS=2', 'holds', 'B6: the oneshot drops the last reference to the context'],

    ['NESTS=0 RESCHEDULES=0 SECOND=0 PUSH_STORE', 'use_after_free', 'the push is a store'],
    [`${small} SET_STORE`, 'leak', 'PENDING is set by a load and a store'],
    [
      `${small} EARLY_RETURN`,
      'lost_run',
      'B15: schedule returns early if it is scheduled, without a read-modify-write',
    ],
    [`${small} PAYLOAD_LATE`, 'lost_run', 'B15: schedule does not release what was written before'],
    [`${small} SECOND=2 FIRST_WINS`, 'late_run', 'B7: schedule does not upgrade a pending idle one'],
    [`${small} SKIP_NOTIFY`, 'lost_run', 'who pushes does not notify'],
    [`NESTS=0 SECOND=0 TOUCH_AFTER_PUSH`, 'use_after_free', 'B6: bh->ctx is loaded after the push'],
    ['SECOND=0 ONESHOTS=2 NO_PIN', 'use_after_free', 'B6: the context is not pinned'],
    ['SECOND=0 ONESHOTS=2 PIN_LATE', 'use_after_free', 'B6: it is pinned after the push'],
    [`${small} CLEAR_BEFORE_UNLINK`, 'double_insertion', 'B5: PENDING is cleared before next is loaded'],
    [`${small} CLEAR_AFTER_RUN`, 'lost_run', 'B5: the flags are cleared after the callback'],
    [`${small} CANCELLERS=1 CLEAR_STORE`, 'lost_run', 'the flags are cleared by a load and a store'],
    [`${small} DEQUEUE_RELAXED`, 'lost_run', 'B5: the callback reads before the flags are cleared'],
    [`${small} CANCELLERS=1 CANCEL_CLEARS_PENDING`, 'double_insertion', 'B9: cancel clears PENDING'],
    [`${small} DELETERS=1 ENQUEUE_DELETED`, 'double_free', 'schedule queues what was deleted'],
    [`${small} SECOND=0 DELETERS=2 DELETE_BLIND`, 'double_free', 'the second delete queues it again'],
    [`${small} DELETERS=1 FREE_AT_ONCE`, 'double_free', 'B10: delete frees what is queued'],
    [`${small} SECOND=0 DELETERS=1 LAST=0 DELETE_SKIPS_NOTIFY`, 'leak', 'B10: delete does not notify'],

    [`${small} NOTIFY_IF_PUSHED`, 'holds', 'only who pushes notifies'],
    [
      `${small} DELETERS=1 DELETE_NOT_PENDING SECOND=0`,
      'holds',
      'delete sets DELETED alone, which keeps others from queuing it',
    ],
  ],
};

export const full = {
  wakeup: [
    ['NOTIFIERS=1 POSTS=2 MIX=2 MAXSPUR=4', 'holds', 'one notifier that notifies twice; two detours'],
    ['NOTIFIERS=2 MIX=0', 'holds', 'two notifiers, and callbacks that publish'],
  ],
  'bottom-half': [
    ['NESTS=0 DELETERS=1', 'holds', 'two schedulers, a oneshot and a deleter'],
    ['CANCELLERS=1', 'holds', 'two schedulers, a oneshot and a canceller; a nested pass'],
  ],
};
