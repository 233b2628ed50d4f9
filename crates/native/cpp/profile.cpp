// Time by kind of op, through the hooks that libtorch calls around every op: see profile.rs.

#include <ATen/record_function.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace {

using Clock = std::chrono::steady_clock;

struct Total {
  int64_t calls = 0;
  int64_t nanoseconds = 0;
};

struct Running;

// All of it belongs to one thread: the hooks are the thread's own, and so is the backward pass of the CPU.
struct Recorder {
  at::CallbackHandle handle = 0;
  std::map<std::string, Total> totals;
  Running* innermost = nullptr;
};

thread_local std::unique_ptr<Recorder> recorder;

struct Running : at::ObserverContext {
  Running* outer = nullptr;
  Clock::time_point start;
  int64_t inside = 0;
};

std::unique_ptr<at::ObserverContext> enter(const at::RecordFunction&) {
  // libtorch hands the hooks on to the threads that run the backward pass of other devices.
  if (recorder == nullptr) {
    return nullptr;
  }
  auto running = std::make_unique<Running>();
  running->outer = recorder->innermost;
  recorder->innermost = running.get();
  running->start = Clock::now();
  return running;
}

// An op that calls others is charged with what is left of its time without them.
void leave(const at::RecordFunction& op, at::ObserverContext* context) {
  if (context == nullptr) {
    return;
  }
  const auto end = Clock::now();
  auto* running = static_cast<Running*>(context);
  const auto whole = std::chrono::duration_cast<std::chrono::nanoseconds>(end - running->start).count();
  auto& total = recorder->totals[op.name()];
  total.calls += 1;
  total.nanoseconds += whole - running->inside;
  recorder->innermost = running->outer;
  if (running->outer != nullptr) {
    running->outer->inside += whole;
  }
}

}  // namespace

extern "C" {

// Starts recording on this thread; returns false where it is being recorded already.
bool mp_profile_start() {
  if (recorder != nullptr) {
    return false;
  }
  recorder = std::make_unique<Recorder>();
  auto callback = at::RecordFunctionCallback(enter, leave)
                      .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION});
  recorder->handle = at::addThreadLocalCallback(callback);
  return true;
}

// Ends recording and hands each kind of op to `visit`, in the order of their names. No op may be running.
void mp_profile_stop(void (*visit)(void* context, const char* name, int64_t calls, int64_t nanoseconds), void* context) {
  at::removeCallback(recorder->handle);
  const auto finished = std::move(recorder);
  for (const auto& [name, total] : finished->totals) {
    visit(context, name.c_str(), total.calls, total.nanoseconds);
  }
}
}
