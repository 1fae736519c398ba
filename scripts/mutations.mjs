// Faults that somebody might make, each of which the tests must find: `node scripts/mutate.mjs` makes one at a time.
//
// name      what it is called
// hazards   the hazards whose tests are there for it, or nothing
// breaks    what is wrong with it
// file      where it is
// from, to  what is there, once, and what takes its place
// first     where it is looked for before everywhere else: each a suite, and a program of it

export const mutations = [
  {
    name: 'poll-without-fence',
    hazards: 'A4',
    breaks: 'poll() may load notified before other threads see its notify_me',
    file: 'gsource/aio-poll.c',
    from: `      aio_fence ();
      AIO_SCHEDULE_POINT (ctx, POLL_AFTER_NOTIFY_ME);`,
    to: '      AIO_SCHEDULE_POINT (ctx, POLL_AFTER_NOTIFY_ME);',
    first: ['c fence'],
  },
  {
    name: 'prepare-without-fence',
    hazards: 'A4',
    breaks: 'prepare may load notified before other threads see bit 0',
    file: 'gsource/aio-source.c',
    from: `  aio_fence ();

`,
    to: `
`,
    first: ['c fence'],
  },
  {
    name: 'fence-too-weak',
    hazards: 'A4',
    breaks: 'the fences of the wake-up protocol order no store before a load',
    file: 'gsource/aio-atomic.h',
    from: 'atomic_thread_fence (memory_order_seq_cst)',
    to: 'atomic_thread_fence (memory_order_acq_rel)',
    first: ['c fence'],
  },
  {
    name: 'poll-ignores-notified',
    hazards: 'A8',
    breaks: 'poll() does not look at notified again once it has raised notify_me',
    file: 'gsource/aio-poll.c',
    from: `      if (atomic_load_explicit (&ctx->notified, memory_order_relaxed))
        timeout = 0;
`,
    to: '',
    first: ['c wakeup'],
  },
  {
    name: 'bit-0-stays',
    hazards: 'A6',
    breaks: 'bit 0 of notify_me is never cleared',
    file: 'gsource/aio-source.c',
    from: 'notify_me & ~1u, memory_order_release',
    to: 'notify_me, memory_order_release',
    first: ['c source'],
  },
  {
    name: 'dispatch-trusts-check',
    hazards: 'A6',
    breaks: 'dispatch takes it that check has cleared bit 0',
    file: 'gsource/aio-source.c',
    from: `  clear_bit_0 (ctx);
  drain (ctx);
`,
    to: '  drain (ctx);\n',
    first: ['c source'],
  },
  {
    name: 'check-does-not-drain',
    breaks: 'check leaves the eventfd as it is',
    file: 'gsource/aio-source.c',
    from: '  ctx->own_wakeup |= drain (ctx);\n',
    to: '',
    first: ['c wakeup'],
  },
  {
    name: 'nested-poll-wakes-nobody',
    hazards: 'A7',
    breaks: 'a poll() that has taken a notification does not wake the main context that waits for it',
    file: 'gsource/aio-poll.c',
    from: `  if (notified)
    aio_context_wake_prepared_source (ctx);
`,
    to: '',
    first: ['c source-prepare'],
  },
  {
    name: 'enable-external-without-kick',
    hazards: 'A10',
    breaks: 'the last aio_context_enable_external() wakes nobody',
    file: 'gsource/aio-external.c',
    from: `  if (count == 1)
    aio_context_notify (ctx);
`,
    to: '',
    first: ['c external'],
  },
  {
    name: 'handler-set-without-kick',
    hazards: 'A11',
    breaks: 'a thread that sets or removes a handler wakes nobody',
    file: 'gsource/aio-handler.c',
    from: `    aio_context_apply_changes (ctx);
  aio_context_notify_waiter (ctx);
`,
    to: '    aio_context_apply_changes (ctx);\n',
    first: ['c handler-change'],
  },
  {
    name: 'timer-always-kicks',
    hazards: 'A12',
    breaks: 'arming a timer wakes the loop even if it is not the first',
    file: 'gsource/aio-timer.c',
    from: 'if (after < before)',
    to: 'if (after <= before)',
    first: ['c deadline'],
  },
  {
    name: 'timer-never-kicks',
    hazards: 'A12',
    breaks: 'arming a timer that becomes the first wakes nobody',
    file: 'gsource/aio-timer.c',
    from: `  if (after < before)
    aio_context_notify_waiter (ctx);
`,
    to: '  (void) (after < before);\n',
    first: ['c deadline'],
  },
  {
    name: 'need-wait-ignored',
    hazards: 'A14',
    breaks: 'poll mode never waits for what only the kernel can tell',
    file: 'gsource/aio-polling.c',
    from: '    return !need_wait (ctx);\n',
    to: '    return TRUE;\n',
    first: ['c polling'],
  },
  {
    name: 'eventfd-write-interrupted',
    hazards: 'A15',
    breaks: 'a signal during the write to the eventfd loses the wake-up',
    file: 'gsource/aio-notifier.c',
    from: '  while (written < 0 && errno == EINTR);',
    to: '  while (FALSE);',
    first: ['c system'],
  },
  {
    name: 'interrupted-wait-ends',
    hazards: 'A16',
    breaks: 'a signal ends the wait of the poll monitor',
    file: 'gsource/aio-fdmon-poll.c',
    from: 'while (n_ready < 0 && errno == EINTR)',
    to: 'while (FALSE)',
    first: ['c system'],
  },
  {
    name: 'newest-first',
    hazards: 'B1',
    breaks: 'bottom halves run in the opposite order of their schedules',
    file: 'gsource/aio-bh-poll.c',
    from: `      next = bh->next;
      bh->next = oldest;
      oldest = bh;
    }
  return oldest;`,
    to: `      next = bh->next;
      if (!oldest)
        oldest = bh;
    }
  return oldest;`,
    first: ['c bh'],
  },
  {
    name: 'slice-not-chained',
    hazards: 'B3',
    breaks: 'a nested pass does not see what is left of the outer one',
    file: 'gsource/aio-bh-poll.c',
    from: '      bh->func (bh->data); /* may have deleted it, and nested a poll that freed it */\n',
    to: `      {
        AioBhSlice *rest = ctx->bh_slice_list;

        ctx->bh_slice_list = NULL;
        bh->func (bh->data);
        ctx->bh_slice_list = rest;
      }
`,
    first: ['c bh'],
  },
  {
    name: 'pending-cleared-early',
    hazards: 'B5',
    breaks: 'PENDING is cleared before the bottom half is unlinked',
    file: 'gsource/aio-bh-poll.c',
    from: `  ctx->bh_slice_list->head = bh->next;
  /* Pairs with bh_enqueue(): whoever finds PENDING clear after this queues it again, and what was
   * written before an earlier schedule is seen by the callback. */
  return atomic_fetch_and_explicit (&bh->flags, ~(guint) (AIO_BH_PENDING | AIO_BH_SCHEDULED | AIO_BH_IDLE),
                                    memory_order_acq_rel);
`,
    to: `  guint flags = atomic_fetch_and_explicit (&bh->flags, ~(guint) (AIO_BH_PENDING | AIO_BH_SCHEDULED | AIO_BH_IDLE),
                                           memory_order_acq_rel);

  ctx->bh_slice_list->head = bh->next;
  return flags;
`,
    first: ['c bh-schedule'],
  },
  {
    name: 'not-pinned',
    hazards: 'B6',
    breaks: 'the context may be freed by what a thread has just scheduled',
    file: 'gsource/aio-context-private.h',
    from: `  atomic_fetch_add_explicit (&ctx->pins, 1, memory_order_relaxed);
  return TRUE;`,
    to: '  return FALSE;',
    first: ['asan bh-lifetime'],
  },
  {
    name: 'idle-not-upgraded',
    hazards: 'B7',
    breaks: 'a schedule leaves a pending idle bottom half idle',
    file: 'gsource/aio-bh.c',
    from: '  bh_enqueue (bh, AIO_BH_SCHEDULED);',
    to: `  if (!aio_bh_is_scheduled (bh))
    bh_enqueue (bh, AIO_BH_SCHEDULED);`,
    first: ['c bh-schedule'],
  },
  {
    name: 'deleted-at-once',
    hazards: 'B10',
    breaks: 'aio_bh_delete() frees at home what is not queued',
    file: 'gsource/aio-bh.c',
    from: `      if (!(old & AIO_BH_PENDING))
        {
          AioBh *head`,
    to: `      if (!pinned && !(old & AIO_BH_PENDING))
        aio_bh_release (ctx, bh);
      else if (!(old & AIO_BH_PENDING))
        {
          AioBh *head`,
    first: ['c close'],
  },
  {
    name: 'poll-ready-recurses',
    hazards: 'C1',
    breaks: 'a handler whose poll function says yes is asked again by the polls in its own callback',
    file: 'gsource/aio-handler-dispatch.c',
    from: '  handler->polling->busy = TRUE;\n',
    to: '',
    first: ['c polling-nested'],
  },
  {
    name: 'no-recursion',
    hazards: 'C5',
    breaks: 'GLib does not iterate the source inside its own callbacks',
    file: 'gsource/aio-context.c',
    from: '  g_source_set_can_recurse (&ctx->source, TRUE);\n',
    to: '',
    first: ['c nesting'],
  },
  {
    name: 'begin-without-end',
    hazards: 'D3',
    breaks: 'a handler that is removed while it is polled is not told the end',
    file: 'gsource/aio-polling.c',
    from: `    list_remove (ctx, handler);
  end (ctx, handler);
`,
    to: '    list_remove (ctx, handler);\n',
    first: ['c polling-change'],
  },
  {
    name: 'asleep-in-poll-mode',
    hazards: 'D8',
    breaks: 'poll() sleeps although a poll nested in an end function has left poll mode on',
    file: 'gsource/aio-poll.c',
    from: ' || aio_polling_is_on (ctx)\n      || aio_context_is_closed',
    to: '\n      || aio_context_is_closed',
    first: ['c polling-nested'],
  },
  {
    name: 'prepared-in-poll-mode',
    hazards: 'D8',
    breaks: 'GLib sleeps although poll mode was left on for what another thread has disarmed',
    file: 'gsource/aio-source.c',
    from: ' || aio_polling_is_on (ctx))\n',
    to: ')\n',
    first: ['c polling-glib'],
  },
  {
    name: 'asleep-over-destroy-notify',
    hazards: 'A11',
    breaks: 'who waits for a destroy notify sleeps over it',
    file: 'gsource/aio-handler.c',
    from: '          ctx->n_removed++;\n',
    to: '',
    first: ['c destroy-notify'],
  },
  {
    name: 'removed-is-called',
    hazards: 'E1',
    breaks: 'the write callback is called after the read callback has removed the handler',
    file: 'gsource/aio-handler-dispatch.c',
    from: '!handler->dead && !atomic_load_explicit (&handler->deleted, memory_order_acquire);',
    to: '!handler->dead;',
    first: ['c handler-change'],
  },
  {
    name: 'freed-in-callback',
    hazards: 'E1, C6',
    breaks: 'nothing keeps a handler alive while it is called',
    file: 'gsource/aio-handler-dispatch.c',
    from: `      set_depth (ctx, handler, handler->depth + 1);
      progress |= call_handler (ctx, handler, revents);
      set_depth (ctx, handler, handler->depth - 1);
      aio_handler_unref (handler);
`,
    to: `      aio_handler_unref (handler);
      set_depth (ctx, handler, handler->depth + 1);
      progress |= call_handler (ctx, handler, revents);
      set_depth (ctx, handler, handler->depth - 1);
`,
    first: ['asan handler-change'],
  },
  {
    name: 'destroy-notify-dropped',
    breaks: 'the data of a handler that is gone is not released',
    file: 'gsource/aio-handler.c',
    from: `  if (handler->destroy)
    handler->destroy (handler->data);
`,
    to: '',
    first: ['c handler'],
  },
  {
    name: 'generation-ignored',
    hazards: 'E5, F3',
    breaks: 'a report for a handler that is gone is given to the one that has its number now',
    file: 'gsource/aio-handler-table.c',
    from: ' && handler->generation == generation ?',
    to: ' && generation != 0 ?',
    first: ['c fdmon-stale'],
  },
  {
    name: 'revents-not-masked',
    hazards: 'E13',
    breaks: 'the read callback is called whatever the file descriptor is ready for',
    file: 'gsource/aio-handler-dispatch.c',
    from: 'gboolean readable = revents & (G_IO_IN | G_IO_HUP | G_IO_ERR);',
    to: 'gboolean readable = revents != 0;',
    first: ['c handler'],
  },
  {
    name: 'hangup-masked',
    hazards: 'E13',
    breaks: 'a handler that only writes is not called for a hang-up',
    file: 'gsource/aio-handler.c',
    from: 'G_IO_OUT | G_IO_ERR | (funcs->read ? 0 : G_IO_HUP)',
    to: 'G_IO_OUT | G_IO_ERR',
    first: ['c handler'],
  },
  {
    name: 'cancellation-not-marked',
    hazards: 'F2',
    breaks: 'the completion of a cancellation is taken for that of a poll',
    file: 'gsource/aio-fdmon-uring.c',
    from: '      sqe->user_data = AIO_URING_IGNORED;\n',
    to: '',
    first: ['c external'],
  },
  {
    name: 'ring-shared-with-child',
    hazards: 'F14',
    breaks: 'a child process uses the ring of its parent',
    file: 'gsource/aio-fdmon-uring.c',
    from: 'return aio_fdmon_is_own (ctx->fdmon_uring->process);',
    to: 'return ctx->fdmon_uring != NULL;',
    first: ['c uring'],
  },
  {
    name: 'timer-loop',
    hazards: 'G1',
    breaks: 'a timer that is armed into the past by its own callback runs again in the same pass',
    file: 'gsource/aio-timer-list.c',
    from: `      func (data); /* may have freed the timer */

      pthread_mutex_lock (&list->lock);
`,
    to: `      func (data); /* may have freed the timer */

      pthread_mutex_lock (&list->lock);
      collect_due (list, aio_clock_get_ns (list->clock));
`,
    first: ['c timer-order'],
  },
  {
    name: 'milliseconds-rounded-down',
    hazards: 'G6',
    breaks: 'GLib is given too short a time, and the last millisecond is spent spinning',
    file: 'gsource/aio-source.c',
    from: 'timeout_ns / 1000000 + (timeout_ns % 1000000 != 0)',
    to: 'timeout_ns / 1000000',
    first: ['c deadline'],
  },
  {
    name: 'milliseconds-not-clamped',
    hazards: 'G7',
    breaks: 'a time of more than 24 days is given to GLib as what is left of it in an int',
    file: 'gsource/aio-source.c',
    from: '(int) MIN (ms, G_MAXINT32)',
    to: '(int) ms',
    first: ['c deadline'],
  },
  {
    name: 'scale-overflows',
    hazards: 'G7',
    breaks: 'a far time in milliseconds becomes one in the past',
    file: 'gsource/aio-timer.c',
    from: '__builtin_mul_overflow (time, (gint64) timer->scale, &ns) ? G_MAXINT64 : ns',
    to: '(ns = (gint64) ((guint64) time * timer->scale))',
    first: ['c timer'],
  },
  {
    name: 'heap-tie-broken',
    hazards: 'G10',
    breaks: 'timers of the same time fire in any order',
    file: 'gsource/aio-timer-list.c',
    from: 'return a->expire_ns != b->expire_ns ? a->expire_ns < b->expire_ns : a->timer->sequence < b->timer->sequence;',
    to: 'return a->expire_ns < b->expire_ns;',
    first: ['c timer-order'],
  },
  {
    name: 'clock-jump-unheard',
    hazards: 'G12',
    breaks: 'nobody is told that the wall clock was set',
    file: 'gsource/aio-deadline.c',
    from: '(deadline->clock_id == CLOCK_REALTIME ? TFD_TIMER_CANCEL_ON_SET : 0)',
    to: '0',
    first: ['c clock-jump'],
  },
  {
    name: 'close-leaves-timers',
    breaks: 'close() leaves timers armed',
    file: 'gsource/aio-context.c',
    from: `  aio_uring_run_completed (ctx);
  aio_context_clear_timers (ctx, FALSE);
`,
    to: '  aio_uring_run_completed (ctx);\n',
    first: ['c close'],
  },
  {
    name: 'external-not-held-back',
    hazards: 'H1, H6',
    breaks: 'a monitor watches external handlers although they are disabled',
    file: 'gsource/aio-handler-private.h',
    from: '&& !handler->parked && !handler->held_back',
    to: '&& !handler->parked',
    first: ['c external'],
  },
  {
    name: 'external-polled',
    hazards: 'H5',
    breaks: 'poll functions of external handlers are called although they are disabled',
    file: 'gsource/aio-polling.c',
    from: '!handler->polling->busy && !handler->held_back && !handler->dead',
    to: '!handler->polling->busy && !handler->dead',
    first: ['c polling-nested'],
  },
  {
    name: 'acquire-not-counted',
    hazards: 'I1',
    breaks: 'the first release gives away what was acquired twice',
    file: 'gsource/aio-context-lock.c',
    from: '      lock->depth++;\n',
    to: '',
    first: ['c ownership'],
  },
  {
    name: 'release-wakes-nobody',
    hazards: 'I3',
    breaks: 'a release hands the ownership on without a signal',
    file: 'gsource/aio-context-lock.c',
    from: '      pthread_cond_signal (&next->granted_cond);\n',
    to: '',
    first: ['c ownership'],
  },
  {
    name: 'visitor-beside-lock',
    hazards: 'I6',
    breaks: 'a visitor comes in although the lock is held and nobody visits',
    file: 'gsource/aio-lock-count.c',
    from: 'while (state != LOCKED)',
    to: 'while (TRUE)',
    first: ['c lock-count'],
  },
  {
    name: 'last-visitor-without-lock',
    hazards: 'I6',
    breaks: 'two visitors that leave together both miss that they were the last',
    file: 'gsource/aio-lock-count.c',
    from: `      left = leave_if (count, 1, &state);
      if (left && state / VISITOR == 1)`,
    to: `      left = leave_if (count, 1, &state);
      if (left && state / VISITOR > 1)`,
    first: ['c lock-count'],
  },
  {
    name: 'errors-overwritten',
    hazards: 'N5',
    breaks: 'of several exceptions in one poll() only one is thrown',
    file: 'native/callback.cc',
    from: 'napi_set_element(env, errors, collected_++, error);',
    to: 'napi_set_element(env, errors, collected_++ * 0, error);',
    first: ['ts context-exceptions'],
  },
  {
    name: 'poll-error-dropped',
    hazards: 'N5',
    breaks: 'the error of poll() itself is lost where a callback has thrown as well',
    file: 'native/callback.cc',
    from: 'if (napi_value last = CreateError(environment_, error)) Collect(last);',
    to: 'CreateError(environment_, error);',
    first: ['ts context-exceptions'],
  },
  {
    name: 'missed-periods-in-a-burst',
    breaks: 'a timer of every() makes up for each period that was missed',
    file: 'native/timer.cc',
    from: 'if (now >= period.next_ns) period.next_ns = now - (now - period.next_ns) % period.interval_ns;',
    to: '(void)now;',
    first: ['ts timer-arm'],
  },
  {
    name: 'ticks-not-drained',
    hazards: 'N2',
    breaks: 'promises do not progress between two callbacks',
    file: 'ts/dispatcher.ts',
    from: `    native.reportException(error);
  }
  drain();
`,
    to: `    native.reportException(error);
  }
`,
    first: ['ts context-microtasks'],
  },
];

/** What is wrong with the table: a text that is not in its file exactly once, a name that is there twice. */
export function findFaults(table, readFile) {
  const faults = [];
  const names = new Set();
  for (const { name, file, from, to } of table) {
    if (names.has(name)) faults.push(`${name}: there is another one of this name`);
    names.add(name);
    const times = readFile(file).split(from).length - 1;
    if (times !== 1) faults.push(`${name}: its text is ${times} times in ${file}, and has to be there once`);
    if (from === to) faults.push(`${name}: it changes nothing`);
  }
  return faults;
}
