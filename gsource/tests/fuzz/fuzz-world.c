/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

#include "shims.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The beginning and the end of a program, and what it reports. */

FuzzWorld fuzz;

static guint fds_before;

/* Reports */

static void
print (const char *format, va_list args)
{
  fprintf (stderr, "%*s%s", (int) fuzz.depth * 2, "", fuzz.elsewhere ? "elsewhere: " : "");
  vfprintf (stderr, format, args);
  fputc ('\n', stderr);
}

void
fuzz_trace (const char *format, ...)
{
  va_list args;

  if (G_LIKELY (!fuzz.listing))
    return;
  va_start (args, format);
  print (format, args);
  va_end (args);
}

void
fuzz_fail (const char *format, ...)
{
  va_list args;

  va_start (args, format);
  fputs ("FUZZ: ", stderr);
  vfprintf (stderr, format, args);
  fputc ('\n', stderr);
  va_end (args);
  abort ();
}

void
fuzz_require_error (const GError *error, AioError code)
{
  g_autoptr (GError) copy = error ? g_error_copy (error) : NULL;

  fuzz_require (copy != NULL && *error->message, "no error where there has to be one");
  fuzz_require (g_error_matches (error, AIO_ERROR, (int) code), "not the error %d, but %d: %s", code, error->code,
                error->message);
  fuzz_require ((aio_error_get_errno (copy) != 0) == (code == AIO_ERROR_SYSTEM || code == AIO_ERROR_UNAVAILABLE),
                "errno %d in: %s", aio_error_get_errno (copy), error->message);
  fuzz_require ((aio_error_get_syscall (copy) != NULL) == (code == AIO_ERROR_SYSTEM), "a system call, or none, in: %s",
                error->message);
}

static FuzzContext *
find_context (const char *name)
{
  for (guint i = 0; i < fuzz.all_contexts->len; i++)
    {
      FuzzContext *c = g_ptr_array_index (fuzz.all_contexts, i);

      if (strcmp (c->name, name) == 0)
        return c;
    }
  return NULL;
}

/* What a context that was not closed says of what is left in it, and a handler without an error function at its death. */
static void
take_warning (const char *message)
{
  char name[16], rest[16];
  FuzzContext *c;
  int fd;

  fuzz_trace ("warning: %s", message);
  if (strstr (message, "by a thread that owned it and has ended"))
    {
      fuzz_require (fuzz.expect_owner_warnings-- > 0, "warning: %s", message);
      return;
    }
  if (strstr (message, "in the other order before"))
    {
      fuzz_require (fuzz.expect_order_warnings-- > 0, "warning: %s", message);
      return;
    }
  if (sscanf (message, "AioContext %15[^:]: %15s", name, rest) != 2 || !(c = find_context (name)))
    fuzz_fail ("warning: %s", message);
  if (sscanf (message, "AioContext %*[^:]: fd %d was closed while", &fd) == 1)
    {
      FuzzWatch *watch = fuzz_find_watch (c, fd);

      fuzz_require (watch && !(watch->flags & FUZZ_ERROR), "warning: %s", message);
      fuzz_watch_died (watch);
      return;
    }
  if (g_str_equal (rest, "its"))
    {
      fuzz_require (fuzz.elsewhere && c->attached && !c->detached, "warning: %s", message);
      c->detached = TRUE;
      return;
    }
  fuzz_require (c->leaks || g_str_equal (rest, "it"), "warning: %s", message);
  if (g_str_equal (rest, "bottom"))
    c->warnings_of_bhs++;
  else if (g_str_equal (rest, "oneshot"))
    c->warnings_of_oneshots++;
  else if (g_str_equal (rest, "timer"))
    c->warnings_of_timers++;
  else if (g_str_equal (rest, "handler"))
    c->warnings_of_handlers++;
  else if (g_str_equal (rest, "it"))
    c->warnings_of_lock++;
  else
    fuzz_fail ("warning: %s", message);
}

static GLogWriterOutput
write_log (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data)
{
  const char *message = "";

  for (gsize i = 0; i < n_fields; i++)
    if (g_str_equal (fields[i].key, "MESSAGE"))
      message = fields[i].value;

  if (!fuzz.all_contexts)
    return g_log_writer_default (level, fields, n_fields, data);
  if (level & G_LOG_LEVEL_WARNING)
    take_warning (message);
  else if (level & G_LOG_LEVEL_CRITICAL && fuzz.expect_criticals > 0)
    fuzz.expect_criticals--;
  else if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
    fuzz_fail ("critical: %s", message);
  return G_LOG_WRITER_HANDLED;
}

/* The beginning and the end */

static void
print_fds (void)
{
  for (int fd = 3; fd < 64; fd++)
    {
      char link[32], target[64];
      ssize_t n;

      g_snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
      if ((n = readlink (link, target, sizeof target)) >= 0)
        fprintf (stderr, "open: %d, %.*s\n", fd, (int) n, target);
    }
}

static guint
count_fds (void)
{
  DIR *dir = opendir ("/proc/self/fd");
  guint n = 0;

  fuzz_require (dir != NULL, "no /proc/self/fd");
  while (readdir (dir))
    n++;
  closedir (dir);
  return n;
}

static void
split (const guint8 *data, gsize size)
{
  const guint8 *end = data + size;

  for (guint i = 0; i < FUZZ_N_SCRIPTS; i++)
    {
      fuzz.scripts[i].at = data;
      while (data < end && *data != FUZZ_END_OF_SCRIPT)
        data++;
      fuzz.scripts[i].end = data;
      if (data < end)
        data++;
    }
}

void
fuzz_world_start (const guint8 *data, gsize size)
{
  static gboolean logging;

  if (!logging)
    {
      logging = TRUE;
      g_log_set_writer_func (write_log, NULL, NULL);
    }
  memset (&fuzz, 0, sizeof fuzz);
  fuzz.listing = g_getenv ("AIO_FUZZ_LIST") != NULL;
  split (data, size);
  fds_before = count_fds ();

  fuzz.all_contexts = g_ptr_array_new_with_free_func (g_free);
  fuzz.all_bhs = g_ptr_array_new_with_free_func (g_free);
  fuzz.all_timers = g_ptr_array_new_with_free_func (g_free);
  fuzz.all_watches = g_ptr_array_new_with_free_func (g_free);
  fuzz.all_requests = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < FUZZ_N_FDS; i++)
    fuzz.fds[i].fd = -1;
  aio_lock_count_init (&fuzz.lock_count);
  fuzz_kernel_start ();
  shim_start ();

  for (guint i = 0; i < AIO_CLOCK_MANUAL; i++)
    fuzz.clocks[i] = (FuzzClock){ .clock = aio_clock_get (i), .wall = i == AIO_CLOCK_HOST };
  for (guint i = AIO_CLOCK_MANUAL; i < FUZZ_N_CLOCKS; i++)
    fuzz.clocks[i] = (FuzzClock){ .clock = aio_clock_new_manual (1000), .manual = TRUE };
}

static void
check_bhs_ended (FuzzContext *c)
{
  guint left = 0, oneshots = 0;

  for (guint i = 0; i < fuzz.all_bhs->len; i++)
    {
      FuzzBh *bh = g_ptr_array_index (fuzz.all_bhs, i);

      if (bh->c != c)
        continue;
      fuzz_require (bh->destroyed || bh->kind == FUZZ_BH_PLAIN, "a bottom half was never freed");
      if (bh->kind == FUZZ_BH_ONESHOT)
        oneshots += !bh->ran;
      else
        left += !bh->deleted;
      if (bh->kind == FUZZ_BH_BOXED)
        {
          fuzz_require (!aio_bh_is_open (bh->bh), "a bottom half is open after its context");
          aio_bh_unref (bh->bh);
        }
    }
  if (!c->leaks)
    return;
  fuzz_require (c->warnings_of_bhs == left, "%u bottom halves were left and %u reported", left, c->warnings_of_bhs);
  fuzz_require (c->warnings_of_oneshots == oneshots, "%u oneshots were left and %u reported", oneshots,
                c->warnings_of_oneshots);
}

static void
check_timers_ended (FuzzContext *c)
{
  guint left = 0;
  gboolean fuzzy = FALSE;

  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      if (timer->c != c)
        continue;
      fuzzy |= timer->fuzzy;
      /* One in the program's memory is known to the context only while it is armed. */
      left += !timer->closed && (timer->kind != FUZZ_TIMER_INIT || timer->expire_ns >= 0);
      if (timer->kind == FUZZ_TIMER_INIT)
        continue;
      fuzz_require (timer->destroyed, "a timer was never freed");
      if (timer->kind == FUZZ_TIMER_BOXED)
        {
          fuzz_require (!aio_timer_pending (timer->timer), "a timer is pending after its context");
          aio_timer_unref (timer->timer);
        }
    }
  fuzz_require (!c->leaks || fuzzy || c->warnings_of_timers == left, "%u timers were left and %u reported", left,
                c->warnings_of_timers);
}

static void
check_watches_ended (FuzzContext *c)
{
  guint left = 0;

  for (guint i = 0; i < fuzz.all_watches->len; i++)
    {
      FuzzWatch *watch = g_ptr_array_index (fuzz.all_watches, i);

      if (watch->c != c)
        continue;
      left += watch->live;
      fuzz_require (watch->destroyed, "the handler of fd %d was never freed", watch->fd);
      fuzz_require (watch->begun == 0, "the handler of fd %d has ended in poll mode", watch->fd);
    }
  fuzz_require (!c->leaks || c->warnings_of_handlers == left, "%u handlers were left and %u reported", left,
                c->warnings_of_handlers);
}

static void
check_ended (FuzzContext *c)
{
  check_bhs_ended (c);
  check_timers_ended (c);
  check_watches_ended (c);
  fuzz_require (c->warnings_of_lock == (c->lock_depth > 0), "%s owned, and reported %u times",
                c->lock_depth > 0 ? "it was" : "it was not", c->warnings_of_lock);
  g_queue_clear (&c->batch);
}

/* Nothing is held back or fails any more. Files that live on under another number may keep a closed one ready. */
static void
make_even (void)
{
  for (guint i = 0; i < N_SHIMS; i++)
    shim_fail (i, 0, 0, 0);
  for (guint i = 0; i < AIO_CLOCK_MANUAL; i++)
    aio_clock_set_enabled (fuzz.clocks[i].clock, TRUE);
  if (fuzz.other)
    g_source_destroy (fuzz.other);
  g_clear_pointer (&fuzz.other, g_source_unref);
  for (guint i = 0; i < FUZZ_N_CONTEXTS; i++)
    while (fuzz.contexts[i] && fuzz.contexts[i]->ctx && fuzz.contexts[i]->external_disables > 0)
      {
        fuzz.contexts[i]->external_disables--;
        fuzz_require (aio_context_enable_external (fuzz.contexts[i]->ctx, NULL), "external clients stay disabled");
      }
  for (guint i = 0; i < FUZZ_N_FDS; i++)
    if (fuzz.fds[i].lives_on && fuzz.fds[i].fd >= 0)
      fuzz_close_fd (&fuzz.fds[i]);
}

static gboolean
is_watched (int fd)
{
  for (guint i = 0; i < FUZZ_N_CONTEXTS; i++)
    if (fuzz_is_alive (fuzz.contexts[i]) && fuzz_find_watch (fuzz.contexts[i], fd))
      return TRUE;
  return FALSE;
}

/*
 * With a descriptor that nobody watches its file is closed: the other end is hung up. But a ring takes its time to end; and
 * the kernel to take back what a thread had armed that has ended.
 */
static void
check_closes (void)
{
  for (guint i = 0; i < fuzz.all_contexts->len; i++)
    if (!((FuzzContext *) g_ptr_array_index (fuzz.all_contexts, i))->ctx)
      return;
  for (guint i = 0; i < FUZZ_N_FDS; i++)
    {
      FuzzFd *fd = &fuzz.fds[i], *peer = &fuzz.fds[fd->peer];

      if ((fd->kind != FUZZ_FD_PIPE && fd->kind != FUZZ_FD_SOCKET) || fd == peer || fd->fd < 0 || peer->fd < 0
          || peer->peer != i || fd->lives_on || peer->lives_on || is_watched (fd->fd) || fuzz.faults)
        continue;
      fuzz_close_fd (fd);
      fuzz_require (fuzz_look_at_fd (peer->fd, 0, 5000) & (POLLHUP | POLLERR),
                    "the file of a closed descriptor is held open");
    }
}

void
fuzz_world_end (void)
{
  guint fds, how = fuzz_arg (3);

  fuzz.ending = TRUE;
  make_even ();
  fuzz_settle ();
  check_closes ();
  for (guint i = 0; i < FUZZ_N_CONTEXTS; i++)
    if (fuzz.contexts[i] && fuzz.contexts[i]->ctx)
      {
        if (how == 0 && !fuzz.contexts[i]->closed)
          fuzz_close_context (fuzz.contexts[i]);
        fuzz_drop_context (fuzz.contexts[i]);
      }
  /* GLib refers to what it has found ready until it looks again. */
  if (fuzz.main_context)
    g_main_context_pending (fuzz.main_context);
  if (fuzz.current[0])
    fuzz_require (aio_context_set_current (NULL, NULL), "there is a current context for good");
  g_clear_pointer (&fuzz.main_context, g_main_context_unref);

  for (guint i = 0; i < fuzz.all_contexts->len; i++)
    check_ended (g_ptr_array_index (fuzz.all_contexts, i));
  for (guint i = 0; i < fuzz.all_requests->len; i++)
    fuzz_require (!((FuzzRequest *) g_ptr_array_index (fuzz.all_requests, i))->pending,
                  "a request has never completed");

  for (guint i = AIO_CLOCK_MANUAL; i < FUZZ_N_CLOCKS; i++)
    aio_clock_unref (fuzz.clocks[i].clock);
  for (guint i = 0; i < FUZZ_N_FDS; i++)
    if (fuzz.fds[i].fd >= 0)
      close (fuzz.fds[i].fd);
  for (guint i = 0; i < FUZZ_CROWD; i++)
    if (fuzz.crowd[i] > 0)
      close (fuzz.crowd[i]);
  for (guint i = 0; i < FUZZ_N_NOTIFIERS; i++)
    g_clear_pointer (&fuzz.notifiers[i].notifier, aio_notifier_unref);
  for (guint i = 0; i < fuzz.all_watches->len; i++)
    g_clear_pointer (&((FuzzWatch *) g_ptr_array_index (fuzz.all_watches, i))->notifier, aio_notifier_unref);
  while (fuzz.visitors-- > 0)
    aio_lock_count_dec (&fuzz.lock_count);
  if (fuzz.locked)
    aio_lock_count_unlock (&fuzz.lock_count);
  aio_lock_count_clear (&fuzz.lock_count);
  shim_stop ();
  fuzz_kernel_stop ();

  g_clear_pointer (&fuzz.all_requests, g_ptr_array_unref);
  g_clear_pointer (&fuzz.all_watches, g_ptr_array_unref);
  g_clear_pointer (&fuzz.all_timers, g_ptr_array_unref);
  g_clear_pointer (&fuzz.all_bhs, g_ptr_array_unref);
  g_clear_pointer (&fuzz.all_contexts, g_ptr_array_unref);
  fds = count_fds ();
  if (fds != fds_before)
    print_fds ();
  fuzz_require (fds == fds_before, "%u file descriptors before, %u after", fds_before, fds);
  fuzz_require (fuzz.expect_criticals == 0, "a call with a wrong argument was not refused");
}
