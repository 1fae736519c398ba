/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "aio-context-private.h"

/* What other threads than home make, free and finalize; and what they may not do, which then changes nothing */

static AioClock *
realtime (void)
{
  return aio_clock_get (AIO_CLOCK_REALTIME);
}

/* Calls, and the thread of the last one */
typedef struct {
  int calls;
  pthread_t thread;
  AioContext *current;
} Note;

static void
note_call (gpointer data)
{
  Note *note = data;

  note->thread = pthread_self ();
  note->current = aio_context_get_current ();
  __atomic_add_fetch (&note->calls, 1, __ATOMIC_RELEASE);
}

static void
note_read (int fd, gpointer data)
{
  driver_drain (fd);
  note_call (data);
}

static void
assert_called (Note *note, int calls, pthread_t thread)
{
  g_assert_cmpint (__atomic_load_n (&note->calls, __ATOMIC_ACQUIRE), ==, calls);
  g_assert_true (pthread_equal (note->thread, thread));
}

static void
never (gpointer data)
{
  g_assert_not_reached ();
}

static void
never_read (int fd, gpointer data)
{
  g_assert_not_reached ();
}

/* What another thread makes runs at home. */

typedef struct {
  Driver *d;
  int fds[2];
  AioBh *bh;
  AioTimer *timer;
  Note bh_note, oneshot_note, timer_note, read_note, destroy_note;
} Made;

static void
make_things (gpointer data)
{
  static const AioFdHandler handler = { .read = note_read };
  Made *m = data;
  AioContext *ctx = m->d->ctx;

  m->bh = aio_bh_new_full (ctx, "made elsewhere", note_call, &m->bh_note, NULL);
  aio_bh_schedule (m->bh);
  aio_context_schedule_oneshot (ctx, note_call, &m->oneshot_note);
  m->timer = aio_timer_new (ctx, realtime (), AIO_TIMER_SCALE_NS, note_call, &m->timer_note);
  aio_timer_mod_ns (m->timer, 0);
  g_assert_true (aio_context_set_fd_handler (ctx, m->fds[0], &handler, &m->read_note, NULL, NULL));
  driver_write_byte (m->fds[1]);
}

static gboolean
all_were_called (gpointer data)
{
  Made *m = data;

  return m->bh_note.calls && m->oneshot_note.calls && m->timer_note.calls && m->read_note.calls;
}

static void
made_by_another_thread_runs_at_home (Driver *d)
{
  Made m = { .d = d };
  Note *notes[] = { &m.bh_note, &m.oneshot_note, &m.timer_note, &m.read_note };

  driver_pipe (m.fds);
  driver_on_thread (make_things, &m);
  driver_run_until (d, all_were_called, &m, 5000);
  driver_settle (d);
  for (guint i = 0; i < G_N_ELEMENTS (notes); i++)
    {
      assert_called (notes[i], 1, pthread_self ());
      g_assert_true (notes[i]->current == d->ctx);
    }
  aio_bh_delete (m.bh);
  aio_timer_free (m.timer);
  driver_unwatch (d, m.fds[0]);
  driver_close_pair (m.fds);
}

/* Destroy notifies */

typedef struct {
  AioContext *ctx;
  int fd;
  Note notes[8];
  guint n_notes;
} Refused;

static void
refuse (Refused *r, int fd, int code, int errnum)
{
  static const AioFdHandler handler = { .read = never_read };
  g_autoptr (GError) error = NULL;
  Note *note = &r->notes[r->n_notes++];

  g_assert_false (aio_context_set_fd_handler (r->ctx, fd, &handler, note, note_call, &error));
  g_assert_error (error, AIO_ERROR, code);
  g_assert_cmpint (aio_error_get_errno (error), ==, errnum);
  assert_called (note, 1, pthread_self ());
}

static void
register_in_vain (gpointer data)
{
  Refused *r = data;

  refuse (r, -1, AIO_ERROR_SYSTEM, EBADF);
  refuse (r, G_MININT, AIO_ERROR_SYSTEM, EBADF);
  refuse (r, G_MAXINT, AIO_ERROR_SYSTEM, EBADF);
  refuse (r, r->ctx->notifier_poll_fd.fd, AIO_ERROR_FD_BUSY, 0);
}

static void
use_what_is_closed (gpointer data)
{
  Refused *r = data;
  AioContext *ctx = r->ctx;
  Note *note = &r->notes[r->n_notes++];

  refuse (r, r->fd, AIO_ERROR_CLOSED, 0);
  aio_context_schedule_oneshot_full (ctx, "too late", never, note, note_call);
  assert_called (note, 1, pthread_self ());
  g_assert_null (aio_bh_new (ctx, never, NULL));
  g_assert_null (aio_timer_new (ctx, realtime (), AIO_TIMER_SCALE_NS, never, NULL));
  g_assert_true (aio_context_set_fd_handler (ctx, r->fd, NULL, NULL, NULL, NULL));
  aio_context_notify (ctx);
}

static void
refused_registrations_are_destroyed_on_the_callers_thread (Driver *d)
{
  Refused r = { .ctx = d->ctx };
  int fds[2];

  driver_pipe (fds);
  r.fd = fds[0];
  driver_on_thread (register_in_vain, &r);
  g_assert_cmpuint (r.n_notes, ==, 4);
  g_assert_cmpuint (driver_stats (d).eventfd_writes, ==, 0);
  g_assert_false (aio_context_get_notified (d->ctx));

  g_assert_true (aio_context_close (d->ctx, NULL));
  driver_on_thread (use_what_is_closed, &r);
  g_assert_cmpuint (r.n_notes, ==, 6);
  for (guint i = 0; i < r.n_notes; i++)
    g_assert_cmpint (r.notes[i].calls, ==, 1);
  driver_close_pair (fds);
}

typedef struct {
  Driver *d;
  int fd;
  int reads;
  Note old_destroy, new_destroy;
} Replaced;

static void
replace (gpointer data)
{
  static const AioFdHandler handler = { .read = driver_count_read_drain };
  Replaced *r = data;

  g_assert_true (aio_context_set_fd_handler (r->d->ctx, r->fd, &handler, &r->new_destroy.calls, NULL, NULL));
}

static void
read_and_be_replaced (int fd, gpointer data)
{
  Replaced *r = data;

  r->reads++;
  driver_on_thread (replace, r);
  /* It is still being called, and so are its nested turns. */
  g_assert_cmpint (r->old_destroy.calls, ==, 0);
  driver_turn (r->d, FALSE);
  g_assert_cmpint (r->old_destroy.calls, ==, 0);
}

static void
count_old_destroy (gpointer data)
{
  note_call (&((Replaced *) data)->old_destroy);
}

static void
replaced_by_another_thread_is_destroyed_at_home_after_its_callback (Driver *d)
{
  static const AioFdHandler handler = { .read = read_and_be_replaced };
  Replaced r = { .d = d };
  int fds[2];

  driver_pipe (fds);
  r.fd = fds[0];
  g_assert_true (aio_context_set_fd_handler (d->ctx, r.fd, &handler, &r, count_old_destroy, NULL));
  driver_write_byte (fds[1]);
  driver_turn (d, TRUE);
  driver_settle (d);
  g_assert_cmpint (r.reads, ==, 1);
  assert_called (&r.old_destroy, 1, pthread_self ());
  g_assert_cmpint (r.new_destroy.calls, ==, 1); /* the new one's read */
  driver_unwatch (d, r.fd);
  driver_close_pair (fds);
}

/* The last reference goes on another thread. */

typedef struct {
  AioContext *ctx;
  Note bh, oneshot, handler, timer;
} Legacy;

static void
leave_work (Legacy *l, int fd)
{
  static const AioFdHandler handler = { .read = never_read, .name = "left" };
  AioTimer *timer;

  aio_bh_new_full (l->ctx, "left", never, &l->bh, note_call);
  timer = aio_timer_new_full (l->ctx, realtime (), AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "left", never, &l->timer,
                              note_call);
  aio_timer_mod_ns (timer, G_MAXINT64 - 1);
  g_assert_true (aio_context_set_fd_handler (l->ctx, fd, &handler, &l->handler, note_call, NULL));
  aio_context_schedule_oneshot_full (l->ctx, "left", never, &l->oneshot, note_call);
}

static void
drop_the_last_reference (gpointer data)
{
  Legacy *l = data;

  aio_context_unref (l->ctx);
  assert_called (&l->bh, 1, pthread_self ());
  assert_called (&l->oneshot, 1, pthread_self ());
  assert_called (&l->handler, 1, pthread_self ());
  assert_called (&l->timer, 1, pthread_self ());
}

static void
drop_what_is_closed (gpointer data)
{
  aio_context_unref (((Legacy *) data)->ctx);
}

static void
finalized_by_another_thread (Driver *d)
{
  Legacy l = { .ctx = d->ctx };
  int fds[2];

  driver_pipe (fds);
  driver_turn (d, FALSE);
  leave_work (&l, fds[0]);
  g_assert_true (aio_context_detach (d->ctx, NULL));
  d->ctx = NULL;
  driver_expect_warning ("*bottom half left was not deleted*");
  driver_expect_warning ("*oneshot bottom half left did not run*");
  driver_expect_warning ("*handler left of fd*");
  driver_expect_warning ("*timer left was still armed*");
  driver_on_thread (drop_the_last_reference, &l);
  driver_close_pair (fds);
}

static void
closed_at_home_and_finalized_by_another_thread (Driver *d)
{
  Legacy l = { .ctx = d->ctx };
  Note *notes[] = { &l.bh, &l.oneshot, &l.handler, &l.timer };
  int fds[2];

  driver_pipe (fds);
  driver_turn (d, FALSE);
  leave_work (&l, fds[0]);
  g_assert_true (aio_context_close (d->ctx, NULL));
  d->ctx = NULL;
  for (guint i = 0; i < G_N_ELEMENTS (notes); i++)
    assert_called (notes[i], 1, pthread_self ());
  driver_on_thread (drop_what_is_closed, &l);
  for (guint i = 0; i < G_N_ELEMENTS (notes); i++)
    g_assert_cmpint (notes[i]->calls, ==, 1);
  driver_close_pair (fds);
}

/* GLib locks the main context that a source was in when a reference to it goes, and does not look whether it is there. */

static gboolean
main_context_is_gone (GSource *witness)
{
  return g_source_is_destroyed (witness);
}

static void
the_main_context_stays_for_who_has_a_reference (Driver *d)
{
  for (guint closes = 0; closes < 2; closes++)
    for (guint shared = 0; shared < 2; shared++)
      {
        GMainContext *main_context = g_main_context_new ();
        g_autoptr (GSource) witness = g_timeout_source_new_seconds (1000);
        Legacy l = { .ctx = aio_context_new (NULL) };

        g_source_attach (witness, main_context);
        g_assert_true (aio_context_attach (l.ctx, main_context, G_PRIORITY_DEFAULT, NULL));
        g_main_context_iteration (main_context, FALSE);
        if (shared)
          aio_context_ref (l.ctx);
        g_assert_true (closes ? aio_context_close (l.ctx, NULL) : aio_context_detach (l.ctx, NULL));
        g_main_context_unref (main_context);
        g_assert_false (main_context_is_gone (witness));
        aio_context_unref (l.ctx);
        g_assert_cmpint (main_context_is_gone (witness), ==, !shared);
        if (shared)
          driver_on_thread (drop_what_is_closed, &l);
        g_assert_true (main_context_is_gone (witness));
      }
}

/* A thread that drives a context which is somebody else's: it has no reference of its own. */

typedef struct {
  AioContext *ctx;
  GSource *witness;
  gboolean closes;
} Lent;

static void
drive_and_leave (gpointer data)
{
  Lent *lent = data;
  GMainContext *main_context = g_main_context_new ();

  g_source_attach (lent->witness, main_context);
  g_assert_true (aio_context_set_home (lent->ctx, NULL));
  g_assert_true (aio_context_attach (lent->ctx, main_context, G_PRIORITY_DEFAULT, NULL));
  g_main_context_iteration (main_context, FALSE);
  g_assert_true (lent->closes ? aio_context_close (lent->ctx, NULL) : aio_context_detach (lent->ctx, NULL));
  g_main_context_unref (main_context);
}

static void
the_main_context_stays_for_who_has_lent_the_context (Driver *d)
{
  for (guint closes = 0; closes < 2; closes++)
    {
      g_autoptr (GSource) witness = g_timeout_source_new_seconds (1000);
      Lent lent = { aio_context_new (NULL), witness, closes };

      driver_on_thread (drive_and_leave, &lent);
      g_assert_false (main_context_is_gone (witness));
      aio_context_unref (lent.ctx);
      g_assert_true (main_context_is_gone (witness));
    }
}

/* A bottom half is about to be freed, and whoever has a reference does not know yet. */

static void
use_a_deleted_one (gpointer data)
{
  AioBh *bh = data;

  aio_bh_schedule (bh);
  aio_bh_schedule_idle (bh);
  aio_bh_cancel (bh);
  aio_bh_schedule (bh);
  aio_bh_delete (bh);
  g_assert_false (aio_bh_is_scheduled (bh));
}

static void
used_while_it_is_freed (Driver *d)
{
  Note destroyed = { 0 };
  AioBh *bh = aio_bh_new_boxed (d->ctx, "deleted", never, &destroyed, note_call);
  gboolean reached;

  aio_bh_schedule (bh);
  aio_bh_delete (bh);
  driver_interleave (d, AIO_POINT_BH_BEFORE_FREE, 0, use_a_deleted_one, bh, &reached);
  driver_turn (d, FALSE);
  g_assert_true (reached);
  assert_called (&destroyed, 1, pthread_self ());
  driver_settle (d);
  driver_on_thread (use_a_deleted_one, bh);
  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpint (destroyed.calls, ==, 1);
  aio_bh_unref (bh);
}

/* A5: what is for home alone */

static gboolean
is_woken (AioContext *ctx)
{
  struct pollfd pfd = { .fd = ctx->notifier_poll_fd.fd, .events = POLLIN };

  return poll (&pfd, 1, 0) == 1;
}

typedef struct {
  Driver *d;
  int runs;
  GMainContext *main_context;
} Thief;

#define ASSERT_WRONG_THREAD(call)                                                                                      \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    g_autoptr (GError) error = NULL;                                                                                   \
                                                                                                                       \
    g_assert_false (call);                                                                                             \
    g_assert_error (error, AIO_ERROR, AIO_ERROR_WRONG_THREAD);                                                         \
  }                                                                                                                    \
  G_STMT_END

#define ASSERT_CRITICAL(name, call)                                                                                    \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*" name "*home*");                                     \
    call;                                                                                                              \
    g_test_assert_expected_messages ();                                                                                \
  }                                                                                                                    \
  G_STMT_END

static gboolean
always (gpointer data)
{
  return TRUE;
}

static void
do_what_home_alone_may (AioContext *ctx, GMainContext *main_context)
{
  gboolean expired;

  for (guint blocking = 0; blocking < 2; blocking++)
    ASSERT_WRONG_THREAD (aio_context_poll (ctx, (int) blocking, &error));
  ASSERT_WRONG_THREAD (aio_context_poll_for (ctx, 1000, &expired, &error));
  ASSERT_WRONG_THREAD (aio_context_poll_for (ctx, G_MININT64, &expired, &error));
  ASSERT_WRONG_THREAD (aio_context_wait_while (ctx, always, NULL, &error));
  ASSERT_WRONG_THREAD (aio_context_attach (ctx, main_context, 0, &error));
  ASSERT_WRONG_THREAD (aio_context_detach (ctx, &error));
  ASSERT_WRONG_THREAD (aio_context_close (ctx, &error));
  ASSERT_WRONG_THREAD (aio_context_set_current (ctx, &error));
  ASSERT_CRITICAL ("aio_context_prepare", g_assert_false (aio_context_prepare (ctx)));
  ASSERT_CRITICAL ("aio_context_pending", g_assert_false (aio_context_pending (ctx)));
  ASSERT_CRITICAL ("aio_context_dispatch", g_assert_false (aio_context_dispatch (ctx)));
  ASSERT_CRITICAL ("aio_context_bh_poll", g_assert_false (aio_context_bh_poll (ctx)));
  ASSERT_CRITICAL ("aio_context_notify_accept", aio_context_notify_accept (ctx));
  ASSERT_CRITICAL ("aio_context_compute_timeout", aio_context_compute_timeout (ctx));
  ASSERT_CRITICAL ("aio_context_is_armed", g_assert_false (aio_context_is_armed (ctx)));
}

static void
schedule_and_steal (gpointer data)
{
  Thief *t = data;
  AioContext *ctx = t->d->ctx;
  AioStats before, after;
  guint notify_me;

  aio_context_schedule_oneshot (ctx, driver_count, &t->runs);
  g_assert_true (is_woken (ctx));
  notify_me = aio_context_get_notify_me (ctx);
  g_assert_cmpuint (notify_me, !=, 0);
  aio_context_get_stats (ctx, &before);

  do_what_home_alone_may (ctx, t->main_context);

  aio_context_get_stats (ctx, &after);
  g_assert_cmpmem (&before, sizeof before, &after, sizeof after);
  g_assert_true (aio_context_get_notified (ctx));
  g_assert_cmpuint (aio_context_get_notify_me (ctx), ==, notify_me);
  g_assert_true (is_woken (ctx));
  g_assert_false (aio_context_is_closed (ctx));
  g_assert_cmpint (t->runs, ==, 0);
  g_assert_null (aio_context_get_current ());
}

static void
a_foreign_poll_consumes_nothing (Driver *d)
{
  static const AioPoint points[] = { AIO_POINT_POLL_BEFORE_WAIT, AIO_POINT_GS_PREPARE_AFTER_TIMEOUT };
  g_autoptr (GMainContext) main_context = g_main_context_new ();

  for (guint i = 0; i < G_N_ELEMENTS (points); i++)
    {
      Thief t = { .d = d, .main_context = main_context };
      gboolean reached;

      if (i == 1 && d->main_context == NULL)
        continue;
      driver_settle (d);
      driver_interleave (d, points[i], 0, schedule_and_steal, &t, &reached);
      /* Home has looked already and would sleep for ever, but for what the thief has left in place. */
      if (i == 0)
        driver_poll (d->ctx, TRUE);
      else
        g_main_context_iteration (d->main_context, TRUE);
      g_assert_true (reached);
      g_assert_cmpint (t.runs, ==, 1);
    }
}

/* Home is handed over, while others schedule. */

#define N_HOMES 3
#define N_HANDOVERS 600

typedef struct {
  AioContext *ctx;
  AioBh *bh;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int turn, handovers;
  int runs, scheduled;
  gboolean stop;
  pthread_t ran_on;
} Baton;

static void
note_run (gpointer data)
{
  Baton *b = data;

  b->ran_on = pthread_self ();
  driver_count (&b->runs);
}

static void
schedule_and_await (gpointer data)
{
  Baton *b = data;

  while (!__atomic_load_n (&b->stop, __ATOMIC_ACQUIRE))
    {
      int before = __atomic_load_n (&b->runs, __ATOMIC_ACQUIRE);

      b->scheduled++;
      aio_bh_schedule (b->bh);
      while (__atomic_load_n (&b->runs, __ATOMIC_ACQUIRE) == before && !__atomic_load_n (&b->stop, __ATOMIC_ACQUIRE))
        sched_yield ();
    }
}

typedef struct {
  Baton *baton;
  int number;
} Home;

static void
be_home_in_turn (gpointer data)
{
  Home *home = data;
  Baton *b = home->baton;

  for (;;)
    {
      gboolean done;

      pthread_mutex_lock (&b->lock);
      while (b->turn != home->number && b->handovers < N_HANDOVERS)
        pthread_cond_wait (&b->changed, &b->lock);
      done = b->handovers >= N_HANDOVERS;
      if (!done)
        {
          int before = b->runs;

          g_assert_false (aio_context_in_home_thread (b->ctx));
          g_assert_true (aio_context_set_home (b->ctx, NULL));
          g_assert_true (aio_context_set_current (b->ctx, NULL));
          /* Lost, this would sleep for ever: the scheduler waits for each run. */
          while (b->runs == before)
            driver_poll (b->ctx, TRUE);
          g_assert_true (pthread_equal (b->ran_on, pthread_self ()));
          g_assert_true (aio_context_set_current (NULL, NULL));
          b->turn = (b->turn + 1) % N_HOMES;
          b->handovers++;
          pthread_cond_broadcast (&b->changed);
        }
      pthread_mutex_unlock (&b->lock);
      if (done)
        break;
    }
}

static void
home_is_handed_over_under_fire (Driver *d)
{
  Baton b = { .ctx = d->ctx, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
  Home homes[N_HOMES];
  pthread_t threads[N_HOMES], scheduler;

  b.bh = aio_bh_new (d->ctx, note_run, &b);
  scheduler = driver_thread_start (schedule_and_await, &b);
  for (int i = 0; i < N_HOMES; i++)
    {
      homes[i] = (Home){ &b, i };
      threads[i] = driver_thread_start (be_home_in_turn, &homes[i]);
    }
  for (int i = 0; i < N_HOMES; i++)
    driver_thread_join (threads[i]);
  __atomic_store_n (&b.stop, TRUE, __ATOMIC_RELEASE);
  driver_thread_join (scheduler);

  g_assert_true (aio_context_set_home (d->ctx, NULL));
  driver_settle (d);
  g_assert_cmpint (b.handovers, ==, N_HANDOVERS);
  g_assert_cmpint (b.runs, >=, N_HANDOVERS);
  g_assert_cmpint (b.runs, ==, b.scheduled);
  aio_bh_delete (b.bh);
}

/* Eight threads make contexts, drive them, use each other's and drop them: whoever is last finalizes. */

#define N_MAKERS 8
#define N_CONTEXTS 500

typedef struct {
  pthread_mutex_t lock;
  AioContext *ctx; /* a reference, for whoever takes it */
} Offer;

typedef struct {
  Offer *offers;
  guint number;
  int *given, *destroyed; /* oneshots for others */
  int runs, reads, fired;
} Maker;

static void
make_offer (Offer *offer, AioContext *ctx)
{
  AioContext *old;

  pthread_mutex_lock (&offer->lock);
  old = offer->ctx;
  offer->ctx = ctx;
  pthread_mutex_unlock (&offer->lock);
  if (old != NULL)
    aio_context_unref (old);
}

static AioContext *
take_offer (Offer *offer)
{
  AioContext *ctx;

  pthread_mutex_lock (&offer->lock);
  ctx = g_steal_pointer (&offer->ctx);
  pthread_mutex_unlock (&offer->lock);
  return ctx;
}

static void
do_nothing (gpointer data)
{
}

/* At any moment of its life, or after it */
static void
use_a_neighbours (Maker *m, guint round)
{
  AioContext *ctx = take_offer (&m->offers[(m->number + 1 + round % (N_MAKERS - 1)) % N_MAKERS]);

  if (ctx == NULL)
    return;
  driver_count (m->given);
  aio_context_schedule_oneshot_full (ctx, NULL, do_nothing, m->destroyed, driver_count);
  aio_context_notify (ctx);
  aio_context_unref (ctx);
}

static void
live (Maker *m, AioContext *ctx, GMainContext *main_context, int fd)
{
  AioBh *bh = aio_bh_new (ctx, driver_count, &m->runs);
  AioTimer *timer = aio_timer_new (ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &m->fired);
  AioFdHandler handler = { .read = driver_count_read_drain };

  g_assert_true (aio_context_set_fd_handler (ctx, fd, &handler, &m->reads, NULL, NULL));
  g_assert_no_errno (eventfd_write (fd, 1));
  aio_timer_mod_ns (timer, 0);
  aio_bh_schedule (bh);
  for (int before = m->reads; m->reads == before;)
    if (main_context != NULL)
      g_main_context_iteration (main_context, TRUE);
    else
      driver_poll (ctx, TRUE);
  driver_poll (ctx, FALSE);
}

static void
make_contexts (gpointer data)
{
  static const AioMonitor monitors[] = { AIO_MONITOR_POLL, AIO_MONITOR_EPOLL, AIO_MONITOR_AUTO, AIO_MONITOR_IO_URING };
  const guint n_monitors = G_N_ELEMENTS (monitors) - !driver_has_monitor (AIO_MONITOR_IO_URING);
  Maker *m = data;
  int fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);

  for (guint round = 0; round < N_CONTEXTS; round++)
    {
      g_autoptr (GMainContext) main_context = round % 2 ? g_main_context_new () : NULL;
      g_autoptr (GError) error = NULL;
      AioContext *ctx = aio_context_new_full (NULL, monitors[round / 2 % n_monitors], &error);

      g_assert_no_error (error);
      make_offer (&m->offers[m->number], aio_context_ref (ctx));
      if (main_context != NULL)
        g_assert_true (aio_context_attach (ctx, main_context, G_PRIORITY_DEFAULT, NULL));
      use_a_neighbours (m, round);
      live (m, ctx, main_context, fd);
      use_a_neighbours (m, round);
      g_assert_true (aio_context_close (ctx, NULL));
      aio_context_unref (ctx);
      g_assert_cmpint (m->runs, ==, (int) round + 1);
      g_assert_cmpint (m->reads, ==, (int) round + 1);
      g_assert_cmpint (m->fired, ==, (int) round + 1);
    }
  g_assert_no_errno (close (fd));
}

static void
eight_threads_make_use_and_finalize_contexts (Driver *d)
{
  Offer offers[N_MAKERS];
  Maker makers[N_MAKERS];
  pthread_t threads[N_MAKERS];
  int n_given = 0, n_destroyed = 0;

  for (guint i = 0; i < N_MAKERS; i++)
    {
      offers[i] = (Offer){ .lock = PTHREAD_MUTEX_INITIALIZER };
      makers[i] = (Maker){ .offers = offers, .number = i, .given = &n_given, .destroyed = &n_destroyed };
    }
  driver_watchdog (100);
  for (guint i = 0; i < N_MAKERS; i++)
    threads[i] = driver_thread_start (make_contexts, &makers[i]);
  for (guint i = 0; i < N_MAKERS; i++)
    driver_thread_join (threads[i]);
  for (guint i = 0; i < N_MAKERS; i++)
    make_offer (&offers[i], NULL);
  /* It ran or came too late, but it is gone. */
  g_assert_cmpint (n_given, >, 0);
  g_assert_cmpint (n_destroyed, ==, n_given);
}

static void
add_tests (void)
{
  driver_add_bare ("foreign", "eight-threads-make-use-and-finalize-contexts",
                   eight_threads_make_use_and_finalize_contexts);
  driver_add ("foreign", "made-by-another-thread-runs-at-home", made_by_another_thread_runs_at_home);
  driver_add ("foreign", "refused-registrations-are-destroyed-on-the-callers-thread",
              refused_registrations_are_destroyed_on_the_callers_thread);
  driver_add ("foreign", "replaced-by-another-thread-is-destroyed-at-home-after-its-callback",
              replaced_by_another_thread_is_destroyed_at_home_after_its_callback);
  driver_add ("foreign", "finalized-by-another-thread", finalized_by_another_thread);
  driver_add ("foreign", "closed-at-home-and-finalized-by-another-thread",
              closed_at_home_and_finalized_by_another_thread);
  driver_add_bare ("foreign", "the-main-context-stays-for-who-has-a-reference",
                   the_main_context_stays_for_who_has_a_reference);
  driver_add_bare ("foreign", "the-main-context-stays-for-who-has-lent-the-context",
                   the_main_context_stays_for_who_has_lent_the_context);
  driver_add ("foreign", "B6-used-while-it-is-freed", used_while_it_is_freed);
  driver_add ("foreign", "A5-a-foreign-poll-consumes-nothing", a_foreign_poll_consumes_nothing);
  driver_add_for (DRIVER_POLL, "foreign", "home-is-handed-over-under-fire", home_is_handed_over_under_fire);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
