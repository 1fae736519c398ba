/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Requests in the ring of a context. */

static void
request_prepare (AioUringRequest *data, struct io_uring_sqe *sqe)
{
  FuzzRequest *request = (FuzzRequest *) data;

  fuzz_require (request->pending && !request->prepared, "a request is prepared twice");
  request->prepared = TRUE;
  if (request->fd < 0)
    io_uring_prep_nop (sqe);
  else
    io_uring_prep_read (sqe, request->fd, &request->value, sizeof request->value, 0);
}

static void
request_complete (AioUringRequest *data, int res, guint flags)
{
  FuzzRequest *request = (FuzzRequest *) data;

  fuzz_trace ("a request of %s completes: %d", request->c->name, res);
  fuzz_require (request->pending, "a request completes twice");
  request->pending = FALSE;
  if (request->fd >= 0)
    fuzz_touch_fd (request->fd);
  if (fuzz.turn)
    fuzz.turn->progress = fuzz.turn->unsure = TRUE;
  fuzz_run_script (request->script);
}

static void
op_request (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzFd *fd = &fuzz.fds[fuzz_arg (FUZZ_N_FDS)];
  FuzzRequest *request;

  if (!fuzz_may_drive (c))
    return;
  request = g_new0 (FuzzRequest, 1);
  request->request.prepare = request_prepare;
  request->request.complete = request_complete;
  request->c = c;
  request->fd = fd->kind == FUZZ_FD_EVENTFD ? fd->fd : -1;
  request->script = fuzz_arg (FUZZ_N_SCRIPTS);
  request->pending = TRUE;
  g_ptr_array_add (fuzz.all_requests, request);
  request->pending = aio_uring_add_request (c->ctx, &request->request);
}

const FuzzOperation fuzz_request_operations[] = {
  { "request", op_request, 2 },
  { NULL, NULL, 0 },
};
