/* SPDX-License-Identifier: MIT */
#include "aio-inspect.h"

#include "aio-context-private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the kernel calls an anonymous inode: "anon_inode:[eventpoll]", "anon_inode:inotify". */
static char *
anonymous_kind (const char *target)
{
  char kind[32] = "unknown";

  if (sscanf (target, "anon_inode:[%31[^]]", kind) != 1)
    sscanf (target, "anon_inode:%31s", kind);
  return g_strdup (strcmp (kind, "eventpoll") == 0 ? "epoll" : kind);
}

static char *
describe_kind (int fd, const char *target)
{
  struct stat status;

  if (fstat (fd, &status) != 0)
    return g_strdup (errno == EBADF ? "closed" : "unknown");
  /* First: some kernels say of a pidfd that it is a regular file. */
  if (target && g_str_has_prefix (target, "anon_inode:"))
    return anonymous_kind (target);
  switch (status.st_mode & S_IFMT)
    {
    case S_IFREG:
      return g_strdup ("file");
    case S_IFDIR:
      return g_strdup ("directory");
    case S_IFIFO:
      return g_strdup ("pipe");
    case S_IFSOCK:
      return g_strdup ("socket");
    case S_IFBLK:
      return g_strdup ("block-device");
    case S_IFCHR:
      return g_strdup (isatty (fd) ? "tty" : "character-device");
    default:
      return g_strdup ("unknown");
    }
}

static void
describe_fd (AioHandlerInfo *info)
{
  char link[32], target[PATH_MAX];
  ssize_t length;

  g_snprintf (link, sizeof link, "/proc/self/fd/%d", info->fd);
  length = readlink (link, target, sizeof target);
  info->fd_target = length < 0 ? NULL : g_strndup (target, length);
  info->fd_kind = describe_kind (info->fd, info->fd_target);
}

static void
inspect_handlers (AioContext *ctx, AioSnapshot *snapshot, GArray *infos)
{
  aio_context_visit (ctx);
  for (guint fd = 0; fd < aio_context_table_size (ctx); fd++)
    {
      AioHandler *handler = aio_context_get_handler (ctx, fd);
      AioHandlerInfo info;

      if (!handler)
        continue;
      info = (AioHandlerInfo){
        .fd = fd,
        .name = *handler->name ? g_strdup (handler->name) : NULL,
        .read = handler->funcs.read != NULL,
        .write = handler->funcs.write != NULL,
        .poll = handler->polling != NULL,
        .poll_started = handler->polling && handler->polling->begun,
        .poll_ns = handler->polling ? handler->polling->ns : 0,
        .external = handler->external,
        .dead = handler->dead,
        .parked = handler->parked,
        .held_back = !aio_context_node_check (ctx, handler->external),
      };
      g_array_append_val (infos, info);
    }
  aio_context_leave_visit (ctx);

  aio_context_lock_lists (ctx);
  snapshot->poll_max_ns = ctx->poll_params_wanted.max_ns;
  aio_context_unlock_lists (ctx);
  snapshot->poll_started = ctx->poll_started;

  for (guint i = 0; i < infos->len; i++)
    describe_fd (&g_array_index (infos, AioHandlerInfo, i));
}

static void
append_timer (AioTimerList *list, AioTimer *timer, GArray *infos)
{
  AioTimerInfo info = {
    .name = g_strdup (aio_timer_get_name (timer)),
    .clock = list->clock->type,
    .manual_clock = list->clock->manual_number,
    .enabled = aio_clock_get_enabled (list->clock),
    .external = (timer->attributes & AIO_TIMER_ATTR_EXTERNAL) != 0,
    .expire_ns = timer->expire_ns,
    .remaining_ns = timer->expire_ns - aio_clock_get_ns (list->clock),
  };

  g_array_append_val (infos, info);
}

static int
compare_expiries (gconstpointer a, gconstpointer b)
{
  gint64 first = ((const AioTimerInfo *) a)->expire_ns;
  gint64 second = ((const AioTimerInfo *) b)->expire_ns;

  return (first > second) - (first < second);
}

static void
inspect_timers (AioTimerList *list, gpointer data)
{
  g_autoptr (GArray) own = g_array_new (FALSE, FALSE, sizeof (AioTimerInfo));

  pthread_mutex_lock (&list->lock);
  for (AioTimer *timer = list->due_head; timer; timer = timer->due.next)
    append_timer (list, timer, own);
  for (guint i = 0; i < list->n_heap; i++)
    append_timer (list, list->heap[i].timer, own);
  pthread_mutex_unlock (&list->lock);

  g_array_sort (own, compare_expiries);
  if (own->len > 0)
    g_array_append_vals (data, own->data, own->len);
}

static void
inspect_bhs (AioContext *ctx, GArray *infos)
{
  aio_context_lock_lists (ctx);
  for (AioBh *bh = ctx->bhs; bh; bh = bh->next_bh)
    {
      guint flags = atomic_load_explicit (&bh->flags, memory_order_relaxed);
      AioBhInfo info = {
        .name = g_strdup (aio_bh_get_name (bh)),
        .scheduled = (flags & (AIO_BH_SCHEDULED | AIO_BH_IDLE)) != 0,
        .idle = (flags & (AIO_BH_SCHEDULED | AIO_BH_IDLE)) == AIO_BH_IDLE,
      };

      if (flags & AIO_BH_DELETED)
        g_free (info.name);
      else
        g_array_append_val (infos, info);
    }
  aio_context_unlock_lists (ctx);
}

/* Home thread: the oneshots of a queue, which only the home thread takes anything from. */
static void
inspect_oneshots (AioBh *bh, GArray *infos)
{
  for (; bh; bh = bh->next)
    if (atomic_load_explicit (&bh->flags, memory_order_relaxed) & AIO_BH_ONESHOT)
      {
        AioBhInfo info = { .name = g_strdup (aio_bh_get_name (bh)), .scheduled = TRUE, .oneshot = TRUE };

        g_array_append_val (infos, info);
      }
}

static void
inspect_queues (AioContext *ctx, GArray *infos)
{
  guint n_before;

  for (AioBhSlice *slice = ctx->bh_slice_list; slice; slice = slice->next)
    inspect_oneshots (slice->head, infos);

  n_before = infos->len;
  inspect_oneshots (atomic_load_explicit (&ctx->bh_list, memory_order_acquire), infos);
  for (guint i = n_before, j = infos->len; i + 1 < j; i++) /* the newest is its head */
    {
      AioBhInfo oldest = g_array_index (infos, AioBhInfo, --j);

      g_array_index (infos, AioBhInfo, j) = g_array_index (infos, AioBhInfo, i);
      g_array_index (infos, AioBhInfo, i) = oldest;
    }
}

static gpointer
steal (GArray *infos, guint *n)
{
  *n = infos->len;
  return g_array_free (infos, FALSE);
}

/**
 * aio_context_inspect: (skip)
 * @ctx: a context
 *
 * Takes a snapshot of what the context has. It asks the kernel about each handler's file descriptor: it
 * is for looking at now and then, not for each iteration. Home thread.
 *
 * Returns: (transfer full): the snapshot; free it with aio_snapshot_free()
 */
AioSnapshot *
aio_context_inspect (AioContext *ctx)
{
  AioSnapshot *snapshot;
  GArray *handlers, *timers, *bhs;

  g_return_val_if_fail (ctx != NULL && aio_context_is_home (ctx), NULL);

  handlers = g_array_new (FALSE, FALSE, sizeof (AioHandlerInfo));
  timers = g_array_new (FALSE, FALSE, sizeof (AioTimerInfo));
  bhs = g_array_new (FALSE, FALSE, sizeof (AioBhInfo));
  snapshot = g_new0 (AioSnapshot, 1);
  inspect_handlers (ctx, snapshot, handlers);
  aio_context_for_each_timer_list (ctx, inspect_timers, timers);
  inspect_bhs (ctx, bhs);
  inspect_queues (ctx, bhs);

  snapshot->handlers = steal (handlers, &snapshot->n_handlers);
  snapshot->timers = steal (timers, &snapshot->n_timers);
  snapshot->bhs = steal (bhs, &snapshot->n_bhs);
  return snapshot;
}

/**
 * aio_snapshot_free: (skip)
 * @snapshot: (transfer full): a snapshot
 *
 * Frees a snapshot. Any thread.
 */
void
aio_snapshot_free (AioSnapshot *snapshot)
{
  g_return_if_fail (snapshot != NULL);

  for (guint i = 0; i < snapshot->n_handlers; i++)
    {
      g_free (snapshot->handlers[i].name);
      g_free (snapshot->handlers[i].fd_kind);
      g_free (snapshot->handlers[i].fd_target);
    }
  for (guint i = 0; i < snapshot->n_timers; i++)
    g_free (snapshot->timers[i].name);
  for (guint i = 0; i < snapshot->n_bhs; i++)
    g_free (snapshot->bhs[i].name);
  g_free (snapshot->handlers);
  g_free (snapshot->timers);
  g_free (snapshot->bhs);
  g_free (snapshot);
}
