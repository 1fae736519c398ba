/* SPDX-License-Identifier: MIT */
#include "eventfds.h"
#include "shims.h"

#include <errno.h>

/* Which monitor a context uses: 'auto' by the number of its handlers (E9), and what is left when the kernel refuses */

/* Of aio-fdmon.c: from so many on epoll, and poll(2) again below the half. */
#define THRESHOLD 32
#define HALF (THRESHOLD / 2)

static void
assert_uses (Driver *d, AioMonitor monitor, guint switches)
{
  g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, monitor);
  g_assert_cmpuint (driver_stats (d).monitor_switches, ==, switches);
}

static void
up_at_the_threshold_and_down_below_its_half (Driver *d)
{
  EventFd *eventfds = eventfds_new (THRESHOLD);
  guint switches = 0;

  for (guint round = 0; round < 3; round++)
    {
      eventfds_watch (d, eventfds, 0, THRESHOLD - 1);
      eventfds_assert_all_called (d, eventfds, THRESHOLD - 1, 1);
      assert_uses (d, AIO_MONITOR_POLL, switches);

      eventfds_watch (d, eventfds, THRESHOLD - 1, THRESHOLD);
      eventfds_assert_all_called (d, eventfds, THRESHOLD, 1);
      assert_uses (d, AIO_MONITOR_EPOLL, ++switches);

      eventfds_unwatch (d, eventfds, HALF, THRESHOLD);
      eventfds_assert_all_called (d, eventfds, HALF, 1);
      assert_uses (d, AIO_MONITOR_EPOLL, switches);

      eventfds_unwatch (d, eventfds, HALF - 1, HALF);
      eventfds_assert_all_called (d, eventfds, HALF - 1, 1);
      assert_uses (d, AIO_MONITOR_POLL, ++switches);
    }
  eventfds_unwatch (d, eventfds, 0, HALF - 1);
  driver_assert_quiet (d, 10);
  eventfds_free (eventfds, THRESHOLD);
}

static void
one_to_and_fro_does_not_switch (Driver *d)
{
  EventFd *eventfds = eventfds_new (THRESHOLD);

  eventfds_watch (d, eventfds, 0, THRESHOLD - 1);
  for (guint round = 0; round < 10; round++)
    {
      eventfds_watch (d, eventfds, THRESHOLD - 1, THRESHOLD);
      driver_turn (d, FALSE);
      assert_uses (d, AIO_MONITOR_EPOLL, 1);
      eventfds_unwatch (d, eventfds, THRESHOLD - 1, THRESHOLD);
      driver_turn (d, FALSE);
      assert_uses (d, AIO_MONITOR_EPOLL, 1);
    }
  eventfds_unwatch (d, eventfds, HALF - 1, THRESHOLD - 1);
  for (guint round = 0; round < 10; round++)
    {
      driver_turn (d, FALSE);
      assert_uses (d, AIO_MONITOR_POLL, 2);
      eventfds_watch (d, eventfds, HALF - 1, HALF);
      driver_turn (d, FALSE);
      assert_uses (d, AIO_MONITOR_POLL, 2);
      eventfds_unwatch (d, eventfds, HALF - 1, HALF);
    }
  eventfds_unwatch (d, eventfds, 0, HALF - 1);
  eventfds_free (eventfds, THRESHOLD);
}

static void
nothing_but_a_wait_or_prepare_switches (Driver *d)
{
  EventFd *eventfds = eventfds_new (THRESHOLD);

  eventfds_watch (d, eventfds, 0, THRESHOLD);
  eventfd_set (&eventfds[0]);
  aio_context_notify (d->ctx);
  aio_context_pending (d->ctx);
  aio_context_compute_timeout (d->ctx);
  aio_context_dispatch (d->ctx);
  assert_uses (d, AIO_MONITOR_POLL, 0);
  aio_context_prepare (d->ctx);
  assert_uses (d, AIO_MONITOR_EPOLL, 1);

  eventfds_unwatch (d, eventfds, 1, THRESHOLD);
  aio_context_notify (d->ctx);
  aio_context_pending (d->ctx);
  aio_context_dispatch (d->ctx);
  assert_uses (d, AIO_MONITOR_EPOLL, 1);
  eventfds_assert_all_called (d, eventfds, 1, 1);
  driver_turn (d, FALSE);
  assert_uses (d, AIO_MONITOR_POLL, 2);
  eventfds_unwatch (d, eventfds, 0, 1);
  eventfds_free (eventfds, THRESHOLD);
}

typedef struct {
  Driver *d;
  EventFd *eventfds;
  int calls;
} Grower;

/* The first of several that are ready has the context outgrow its monitor while the others wait for their call. */
static void
grow_and_shrink_nested (int fd, gpointer data)
{
  Grower *g = data;

  driver_drain (fd);
  g->calls++;
  eventfds_watch (g->d, g->eventfds, 4, THRESHOLD);
  driver_poll (g->d->ctx, FALSE);
  assert_uses (g->d, AIO_MONITOR_EPOLL, 2 * g->calls - 1);
  eventfds_unwatch (g->d, g->eventfds, 4, THRESHOLD);
  driver_poll (g->d->ctx, FALSE);
  assert_uses (g->d, AIO_MONITOR_POLL, 2 * g->calls);
}

static void
switched_while_handlers_are_being_called (Driver *d)
{
  Grower g = { .d = d, .eventfds = eventfds_new (THRESHOLD) };

  driver_watch (d, g.eventfds[0].fd, grow_and_shrink_nested, &g);
  eventfds_watch (d, g.eventfds, 1, 4);
  for (int round = 1; round <= 6; round++)
    {
      for (guint i = 0; i < THRESHOLD; i++)
        eventfd_set (&g.eventfds[i]);
      driver_turn (d, FALSE);
      g_assert_cmpint (g.calls, ==, round);
      for (guint i = 1; i < THRESHOLD; i++)
        g_assert_cmpint (g.eventfds[i].calls, ==, round);
      g_assert_false (driver_turn (d, FALSE));
    }
  eventfds_unwatch (d, g.eventfds, 0, 4);
  eventfds_free (g.eventfds, THRESHOLD);
}

static void
a_named_monitor_stays (Driver *d)
{
  const AioMonitor monitor = aio_context_get_monitor (d->ctx);
  EventFd *eventfds = eventfds_new (3 * THRESHOLD);

  assert_uses (d, monitor, 0);
  eventfds_watch (d, eventfds, 0, 3 * THRESHOLD);
  eventfds_assert_all_called (d, eventfds, 3 * THRESHOLD, 1);
  assert_uses (d, monitor, 0);
  eventfds_unwatch (d, eventfds, 1, 3 * THRESHOLD);
  eventfds_assert_all_called (d, eventfds, 1, 1);
  assert_uses (d, monitor, 0);
  eventfds_unwatch (d, eventfds, 0, 1);
  driver_turn (d, FALSE);
  assert_uses (d, monitor, 0);
  eventfds_free (eventfds, 3 * THRESHOLD);
}

/* E7: no room in the kernel for one more entry */

#define MANY 70

static void
no_room_for_an_entry (Driver *d, int error, gboolean at_once)
{
  EventFd *eventfds = eventfds_new (MANY);
  gboolean named = aio_context_get_monitor (d->ctx) == AIO_MONITOR_EPOLL;
  guint switches;

  shim_start ();
  if (at_once)
    {
      /* While it takes over, or at the registration */
      shim_fail (SHIM_EPOLL_CTL, error, named ? 50 : 0, 1);
      eventfds_watch (d, eventfds, 0, MANY);
    }
  else
    {
      eventfds_watch (d, eventfds, 0, MANY - 1);
      driver_turn (d, FALSE);
      shim_fail (SHIM_EPOLL_CTL, error, 0, 1);
      eventfds_watch (d, eventfds, MANY - 1, MANY);
    }
  eventfds_assert_all_called (d, eventfds, MANY, 1);
  g_assert_cmpint (shim_failures (SHIM_EPOLL_CTL), ==, 1);
  g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, AIO_MONITOR_POLL);
  switches = driver_stats (d).monitor_switches;

  /* It is not tried again at each wait, nor forgotten. */
  for (guint turn = 0; turn < 20; turn++)
    driver_turn (d, FALSE);
  eventfds_unwatch (d, eventfds, MANY / 2, MANY);
  eventfds_assert_all_called (d, eventfds, MANY / 2, 1);
  assert_uses (d, AIO_MONITOR_POLL, switches);

  eventfds_unwatch (d, eventfds, MANY / 2 - 1, MANY / 2);
  eventfds_assert_all_called (d, eventfds, MANY / 2 - 1, 1);
  assert_uses (d, AIO_MONITOR_EPOLL, switches + 1);

  shim_stop ();
  eventfds_unwatch (d, eventfds, 0, MANY / 2 - 1);
  driver_assert_quiet (d, 10);
  eventfds_free (eventfds, MANY);
}

static void
no_room_at_the_registration (Driver *d)
{
  no_room_for_an_entry (d, ENOSPC, FALSE);
}

static void
no_room_in_the_middle (Driver *d)
{
  no_room_for_an_entry (d, ENOSPC, TRUE);
}

static void
auto_no_room_for_the_last (Driver *d)
{
  no_room_for_an_entry (d, ENOMEM, FALSE);
}

static void
auto_no_room_for_the_first (Driver *d)
{
  no_room_for_an_entry (d, ENOSPC, TRUE);
}

static void
auto_no_set_to_be_had (Driver *d)
{
  static const int errors[] = { EMFILE, ENOSYS, EPERM };
  EventFd *eventfds = eventfds_new (MANY);
  guint switches = 0;

  for (guint i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      shim_start ();
      shim_fail (SHIM_EPOLL_CREATE1, errors[i], 0, 1);
      eventfds_watch (d, eventfds, 0, MANY);
      for (guint turn = 0; turn < 20; turn++)
        eventfds_assert_all_called (d, eventfds, MANY, 1);
      assert_uses (d, AIO_MONITOR_POLL, switches);
      g_assert_cmpint (shim_calls (SHIM_EPOLL_CREATE1), ==, 1);

      eventfds_unwatch (d, eventfds, MANY / 2 - 1, MANY);
      eventfds_assert_all_called (d, eventfds, MANY / 2 - 1, 1);
      assert_uses (d, AIO_MONITOR_EPOLL, ++switches);
      shim_stop ();
      eventfds_unwatch (d, eventfds, 0, MANY / 2 - 1);
      driver_watch (d, eventfds[0].fd, driver_count_read_drain, &eventfds[0].calls);
      driver_turn (d, FALSE);
      assert_uses (d, AIO_MONITOR_POLL, ++switches);
    }
  eventfds_unwatch (d, eventfds, 0, 1);
  eventfds_free (eventfds, MANY);
}

static void
add_tests (void)
{
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon-auto", "E9-up-at-the-threshold-and-down-below-its-half",
                      up_at_the_threshold_and_down_below_its_half);
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon-auto", "E9-one-to-and-fro-does-not-switch",
                      one_to_and_fro_does_not_switch);
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon-auto", "E9-nothing-but-a-wait-or-prepare-switches",
                      nothing_but_a_wait_or_prepare_switches);
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon-auto", "E9-switched-while-handlers-are-being-called",
                      switched_while_handlers_are_being_called);
  driver_add ("fdmon-auto", "E9-a-named-monitor-stays", a_named_monitor_stays);
  driver_add_monitor (AIO_MONITOR_EPOLL, "fdmon-auto", "E7-no-room-at-the-registration", no_room_at_the_registration);
  driver_add_monitor (AIO_MONITOR_EPOLL, "fdmon-auto", "E7-no-room-in-the-middle", no_room_in_the_middle);
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon-auto", "E7-no-room-for-the-last", auto_no_room_for_the_last);
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon-auto", "E7-no-room-for-the-first", auto_no_room_for_the_first);
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon-auto", "E7-no-set-to-be-had", auto_no_set_to_be_had);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
