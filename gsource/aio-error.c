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
 * Gets the errno of a failed system call, or of why a feature is not available. Any thread.
 *
 * Returns: the positive errno, or 0 if @error has none
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

static void G_GNUC_PRINTF (5, 0)
    set_error (GError **error, AioError code, int errno_, const char *syscall, const char *format, va_list args)
{
  const char *name = strerrorname_np (errno_);
  g_autofree char *what = NULL;
  AioErrorPrivate *priv;
  GError *new_error;

  if (!error)
    return;

  what = g_strdup_vprintf (format, args);
  new_error = g_error_new (AIO_ERROR, code, "%s: %s (%s)", what, g_strerror (errno_), name ? name : "unknown error");
  priv = aio_error_get_private (new_error);
  priv->errno_ = errno_;
  priv->syscall = syscall;
  g_propagate_error (error, new_error);
}

void
aio_set_system_error (GError **error, int errno_, const char *syscall, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  set_error (error, AIO_ERROR_SYSTEM, errno_, syscall, format, args);
  va_end (args);
}

void
aio_set_unavailable_error (GError **error, int errno_, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  set_error (error, AIO_ERROR_UNAVAILABLE, errno_, NULL, format, args);
  va_end (args);
}
