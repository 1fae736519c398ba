/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Operations on a lock count. */

static void
op_lock_count (void)
{
  AioLockCount *count = &fuzz.lock_count;

  if (fuzz.elsewhere)
    return;
  switch (fuzz_arg (6))
    {
    case 0:
      if (fuzz.locked && fuzz.visitors == 0)
        return;
      aio_lock_count_inc (count);
      fuzz.visitors++;
      break;
    case 1:
      if (fuzz.visitors > 0)
        fuzz.visitors--;
      else
        fuzz.expect_criticals++;
      aio_lock_count_dec (count);
      break;
    case 2:
      if (fuzz.locked)
        return;
      if (fuzz.visitors == 0)
        fuzz.expect_criticals++;
      fuzz.locked = aio_lock_count_dec_and_lock (count);
      fuzz_require (fuzz.locked == (fuzz.visitors == 1), "the last visitor got no lock, or another one did");
      fuzz.visitors -= fuzz.visitors > 0;
      break;
    case 3:
      if (fuzz.locked)
        return;
      if (fuzz.visitors == 0)
        fuzz.expect_criticals++;
      fuzz.locked = aio_lock_count_dec_if_lock (count);
      fuzz_require (fuzz.locked == (fuzz.visitors == 1), "the last visitor got no lock, or another one did");
      fuzz.visitors -= fuzz.locked;
      break;
    case 4:
      if (fuzz.locked)
        return;
      aio_lock_count_lock (count);
      fuzz.locked = TRUE;
      break;
    case 5:
      if (fuzz_arg (2))
        {
          if (fuzz.locked)
            fuzz.visitors++;
          else
            fuzz.expect_criticals++;
          aio_lock_count_inc_and_unlock (count);
        }
      else
        {
          if (!fuzz.locked)
            fuzz.expect_criticals++;
          aio_lock_count_unlock (count);
        }
      fuzz.locked = FALSE;
      break;
    }
  fuzz_require (aio_lock_count_count (count) == fuzz.visitors, "%u visitors, %u counted", fuzz.visitors,
                aio_lock_count_count (count));
  fuzz_require (fuzz.expect_criticals == 0, "a visitor that is not in was let out");
}

const FuzzOperation fuzz_lock_count_operations[] = {
  { "lock count", op_lock_count, 1 },
  { NULL, NULL, 0 },
};
