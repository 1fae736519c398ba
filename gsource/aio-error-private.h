/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-error.h"

/* An %AIO_ERROR_SYSTEM: "what was attempted, on what: strerror (ERRNO)". @syscall is a static string. */
void aio_set_system_error (GError **error, int errno_, const char *syscall, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

/* An %AIO_ERROR_UNAVAILABLE that tells the errno as well. */
void aio_set_unavailable_error (GError **error, int errno_, const char *format, ...) G_GNUC_PRINTF (3, 4);
