/* SPDX-License-Identifier: MIT */
#include "signal-action.h"

#include <dlfcn.h>
#include <sched.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <mutex>

namespace aio {

struct SignalWatch {
  const int number;
  std::atomic<AioBh*> bh;  // nullptr: it may be used again
  SignalWatch* const next;
};

namespace {

constexpr int kMaxActions = 3;

// What our handler calls: libuv's handler, what was there before that, what has replaced ours since. Never changed or
// freed, for a handler may be looking at it; there are few, and they are used again.
struct Chain {
  int count;
  struct sigaction actions[kMaxActions];
  const Chain* next;
};

// What there is of one signal. The atomics are for the handler, the rest is guarded by `lock`.
struct Signal {
  std::atomic<SignalWatch*> watches;  // all there have been
  std::atomic<const Chain*> chain;
  std::atomic<int> handlers;  // how many are looking at `watches`

  int count;                  // watches in use
  struct sigaction original;  // what was there before the first of them
  struct sigaction later;     // what has replaced ours since, or the default
  Chain base;                 // what our handler calls unless somebody has replaced it
  const Chain* chains;        // all there have been
};

Signal signals[NSIG];  // of trivial destructors: signals come until the very end
std::mutex lock;

// The signals of which this thread is in a handler that ours has called. What has replaced ours may call it in turn.
thread_local uint64_t calling __attribute__((tls_model("initial-exec")));

void Call(const struct sigaction& action, int number, siginfo_t* info, void* context) {
  if (action.sa_flags & SA_SIGINFO)
    action.sa_sigaction(number, info, context);
  else
    action.sa_handler(number);
}

void Handle(int number, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  Signal& signal = signals[number];

  // Sequentially consistent: pairs with RemoveSignalWatch().
  signal.handlers++;
  for (SignalWatch* watch = signal.watches; watch != nullptr; watch = watch->next)
    if (AioBh* bh = watch->bh) aio_bh_schedule(bh);
  signal.handlers--;

  const uint64_t bit = UINT64_C(1) << (number - 1);
  if (!(calling & bit)) {
    calling |= bit;
    const Chain* chain = signal.chain;
    for (int i = 0; i < chain->count; i++) {
      errno = saved_errno;
      Call(chain->actions[i], number, info, context);
    }
    calling &= ~bit;
  }
  errno = saved_errno;
}

struct sigaction Query(int number) {
  struct sigaction action = {};
  sigaction(number, nullptr, &action);
  return action;
}

bool IsHandler(const struct sigaction& action) { return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN; }

bool IsDefault(const struct sigaction& action) { return action.sa_handler == SIG_DFL; }

bool IsOurs(const struct sigaction& action) { return (action.sa_flags & SA_SIGINFO) && action.sa_sigaction == Handle; }

bool IsSame(const struct sigaction& one, const struct sigaction& other) { return one.sa_handler == other.sa_handler; }

// Node's own handlers, unlike libuv's, are for signals that no script takes for itself: that of SIGUSR1 starts the
// debugger, those of SIGINT and SIGTERM raise the signal again, for its default action to end the process.
bool IsOfNode(const struct sigaction& action) {
  Dl_info handler, node;
  const void* of_node = dlsym(RTLD_DEFAULT, "napi_create_function");
  return of_node != nullptr && dladdr(of_node, &node) != 0 &&
         dladdr(reinterpret_cast<void*>(action.sa_handler), &handler) != 0 && handler.dli_fbase == node.dli_fbase;
}

void Append(Chain& chain, const struct sigaction& action) {
  if (!IsHandler(action) || IsOurs(action) || chain.count == kMaxActions) return;
  for (int i = 0; i < chain.count; i++)
    if (IsSame(chain.actions[i], action)) return;
  chain.actions[chain.count++] = action;
}

void Publish(Signal& signal, const Chain& chain) {
  for (const Chain* known = signal.chains; known != nullptr; known = known->next) {
    bool same = known->count == chain.count;
    for (int i = 0; same && i < chain.count; i++) same = IsSame(known->actions[i], chain.actions[i]);
    if (same) {
      signal.chain = known;
      return;
    }
  }
  auto* added = new Chain(chain);
  added->next = signal.chains;
  signal.chains = added;
  signal.chain = added;
}

void Install(int number) {
  struct sigaction ours = {};
  ours.sa_sigaction = Handle;
  // All signals are blocked meanwhile, as those that are called require: libuv's holds a lock.
  sigfillset(&ours.sa_mask);
  ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigaction(number, &ours, nullptr);
}

SignalWatch* Watch(Signal& signal, int number, AioBh* bh) {
  for (SignalWatch* watch = signal.watches; watch != nullptr; watch = watch->next)
    if (watch->bh == nullptr) {
      watch->bh = bh;
      return watch;
    }
  auto* watch = new SignalWatch{number, {bh}, signal.watches};
  signal.watches = watch;
  return watch;
}

}  // namespace

int AddSignalWatch(int number, AioBh* bh, int (*take_from_others)(void*), void* data, SignalWatch** result) {
  std::lock_guard<std::mutex> guard(lock);
  Signal& signal = signals[number];
  const struct sigaction before = Query(number);
  if (int error = take_from_others(data)) return error;

  if (signal.count == 0) {
    const struct sigaction libuv = Query(number);
    signal.original = before;
    signal.later = {};
    // It is ours if whoever had replaced it gave it back after the last watch: it calls libuv's already.
    if (!IsOurs(libuv)) {
      signal.base.count = 0;
      Append(signal.base, libuv);
      if (!IsOfNode(before)) Append(signal.base, before);
    }
    Publish(signal, signal.base);
  }
  *result = Watch(signal, number, bh);
  if (signal.count++ == 0) Install(number);
  return 0;
}

void RemoveSignalWatch(SignalWatch* watch, void (*give_back)(void*), void* data) {
  std::lock_guard<std::mutex> guard(lock);
  const int number = watch->number;
  Signal& signal = signals[number];

  // Sequentially consistent: a handler that comes later finds nothing, one that came earlier is waited for.
  watch->bh = nullptr;
  while (signal.handlers != 0) sched_yield();

  // Somebody else's stays, and ours under it, for it may be called from there.
  const bool last = --signal.count == 0 && IsOurs(Query(number));
  if (last) sigaction(number, signal.base.count > 0 ? &signal.base.actions[0] : &signal.original, nullptr);
  give_back(data);
  if (!last) return;
  if (!IsDefault(signal.later)) {
    // It may call ours.
    Publish(signal, signal.base);
    sigaction(number, &signal.later, nullptr);
    return;
  }
  const bool was_libuv = signal.base.count > 0 && IsSame(signal.original, signal.base.actions[0]);
  if (IsDefault(Query(number)) && !IsOurs(signal.original) && !was_libuv) sigaction(number, &signal.original, nullptr);
}

void RestoreSignalHandler(int number) {
  const struct sigaction present = Query(number);
  if (G_LIKELY(IsOurs(present))) return;

  std::lock_guard<std::mutex> guard(lock);
  Signal& signal = signals[number];
  if (signal.count == 0) return;
  // A default comes from one that had replaced ours and has ended.
  signal.later = present;
  Chain chain = {};
  Append(chain, present);
  for (int i = 0; i < signal.base.count; i++) Append(chain, signal.base.actions[i]);
  Publish(signal, chain);
  Install(number);
}

}  // namespace aio
