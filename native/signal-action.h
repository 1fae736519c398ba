/* SPDX-License-Identifier: MIT */
#pragma once

#include <aio-gsource.h>

namespace aio {

// What has the process schedule a bottom half when a signal comes. It is never freed: a handler may be looking at it.
struct SignalWatch;

// For each signal there is one handler in the process, however many watches there are: it schedules their bottom halves
// and calls whatever had the signal before. It is there from the first watch to the last one. The functions below are
// for any thread, but not for signal handlers.

// Calls @take_from_others, which has libuv install its own handler if it has none, and installs ours above that.
// @bh: stays valid until the watch is removed. Returns a negative errno, or 0.
int AddSignalWatch(int number, AioBh* bh, int (*take_from_others)(void* data), void* data, SignalWatch** result);

// Returns once no handler uses the bottom half any more. @give_back undoes @take_from_others.
void RemoveSignalWatch(SignalWatch* watch, void (*give_back)(void* data), void* data);

// Puts our handler back where somebody else has replaced it, above theirs.
void RestoreSignalHandler(int number);

}  // namespace aio
