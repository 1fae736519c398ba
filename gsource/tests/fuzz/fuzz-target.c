/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

#include <stdlib.h>

/* libFuzzer's: one program from beginning to end. */

int LLVMFuzzerInitialize (int *argc, char ***argv);
int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  g_setenv ("G_SLICE", "always-malloc", TRUE);
  signal (SIGPIPE, SIG_IGN);
  /* For those who write programs by hand: scripts/fuzz-c.mjs. */
  if (g_getenv ("AIO_FUZZ_OPERATIONS"))
    {
      fuzz_print_operations ();
      exit (0);
    }
  return 0;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  fuzz_world_start (data, size);
  fuzz_run_script (0);
  fuzz_world_end ();
  return 0;
}
