/* SPDX-License-Identifier: MIT */
#include "driver.h"

/* The home thread's rule, seen from other threads */

#define ASSERT_WRONG_THREAD(call)                                                                                      \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    g_autoptr (GError) error = NULL;                                                                                   \
                                                                                                                       \
    g_assert_false (call);                                                                                             \
    g_assert_error (error, AIO_ERROR, AIO_ERROR_WRONG_THREAD);                                                         \
  }                                                                                                                    \
  G_STMT_END

static gboolean
always (gpointer data)
{
  return TRUE;
}

static void
misuse (gpointer data)
{
  Driver *d = data;

  g_assert_false (aio_context_in_home_thread (d->ctx));
  ASSERT_WRONG_THREAD (aio_context_poll (d->ctx, FALSE, &error));
  ASSERT_WRONG_THREAD (aio_context_poll (d->ctx, TRUE, &error));
  g_assert_false (aio_context_poll (d->ctx, TRUE, NULL));
  ASSERT_WRONG_THREAD (aio_context_wait_while (d->ctx, always, NULL, &error));
  ASSERT_WRONG_THREAD (aio_context_close (d->ctx, &error));
  ASSERT_WRONG_THREAD (aio_context_detach (d->ctx, &error));
  ASSERT_WRONG_THREAD (aio_context_attach (d->ctx, NULL, 0, &error));
  ASSERT_WRONG_THREAD (aio_context_set_current (d->ctx, &error));
  g_assert_null (aio_context_get_current ());
}

static void
home_only_calls_are_errors_elsewhere (Driver *d)
{
  int runs = 0;

  g_assert_true (aio_context_in_home_thread (d->ctx));
  aio_context_schedule_oneshot (d->ctx, driver_count, &runs);
  driver_on_thread (misuse, d);
  g_assert_cmpint (runs, ==, 0);
  g_assert_false (aio_context_is_closed (d->ctx));
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (runs, ==, 1);
}

/* GLib on a foreign thread */

static void
iterate (gpointer data)
{
  Driver *d = data;

  g_main_context_iteration (d->main_context, FALSE);
  g_main_context_iteration (d->main_context, FALSE);
}

static void
prepare_on_a_foreign_thread_destroys_the_source (Driver *d)
{
  g_autoptr (GSource) source = aio_context_get_g_source (d->ctx);
  int runs = 0;

  aio_context_schedule_oneshot (d->ctx, driver_count, &runs);
  driver_expect_warning ("*driver*another thread*");
  driver_on_thread (iterate, d);
  g_test_assert_expected_messages ();
  g_assert_cmpint (runs, ==, 0);
  g_assert_true (g_source_is_destroyed (source));
  g_assert_false (aio_context_is_attached (d->ctx));
  g_assert_cmpuint (driver_stats (d).dispatches, ==, 0);

  /* Home goes on polling. */
  g_assert_true (driver_poll (d->ctx, TRUE));
  g_assert_cmpint (runs, ==, 1);
  g_assert_true (aio_context_detach (d->ctx, NULL));
}

static void
dispatch_ready_source (gpointer data)
{
  Driver *d = data;

  g_assert_true (g_main_context_acquire (d->main_context));
  g_main_context_dispatch (d->main_context);
  g_main_context_release (d->main_context);
}

static void
dispatch_on_a_foreign_thread_destroys_the_source (Driver *d)
{
  g_autoptr (GSource) source = aio_context_get_g_source (d->ctx);
  int runs = 0;

  aio_context_schedule_oneshot (d->ctx, driver_count, &runs);
  g_assert_true (g_main_context_pending (d->main_context)); /* ready, and to be dispatched by whoever comes */
  driver_expect_warning ("*driver*another thread*");
  driver_on_thread (dispatch_ready_source, d);
  g_test_assert_expected_messages ();
  g_assert_cmpint (runs, ==, 0);
  g_assert_true (g_source_is_destroyed (source));
  g_assert_true (driver_poll (d->ctx, FALSE));
  g_assert_true (aio_context_detach (d->ctx, NULL));
}

static void
check_alone (gpointer data)
{
  Driver *d = data;
  g_autoptr (GSource) source = aio_context_get_g_source (d->ctx);

  g_assert_false (source->source_funcs->check (source));
}

static void
check_on_a_foreign_thread_destroys_the_source (Driver *d)
{
  g_autoptr (GSource) source = aio_context_get_g_source (d->ctx);
  int runs = 0;

  aio_context_schedule_oneshot (d->ctx, driver_count, &runs);
  driver_expect_warning ("*driver*another thread*");
  driver_on_thread (check_alone, d);
  driver_on_thread (check_alone, d); /* one warning, not two */
  g_test_assert_expected_messages ();
  g_assert_true (g_source_is_destroyed (source));
  g_assert_cmpint (runs, ==, 0);
  driver_poll (d->ctx, FALSE);
  g_assert_true (aio_context_detach (d->ctx, NULL));
}

typedef struct {
  GMainContext *main_context;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  enum {
    BEFORE,
    OWNED,
    ENOUGH,
  } state;
} Owner;

static void
own_main_context (gpointer data)
{
  Owner *o = data;

  g_assert_true (g_main_context_acquire (o->main_context));
  pthread_mutex_lock (&o->lock);
  o->state = OWNED;
  pthread_cond_broadcast (&o->changed);
  while (o->state != ENOUGH)
    pthread_cond_wait (&o->changed, &o->lock);
  pthread_mutex_unlock (&o->lock);
  g_main_context_release (o->main_context);
}

static void
cannot_attach_to_what_another_thread_owns (Driver *d)
{
  Owner o = { g_main_context_new (), PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, BEFORE };
  pthread_t thread = driver_thread_start (own_main_context, &o);

  pthread_mutex_lock (&o.lock);
  while (o.state != OWNED)
    pthread_cond_wait (&o.changed, &o.lock);
  pthread_mutex_unlock (&o.lock);

  ASSERT_WRONG_THREAD (aio_context_attach (d->ctx, o.main_context, 0, &error));
  g_assert_false (aio_context_is_attached (d->ctx));

  pthread_mutex_lock (&o.lock);
  o.state = ENOUGH;
  pthread_cond_broadcast (&o.changed);
  pthread_mutex_unlock (&o.lock);
  driver_thread_join (thread);

  /* Once it is free again that works. */
  g_assert_true (aio_context_attach (d->ctx, o.main_context, 0, NULL));
  g_assert_true (aio_context_detach (d->ctx, NULL));
  g_main_context_unref (o.main_context);
}

/* Moving */

typedef struct {
  Driver *d;
  int runs;
  AioError expected;
} Move;

static void
move_here_and_poll (gpointer data)
{
  Move *m = data;
  g_autoptr (GError) error = NULL;

  g_assert_true (aio_context_set_home (m->d->ctx, &error));
  g_assert_no_error (error);
  g_assert_true (aio_context_in_home_thread (m->d->ctx));
  g_assert_true (aio_context_set_current (m->d->ctx, NULL));
  g_assert_true (driver_poll (m->d->ctx, TRUE));
  g_assert_cmpint (m->runs, ==, 1);
  g_assert_true (aio_context_get_current () == m->d->ctx);
  g_assert_true (aio_context_set_current (NULL, NULL));
}

static void
an_idle_context_moves_to_another_thread (Driver *d)
{
  Move m = { .d = d };

  g_assert_true (aio_context_set_home (d->ctx, NULL)); /* it is already */
  aio_context_schedule_oneshot (d->ctx, driver_count, &m.runs);
  driver_on_thread (move_here_and_poll, &m);
  ASSERT_WRONG_THREAD (aio_context_poll (d->ctx, FALSE, &error));
  g_assert_true (aio_context_set_home (d->ctx, NULL));
  g_assert_false (driver_poll (d->ctx, FALSE));
}

static void
move_here_fails (gpointer data)
{
  Move *m = data;
  g_autoptr (GError) error = NULL;

  g_assert_false (aio_context_set_home (m->d->ctx, &error));
  g_assert_error (error, AIO_ERROR, (int) m->expected);
  g_assert_false (aio_context_in_home_thread (m->d->ctx));
}

static void
have_another_thread_try_to_move_it (gpointer data)
{
  driver_on_thread (move_here_fails, data);
}

static void
what_is_in_use_does_not_move (Driver *d)
{
  Move m = { .d = d };

  if (d->main_context != NULL)
    {
      m.expected = AIO_ERROR_ATTACHED;
      driver_on_thread (move_here_fails, &m);
      g_assert_true (aio_context_detach (d->ctx, NULL));
    }

  m.expected = AIO_ERROR_WRONG_THREAD;
  aio_context_schedule_oneshot (d->ctx, have_another_thread_try_to_move_it, &m);
  g_assert_true (driver_poll (d->ctx, TRUE));

  g_assert_true (aio_context_set_current (d->ctx, NULL));
  m.expected = AIO_ERROR_CURRENT_SET;
  driver_on_thread (move_here_fails, &m);
  g_assert_true (aio_context_set_current (NULL, NULL));

  g_assert_true (aio_context_close (d->ctx, NULL));
  m.expected = AIO_ERROR_CLOSED;
  driver_on_thread (move_here_fails, &m);
}

static void
make_and_drop_current (gpointer data)
{
  AioContext *ctx = aio_context_new (NULL);

  g_assert_true (aio_context_set_current (ctx, NULL));
  aio_context_unref (ctx); /* the thread keeps it, until it ends */
  g_assert_true (aio_context_get_current () == ctx);
  aio_context_schedule_oneshot (ctx, driver_count, data);
  g_assert_true (driver_poll (ctx, TRUE));
}

static void
the_current_context_ends_with_its_thread (Driver *d)
{
  int runs = 0;

  driver_on_thread (make_and_drop_current, &runs);
  g_assert_cmpint (runs, ==, 1);
}

static void
add_tests (void)
{
  driver_add ("thread", "home-only-calls-are-errors-elsewhere", home_only_calls_are_errors_elsewhere);
  driver_add_for (DRIVER_ATTACHED, "thread", "prepare-on-a-foreign-thread-destroys-the-source",
                  prepare_on_a_foreign_thread_destroys_the_source);
  driver_add_for (DRIVER_ATTACHED, "thread", "check-on-a-foreign-thread-destroys-the-source",
                  check_on_a_foreign_thread_destroys_the_source);
  driver_add_for (DRIVER_ATTACHED, "thread", "dispatch-on-a-foreign-thread-destroys-the-source",
                  dispatch_on_a_foreign_thread_destroys_the_source);
  driver_add_for (DRIVER_POLL, "thread", "cannot-attach-to-what-another-thread-owns",
                  cannot_attach_to_what_another_thread_owns);
  driver_add_for (DRIVER_POLL, "thread", "an-idle-context-moves-to-another-thread",
                  an_idle_context_moves_to_another_thread);
  driver_add ("thread", "what-is-in-use-does-not-move", what_is_in_use_does_not_move);
  driver_add_bare ("thread", "the-current-context-ends-with-its-thread", the_current_context_ends_with_its_thread);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
