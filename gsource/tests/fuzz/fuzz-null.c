/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* NULL where there has to be something: a critical warning, and nothing else. */
static void
op_null (void)
{
  guint call = fuzz_arg (24);

  fuzz_trace ("  %u", call);
  fuzz.expect_criticals++;
  switch (call)
    {
    case 0:
      aio_context_poll (NULL, TRUE, NULL);
      break;
    case 1:
      aio_bh_schedule (NULL);
      break;
    case 2:
      aio_bh_delete (NULL);
      break;
    case 3:
      aio_timer_mod_ns (NULL, 0);
      break;
    case 4:
      aio_context_set_fd_handler (NULL, 0, NULL, NULL, NULL, NULL);
      break;
    case 5:
      aio_notifier_set (NULL, NULL);
      break;
    case 6:
      aio_context_close (NULL, NULL);
      break;
    case 7:
      aio_clock_get (AIO_CLOCK_MANUAL);
      break;
    case 8:
      aio_clock_get ((AioClockType) -1);
      break;
    case 9:
      aio_clock_set_ns (aio_clock_get (AIO_CLOCK_HOST), 5);
      break;
    case 10:
      aio_clock_advance_ns (NULL, 5);
      break;
    case 11:
      aio_context_attach (NULL, NULL, 0, NULL);
      break;
    case 12:
      aio_context_inspect (NULL);
      break;
    case 13:
      aio_context_schedule_oneshot (NULL, NULL, NULL);
      break;
    case 14:
      aio_bh_new_full (NULL, NULL, NULL, NULL, NULL);
      break;
    case 15:
      aio_timer_new (NULL, NULL, AIO_TIMER_SCALE_NS, NULL, NULL);
      break;
    case 16:
      aio_context_set_event_notifier (NULL, NULL, NULL, NULL, NULL, NULL);
      break;
    case 17:
      aio_context_enable_external (NULL, NULL);
      break;
    case 18:
      aio_context_wait_while (NULL, NULL, NULL, NULL);
      break;
    case 19:
      aio_context_release (NULL, NULL);
      break;
    case 20:
      aio_context_set_poll_params (NULL, 0, 0, 0, NULL);
      break;
    case 21:
      aio_lock_count_dec (NULL);
      break;
    case 22:
      aio_context_notify_accept (NULL);
      break;
    case 23:
      aio_context_dispatch (NULL);
      break;
    }
  fuzz_require (fuzz.expect_criticals == 0, "NULL was taken");
}

const FuzzOperation fuzz_null_operations[] = {
  { "null", op_null, 1 },
  { NULL, NULL, 0 },
};
