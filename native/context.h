/* SPDX-License-Identifier: MIT */
#pragma once

#include <string>

#include "args.h"
#include "callback.h"

namespace aio {

// An AioContext, as its handle and those of its bottom halves and timers share it. Closing it lets go of
// it, and so of its file descriptors, no matter when the garbage collector gets to the handles.
class OwnedContext {
 public:
  OwnedContext(Environment& environment, AioContext* context, napi_value batch);  // takes the reference
  ~OwnedContext() { Close(nullptr); }
  OwnedContext(const OwnedContext&) = delete;
  OwnedContext& operator=(const OwnedContext&) = delete;

  AioContext* get() const { return context_; }  // nullptr some time after it was closed
  bool IsOpen() const { return context_ != nullptr && !aio_context_is_closed(context_); }
  bool IsArmed() const;  // it has to be open
  const char* name() const { return name_.c_str(); }

  bool Close(GError** error);
  void End();  // closes it even where closing fails

  // While a call drives the context, the context stays, even if a callback closes it.
  class Driving {
   public:
    explicit Driving(OwnedContext& owned) : owned_(owned) { owned_.driving_++; }
    ~Driving() {
      if (--owned_.driving_ == 0 && !owned_.IsOpen()) owned_.Release();
    }
    Driving(const Driving&) = delete;
    Driving& operator=(const Driving&) = delete;

   private:
    OwnedContext& owned_;
  };

 private:
  void Release();
  static guint RunBatch(gpointer* registrations, guint count, gpointer data);
  static gboolean HasRest(gpointer data);

  Environment& environment_;  // outlives context_, but not this object
  AioContext* context_;
  const std::string name_;
  int driving_ = 0;
  std::shared_ptr<Batch> batch_;  // as long as context_
};

// The handle of a context.
struct Context : Handle {
  static constexpr HandleKind kKind = HandleKind::kContext;

  const std::shared_ptr<OwnedContext> owned;
  napi_ref self = nullptr;  // weak: the JavaScript object

  explicit Context(std::shared_ptr<OwnedContext> owned) : Handle{kKind}, owned(std::move(owned)) {}
};

// The context, or nullptr with the error thrown if it is closed.
AioContext* GetOpen(Environment& environment, const Context& context);

// That of the first argument; nullptr with the error thrown if it is closed, or no context.
template <size_t N>
AioContext* GetOpen(const Arguments<N>& arguments) {
  Context* context = arguments.template Get<Context>(0);
  return context ? GetOpen(arguments.environment(), *context) : nullptr;
}

void DefineContext(Environment& environment, napi_value exports);

}  // namespace aio
