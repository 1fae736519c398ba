/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <stdlib.h>

/*
 * Timers armed, moved, disarmed, freed and fired at random, also from their own callbacks and in nested passes,
 * beside a model that sorts. Few different expiries, so that most are equal (G10), and from a handful of timers to
 * thousands and back. AIO_FUZZ_SEED repeats a run.
 */

#define N_TIMERS 3000
#define N_OPERATIONS 100000
#define MAX_DEPTH 3

typedef enum {
  OFF,
  ARMED,
  DUE,
} State;

typedef struct _Model Model;

typedef struct {
  Model *model;
  AioTimer *timer; /* NULL: freed */
  State state;
  gint64 expire_ns;
  guint64 sequence;
} Item;

struct _Model {
  Driver *d;
  AioClock *clock;
  GRand *rand;
  Item items[N_TIMERS];
  guint n; /* those in use just now are the first ones */
  guint64 sequence;
  GQueue due; /* of Item, in the order in which they have to fire */
  guint depth, n_armed, most_armed, n_fired, n_ties;
  Item *last;
};

static void operate (Model *m);

static guint
random_below (Model *m, guint n)
{
  return (guint) g_rand_int_range (m->rand, 0, (gint32) n);
}

static int
compare_items (const void *a, const void *b)
{
  const Item *x = *(Item *const *) a, *y = *(Item *const *) b;

  if (x->expire_ns != y->expire_ns)
    return x->expire_ns < y->expire_ns ? -1 : 1;
  return x->sequence < y->sequence ? -1 : 1;
}

static void
model_collect_due (Model *m)
{
  g_autofree Item **expired = g_new (Item *, N_TIMERS);
  gint64 now = aio_clock_get_ns (m->clock);
  guint n = 0;

  for (guint i = 0; i < N_TIMERS; i++)
    if (m->items[i].state == ARMED && m->items[i].expire_ns <= now)
      expired[n++] = &m->items[i];
  qsort (expired, n, sizeof *expired, compare_items);
  for (guint i = 0; i < n; i++)
    {
      expired[i]->state = DUE;
      m->n_armed--;
      g_queue_push_tail (&m->due, expired[i]);
    }
}

static void
model_disarm (Model *m, Item *item)
{
  if (item->state == DUE)
    g_queue_remove (&m->due, item);
  m->n_armed -= item->state == ARMED;
  item->state = OFF;
}

static void
model_arm (Model *m, Item *item, gint64 expire_ns)
{
  model_disarm (m, item);
  item->state = ARMED;
  m->n_armed++;
  m->most_armed = MAX (m->most_armed, m->n_armed);
  item->expire_ns = expire_ns;
  item->sequence = m->sequence++;
}

static gint64
model_deadline (Model *m)
{
  gint64 earliest = -1;

  for (guint i = 0; i < N_TIMERS; i++)
    if (m->items[i].state != OFF && (earliest < 0 || m->items[i].expire_ns < earliest))
      earliest = m->items[i].expire_ns;
  return earliest < 0 ? -1 : MAX (earliest - aio_clock_get_ns (m->clock), 0);
}

static void
assert_deadline (Model *m)
{
  gint64 deadline = model_deadline (m);

  g_assert_cmpint (aio_clock_deadline_ns_all (m->clock, AIO_TIMER_ATTR_NONE), ==, deadline);
  /* Waiting does not move the clock. */
  g_assert_cmpint (aio_context_compute_timeout (m->d->ctx), ==, deadline == 0 ? 0 : -1);
}

static void
pass (Model *m)
{
  model_collect_due (m);
  m->depth++;
  driver_poll (m->d->ctx, FALSE);
  m->depth--;
  g_assert_cmpuint (m->due.length, ==, 0);
}

static void
fire (gpointer data)
{
  Item *item = data;
  Model *m = item->model;

  g_assert_true (g_queue_peek_head (&m->due) == item);
  model_disarm (m, item);
  m->n_fired++;
  m->n_ties += m->last && m->last != item && m->last->state == OFF && m->last->expire_ns == item->expire_ns;
  m->last = item;
  if (random_below (m, 4) == 0)
    operate (m);
  if (m->depth < MAX_DEPTH && random_below (m, 100) == 0)
    pass (m);
}

static void
make (Model *m, Item *item)
{
  item->timer = aio_timer_new (m->d->ctx, m->clock, AIO_TIMER_SCALE_NS, fire, item);
}

static void
arm (Model *m, Item *item, gboolean anticipate)
{
  gint64 expire_ns = aio_clock_get_ns (m->clock) - 5 + random_below (m, 25);

  if (!anticipate)
    {
      aio_timer_mod_ns (item->timer, expire_ns);
      model_arm (m, item, expire_ns);
      return;
    }
  aio_timer_mod_anticipate_ns (item->timer, expire_ns);
  if (item->state == OFF || expire_ns < item->expire_ns)
    model_arm (m, item, expire_ns);
}

static void
operate (Model *m)
{
  Item *item = &m->items[random_below (m, m->n)];

  if (!item->timer)
    make (m, item);
  switch (random_below (m, 10))
    {
    case 0:
      aio_timer_del (item->timer);
      model_disarm (m, item);
      break;
    case 1:
      aio_timer_free (g_steal_pointer (&item->timer));
      model_disarm (m, item);
      return;
    case 2:
    case 3:
      arm (m, item, TRUE);
      break;
    default:
      arm (m, item, FALSE);
    }
  g_assert_cmpint (aio_timer_expire_time_ns (item->timer), ==, item->state == OFF ? -1 : item->expire_ns);
}

static void
as_a_sorted_list_has_it (Driver *d)
{
  const char *seed = g_getenv ("AIO_FUZZ_SEED");
  g_autoptr (AioClock) clock = aio_clock_new_manual (1000);
  g_autofree Model *m = g_new0 (Model, 1);

  m->d = d;
  m->clock = clock;
  m->rand = g_rand_new_with_seed (seed ? (guint32) g_ascii_strtoull (seed, NULL, 10) : 1);
  g_queue_init (&m->due);
  for (guint i = 0; i < N_TIMERS; i++)
    m->items[i].model = m;

  for (guint i = 0; i < N_OPERATIONS; i++)
    {
      /* Up to all of them and down again; those beyond fire and are not armed any more. */
      guint quarter = N_OPERATIONS / 4, height = i < 2 * quarter ? MIN (i, quarter) : N_OPERATIONS - i;

      m->n = 1 + (guint) ((guint64) (N_TIMERS - 1) * MIN (height, quarter) / quarter);
      operate (m);
      if (random_below (m, 16) == 0)
        assert_deadline (m);
      if (random_below (m, 1000) == 0)
        {
          aio_clock_advance_ns (clock, random_below (m, 10));
          pass (m);
        }
    }
  aio_clock_advance_ns (clock, 1000);
  for (guint i = 0; i < 50; i++)
    pass (m);
  g_assert_cmpuint (m->most_armed, >, 1000);
  g_assert_cmpuint (m->n_fired, >, N_OPERATIONS / 10);
  g_assert_cmpuint (m->n_ties, >, m->n_fired / 4);

  for (guint i = 0; i < N_TIMERS; i++)
    aio_timer_free (m->items[i].timer);
  g_rand_free (m->rand);
}

static void
add_tests (void)
{
  driver_add_monitor_for (AIO_MONITOR_POLL, DRIVER_POLL, "timer-random", "G10-as-a-sorted-list-has-it",
                          as_a_sorted_list_has_it);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
