/* SPDX-License-Identifier: MIT */
#include "eventfds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * Twenty thousand additions and removals at random over ten thousand file descriptors, checked against a model that
 * knows which handler has to be called. AIO_FUZZ_SEED has it go another way than the usual one.
 */

#define N_FDS 10000
#define N_CHANGES 20000
#define MOST_AT_ONCE 400
#define N_OLD_FILES 20

typedef struct _Fuzz Fuzz;

typedef struct {
  Fuzz *fuzz;
  int fd;
  guint generation; /* of the handler; 0: it has none */
  guint last_generation;
  gboolean ready;
  guint index; /* in the fuzz's slots */
} Slot;

/* A handler: what of a slot it was registered for */
typedef struct {
  Slot *slot;
  guint generation;
} Registration;

struct _Fuzz {
  Driver *d;
  GRand *random;
  Slot *all;
  Slot **slots; /* those with a handler come first */
  guint n_watched;
  guint n_due; /* ready, with a handler */
  guint changes, calls;
  int old_files[N_OLD_FILES]; /* -1: none */
  guint n_old_files;
  guint n_alive; /* registrations that have not been destroyed */
};

static gboolean
is_due (Slot *slot)
{
  return slot->ready && slot->generation != 0;
}

static void
swap (Fuzz *fuzz, guint a, guint b)
{
  Slot *slot = fuzz->slots[a];

  fuzz->slots[a] = fuzz->slots[b];
  fuzz->slots[b] = slot;
  fuzz->slots[a]->index = a;
  fuzz->slots[b]->index = b;
}

static void change_at_random (Fuzz *fuzz, guint goal);

static void
called (int fd, gpointer data)
{
  Registration *registration = data;
  Slot *slot = registration->slot;
  Fuzz *fuzz = slot->fuzz;

  g_assert_cmpint (fd, ==, slot->fd);
  g_assert_cmpuint (registration->generation, ==, slot->generation);
  g_assert_true (slot->ready);
  fuzz->calls++;
  fuzz->n_due--;
  slot->ready = FALSE;
  driver_drain (fd);
  /* Itself among others */
  if (g_rand_int_range (fuzz->random, 0, 4) == 0)
    change_at_random (fuzz, fuzz->n_watched);
}

static void
registration_free (gpointer data)
{
  Registration *registration = data;

  registration->slot->fuzz->n_alive--;
  g_free (registration);
}

static void
add (Fuzz *fuzz, Slot *slot)
{
  static const AioFdHandler handler = { .read = called };
  Registration *registration = g_new (Registration, 1);
  g_autoptr (GError) error = NULL;

  if (slot->generation == 0)
    swap (fuzz, slot->index, fuzz->n_watched++);
  else
    fuzz->n_due -= is_due (slot);
  slot->generation = ++slot->last_generation;
  fuzz->n_due += is_due (slot);
  *registration = (Registration){ slot, slot->generation };
  fuzz->n_alive++;
  fuzz->changes++;
  aio_context_set_fd_handler (fuzz->d->ctx, slot->fd, &handler, registration, registration_free, &error);
  g_assert_no_error (error);
}

static void
drop (Fuzz *fuzz, Slot *slot)
{
  swap (fuzz, slot->index, --fuzz->n_watched);
  fuzz->n_due -= is_due (slot);
  slot->generation = 0;
  fuzz->changes++;
  driver_unwatch (fuzz->d, slot->fd);
}

static void
make_ready (Fuzz *fuzz, Slot *slot)
{
  g_assert_no_errno (eventfd_write (slot->fd, 1));
  fuzz->n_due -= is_due (slot);
  slot->ready = TRUE;
  fuzz->n_due += is_due (slot);
}

/*
 * Another open file of the same number; what watched the old one is removed before, or replaced afterwards. The old
 * file may live on, ready and watched by nobody.
 */
static void
reopen (Fuzz *fuzz, Slot *slot, gboolean removed, gboolean lives_on)
{
  int fd;

  if (lives_on)
    {
      int *old = &fuzz->old_files[fuzz->n_old_files++ % N_OLD_FILES];

      if (*old >= 0)
        close (*old);
      *old = fcntl (slot->fd, F_DUPFD_CLOEXEC, 0);
      g_assert_no_errno (eventfd_write (*old, 1));
    }
  if (removed && slot->generation != 0)
    drop (fuzz, slot);
  fuzz->n_due -= is_due (slot);
  slot->ready = FALSE;
  fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (dup3 (fd, slot->fd, O_CLOEXEC), ==, slot->fd);
  close (fd);
  add (fuzz, slot);
}

static Slot *
pick (Fuzz *fuzz, guint from, guint to)
{
  return fuzz->slots[g_rand_int_range (fuzz->random, from, to)];
}

/* One thing that happens; additions and removals tend to bring the number of handlers to @goal. */
static void
change_at_random (Fuzz *fuzz, guint goal)
{
  guint what = g_rand_int_range (fuzz->random, 0, 100);
  gboolean grow = fuzz->n_watched < goal || (fuzz->n_watched == goal && what % 2);

  if (what < 20)
    make_ready (fuzz, pick (fuzz, 0, N_FDS));
  else if (what < 35 && fuzz->n_watched > 0)
    make_ready (fuzz, pick (fuzz, 0, fuzz->n_watched));
  else if (what < 40 && fuzz->n_watched > 0)
    add (fuzz, pick (fuzz, 0, fuzz->n_watched)); /* replaces what was there */
  else if (what < 43)
    reopen (fuzz, pick (fuzz, 0, N_FDS), what % 2, g_rand_int_range (fuzz->random, 0, 8) == 0);
  else if (grow && fuzz->n_watched < N_FDS)
    add (fuzz, pick (fuzz, fuzz->n_watched, N_FDS));
  else if (fuzz->n_watched > 0)
    drop (fuzz, pick (fuzz, 0, fuzz->n_watched));
}

/* Every handler that is due is called, soon, and then none more. */
static void
turn_until_none_is_due (Fuzz *fuzz)
{
  guint most = fuzz->n_due / 128 + 12;

  for (guint turn = 0; fuzz->n_due > 0; turn++)
    {
      g_assert_cmpuint (turn, <, most);
      driver_turn (fuzz->d, FALSE);
    }
  if (g_rand_int_range (fuzz->random, 0, 8) == 0)
    {
      guint calls = fuzz->calls;

      driver_turn (fuzz->d, FALSE);
      g_assert_cmpuint (fuzz->calls, ==, calls);
      g_assert_cmpuint (fuzz->n_alive, ==, fuzz->n_watched);
    }
}

static guint32
seed (void)
{
  const char *wanted = g_getenv ("AIO_FUZZ_SEED");

  return wanted ? strtoul (wanted, NULL, 0) : 20230404;
}

static void
additions_and_removals_at_random (Driver *d)
{
  static const guint goals[] = { 200, 3, 40, 10, 20, 300, 0, N_FDS, 0 };
  Fuzz fuzz = { .d = d, .random = g_rand_new_with_seed (seed ()) };
  EventFd *eventfds;
  guint goal = 0;

  if (!eventfds_may_open (N_FDS + 100))
    {
      g_test_skip ("RLIMIT_NOFILE allows too few file descriptors");
      g_rand_free (fuzz.random);
      return;
    }
  g_test_message ("AIO_FUZZ_SEED=%u", seed ());
  driver_watchdog (100);
  eventfds = eventfds_new (N_FDS);
  fuzz.all = g_new0 (Slot, N_FDS);
  fuzz.slots = g_new (Slot *, N_FDS);
  for (guint i = 0; i < N_FDS; i++)
    {
      fuzz.all[i] = (Slot){ .fuzz = &fuzz, .fd = eventfds[i].fd, .index = i };
      fuzz.slots[i] = &fuzz.all[i];
    }

  for (guint i = 0; i < N_OLD_FILES; i++)
    fuzz.old_files[i] = -1;

  while (fuzz.changes < N_CHANGES)
    {
      guint at_once = g_rand_int_range (fuzz.random, 1, MOST_AT_ONCE);

      if (fuzz.n_watched == goals[goal])
        goal = (goal + 1) % G_N_ELEMENTS (goals);
      for (guint i = 0; i < at_once && fuzz.n_watched != goals[goal]; i++)
        change_at_random (&fuzz, goals[goal]);
      turn_until_none_is_due (&fuzz);
    }
  while (fuzz.n_watched > 0)
    drop (&fuzz, fuzz.slots[0]);
  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpuint (fuzz.n_alive, ==, 0);
  g_test_message ("%u changes, %u calls, %u switches of the monitor", fuzz.changes, fuzz.calls,
                  (guint) driver_stats (d).monitor_switches);
  g_assert_cmpuint (fuzz.calls, >, N_CHANGES / 10);

  for (guint i = 0; i < N_OLD_FILES; i++)
    if (fuzz.old_files[i] >= 0)
      close (fuzz.old_files[i]);
  g_free (fuzz.slots);
  g_free (fuzz.all);
  g_rand_free (fuzz.random);
  eventfds_free (eventfds, N_FDS);
}

static void
additions_and_removals_at_random_switch_monitors (Driver *d)
{
  additions_and_removals_at_random (d);
  if (aio_context_is_closed (d->ctx) || driver_stats (d).polls + driver_stats (d).prepares == 0)
    return;
  g_assert_cmpuint (driver_stats (d).monitor_switches, >, 2);
}

static void
add_tests (void)
{
  driver_add ("fdmon-fuzz", "additions-and-removals-at-random", additions_and_removals_at_random);
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon-fuzz", "additions-and-removals-at-random",
                      additions_and_removals_at_random_switch_monitors);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
