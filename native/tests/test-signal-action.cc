/* SPDX-License-Identifier: MIT */
#include "../signal-action.h"

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <csignal>

namespace {

constexpr int kSignal = SIGUSR2;

// --- What others have for the signal

int libuv_calls, before_calls, later_calls;
int libuv_watchers;
struct sigaction under_later;

void LibuvHandler(int) {
  libuv_calls++;
  errno = ENOENT;
}

void BeforeHandler(int number, siginfo_t* info, void* context) {
  g_assert_cmpint(number, ==, kSignal);
  g_assert_cmpint(info->si_signo, ==, kSignal);
  g_assert_nonnull(context);
  before_calls++;
}

// Calls what it has replaced.
void LaterHandler(int number, siginfo_t* info, void* context) {
  later_calls++;
  under_later.sa_sigaction(number, info, context);
}

void SetAction(void (*handler)(int), struct sigaction* old = nullptr) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  g_assert_cmpint(sigaction(kSignal, &action, old), ==, 0);
}

void SetAction(void (*handler)(int, siginfo_t*, void*), struct sigaction* old = nullptr) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  g_assert_cmpint(sigaction(kSignal, &action, old), ==, 0);
}

struct sigaction Present() {
  struct sigaction action = {};
  sigaction(kSignal, nullptr, &action);
  return action;
}

// As libuv does: a handler for the first watcher, the default after the last.
int StartLibuv(void*) {
  if (libuv_watchers++ == 0) SetAction(LibuvHandler);
  return 0;
}

void StopLibuv(void*) {
  if (--libuv_watchers == 0) SetAction(SIG_DFL);
}

// --- A context with a bottom half that is scheduled by the signal

struct Watched {
  AioContext* context = aio_context_new(nullptr);
  AioBh* bh;
  aio::SignalWatch* watch = nullptr;
  int runs = 0;

  Watched() {
    bh = aio_bh_new_boxed(
        context, "signal", [](gpointer data) { static_cast<Watched*>(data)->runs++; }, this, nullptr);
    g_assert_cmpint(aio::AddSignalWatch(kSignal, bh, StartLibuv, nullptr, &watch), ==, 0);
  }

  ~Watched() {
    Remove();
    aio_bh_delete(bh);
    aio_bh_unref(bh);
    aio_context_close(context, nullptr);
    aio_context_unref(context);
  }

  void Remove() {
    if (watch != nullptr) aio::RemoveSignalWatch(watch, StopLibuv, nullptr);
    watch = nullptr;
  }

  int Runs() {
    while (aio_context_poll(context, FALSE, nullptr)) continue;
    return runs;
  }
};

void Reset() {
  libuv_calls = before_calls = later_calls = 0;
  libuv_watchers = 0;
  SetAction(SIG_DFL);
}

// --- Cases

void TestErrno() {
  Reset();
  Watched watched;
  errno = 123;
  raise(kSignal);
  g_assert_cmpint(errno, ==, 123);
  g_assert_cmpint(libuv_calls, ==, 1);
  g_assert_cmpint(watched.Runs(), ==, 1);
}

// What was there before is called, and is there again afterwards, with its flags.
void TestBefore() {
  Reset();
  SetAction(BeforeHandler);
  {
    Watched first, second;
    raise(kSignal);
    g_assert_cmpint(before_calls, ==, 1);
    g_assert_cmpint(libuv_calls, ==, 1);
    g_assert_cmpint(first.Runs(), ==, 1);
    first.Remove();
    raise(kSignal);
    g_assert_cmpint(first.Runs(), ==, 1);
    g_assert_cmpint(second.Runs(), ==, 1);
  }
  g_assert_true(Present().sa_sigaction == BeforeHandler);
  g_assert_cmpint(Present().sa_flags & (SA_SIGINFO | SA_NODEFER), ==, SA_SIGINFO | SA_NODEFER);
  Reset();
}

// libuv has begun to use it meanwhile.
void TestBeforeGivesWay() {
  Reset();
  SetAction(BeforeHandler);
  {
    Watched watched;
    StartLibuv(nullptr);
  }
  g_assert_true(Present().sa_handler == LibuvHandler);
  Reset();
}

void TestIgnored() {
  Reset();
  SetAction(SIG_IGN);
  {
    Watched watched;
    raise(kSignal);
    g_assert_cmpint(watched.Runs(), ==, 1);
  }
  g_assert_true(Present().sa_handler == SIG_IGN);
  Reset();
}

// libuv's own handler stays where libuv has use for it.
void TestLibuvStays() {
  Reset();
  StartLibuv(nullptr);
  {
    Watched watched;
    raise(kSignal);
    g_assert_cmpint(libuv_calls, ==, 1);
  }
  g_assert_true(Present().sa_handler == LibuvHandler);
  {
    Watched watched;
    StopLibuv(nullptr);
    raise(kSignal);
    g_assert_cmpint(watched.Runs(), ==, 1);
  }
  g_assert_true(Present().sa_handler == SIG_DFL);
  Reset();
}

// A handler that replaces ours and calls it: each is called once, also once ours is above it.
void TestLater() {
  Reset();
  {
    Watched watched;
    SetAction(LaterHandler, &under_later);
    raise(kSignal);
    g_assert_cmpint(later_calls, ==, 1);
    g_assert_cmpint(libuv_calls, ==, 1);
    g_assert_cmpint(watched.Runs(), ==, 1);

    aio::RestoreSignalHandler(kSignal);
    g_assert_true(Present().sa_sigaction != LaterHandler);
    raise(kSignal);
    g_assert_cmpint(later_calls, ==, 2);
    g_assert_cmpint(libuv_calls, ==, 2);
    g_assert_cmpint(watched.Runs(), ==, 2);
  }
  g_assert_true(Present().sa_sigaction == LaterHandler);
  raise(kSignal);
  g_assert_cmpint(later_calls, ==, 3);
  Reset();
}

// One that goes leaves the default, and ours comes back without it.
void TestLaterGoes() {
  Reset();
  {
    Watched watched;
    SetAction(LaterHandler, &under_later);
    aio::RestoreSignalHandler(kSignal);
    SetAction(SIG_DFL);
    aio::RestoreSignalHandler(kSignal);
    raise(kSignal);
    g_assert_cmpint(later_calls, ==, 0);
    g_assert_cmpint(libuv_calls, ==, 1);
    g_assert_cmpint(watched.Runs(), ==, 1);
  }
  g_assert_true(Present().sa_handler == SIG_DFL);
}

// One that is above ours when the last watch goes is left alone.
void TestCovered() {
  Reset();
  {
    Watched watched;
    SetAction(LaterHandler, &under_later);
    libuv_watchers++;
  }
  g_assert_true(Present().sa_sigaction == LaterHandler);
  raise(kSignal);
  g_assert_cmpint(later_calls, ==, 1);
  g_assert_cmpint(libuv_calls, ==, 1);
  Reset();
}

int Refuse(void*) { return -EMFILE; }

void TestRefused() {
  Reset();
  aio::SignalWatch* watch = nullptr;
  Watched other;
  other.Remove();
  g_assert_cmpint(aio::AddSignalWatch(kSignal, other.bh, Refuse, nullptr, &watch), ==, -EMFILE);
  g_assert_true(Present().sa_handler == SIG_DFL);
}

std::atomic<bool> storm;

void* Storm(void* target) {
  while (storm) pthread_kill(*static_cast<pthread_t*>(target), kSignal);
  return nullptr;
}

void* Sleep(void*) {
  while (storm) g_usleep(100);
  return nullptr;
}

// Handlers run on another thread while watches come and go: no bottom half is used after its watch.
void TestStorm() {
  Reset();
  Watched keeps;
  storm = true;
  pthread_t target, sender;
  pthread_create(&target, nullptr, Sleep, nullptr);
  pthread_create(&sender, nullptr, Storm, &target);
  for (int i = 0; i < 20000; i++) {
    Watched comes;
    comes.Runs();
  }
  storm = false;
  pthread_join(sender, nullptr);
  pthread_join(target, nullptr);
  g_assert_cmpint(keeps.Runs(), >, 0);
}

}  // namespace

int main(int argc, char** argv) {
  g_test_init(&argc, &argv, nullptr);
  g_test_add_func("/signal-action/errno", TestErrno);
  g_test_add_func("/signal-action/before", TestBefore);
  g_test_add_func("/signal-action/before-gives-way", TestBeforeGivesWay);
  g_test_add_func("/signal-action/ignored", TestIgnored);
  g_test_add_func("/signal-action/libuv-stays", TestLibuvStays);
  g_test_add_func("/signal-action/later", TestLater);
  g_test_add_func("/signal-action/later-goes", TestLaterGoes);
  g_test_add_func("/signal-action/covered", TestCovered);
  g_test_add_func("/signal-action/refused", TestRefused);
  g_test_add_func("/signal-action/storm", TestStorm);
  return g_test_run();
}
