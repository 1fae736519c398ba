/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include <glib-object.h>

G_BEGIN_DECLS

/**
 * AIO_AVAILABLE: (skip)
 *
 * Marks a function of the public API; everything else is hidden.
 */
#define AIO_AVAILABLE __attribute__ ((visibility ("default"))) extern

/**
 * AIO_ERROR:
 *
 * The error domain of this library; its codes are #AioError.
 */
#define AIO_ERROR (aio_error_quark ())

/**
 * AioError:
 * @AIO_ERROR_SYSTEM: a system call failed; see aio_error_get_errno() and aio_error_get_syscall()
 * @AIO_ERROR_CLOSED: the context, bottom half, timer or notifier has been closed
 * @AIO_ERROR_DETACHED: the source was destroyed, which is final for GLib
 * @AIO_ERROR_ATTACHED: the context is attached to a #GMainContext already
 * @AIO_ERROR_WRONG_THREAD: the call is for the context's home thread only
 * @AIO_ERROR_NOT_OWNER: the lock is held by another thread
 * @AIO_ERROR_NOT_HELD: the lock is not held
 * @AIO_ERROR_UNDERFLOW: an undo without its do
 * @AIO_ERROR_SCHEDULED: the coroutine is scheduled already
 * @AIO_ERROR_FINISHED: the coroutine has ended
 * @AIO_ERROR_IN_MICROTASK: promises cannot progress inside a microtask
 * @AIO_ERROR_IN_PREPARE: a blocking iteration inside another source's prepare would hang
 * @AIO_ERROR_WOULD_HANG: nothing is armed that could end the wait
 * @AIO_ERROR_TIMEOUT: the time was up
 * @AIO_ERROR_CURRENT_SET: another context is the thread's current one
 * @AIO_ERROR_FD_BUSY: the direction of the file descriptor is owned by somebody else
 * @AIO_ERROR_UNAVAILABLE: this kernel or this build does not have the feature
 * @AIO_ERROR_BAD_HANDLE: the handle does not name a living object
 *
 * The codes of the domain %AIO_ERROR.
 */
typedef enum {
  AIO_ERROR_SYSTEM,
  AIO_ERROR_CLOSED,
  AIO_ERROR_DETACHED,
  AIO_ERROR_ATTACHED,
  AIO_ERROR_WRONG_THREAD,
  AIO_ERROR_NOT_OWNER,
  AIO_ERROR_NOT_HELD,
  AIO_ERROR_UNDERFLOW,
  AIO_ERROR_SCHEDULED,
  AIO_ERROR_FINISHED,
  AIO_ERROR_IN_MICROTASK,
  AIO_ERROR_IN_PREPARE,
  AIO_ERROR_WOULD_HANG,
  AIO_ERROR_TIMEOUT,
  AIO_ERROR_CURRENT_SET,
  AIO_ERROR_FD_BUSY,
  AIO_ERROR_UNAVAILABLE,
  AIO_ERROR_BAD_HANDLE,
} AioError;

AIO_AVAILABLE
GQuark aio_error_quark (void);

AIO_AVAILABLE
int aio_error_get_errno (const GError *error);

AIO_AVAILABLE
const char *aio_error_get_syscall (const GError *error);

G_END_DECLS
