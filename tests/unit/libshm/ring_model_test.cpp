// Every interleaving of the ring, with death at every access: items come in order, none is lost,
// none comes twice unless a consumer died with it, and nobody waits for ever.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "model.hpp"
#include "ring_machine.hpp"

namespace shm {
namespace {

constexpr std::size_t kProcesses = 3;

struct RingWorld {
  Word tail, head;
  Signal filled, freed;
  std::array<Word, kProcesses> participants;
  std::array<Word, 2> slots;
  std::array<std::uint64_t, 2> values;     // what producers have put into the slots
  std::array<std::uint64_t, 8> delivered;  // how often each item was acquired
  std::array<std::uint64_t, 8> finished;   // whether its consumer was done with it
  std::uint64_t ready = 0;                 // items that are there from the beginning
  std::uint64_t published = 0;             // bits of the items whose publication has begun

  void reset() {
    tail = head = 0;
    filled.count = filled.wanted = freed.count = freed.wanted = 0;
    // All have registered; registering is explored on its own.
    for (std::size_t i = 0; i < kProcesses; ++i) participants[i] = i + 1;
    for (auto& slot : slots) slot = 0;
    values.fill(0);
    delivered.fill(0);
    finished.fill(0);
    published = 0;
    for (std::uint64_t i = 0; i < ready; ++i) {
      slots[i] = robust::SlotWord{.state = robust::SlotState::kReady}.word();
      values[i] = i;
      published |= std::uint64_t{1} << i;
      tail = ready;
    }
  }
  [[nodiscard]] std::vector<std::uint64_t> digest() const {
    std::vector<std::uint64_t> all = {tail,        head,         filled.count, filled.wanted,
                                      freed.count, freed.wanted, published};
    for (const auto& word : participants) all.push_back(word);
    for (const auto& word : slots) all.push_back(word);
    all.insert(all.end(), values.begin(), values.end());
    all.insert(all.end(), delivered.begin(), delivered.end());
    all.insert(all.end(), finished.begin(), finished.end());
    return all;
  }
};

class RingModel : public testing::Test {
 protected:
  robust::RingWords words(std::size_t slots) {
    return {world_.tail,  world_.head,         world_.filled,
            world_.freed, world_.participants, std::span(world_.slots).first(slots)};
  }

  /// Puts `count` items, the first of them `item`.
  Model::Body producer(std::size_t process, std::size_t slots, std::uint64_t item, int count) {
    return [=, this](ModelMachine& machine) {
      for (int i = 0; i < count; ++i) {
        const auto taken = robust::reserve(machine, words(slots), process);
        if (taken.code != 0) return;
        world_.values[taken.position % slots] = item + static_cast<unsigned>(i);
        machine.linger();
        if (world_.values[taken.position % slots] != item + static_cast<unsigned>(i)) {
          model_->violated("two producers had one slot");
        }
        world_.published |= std::uint64_t{1} << (item + static_cast<unsigned>(i));
        if (robust::give_back(machine, words(slots), taken, true).code != 0) {
          model_->violated("a producer lost its slot");
        }
        machine.forget(i);
      }
    };
  }

  /// Takes items until it has had `count`.
  Model::Body consumer(std::size_t process, std::size_t slots, int count) {
    return [=, this](ModelMachine& machine) {
      for (int i = 0; i < count; ++i) {
        const auto taken = robust::acquire(machine, words(slots), process);
        if (taken.code != 0) return;
        const std::uint64_t item = world_.values[taken.position % slots];
        if ((world_.published >> item & 1U) == 0) model_->violated("an item before it was put");
        if (world_.finished[item] != 0) model_->violated("an item came after it was done");
        ++world_.delivered[item];
        if (world_.delivered[item] > 1 && robust::SlotWord::of(taken.word).deliveries == 0) {
          model_->violated("an item came twice without a word");
        }
        machine.linger();
        if (world_.values[taken.position % slots] != item) {
          model_->violated("a slot changed under its consumer");
        }
        if (robust::give_back(machine, words(slots), taken, true).code != 0) {
          model_->violated("a consumer lost its slot");
        }
        world_.finished[item] = 1;
        machine.forget(i);
      }
    };
  }

  static Model::Body impatient(Model::Body body) {
    return [body = std::move(body)](ModelMachine& machine) {
      machine.patient = false;
      body(machine);
    };
  }

  void explore(std::vector<Model::Body> bodies, ModelLimits limits) {
    Model model([this] { world_.reset(); }, [this] { return world_.digest(); }, std::move(bodies),
                limits);
    model_ = &model;
    EXPECT_EQ(model.explore(), "");
    EXPECT_GT(model.states(), 300U);
    std::printf("%zu states, %zu runs\n", model.states(), model.runs());
  }

  RingWorld world_{};
  Model* model_ = nullptr;
};

TEST_F(RingModel, OneSlotGoesRound) {
  explore({producer(0, 1, 0, 2), consumer(1, 1, 2)}, {.deaths = 0, .early_timeouts = 0});
}

TEST_F(RingModel, OneProducerOneConsumer) {
  explore({producer(0, 2, 0, 1), consumer(1, 2, 1)}, {.deaths = 0, .early_timeouts = 2});
}

TEST_F(RingModel, TwoProducersMeet) {
  explore({producer(0, 2, 0, 1), producer(1, 2, 1, 1)}, {.deaths = 1, .early_timeouts = 0});
}

TEST_F(RingModel, AProducerDies) {
  explore({producer(0, 2, 0, 1), impatient(consumer(1, 2, 1))},
          {.deaths = 1, .early_timeouts = 0, .mortal = 0b01});
}

// A consumer may die with an item or without: the other one gets what is there.
TEST_F(RingModel, AConsumerDies) {
  world_.ready = 2;
  explore({consumer(0, 2, 1), consumer(1, 2, 1)}, {.deaths = 1, .early_timeouts = 1});
}

// Minutes, so there only when SHM_TEST_DEEP is set.
class ThreeProcesses : public RingModel {
  void TestBody() override {
    explore({producer(0, 2, 0, 1), producer(1, 2, 1, 1), consumer(2, 2, 2)},
            {.deaths = 0, .early_timeouts = 0});
    explore({producer(0, 2, 0, 1), producer(1, 2, 1, 1), consumer(2, 2, 1)},
            {.deaths = 1, .early_timeouts = 0});
    explore({producer(0, 1, 0, 2), consumer(1, 1, 1), consumer(2, 1, 1)},
            {.deaths = 1, .early_timeouts = 0, .mortal = 0b110});
  }
};
const auto* const kThreeProcesses =
    std::getenv("SHM_TEST_DEEP") == nullptr
        ? nullptr
        : testing::RegisterTest("RingModel", "ThreeProcesses", nullptr, nullptr, __FILE__, __LINE__,
                                []() -> RingModel* { return new ThreeProcesses; });

// The entry of a dead participant goes to a newcomer, and its slot to neither of them by mistake.
TEST_F(RingModel, AParticipantIsReplaced) {
  const auto newcomer = [this](ModelMachine& machine) {
    machine.patient = false;
    const auto entry = robust::participate(machine, words(2));
    if (entry.code != 0) return;
    const auto taken = robust::reserve(machine, words(2), entry.slot);
    if (taken.code != 0) return;
    machine.linger();
    if (robust::give_back(machine, words(2), taken, true).code != 0) {
      model_->violated("a newcomer lost its slot");
    }
  };
  const auto onlooker = [this](ModelMachine& machine) { robust::recover(machine, words(2)); };
  Model model(
      [this] {
        world_.reset();
        world_.participants[1] = 1;
        world_.participants[2] = 3;
      },
      [this] { return world_.digest(); }, {producer(0, 2, 0, 1), newcomer, onlooker},
      {.deaths = 1, .early_timeouts = 0});
  model_ = &model;
  EXPECT_EQ(model.explore(), "");
}

}  // namespace
}  // namespace shm
