/* SPDX-License-Identifier: MIT */
#include "driver.h"

/*
 * Handlers that are removed, replaced and registered again while they are being called (E1, E2, E3).
 * Two pipes are readable and stay so; which of the two is called first is nobody's business, so the
 * roles are given as the calls come.
 */

typedef enum {
  OP_REMOVE,
  OP_REPLACE,
  OP_REMOVE_AND_ADD,
} Op;

typedef enum {
  BY_SELF,    /* the handler that is being called */
  BY_EARLIER, /* one that is called before the victim */
  BY_LATER,   /* one that is called after it */
  BY_BH,      /* a bottom half of the same pass, which runs before any handler */
  BY_PASSER,  /* somebody who comes by between the wait and the dispatch */
} Actor;

static const char *const op_names[] = { "remove", "replace", "remove-and-add" };
static const char *const actor_names[] = { "self", "earlier-sibling", "later-sibling", "bh", "passer" };

typedef struct _Scene Scene;

typedef struct {
  Scene *scene;
  int fds[2];
  int old_calls, new_calls;
  int destroyed;
} Player;

struct _Scene {
  Driver *d;
  Op op;
  Actor actor;
  gboolean by_thread; /* another one does it, while home stands where the actor is */
  Player players[2];
  Player *victim; /* once it is known */
  int calls;      /* of old callbacks in the first turn */
};

static void
new_read (int fd, gpointer data)
{
  Player *a = data;

  g_assert_cmpint (fd, ==, a->fds[0]);
  a->new_calls++;
}

static void
note_destroyed (gpointer data)
{
  Player *a = data;

  a->destroyed++;
}

static void
change (gpointer data)
{
  static const AioFdHandler replacement = { .read = new_read, .name = "new" };
  Scene *scene = data;
  Player *victim = scene->victim;
  Driver *d = scene->d;

  if (scene->op != OP_REPLACE)
    driver_unwatch (d, victim->fds[0]);
  if (scene->op != OP_REMOVE)
    g_assert_true (aio_context_set_fd_handler (d->ctx, victim->fds[0], &replacement, victim, NULL, NULL));
}

static void
act (Scene *scene, Player *victim)
{
  scene->victim = victim;
  if (scene->by_thread)
    driver_on_thread (change, scene);
  else
    change (scene);
}

static void
change_in_passing (gpointer data)
{
  Scene *scene = data;

  scene->victim = &scene->players[0];
  change (scene);
}

static void
old_read (int fd, gpointer data)
{
  Player *a = data;
  Scene *scene = a->scene;
  Player *other = a == &scene->players[0] ? &scene->players[1] : &scene->players[0];

  g_assert_cmpint (fd, ==, a->fds[0]);
  a->old_calls++;
  scene->calls++;
  if (scene->victim != NULL)
    return;
  if (scene->actor == BY_SELF)
    act (scene, a);
  else if (scene->actor == BY_EARLIER && scene->calls == 1)
    act (scene, other);
  else if (scene->actor == BY_LATER && scene->calls == 2)
    act (scene, other);
}

static void
act_from_bh (gpointer data)
{
  Scene *scene = data;

  act (scene, &scene->players[0]);
}

static void
play (Driver *d, Op op, Actor actor, gboolean by_thread)
{
  static const AioFdHandler original = { .read = old_read, .name = "old" };
  Scene scene = { .d = d, .op = op, .actor = actor, .by_thread = by_thread };
  AioPoint before_dispatch = d->kind == DRIVER_GLIB ? AIO_POINT_GS_DISPATCH_ENTER : AIO_POINT_POLL_AFTER_WAIT;
  gboolean reached;
  Player *v;
  int old_calls;

  g_test_message ("%s by %s%s", op_names[op], actor_names[actor], by_thread ? ", another thread" : "");
  for (guint i = 0; i < 2; i++)
    {
      Player *a = &scene.players[i];

      a->scene = &scene;
      driver_pipe (a->fds);
      driver_write_byte (a->fds[1]);
      g_assert_true (aio_context_set_fd_handler (d->ctx, a->fds[0], &original, a, note_destroyed, NULL));
    }
  if (actor == BY_BH)
    aio_context_schedule_oneshot (d->ctx, act_from_bh, &scene);
  else if (actor == BY_PASSER)
    {
      d->turns = 0; /* the turn at hand, under any driver, comes by the point once */
      driver_interleave (d, before_dispatch, 0, change_in_passing, &scene, &reached);
    }

  /* The turn in which it happens: the new callback is not in it, even though its fd is readable. */
  driver_turn (d, TRUE);
  v = scene.victim;
  g_assert_nonnull (v);
  old_calls = actor == BY_SELF || actor == BY_LATER ? 1 : 0;
  g_assert_cmpint (v->old_calls, ==, old_calls);
  g_assert_cmpint (v->new_calls, ==, 0);
  /* What another thread has changed since the dispatch began is taken note of by the next turn. */
  if (!by_thread)
    g_assert_cmpint (v->destroyed, ==, 1);

  /* The next ones: the old callback never more, the new one in each. */
  for (int turn = 1; turn <= 3; turn++)
    {
      driver_turn (d, TRUE);
      g_assert_cmpint (v->old_calls, ==, old_calls);
      g_assert_cmpint (v->new_calls, ==, op == OP_REMOVE ? 0 : turn);
      g_assert_cmpint (v->destroyed, ==, 1);
    }

  for (guint i = 0; i < 2; i++)
    {
      driver_unwatch (d, scene.players[i].fds[0]);
      driver_close_pair (scene.players[i].fds);
      g_assert_cmpint (scene.players[i].destroyed, ==, 1);
    }
  g_assert_false (driver_turn (d, FALSE));
}

static void
removed_and_replaced_in_callbacks (Driver *d)
{
  for (Op op = OP_REMOVE; op <= OP_REMOVE_AND_ADD; op++)
    for (Actor actor = BY_SELF; actor <= BY_BH; actor++)
      play (d, op, actor, FALSE);
}

static void
removed_and_replaced_by_another_thread (Driver *d)
{
  for (Op op = OP_REMOVE; op <= OP_REMOVE_AND_ADD; op++)
    for (Actor actor = BY_SELF; actor <= BY_PASSER; actor++)
      play (d, op, actor, TRUE);
}

typedef struct {
  Driver *d;
  int fd;
  int reads, writes;
} BothWays;

static void
read_and_remove (int fd, gpointer data)
{
  BothWays *b = data;

  b->reads++;
  driver_unwatch (b->d, fd);
}

static void
count_write (int fd, gpointer data)
{
  BothWays *b = data;

  (void) fd;
  b->writes++;
}

static void
removed_in_read_is_not_called_for_write (Driver *d)
{
  static const AioFdHandler handler = { .read = read_and_remove, .write = count_write };
  BothWays b = { .d = d };
  int fds[2];

  driver_socketpair (fds);
  driver_write_byte (fds[1]);
  g_assert_true (aio_context_set_fd_handler (d->ctx, fds[0], &handler, &b, NULL, NULL));
  driver_turn (d, TRUE);
  g_assert_cmpint (b.reads, ==, 1);
  g_assert_cmpint (b.writes, ==, 0);
  g_assert_false (driver_turn (d, FALSE));
  driver_close_pair (fds);
}

static void
remove_from_another_thread (gpointer data)
{
  BothWays *b = data;

  driver_unwatch (b->d, b->fd);
}

static void
removed_by_another_thread_before_dispatch (Driver *d)
{
  static const AioFdHandler handler = { .write = count_write };
  AioPoint point = d->kind == DRIVER_GLIB ? AIO_POINT_GS_DISPATCH_ENTER : AIO_POINT_POLL_AFTER_WAIT;
  BothWays b = { .d = d };
  gboolean reached;
  int fds[2];

  driver_socketpair (fds);
  b.fd = fds[0];
  g_assert_true (aio_context_set_fd_handler (d->ctx, fds[0], &handler, &b, NULL, NULL));
  driver_interleave (d, point, 0, remove_from_another_thread, &b, &reached);
  driver_turn (d, TRUE);
  g_assert_true (reached);
  g_assert_cmpint (b.writes, ==, 0);
  g_assert_false (driver_turn (d, FALSE));
  driver_close_pair (fds);
}

/* The addition is taken note of already, and the handler is not watched yet. */
static void
removed_by_another_thread_while_it_is_added (Driver *d)
{
  static const AioFdHandler handler = { .write = count_write };
  BothWays b = { .d = d };
  gboolean reached;
  int fds[2], destroyed = 0;

  driver_socketpair (fds);
  b.fd = fds[0];
  driver_interleave (d, AIO_POINT_FDMON_CHANGE_TAKEN, 0, remove_from_another_thread, &b, &reached);
  g_assert_true (aio_context_set_fd_handler (d->ctx, fds[0], &handler, &destroyed, driver_count, NULL));
  g_assert_true (reached);
  driver_settle (d);
  g_assert_cmpint (destroyed, ==, 1);

  g_assert_true (aio_context_set_fd_handler (d->ctx, fds[0], &handler, &b, NULL, NULL));
  driver_turn (d, TRUE);
  g_assert_cmpint (b.writes, ==, 1);
  driver_unwatch (d, fds[0]);
  g_assert_cmpint (destroyed, ==, 1);
  driver_close_pair (fds);
}

/* Another thread that changes handlers faster than they are taken note of keeps no pass from its end. */

typedef struct {
  Driver *d;
  int fd;
  int taken;
} Changes;

static void
replace_once_more (gpointer data)
{
  static const AioFdHandler handler = { .read = driver_count_read_drain };
  Changes *c = data;

  g_assert_true (aio_context_set_fd_handler (c->d->ctx, c->fd, &handler, NULL, NULL, NULL));
}

static void
replace_when_one_is_taken (AioContext *ctx, AioPoint point, gpointer data)
{
  Changes *c = data;

  if (point == AIO_POINT_FDMON_CHANGE_TAKEN && aio_context_in_home_thread (ctx) && ++c->taken < 1000)
    driver_on_thread (replace_once_more, c);
}

static void
changed_all_the_time_by_another_thread (Driver *d)
{
  Changes c = { .d = d };
  int fds[2];

  driver_pipe (fds);
  c.fd = fds[0];
  replace_once_more (&c);
  aio_test_set_hook (d->ctx, replace_when_one_is_taken, &c);
  driver_on_thread (replace_once_more, &c);
  driver_poll (d->ctx, FALSE);
  g_assert_cmpint (c.taken, <, 100);
  aio_test_set_hook (d->ctx, NULL, NULL);
  driver_settle (d);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

/* E2 */

typedef struct {
  Driver *d;
  int added_fd;
  int adds, calls;
} Adder;

static void
count_added (int fd, gpointer data)
{
  Adder *a = data;

  (void) fd;
  a->calls++;
}

static void
add_another (int fd, gpointer data)
{
  Adder *a = data;

  driver_drain (fd);
  a->adds++;
  driver_watch (a->d, a->added_fd, count_added, a);
}

static void
added_in_a_callback_waits_for_the_next_turn (Driver *d)
{
  Adder a = { .d = d };
  int fds[2], added[2];

  driver_pipe (fds);
  driver_pipe (added);
  driver_write_byte (fds[1]);
  driver_write_byte (added[1]);
  a.added_fd = added[0];
  driver_watch (d, fds[0], add_another, &a);

  driver_turn (d, TRUE);
  g_assert_cmpint (a.adds, ==, 1);
  g_assert_cmpint (a.calls, ==, 0);
  driver_turn (d, TRUE);
  g_assert_cmpint (a.calls, ==, 1);

  driver_unwatch (d, fds[0]);
  driver_unwatch (d, added[0]);
  driver_close_pair (fds);
  driver_close_pair (added);
}

/* A11 */

static void
add_from_another_thread (gpointer data)
{
  Adder *a = data;

  while (aio_context_get_notify_me (a->d->ctx) == 0)
    g_usleep (1000);
  driver_watch (a->d, a->added_fd, count_added, a);
}

static gboolean
added_was_called (gpointer data)
{
  return ((Adder *) data)->calls > 0;
}

static void
added_by_another_thread_wakes_the_loop (Driver *d)
{
  Adder a = { .d = d };
  int fds[2];
  pthread_t thread;

  driver_pipe (fds);
  driver_write_byte (fds[1]);
  a.added_fd = fds[0];
  thread = driver_thread_start (add_from_another_thread, &a);
  driver_run_until (d, added_was_called, &a, 5000);
  driver_thread_join (thread);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

typedef struct {
  Driver *d;
  int fd;
  int calls, destroyed;
  gint64 changed_us, called_us;
} Watched;

static void
note_and_drain (int fd, gpointer data)
{
  Watched *w = data;

  w->called_us = g_get_monotonic_time ();
  driver_drain (fd);
  driver_count (&w->calls);
}

static void
count_watched_destroyed (gpointer data)
{
  driver_count (&((Watched *) data)->destroyed);
}

static void
watch_once_asleep (gpointer data)
{
  static const AioFdHandler handler = { .read = note_and_drain };
  Watched *w = data;

  while (aio_context_get_notify_me (w->d->ctx) == 0)
    g_usleep (1000);
  w->changed_us = g_get_monotonic_time ();
  g_assert_true (aio_context_set_fd_handler (w->d->ctx, w->fd, &handler, w, count_watched_destroyed, NULL));
}

static void
unwatch_once_asleep (gpointer data)
{
  Watched *w = data;

  while (aio_context_get_notify_me (w->d->ctx) == 0)
    g_usleep (1000);
  driver_unwatch (w->d, w->fd);
}

static void
changed_while_the_loop_sleeps (Driver *d)
{
  Watched w = { .d = d };
  gint64 shortest_us = G_MAXINT64;
  int fds[2];

  driver_pipe (fds);
  w.fd = fds[0];
  /* The bar is for the context, and the best of three is not about what else the machine does. */
  for (int round = 1; round <= 3; round++)
    {
      pthread_t thread;

      driver_settle (d);
      driver_write_byte (fds[1]);
      thread = driver_thread_start (watch_once_asleep, &w);
      driver_run_until_count (d, &w.calls, round, 5000);
      driver_thread_join (thread);
      shortest_us = MIN (shortest_us, w.called_us - w.changed_us);

      /* The removal alone ends the wait, which has no end otherwise. */
      driver_settle (d);
      thread = driver_thread_start (unwatch_once_asleep, &w);
      g_assert_false (driver_turn (d, TRUE));
      driver_thread_join (thread);
      driver_turn (d, FALSE);
      g_assert_cmpint (w.destroyed, ==, round);
      driver_write_byte (fds[1]);
      for (guint turn = 0; turn < 6; turn++)
        g_assert_false (driver_turn (d, FALSE));
      g_assert_cmpint (w.calls, ==, round);
      driver_drain (fds[0]);
    }
  g_assert_cmpint (shortest_us, <, 50000);
  driver_close_pair (fds);
}

/* A11: on another thread each change of the set is a notification, and removing what is not there is no change. */

static void
set_as_told (gpointer data)
{
  static const AioFdHandler handler = { .read = note_and_drain };
  Watched *w = data;

  g_assert_true (aio_context_set_fd_handler (w->d->ctx, w->fd, w->calls ? &handler : NULL, w, NULL, NULL));
}

static void
every_change_and_nothing_else_notifies (Driver *d)
{
  static const struct {
    gboolean add, notifies;
  } steps[] = { { FALSE, FALSE }, { TRUE, TRUE }, { TRUE, TRUE }, { FALSE, TRUE }, { FALSE, FALSE } };
  Watched w = { .d = d };
  int fds[2];

  driver_pipe (fds);
  w.fd = fds[0];
  for (guint round = 0; round < 3; round++)
    for (guint i = 0; i < G_N_ELEMENTS (steps); i++)
      {
        aio_context_notify_accept (d->ctx);
        w.calls = steps[i].add;
        driver_on_thread (set_as_told, &w);
        g_assert_cmpint (aio_context_get_notified (d->ctx), ==, steps[i].notifies);
        if (round > 0)
          driver_turn (d, FALSE);
      }
  driver_settle (d);
  driver_close_pair (fds);
}

static void
add_tests (void)
{
  driver_add ("handler-change", "E1-E3-removed-and-replaced-by-another-thread", removed_and_replaced_by_another_thread);
  driver_add ("handler-change", "A11-changed-while-the-loop-sleeps", changed_while_the_loop_sleeps);
  driver_add ("handler-change", "E1-E3-removed-and-replaced-in-callbacks", removed_and_replaced_in_callbacks);
  driver_add ("handler-change", "E1-removed-in-read-is-not-called-for-write", removed_in_read_is_not_called_for_write);
  driver_add ("handler-change", "E1-removed-by-another-thread-before-dispatch",
              removed_by_another_thread_before_dispatch);
  driver_add ("handler-change", "E1-removed-by-another-thread-while-it-is-added",
              removed_by_another_thread_while_it_is_added);
  driver_add ("handler-change", "changed-all-the-time-by-another-thread", changed_all_the_time_by_another_thread);
  driver_add ("handler-change", "E2-added-in-a-callback-waits-for-the-next-turn",
              added_in_a_callback_waits_for_the_next_turn);
  driver_add ("handler-change", "A11-every-change-and-nothing-else-notifies", every_change_and_nothing_else_notifies);
  driver_add ("handler-change", "A11-added-by-another-thread-wakes-the-loop", added_by_another_thread_wakes_the_loop);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
