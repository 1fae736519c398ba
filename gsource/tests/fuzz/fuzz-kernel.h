/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

/*
 * What the library sees of the kernel while it is fuzzed. Its file descriptors are real, its time is not: a clock moves
 * a little whenever it is read, and otherwise only when a wait sleeps or the program says so. A wait never blocks: when
 * nothing is ready, the rest of the world has its turn, then the time it would have slept has passed.
 */

/* No clock goes beyond this. */
#define FUZZ_KERNEL_END_NS (G_MAXINT64 / 4)

void fuzz_kernel_start (void);
void fuzz_kernel_stop (void);

/* Nanoseconds, as clock_gettime(2) gave them last. */
gint64 fuzz_kernel_now (gboolean wall_clock);

void fuzz_kernel_pass_time (gint64 ns);

/* Somebody sets the wall clock: timerfds that are cancelled by that are. */
void fuzz_kernel_set_wall_clock (gint64 offset_ns);

/* What GLib polls with. */
int fuzz_kernel_g_poll (GPollFD *fds, guint n, int timeout_ms);

/* Waits so far that did not sleep, since fuzz_kernel_reset_spins(). */
guint fuzz_kernel_spins (void);
void fuzz_kernel_reset_spins (void);

/* And those that did, since the start. */
guint fuzz_kernel_sleeps (void);
