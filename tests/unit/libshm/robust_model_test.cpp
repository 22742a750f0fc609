// Every interleaving, with death at every access, of the mutex, the reader-writer lock and the
// permits: never two owners, nobody waits for ever, a death inside is reported.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "model.hpp"
#include "robust.hpp"

namespace shm {
namespace {

/// Shared memory of the model, and what the specification says about it.
struct World {
  SyncPage page;
  std::vector<bool> writing, reading, holding;
  Model* model = nullptr;

  void reset() {
    // The words that the machines use; the rest stays zero.
    page.mutex = page.writer = 0;
    page.readers_gone.count = page.readers_gone.wanted = 0;
    page.permits_released.count = page.permits_released.wanted = 0;
    for (std::size_t i = 0; i < 3; ++i) page.readers[i] = page.holders[i] = 0;
    writing.assign(4, false);
    reading = holding = writing;
  }

  [[nodiscard]] std::vector<std::uint64_t> digest() const {
    std::vector<std::uint64_t> all = {page.mutex,
                                      page.writer,
                                      page.readers_gone.count,
                                      page.readers_gone.wanted,
                                      page.permits_released.count,
                                      page.permits_released.wanted};
    for (std::size_t i = 0; i < 3; ++i) {
      all.push_back(page.readers[i]);
      all.push_back(page.holders[i]);
    }
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      bits = bits * 8 + (writing[i] ? 4U : 0U) + (reading[i] ? 2U : 0U) + (holding[i] ? 1U : 0U);
    }
    all.push_back(bits);
    return all;
  }

  /// A writer is inside; `outcome` is what it was told.
  void enter(std::size_t process, const robust::Outcome& outcome) {
    for (std::size_t other = 0; other < writing.size(); ++other) {
      if (other == process) continue;
      const bool there = !model->dead(other);
      if (writing[other] && there) model->violated("two owners");
      if (reading[other] && there) model->violated("a writer beside a reader");
      if (writing[other] && !there && !outcome.owner_died) {
        model->violated("a death inside was not reported");
      }
      if (!there) writing[other] = false;
    }
    writing[process] = true;
  }
  void enter_shared(std::size_t process, const robust::Outcome& outcome) {
    for (std::size_t other = 0; other < writing.size(); ++other) {
      if (!writing[other]) continue;
      if (!model->dead(other)) model->violated("a reader beside a writer");
      if (!outcome.owner_died) model->violated("a reader was not told of a death");
    }
    reading[process] = true;
  }
};

class RobustModel : public testing::Test {
 protected:
  void explore(std::vector<Model::Body> bodies, ModelLimits limits, std::size_t least_states) {
    Model model([this] { world_.reset(); }, [this] { return world_.digest(); }, std::move(bodies),
                limits);
    world_.model = &model;
    EXPECT_EQ(model.explore(), "");
    EXPECT_GT(model.states(), least_states);
    RecordProperty("states", std::to_string(model.states()));
    RecordProperty("runs", std::to_string(model.runs()));
    std::printf("%zu states, %zu runs\n", model.states(), model.runs());
  }

  Model::Body mutex_user(std::size_t process, int times = 1) {
    return [this, process, times](ModelMachine& machine) {
      for (int i = 0; i < times; ++i) {
        const auto outcome = robust::lock(machine, world_.page.mutex);
        if (outcome.code != 0) return;
        world_.enter(process, outcome);
        machine.linger();
        world_.writing[process] = false;
        if (robust::unlock(machine, world_.page.mutex, false, false).code != 0) {
          world_.model->violated("an owner could not unlock");
        }
      }
    };
  }

  Model::Body writer(std::size_t process) {
    return [this, process](ModelMachine& machine) {
      auto& page = world_.page;
      const auto outcome =
          robust::lock_exclusive(machine, page.writer, page.readers_gone, readers());
      if (outcome.code != 0) return;
      world_.enter(process, outcome);
      machine.linger();
      world_.writing[process] = false;
      robust::unlock_exclusive(machine, page.writer, false);
    };
  }

  Model::Body reader(std::size_t process) {
    return [this, process](ModelMachine& machine) {
      auto& page = world_.page;
      const auto outcome = robust::lock_shared(machine, page.writer, page.readers_gone, readers());
      if (outcome.code != 0) return;
      world_.enter_shared(process, outcome);
      machine.linger();
      world_.reading[process] = false;
      if (robust::unlock_shared(machine, page.readers_gone, readers(), outcome.slot).code != 0) {
        world_.model->violated("a reader could not unlock");
      }
    };
  }

  Model::Body permit_user(std::size_t process, std::size_t permits) {
    return [this, process, permits](ModelMachine& machine) {
      auto& page = world_.page;
      const auto holders = std::span(page.holders).first(permits);
      const auto outcome = robust::acquire_permit(machine, page.permits_released, holders);
      if (outcome.code != 0) return;
      world_.holding[process] = true;
      std::size_t inside = 0;
      for (std::size_t i = 0; i < 3; ++i) inside += world_.holding[i] && !world_.model->dead(i);
      if (inside > permits) world_.model->violated("more holders than permits");
      machine.linger();
      world_.holding[process] = false;
      robust::release_permit(machine, page.permits_released, holders, outcome.slot);
    };
  }

  std::span<Word> readers() { return std::span(world_.page.readers).first(2); }

  Model::Body impatient(Model::Body body) {
    return [body = std::move(body)](ModelMachine& machine) {
      machine.patient = false;
      body(machine);
    };
  }

  World world_{};
};

/// With SHM_TEST_DEEP set, three processes at a time also die: minutes instead of seconds.
int deaths_of_three() {
  return std::getenv("SHM_TEST_DEEP") != nullptr ? 1 : 0;
}

TEST_F(RobustModel, Mutex) {
  explore({mutex_user(0), mutex_user(1)}, {.deaths = 1, .early_timeouts = 2}, 500);
  explore({mutex_user(0), mutex_user(1), mutex_user(2)},
          {.deaths = deaths_of_three(), .early_timeouts = 0}, 500);
}

TEST_F(RobustModel, MutexTwice) {
  explore({mutex_user(0, 2), mutex_user(1, 2)}, {.deaths = 1, .early_timeouts = 0}, 500);
}

TEST_F(RobustModel, MutexWithoutPatience) {
  explore({impatient(mutex_user(0)), mutex_user(1)}, {.deaths = 1, .early_timeouts = 2}, 500);
}

TEST_F(RobustModel, OneWriterAndReaders) {
  explore({writer(0), reader(1)}, {.deaths = 1, .early_timeouts = 1}, 500);
  if (deaths_of_three() == 0) return;
  explore({writer(0), reader(1), reader(2)}, {.deaths = 1, .early_timeouts = 0}, 500);
}

TEST_F(RobustModel, TwoWriters) {
  explore({writer(0), writer(1)}, {.deaths = 1, .early_timeouts = 1}, 500);
  if (deaths_of_three() == 0) return;
  explore({writer(0), writer(1), reader(2)}, {.deaths = 1, .early_timeouts = 0}, 500);
}

TEST_F(RobustModel, WritersWithoutPatience) {
  explore({impatient(writer(0)), writer(1)}, {.deaths = 1, .early_timeouts = 1}, 500);
  explore({writer(0), impatient(reader(1))}, {.deaths = 1, .early_timeouts = 1}, 500);
}

TEST_F(RobustModel, Permits) {
  explore({permit_user(0, 1), permit_user(1, 1)}, {.deaths = 1, .early_timeouts = 1}, 500);
  if (deaths_of_three() == 0) return;
  explore({permit_user(0, 2), permit_user(1, 2), permit_user(2, 2)},
          {.deaths = 1, .early_timeouts = 0}, 500);
}

// The explorer itself: a lock that forgets who holds it is caught.
TEST_F(RobustModel, FindsALockThatIsWrong) {
  const auto user = [this](std::size_t process) {
    return [this, process](ModelMachine& machine) {
      if (machine.load(world_.page.mutex) != 0) return;
      machine.store(world_.page.mutex, machine.self());
      world_.enter(process, {});
      machine.linger();
      world_.writing[process] = false;
    };
  };
  Model model([this] { world_.reset(); }, [this] { return world_.digest(); }, {user(0), user(1)},
              {.deaths = 0});
  world_.model = &model;
  EXPECT_EQ(model.explore(), "two owners");
}

}  // namespace
}  // namespace shm
