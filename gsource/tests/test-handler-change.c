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
} Actor;

static const char *const op_names[] = { "remove", "replace", "remove-and-add" };
static const char *const actor_names[] = { "self", "earlier-sibling", "later-sibling", "bh" };

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
act (Scene *scene, Player *victim)
{
  static const AioFdHandler replacement = { .read = new_read, .name = "new" };
  Driver *d = scene->d;

  scene->victim = victim;
  if (scene->op != OP_REPLACE)
    driver_unwatch (d, victim->fds[0]);
  if (scene->op != OP_REMOVE)
    g_assert_true (aio_context_set_fd_handler (d->ctx, victim->fds[0], &replacement, victim, NULL, NULL));
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
play (Driver *d, Op op, Actor actor)
{
  static const AioFdHandler original = { .read = old_read, .name = "old" };
  Scene scene = { .d = d, .op = op, .actor = actor };
  Player *v;
  int old_calls;

  g_test_message ("%s by %s", op_names[op], actor_names[actor]);
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

  /* The turn in which it happens: the new callback is not in it, even though its fd is readable. */
  driver_turn (d, TRUE);
  v = scene.victim;
  g_assert_nonnull (v);
  old_calls = actor == BY_SELF || actor == BY_LATER ? 1 : 0;
  g_assert_cmpint (v->old_calls, ==, old_calls);
  g_assert_cmpint (v->new_calls, ==, 0);
  g_assert_cmpint (v->destroyed, ==, 1);

  /* The next ones: the old callback never more, the new one in each. */
  for (int turn = 1; turn <= 3; turn++)
    {
      driver_turn (d, TRUE);
      g_assert_cmpint (v->old_calls, ==, old_calls);
      g_assert_cmpint (v->new_calls, ==, op == OP_REMOVE ? 0 : turn);
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
      play (d, op, actor);
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

/* The part of A11 that exists: what another thread registers wakes the loop. */

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

static void
add_tests (void)
{
  driver_add ("handler-change", "E1-E3-removed-and-replaced-in-callbacks", removed_and_replaced_in_callbacks);
  driver_add ("handler-change", "E1-removed-in-read-is-not-called-for-write", removed_in_read_is_not_called_for_write);
  driver_add ("handler-change", "E1-removed-by-another-thread-before-dispatch",
              removed_by_another_thread_before_dispatch);
  driver_add ("handler-change", "E1-removed-by-another-thread-while-it-is-added",
              removed_by_another_thread_while_it_is_added);
  driver_add ("handler-change", "E2-added-in-a-callback-waits-for-the-next-turn",
              added_in_a_callback_waits_for_the_next_turn);
  driver_add ("handler-change", "A11-added-by-another-thread-wakes-the-loop", added_by_another_thread_wakes_the_loop);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
