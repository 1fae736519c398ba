/* SPDX-License-Identifier: MIT */
#include "driver.h"

/* Destroy notifies of handlers that another thread has removed: nobody sleeps over what one of them does. */

/*
 * What another thread has removed is freed by the next wait, which has computed by then how long it is. Whatever the
 * destroy notify does, the thread does not sleep over it: a poll that it nests accepts the notification of what it has
 * just armed, and nothing notifies of a close.
 */

typedef struct {
  Driver *d;
  int fd;
  AioTimer *timer;
  int fired, destroyed;
} InTheWait;

static void
unwatch_it (gpointer data)
{
  InTheWait *w = data;

  driver_unwatch (w->d, w->fd);
}

static void
arm_and_poll (gpointer data)
{
  InTheWait *w = data;

  w->destroyed++;
  aio_timer_mod_ns (w->timer, aio_clock_get_ns (aio_timer_get_clock (w->timer)) + 20000000);
  driver_poll (w->d->ctx, FALSE);
}

static void
close_it (gpointer data)
{
  InTheWait *w = data;

  w->destroyed++;
  g_assert_true (aio_context_close (w->d->ctx, NULL));
}

static void
a_wait_does_not_sleep_over_a_destroy_notify (Driver *d)
{
  static const AioFdHandler handler = { .read = driver_count_read };
  static const GDestroyNotify destroys[] = { arm_and_poll, close_it };
  InTheWait w = { .d = d };
  int fds[2];

  w.timer = aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_MS, driver_count, &w.fired);
  driver_pipe (fds);
  w.fd = fds[0];
  for (guint i = 0; i < G_N_ELEMENTS (destroys); i++)
    {
      g_assert_true (aio_context_set_fd_handler (d->ctx, w.fd, &handler, &w, destroys[i], NULL));
      driver_poll (d->ctx, FALSE);
      driver_on_thread (unwatch_it, &w);
      aio_context_notify_accept (d->ctx);
      driver_poll (d->ctx, TRUE);
      g_assert_cmpint (w.destroyed, ==, i + 1);
      if (i == 0)
        driver_run_until_count (d, &w.fired, 1, 5000);
    }
  driver_close_pair (fds);
}

/*
 * What the caller of a wait or of an iteration waits for is the destroy notify itself, or what it has run by a poll; who
 * applies the removal has nothing else to wake up for.
 */

typedef struct {
  Driver *d;
  int removed[2], other[2];
  int done;
} Awaited;

static void
poll_for_the_other (gpointer data)
{
  Awaited *a = data;

  driver_write_byte (a->other[1]);
  driver_poll (a->d->ctx, FALSE);
}

static void
count_done (gpointer data)
{
  driver_count (&((Awaited *) data)->done);
}

static const GDestroyNotify awaited_destroys[] = { count_done, poll_for_the_other };

static void
awaited_init (Awaited *a, Driver *d, GDestroyNotify destroy)
{
  static const AioFdHandler handler = { .read = driver_count_read };

  *a = (Awaited){ .d = d };
  driver_pipe (a->removed);
  driver_pipe (a->other);
  g_assert_true (aio_context_set_fd_handler (d->ctx, a->removed[0], &handler, a, destroy, NULL));
  driver_watch (d, a->other[0], driver_count_read_drain, &a->done);
  driver_settle (d);
}

static void
awaited_clear (Awaited *a)
{
  driver_unwatch (a->d, a->other[0]);
  driver_close_pair (a->other);
  driver_close_pair (a->removed);
}

static void
remove_awaited (gpointer data)
{
  Awaited *a = data;

  driver_unwatch (a->d, a->removed[0]);
}

static void
remove_awaited_once_asleep (gpointer data)
{
  Awaited *a = data;

  while (aio_context_get_notify_me (a->d->ctx) == 0)
    g_usleep (1000);
  remove_awaited (a);
}

static gboolean
is_awaited (gpointer data)
{
  return ((Awaited *) data)->done == 0;
}

static void
block_while_awaited (Awaited *a, gboolean by_glib)
{
  while (by_glib && is_awaited (a))
    g_main_context_iteration (a->d->main_context, TRUE);
  g_assert_true (aio_context_wait_while (a->d->ctx, is_awaited, a, NULL));
  g_assert_cmpint (a->done, ==, 1);
}

static void
a_destroy_notify_is_waited_for (Driver *d)
{
  for (guint i = 0; i < G_N_ELEMENTS (awaited_destroys); i++)
    for (gboolean by_glib = FALSE; by_glib <= (d->kind != DRIVER_POLL); by_glib++)
      {
        pthread_t thread;
        Awaited a;

        awaited_init (&a, d, awaited_destroys[i]);
        thread = driver_thread_start (remove_awaited_once_asleep, &a);
        block_while_awaited (&a, by_glib);
        driver_thread_join (thread);
        awaited_clear (&a);
      }
}

/* Somebody else has taken the notification, and has not looked at what was changed. */
static void
a_destroy_notify_is_waited_for_after_the_notification (Driver *d)
{
  for (guint i = 0; i < G_N_ELEMENTS (awaited_destroys); i++)
    for (gboolean by_glib = FALSE; by_glib <= (d->kind != DRIVER_POLL); by_glib++)
      {
        Awaited a;

        awaited_init (&a, d, awaited_destroys[i]);
        driver_on_thread (remove_awaited, &a);
        aio_context_notify_accept (d->ctx);
        block_while_awaited (&a, by_glib);
        awaited_clear (&a);
      }
}

static void
a_destroy_notify_is_waited_for_after_a_check (Driver *d)
{
  for (guint i = 0; i < G_N_ELEMENTS (awaited_destroys); i++)
    for (gboolean by_glib = FALSE; by_glib <= TRUE; by_glib++)
      {
        int priority, timeout_ms, n;
        GPollFD fds[8];
        Awaited a;

        awaited_init (&a, d, awaited_destroys[i]);
        g_assert_true (g_main_context_acquire (d->main_context));
        g_main_context_prepare (d->main_context, &priority);
        n = g_main_context_query (d->main_context, priority, &timeout_ms, fds, G_N_ELEMENTS (fds));
        g_assert_cmpint (n, <=, G_N_ELEMENTS (fds));
        driver_on_thread (remove_awaited, &a);
        g_poll (fds, (guint) n, 0);
        g_main_context_check (d->main_context, priority, fds, n);
        g_main_context_release (d->main_context);
        g_assert_false (aio_context_get_notified (d->ctx));
        g_assert_cmpint (a.done, ==, 0);
        block_while_awaited (&a, by_glib);
        awaited_clear (&a);
      }
}

static void
add_tests (void)
{
  driver_add ("destroy-notify", "a-wait-does-not-sleep-over-a-destroy-notify",
              a_wait_does_not_sleep_over_a_destroy_notify);
  driver_add ("destroy-notify", "a-destroy-notify-is-waited-for", a_destroy_notify_is_waited_for);
  driver_add ("destroy-notify", "a-destroy-notify-is-waited-for-after-the-notification",
              a_destroy_notify_is_waited_for_after_the_notification);
  driver_add_for (DRIVER_ATTACHED, "destroy-notify", "a-destroy-notify-is-waited-for-after-a-check",
                  a_destroy_notify_is_waited_for_after_a_check);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
