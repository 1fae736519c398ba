/* SPDX-License-Identifier: MIT */
#include "aio-error.h"

#include "aio-error-private.h"

#include <errno.h>

typedef struct {
  int errno_;
  const char *syscall; /* static */
} AioErrorPrivate;

static void
aio_error_private_init (AioErrorPrivate *priv)
{
  priv->errno_ = 0;
  priv->syscall = NULL;
}

static void
aio_error_private_copy (const AioErrorPrivate *src, AioErrorPrivate *dest)
{
  *dest = *src;
}

static void
aio_error_private_clear (AioErrorPrivate *priv)
{
  priv->syscall = NULL;
}

G_DEFINE_EXTENDED_ERROR (AioError, aio_error)

/**
 * aio_error_get_errno:
 * @error: an error
 *
 * Gets the errno of a failed system call. Any thread.
 *
 * Returns: the positive errno, or 0 if @error is not %AIO_ERROR_SYSTEM
 */
int
aio_error_get_errno (const GError *error)
{
  AioErrorPrivate *priv = error && error->domain == AIO_ERROR ? aio_error_get_private (error) : NULL;

  return priv ? priv->errno_ : 0;
}

/**
 * aio_error_get_syscall:
 * @error: an error
 *
 * Gets the name of the system call that failed. Any thread.
 *
 * Returns: (nullable): the name, or %NULL if @error is not %AIO_ERROR_SYSTEM
 */
const char *
aio_error_get_syscall (const GError *error)
{
  AioErrorPrivate *priv = error && error->domain == AIO_ERROR ? aio_error_get_private (error) : NULL;

  return priv ? priv->syscall : NULL;
}

void
aio_set_system_error (GError **error, int errno_, const char *syscall, const char *format, ...)
{
  g_autofree char *what = NULL;
  GError *system_error = NULL;
  AioErrorPrivate *priv;
  va_list args;

  if (!error)
    return;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);

  system_error = g_error_new (AIO_ERROR, AIO_ERROR_SYSTEM, "%s: %s (%s)", what, g_strerror (errno_),
                              strerrorname_np (errno_) ? strerrorname_np (errno_) : "unknown error");
  priv = aio_error_get_private (system_error);
  priv->errno_ = errno_;
  priv->syscall = syscall;
  g_propagate_error (error, system_error);
}
