/* SPDX-License-Identifier: MIT */
/*
 * Bottom halves driven by aio_context_poll(), against a bare lock-free list: the least that lets any
 * thread queue a callback for another one. bench/README.md says why that is fair.
 */
#include <aio-gsource.h>
#include <malloc.h>
#include <stdatomic.h>

#include "bench.h"

#define BATCH 100000
#define IDLE_POLLS 1000000

typedef void (*Func) (gpointer data);

/* As large as a bottom half, with the callback at the same place. */
typedef struct Node Node;
struct Node {
  gpointer unused[2];
  Func func;
  gpointer data;
  Node *next;
};

static AioContext *ctx;
static AioBh *bhs[BATCH];
static _Atomic (Node *) list;
static Node *nodes[BATCH];
static guint n_calls;

static void
callback (gpointer data)
{
  ++*(guint *) data;
}

/* The library's functions are called, not inlined: so are the list's. */
static G_NO_INLINE void
list_push (Node *node)
{
  Node *head = atomic_load_explicit (&list, memory_order_relaxed);

  do
    node->next = head;
  while (!atomic_compare_exchange_weak_explicit (&list, &head, node, memory_order_release, memory_order_relaxed));
}

static G_NO_INLINE gboolean
list_run (void)
{
  Node *node = atomic_exchange_explicit (&list, NULL, memory_order_acquire);
  gboolean progress = node != NULL;

  while (node)
    {
      Node *next = node->next;

      node->func (node->data);
      node = next;
    }
  return progress;
}

static void
bh_batch (guint n)
{
  for (guint i = 0; i < n; i++)
    aio_bh_schedule (bhs[i]);
  aio_context_poll (ctx, FALSE, NULL);
}

static void
list_batch (guint n)
{
  for (guint i = 0; i < n; i++)
    list_push (nodes[i]);
  list_run ();
}

static void
bh_single (guint n)
{
  for (guint i = 0; i < n; i++)
    {
      aio_bh_schedule (bhs[0]);
      aio_context_poll (ctx, FALSE, NULL);
    }
}

static void
list_single (guint n)
{
  for (guint i = 0; i < n; i++)
    {
      list_push (nodes[0]);
      list_run ();
    }
}

static void
bh_idle (guint n)
{
  for (guint i = 0; i < n; i++)
    aio_context_poll (ctx, FALSE, NULL);
}

static void
list_idle (guint n)
{
  for (guint i = 0; i < n; i++)
    list_run ();
}

int
main (void)
{
  static const BenchCase cases[] = {
    { "100,000 a batch", "ours", bh_batch, BATCH }, { "100,000 a batch", "bare list", list_batch, BATCH },
    { "one at a time", "ours", bh_single, BATCH },  { "one at a time", "bare list", list_single, BATCH },
    { "idle poll", "ours", bh_idle, IDLE_POLLS },   { "idle poll", "bare list", list_idle, IDLE_POLLS },
  };

  ctx = aio_context_new (NULL);
  if (!ctx)
    g_error ("no AioContext");
  for (guint i = 0; i < BATCH; i++)
    bhs[i] = aio_bh_new (ctx, callback, &n_calls);
  for (guint i = 0; i < BATCH; i++)
    {
      nodes[i] = g_malloc0 (malloc_usable_size (bhs[i]));
      nodes[i]->func = callback;
      nodes[i]->data = &n_calls;
    }

  bench_run (cases, G_N_ELEMENTS (cases));

  /* Each round of either ran each callback of a batch once, and as often one at a time. */
  if (n_calls != (BENCH_WARM_UP_ROUNDS + BENCH_ROUNDS) * 4 * BATCH)
    g_error ("%u callbacks ran", n_calls);
  aio_context_close (ctx, NULL);
  aio_context_unref (ctx);
  return 0;
}
