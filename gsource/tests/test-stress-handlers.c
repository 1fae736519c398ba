/* SPDX-License-Identifier: MIT */
#include "stall.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/*
 * Four threads open files, watch them, write to them, replace and remove the handlers, close, and open again, so that
 * numbers of file descriptors change hands between them all the time, while home dispatches. Each message has the
 * number of its file: a handler that is given another one is stale. To close what another thread watches, its handler
 * is removed, and the file closed once the destroy notify has told that no last call can come.
 */

#define N_CHURNERS 4
#define N_SLOTS 12
#define ROUNDS 20000

typedef struct _Churn Churn;

/* One registration; it outlives its handler, to tell of calls that come too late. */
typedef struct {
  Churn *churn;
  guint64 file; /* what it may be given */
  int destroyed;
} Registration;

/* One open file */
typedef struct {
  int fds[2]; /* what is watched, and what is written to */
  guint64 file;
  Registration *registration;
} Slot;

typedef struct {
  Churn *churn;
  guint seed;
  guint64 rounds;
  Slot slots[N_SLOTS];
  GPtrArray *registrations;
  guint64 n_sent, n_left;
} Churner;

struct _Churn {
  Driver *d;
  guint64 last_file;
  guint64 n_received;
  guint64 progress;
  int n_done;
  Churner churners[N_CHURNERS];
};

static void
receive (int fd, gpointer data)
{
  Registration *registration = data;
  Churn *churn = registration->churn;
  guint64 file;

  g_assert_cmpint (__atomic_load_n (&registration->destroyed, __ATOMIC_ACQUIRE), ==, 0);
  /* One at a time: what is left makes it ready again. Nothing, if it was its predecessor's. */
  if (read (fd, &file, sizeof file) != sizeof file)
    {
      g_assert_cmpint (errno, ==, EAGAIN);
      return;
    }
  g_assert_cmpuint (file, ==, registration->file);
  churn->n_received++;
  __atomic_add_fetch (&churn->progress, 1, __ATOMIC_RELEASE);
}

static void
note_destroyed (gpointer data)
{
  Registration *registration = data;

  g_assert_cmpint (__atomic_add_fetch (&registration->destroyed, 1, __ATOMIC_RELEASE), ==, 1);
  __atomic_add_fetch (&registration->churn->progress, 1, __ATOMIC_RELEASE);
}

static void
watch (Churner *c, Slot *slot)
{
  static const AioFdHandler handler = { .read = receive };
  g_autoptr (GError) error = NULL;
  Registration *registration = g_new (Registration, 1);

  *registration = (Registration){ .churn = c->churn, .file = slot->file };
  g_ptr_array_add (c->registrations, registration);
  slot->registration = registration;
  aio_context_set_fd_handler (c->churn->d->ctx, slot->fds[0], &handler, registration, note_destroyed, &error);
  g_assert_no_error (error);
}

static void
open_file (Churner *c, Slot *slot, gboolean as_socket)
{
  if (as_socket)
    driver_socketpair (slot->fds);
  else
    driver_pipe (slot->fds);
  slot->file = __atomic_add_fetch (&c->churn->last_file, 1, __ATOMIC_RELAXED);
  watch (c, slot);
}

static void
send_message (Churner *c, Slot *slot)
{
  if (write (slot->fds[1], &slot->file, sizeof slot->file) == sizeof slot->file)
    c->n_sent++;
}

static void
await_destroyed (Registration *registration)
{
  for (guint tries = 0; !__atomic_load_n (&registration->destroyed, __ATOMIC_ACQUIRE); tries++)
    if (tries < 20)
      sched_yield ();
    else
      g_usleep (10);
}

static void
close_file (Churner *c, Slot *slot)
{
  guint64 file;

  driver_unwatch (c->churn->d, slot->fds[0]);
  await_destroyed (slot->registration);
  while (read (slot->fds[0], &file, sizeof file) == sizeof file)
    {
      g_assert_cmpuint (file, ==, slot->file);
      c->n_left++;
    }
  driver_close_pair (slot->fds);
  slot->file = 0;
}

static void
churn_once (Churner *c, GRand *rand)
{
  Slot *slot = &c->slots[g_rand_int_range (rand, 0, N_SLOTS)];

  if (slot->file == 0)
    {
      open_file (c, slot, g_rand_boolean (rand));
      return;
    }
  switch (g_rand_int_range (rand, 0, 8))
    {
    case 0:
      close_file (c, slot);
      break;
    case 1: /* at once under the number it had, most often */
      close_file (c, slot);
      open_file (c, slot, g_rand_boolean (rand));
      send_message (c, slot);
      break;
    case 2:
      watch (c, slot); /* in place of the one before */
      break;
    case 3:
      driver_unwatch (c->churn->d, slot->fds[0]);
      send_message (c, slot);
      watch (c, slot);
      break;
    default:
      send_message (c, slot);
    }
}

static void
churn (gpointer data)
{
  Churner *c = data;
  GRand *rand = g_rand_new_with_seed (c->seed);

  for (guint64 i = 0; i < c->rounds; i++)
    {
      churn_once (c, rand);
      if (i % 64 == 63)
        g_usleep (50); /* has home fall asleep now and then */
    }
  for (guint i = 0; i < N_SLOTS; i++)
    if (c->slots[i].file != 0)
      close_file (c, &c->slots[i]);
  g_rand_free (rand);
  driver_count (&c->churn->n_done);
  aio_context_notify (c->churn->d->ctx);
}

static void
four_threads_change_handlers (Driver *d)
{
  Churn *all = g_new0 (Churn, 1);
  guint64 rounds = stress_size (ROUNDS), n_sent = 0, n_left = 0, n_registrations = 0;
  pthread_t threads[N_CHURNERS];
  Stall *stall;

  all->d = d;
  stall = stall_watch (d->ctx, &all->progress);
  for (guint i = 0; i < N_CHURNERS; i++)
    {
      Churner *c = &all->churners[i];

      c->churn = all;
      c->seed = i;
      c->rounds = rounds / N_CHURNERS;
      c->registrations = g_ptr_array_new_with_free_func (g_free);
      threads[i] = driver_thread_start (churn, c);
    }
  driver_run_until_count (d, &all->n_done, N_CHURNERS, G_MAXUINT);
  for (guint i = 0; i < N_CHURNERS; i++)
    driver_thread_join (threads[i]);
  stall_end (stall);

  /* Quiet: everything is gone, once. */
  for (guint turn = 0; turn < 6; turn++)
    driver_turn (d, FALSE);
  g_assert_false (aio_context_is_armed (d->ctx));
  for (guint i = 0; i < N_CHURNERS; i++)
    {
      Churner *c = &all->churners[i];

      for (guint k = 0; k < c->registrations->len; k++)
        g_assert_cmpint (((Registration *) g_ptr_array_index (c->registrations, k))->destroyed, ==, 1);
      n_registrations += c->registrations->len;
      n_sent += c->n_sent;
      n_left += c->n_left;
      g_ptr_array_unref (c->registrations);
    }
  g_assert_cmpuint (all->n_received + n_left, ==, n_sent);
  g_assert_cmpuint (all->n_received, >, n_sent / 4);
  g_test_message ("%" G_GUINT64_FORMAT " handlers, %" G_GUINT64_FORMAT " files, %" G_GUINT64_FORMAT
                  " messages, %" G_GUINT64_FORMAT " of them received",
                  n_registrations, all->last_file, n_sent, all->n_received);
  g_free (all);
}

static void
add_tests (void)
{
  driver_add ("stress-handlers", "E5-four-threads-change-handlers", four_threads_change_handlers);
  driver_add_monitor (AIO_MONITOR_AUTO, "stress-handlers", "E5-four-threads-change-handlers",
                      four_threads_change_handlers);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
