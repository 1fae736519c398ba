/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>
#include <stdio.h>
#include <time.h>

/*
 * Measures what a C benchmark compares, interleaved round by round. Prints one line of JSON a round and
 * subject, {"shape": …, "subject": …, "value": …}, which bench/run.ts reads; it takes medians and ratios.
 */

#define BENCH_WARM_UP_ROUNDS 5
#define BENCH_ROUNDS 31

typedef struct {
  const char *shape;   /* subjects of one shape are compared */
  const char *subject; /* "ours", or the name of a peer */
  void (*run) (guint n_operations);
  guint n_operations;
} BenchCase;

static inline gint64
bench_now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * G_GINT64_CONSTANT (1000000000) + now.tv_nsec;
}

/* What the process has used of all processors. */
static inline gint64
bench_cpu_ns (void)
{
  struct timespec used;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &used);
  return used.tv_sec * G_GINT64_CONSTANT (1000000000) + used.tv_nsec;
}

static inline void
bench_print (const char *shape, const char *subject, double value)
{
  printf ("{\"shape\": \"%s\", \"subject\": \"%s\", \"value\": %.3f}\n", shape, subject, value);
}

static inline void
bench_run (const BenchCase *cases, guint n_cases)
{
  for (int round = -BENCH_WARM_UP_ROUNDS; round < BENCH_ROUNDS; round++)
    for (guint i = 0; i < n_cases; i++)
      {
        gint64 start = bench_now_ns ();

        cases[i].run (cases[i].n_operations);
        if (round >= 0)
          bench_print (cases[i].shape, cases[i].subject, (double) (bench_now_ns () - start) / cases[i].n_operations);
      }
}
