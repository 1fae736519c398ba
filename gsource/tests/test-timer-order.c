/* SPDX-License-Identifier: MIT */
#include "driver.h"

/* Timers that write down a letter when they fire */

typedef struct {
  GString *log;
  char letter;
  AioTimer *timer;
} Letter;

static void
write_letter (gpointer data)
{
  Letter *letter = data;

  g_assert_false (aio_timer_pending (letter->timer));
  g_assert_cmpint (aio_timer_expire_time_ns (letter->timer), ==, -1);
  g_string_append_c (letter->log, letter->letter);
}

static void
letters_new (Driver *d, AioClock *clock, GString *log, Letter *letters, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      letters[i] = (Letter){ .log = log, .letter = (char) ('A' + i) };
      letters[i].timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, write_letter, &letters[i]);
    }
}

static void
letters_free (Letter *letters, guint n)
{
  for (guint i = 0; i < n; i++)
    aio_timer_free (letters[i].timer);
}

static void
assert_log (GString *log, const char *expected)
{
  g_assert_cmpstr (log->str, ==, expected);
  g_string_truncate (log, 0);
}

/* G1 */

typedef struct {
  AioClock *clock;
  AioTimer *timer;
  int fired;
  gint64 rearm_to;
} SelfRearming;

static void
rearm_into_the_past (gpointer data)
{
  SelfRearming *s = data;

  s->fired++;
  aio_timer_mod_ns (s->timer, s->rearm_to);
}

static void
rearmed_into_the_past_fires_once_a_pass (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (1000);
  SelfRearming s[2] = { { .clock = clock, .rearm_to = 1000 }, { .clock = clock, .rearm_to = 0 } };

  for (guint i = 0; i < 2; i++)
    {
      s[i].timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, rearm_into_the_past, &s[i]);
      aio_timer_mod_ns (s[i].timer, 500);
    }

  for (int turn = 1; turn <= 5; turn++)
    {
      g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 0);
      g_assert_true (driver_turn (d, TRUE));
      g_assert_cmpint (s[0].fired, ==, turn);
      g_assert_cmpint (s[1].fired, ==, turn);
    }

  for (guint i = 0; i < 2; i++)
    aio_timer_free (s[i].timer);
}

/* Timers that free themselves and make another one, on another clock: each clock is new to the context every time. */
#define CHAINS 2

typedef struct {
  Driver *d;
  AioClock *clocks[2];
  AioTimer *timer;
  guint at; /* the clock of @timer */
  int fired;
} Chain;

static void make_link (Chain *chain);

static void
free_and_make_on_the_other_clock (gpointer data)
{
  Chain *chain = data;

  chain->fired++;
  g_assert_cmpint (chain->fired, <, 100);
  aio_timer_free (chain->timer);
  chain->at = !chain->at;
  make_link (chain);
}

static void
make_link (Chain *chain)
{
  chain->timer = aio_timer_new (chain->d->ctx, chain->clocks[chain->at], AIO_TIMER_SCALE_NS,
                                free_and_make_on_the_other_clock, chain);
  aio_timer_mod_ns (chain->timer, 0);
}

static void
lists_made_in_a_pass_wait_for_the_next (Driver *d)
{
  Chain chains[CHAINS];

  for (guint i = 0; i < CHAINS; i++)
    {
      chains[i] = (Chain){ .d = d, .clocks = { aio_clock_new_manual (0), aio_clock_new_manual (0) } };
      make_link (&chains[i]);
    }
  for (int turn = 1; turn <= 20; turn++)
    {
      g_assert_true (driver_turn (d, TRUE));
      for (guint i = 0; i < CHAINS; i++)
        g_assert_cmpint (chains[i].fired, ==, turn);
    }
  for (guint i = 0; i < CHAINS; i++)
    {
      aio_timer_free (chains[i].timer);
      for (guint clock = 0; clock < 2; clock++)
        aio_clock_unref (chains[i].clocks[clock]);
    }
}

/* G10 */

static void
equal_deadlines_fire_in_the_order_of_arming (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  g_autoptr (GString) log = g_string_new (NULL);
  Letter l[26];

  letters_new (d, clock, log, l, 26);

  aio_timer_mod_ns (l[1].timer, 100);
  aio_timer_mod_ns (l[0].timer, 100);
  aio_clock_set_ns (clock, 100);
  driver_turn (d, FALSE);
  assert_log (log, "BA");

  /* Enough of them for a heap with levels, armed backwards; one is armed anew and goes to the end. */
  for (guint i = 26; i-- > 0;)
    aio_timer_mod_ns (l[i].timer, 200);
  aio_timer_mod_ns (l[12].timer, 150);
  aio_timer_mod_ns (l[12].timer, 200);
  aio_clock_set_ns (clock, 200);
  driver_turn (d, FALSE);
  assert_log (log, "ZYXWVUTSRQPONLKJIHGFEDCBAM");

  letters_free (l, 26);
}

typedef struct {
  AioTimer timer;
  gint64 expire;
  guint armed; /* when, among those with the same expiry */
  GArray *fired;
} Sorted;

static void
note_fired (gpointer data)
{
  Sorted *s = data;

  g_array_append_val (s->fired, s);
}

static void
a_thousand_random_deadlines_fire_in_order (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  g_autoptr (GArray) fired = g_array_new (FALSE, FALSE, sizeof (Sorted *));
  g_autofree Sorted *timers = g_new0 (Sorted, 1000);

  for (guint i = 0; i < 1000; i++)
    {
      timers[i].fired = fired;
      aio_timer_init (&timers[i].timer, d->ctx, clock, AIO_TIMER_SCALE_NS, note_fired, &timers[i]);
    }
  for (guint i = 0; i < 3000; i++)
    {
      Sorted *s = &timers[g_test_rand_int_range (0, 1000)];

      s->expire = g_test_rand_int_range (1, 300);
      s->armed = i;
      aio_timer_mod_ns (&s->timer, s->expire);
      if (i % 5 == 0)
        {
          s = &timers[g_test_rand_int_range (0, 1000)];
          aio_timer_del (&s->timer);
          s->expire = 0;
        }
    }

  for (gint64 now = 50; now <= 300; now += 50)
    {
      aio_clock_set_ns (clock, now);
      driver_settle (d);
      for (guint i = 1; i < fired->len; i++)
        {
          Sorted *a = g_array_index (fired, Sorted *, i - 1), *b = g_array_index (fired, Sorted *, i);

          g_assert_true (a->expire < b->expire || (a->expire == b->expire && a->armed < b->armed));
          g_assert_cmpint (b->expire, <=, now);
        }
    }
  for (guint i = 0; i < fired->len; i++)
    g_array_index (fired, Sorted *, i)->expire = 0;
  for (guint i = 0; i < 1000; i++)
    {
      g_assert_cmpint (timers[i].expire, ==, 0);
      aio_timer_deinit (&timers[i].timer);
    }
}

/* G11 */

static void
change_the_others (gpointer data)
{
  Letter *l = data;

  write_letter (&l[0]);
  aio_timer_del (l[1].timer);          /* the next one */
  aio_timer_mod_ns (l[2].timer, 5000); /* was due: put off */
  aio_timer_mod_ns (l[4].timer, 1000); /* was far: due, but not in this pass */
  aio_timer_free (g_steal_pointer (&l[5].timer));
}

static void
callbacks_change_the_list (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  g_autoptr (GString) log = g_string_new (NULL);
  Letter l[6];

  letters_new (d, clock, log, l, 6);
  aio_timer_free (l[0].timer);
  l[0].timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, change_the_others, l);

  aio_timer_mod_ns (l[0].timer, 1000);
  aio_timer_mod_ns (l[1].timer, 1000);
  aio_timer_mod_ns (l[2].timer, 1000);
  aio_timer_mod_ns (l[3].timer, 1000);
  aio_timer_mod_ns (l[4].timer, 9000);
  aio_timer_mod_ns (l[5].timer, 1000);
  aio_clock_set_ns (clock, 1000);
  driver_turn (d, FALSE);
  assert_log (log, "AD");
  driver_turn (d, FALSE);
  assert_log (log, "E");
  aio_clock_set_ns (clock, 5000);
  driver_settle (d);
  assert_log (log, "C");

  letters_free (l, 6);
}

typedef struct {
  Driver *d;
  Letter *letters;
} Nest;

static void
nest_a_turn (gpointer data)
{
  Nest *n = data;

  write_letter (&n->letters[0]);
  driver_turn (n->d, FALSE);
  g_string_append_c (n->letters[0].log, '.');
}

static void
nested_turn_fires_what_the_outer_pass_has_left (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (1000);
  g_autoptr (GString) log = g_string_new (NULL);
  Letter l[3];
  Nest n = { d, l };

  letters_new (d, clock, log, l, 3);
  aio_timer_free (l[0].timer);
  l[0].timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, nest_a_turn, &n);

  for (guint i = 0; i < 3; i++)
    aio_timer_mod_ns (l[i].timer, 10);
  driver_turn (d, FALSE);
  assert_log (log, "ABC.");

  letters_free (l, 3);
}

static void
add_tests (void)
{
  driver_add ("timer-order", "G1-rearmed-into-the-past-fires-once-a-pass", rearmed_into_the_past_fires_once_a_pass);
  driver_add ("timer-order", "G1-lists-made-in-a-pass-wait-for-the-next", lists_made_in_a_pass_wait_for_the_next);
  driver_add ("timer-order", "G10-equal-deadlines-fire-in-the-order-of-arming",
              equal_deadlines_fire_in_the_order_of_arming);
  driver_add ("timer-order", "G10-a-thousand-random-deadlines-fire-in-order",
              a_thousand_random_deadlines_fire_in_order);
  driver_add ("timer-order", "G11-callbacks-change-the-list", callbacks_change_the_list);
  driver_add ("timer-order", "G11-nested-turn-fires-what-the-outer-pass-has-left",
              nested_turn_fires_what_the_outer_pass_has_left);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
