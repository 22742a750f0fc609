// Exhaustive interleaving of the real state machines of libshm, with death at every access.
//
// Each process of the model is a fiber that runs libshm's own code over a ModelMachine; before
// every access to shared memory it yields, and the explorer chooses who goes on, who dies, whose
// sleep ends by the clock. Every order is tried, depth first, by running the program again from its
// beginning; states that were seen before (memory, what each process has read, what may still
// happen) are not entered twice. Single-threaded.
#pragma once

#include <sanitizer/asan_interface.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sync_page.hpp"

namespace shm {

class Model;

/// What a process of the model does its accesses through.
class ModelMachine {
 public:
  ModelMachine(Model& model, std::size_t process) : model_(model), process_(process) {}

  template <typename T>
  T load(const std::atomic<T>& word);
  template <typename T>
  void store(std::atomic<T>& word, std::type_identity_t<T> value);
  bool cas(Word& word, std::uint64_t expected, std::uint64_t desired);
  void add(Counter& counter);
  bool wait(Counter& counter, std::uint32_t expected);
  void wake(Counter& counter, bool all);
  [[nodiscard]] std::uint64_t self() const { return process_ + 1; }
  bool alive(std::uint64_t identity);
  [[nodiscard]] bool expired() const { return !patient; }

  /// Something that takes a while, such as being inside of a critical section.
  void linger();
  /// Nothing that was read so far matters to this process any more, but that it has done `stage`.
  void forget(int stage);

  bool patient = true;

 private:
  Model& model_;
  std::size_t process_;
};

struct ModelLimits {
  int deaths = 1;
  int early_timeouts = 1;  ///< sleeps that end by the clock while others could go on
  std::size_t steps = 400;
  unsigned mortal = ~0U;  ///< bits of the processes that may die
};

class Model {
 public:
  using Body = std::function<void(ModelMachine&)>;

  /// `reset` puts the shared memory into its first state; `digest` tells all of it.
  Model(std::function<void()> reset, std::function<std::vector<std::uint64_t>()> digest,
        std::vector<Body> bodies, ModelLimits limits)
      : reset_(std::move(reset)),
        digest_(std::move(digest)),
        bodies_(std::move(bodies)),
        limits_(limits) {}

  /// Explores everything. Returns what went wrong first, or nothing.
  std::string explore() {
    do {
      run();
    } while (failure_.empty() && next_path());
    return failure_;
  }
  [[nodiscard]] std::size_t states() const { return seen_.size(); }
  [[nodiscard]] std::size_t runs() const { return runs_; }

  [[nodiscard]] bool dead(std::size_t process) const {
    return process >= fibers_.size() || fibers_[process]->status == Status::kDead;
  }
  /// Ends the exploration: what must never happen has happened.
  void violated(const std::string& what) {
    if (failure_.empty()) failure_ = what;
  }

 private:
  friend class ModelMachine;
  enum class Status { kReady, kAsleep, kDead, kFinished };
  struct Fiber {
    ucontext_t context{};
    jmp_buf jump{};
    bool entered = false;
    std::unique_ptr<std::array<char, 65'536>> stack;
    Status status = Status::kReady;
    const void* sleeps_on = nullptr;
    bool timed_out = false;
    std::uint64_t history = 14'695'981'039'346'656'037U;
  };
  enum class Kind { kStep, kDie, kTimeout, kAllTimeOut };
  struct Choice {
    Kind kind;
    std::size_t process;
  };
  struct Branch {
    std::size_t taken;
    std::size_t count;
  };

  // A switch without the system call that swapcontext makes for the signal mask.
  static void switch_to(Fiber& to, jmp_buf& from) {
    if (_setjmp(from) != 0) return;
    if (to.entered) _longjmp(to.jump, 1);
    to.entered = true;
    setcontext(&to.context);
  }
  void enter(Fiber& fiber) { switch_to(fiber, explorer_); }
  void leave(Fiber& fiber) {
    if (_setjmp(fiber.jump) == 0) _longjmp(explorer_, 1);
  }

  static void entry(unsigned high, unsigned low) {
    auto* model = std::bit_cast<Model*>(std::uintptr_t{high} << 32U | low);
    const std::size_t process = model->current_;
    ModelMachine machine(*model, process);
    model->bodies_[process](machine);
    model->fibers_[process]->status = Status::kFinished;
    model->leave(*model->fibers_[process]);
  }

  void yield() { leave(*fibers_[current_]); }

  void note(std::uint64_t value) {
    auto& history = fibers_[current_]->history;
    history = (history ^ value) * 1'099'511'628'211U + 1;
  }

  void start() {
    reset_();
    while (fibers_.size() < bodies_.size()) {
      fibers_.push_back(std::make_unique<Fiber>());
      fibers_.back()->stack = std::make_unique<std::array<char, 65'536>>();
    }
    for (auto& fiber : fibers_) {
      auto stack = std::move(fiber->stack);
      *fiber = Fiber{};
      fiber->stack = std::move(stack);
      // What AddressSanitizer knows of it is of the run before, which nothing has ended.
      ASAN_UNPOISON_MEMORY_REGION(fiber->stack->data(), fiber->stack->size());
      getcontext(&fiber->context);
      fiber->context.uc_stack.ss_sp = fiber->stack->data();
      fiber->context.uc_stack.ss_size = fiber->stack->size();
      const auto self = reinterpret_cast<std::uintptr_t>(this);
      makecontext(&fiber->context, reinterpret_cast<void (*)()>(entry), 2,
                  static_cast<unsigned>(self >> 32U), static_cast<unsigned>(self));
    }
    deaths_ = limits_.deaths;
    timeouts_ = limits_.early_timeouts;
    // Up to its first access a process does nothing that others could see.
    for (current_ = 0; current_ < fibers_.size(); ++current_) {
      enter(*fibers_[current_]);
    }
  }

  [[nodiscard]] std::vector<Choice> choices() const {
    std::vector<Choice> all;
    for (std::size_t i = 0; i < fibers_.size(); ++i) {
      if (fibers_[i]->status == Status::kReady) all.push_back({Kind::kStep, i});
    }
    // When everybody sleeps, the clock ends all of their sleeps.
    const bool quiet =
        all.empty() && std::any_of(fibers_.begin(), fibers_.end(), [](const auto& fiber) {
          return fiber->status == Status::kAsleep;
        });
    if (quiet) all.push_back({Kind::kAllTimeOut, 0});
    for (std::size_t i = 0; i < fibers_.size(); ++i) {
      const Status status = fibers_[i]->status;
      if (status == Status::kAsleep && !quiet && timeouts_ > 0) all.push_back({Kind::kTimeout, i});
      const bool living = status == Status::kReady || status == Status::kAsleep;
      if (living && deaths_ > 0 && (limits_.mortal >> i & 1U) != 0) all.push_back({Kind::kDie, i});
    }
    return all;
  }

  [[nodiscard]] std::uint64_t fingerprint() const {
    std::uint64_t hash = 14'695'981'039'346'656'037U;
    const auto mix = [&hash](std::uint64_t value) {
      hash = (hash ^ value) * 0x9e3779b97f4a7c15U;
      hash ^= hash >> 29U;
    };
    for (const std::uint64_t word : digest_()) mix(word);
    for (const auto& fiber : fibers_) {
      mix(fiber->history);
      mix(static_cast<std::uint64_t>(fiber->status) * 2 + (fiber->timed_out ? 1 : 0));
      mix(reinterpret_cast<std::uintptr_t>(fiber->sleeps_on));
    }
    mix(static_cast<std::uint64_t>(deaths_));
    mix(static_cast<std::uint64_t>(timeouts_));
    return hash;
  }

  static void end_sleep(Fiber& fiber) {
    fiber.status = Status::kReady;
    fiber.timed_out = true;
  }

  void apply(const Choice& choice) {
    Fiber& fiber = *fibers_[choice.process];
    if (choice.kind == Kind::kDie) {
      fiber.status = Status::kDead;
      --deaths_;
      return;
    }
    if (choice.kind == Kind::kAllTimeOut) {
      for (auto& sleeper : fibers_) {
        if (sleeper->status == Status::kAsleep) end_sleep(*sleeper);
      }
      return;
    }
    if (choice.kind == Kind::kTimeout) {
      end_sleep(fiber);
      --timeouts_;
      return;
    }
    current_ = choice.process;
    enter(fiber);
  }

  void run() {
    ++runs_;
    start();
    for (std::size_t step = 0; failure_.empty(); ++step) {
      const auto open = choices();
      if (open.empty()) return;  // all have finished or are dead
      if (step == limits_.steps) return violated("no end: somebody waits for ever");
      if (step == path_.size()) {
        if (!seen_.insert(fingerprint()).second) return;
        path_.push_back({0, open.size()});
      }
      apply(open[path_[step].taken]);
    }
  }

  bool next_path() {
    while (!path_.empty() && path_.back().taken + 1 == path_.back().count) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    return true;
  }

  std::function<void()> reset_;
  std::function<std::vector<std::uint64_t>()> digest_;
  std::vector<Body> bodies_;
  ModelLimits limits_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  jmp_buf explorer_{};
  std::size_t current_ = 0;
  int deaths_ = 0;
  int timeouts_ = 0;
  std::vector<Branch> path_;
  std::unordered_set<std::uint64_t> seen_;
  std::size_t runs_ = 0;
  std::string failure_;
};

template <typename T>
T ModelMachine::load(const std::atomic<T>& word) {
  model_.yield();
  const T value = word.load();
  model_.note(value);
  return value;
}

template <typename T>
void ModelMachine::store(std::atomic<T>& word, std::type_identity_t<T> value) {
  model_.yield();
  model_.note(1);
  word.store(value);
}

inline bool ModelMachine::cas(Word& word, std::uint64_t expected, std::uint64_t desired) {
  model_.yield();
  const bool done = word.compare_exchange_strong(expected, desired);
  model_.note(done ? 2 : 3);
  return done;
}

inline void ModelMachine::add(Counter& counter) {
  model_.yield();
  model_.note(4);
  counter.fetch_add(1);
}

inline bool ModelMachine::wait(Counter& counter, std::uint32_t expected) {
  model_.yield();
  if (counter.load() != expected) {
    model_.note(5);
    return false;
  }
  auto& fiber = *model_.fibers_[model_.current_];
  fiber.status = Model::Status::kAsleep;
  fiber.sleeps_on = &counter;
  fiber.timed_out = false;
  model_.yield();
  fiber.sleeps_on = nullptr;
  model_.note(fiber.timed_out ? 6 : 7);
  return fiber.timed_out;
}

inline void ModelMachine::wake(Counter& counter, bool all) {
  model_.yield();
  model_.note(8);
  for (auto& fiber : model_.fibers_) {
    if (fiber->status != Model::Status::kAsleep || fiber->sleeps_on != &counter) continue;
    fiber->status = Model::Status::kReady;
    if (!all) return;
  }
}

inline bool ModelMachine::alive(std::uint64_t identity) {
  model_.yield();
  const bool living = !model_.dead(static_cast<std::size_t>(identity - 1));
  model_.note(living ? 9 : 10);
  return living;
}

inline void ModelMachine::linger() {
  model_.yield();
  model_.note(11);
}

inline void ModelMachine::forget(int stage) {
  model_.fibers_[model_.current_]->history = static_cast<std::uint64_t>(stage);
}

}  // namespace shm
