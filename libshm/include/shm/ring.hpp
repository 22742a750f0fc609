// A bounded queue of arrays in one array: axis 0 is the slot, each slot one item.
//
// The file is a plain .npy that every program maps; who has which slot stands in the hidden file
// `.NAME.ring` beside it (FORMAT.md). Any number of producers and up to 1024 processes; items are
// filled and read in place. Order is that of reserve(); each item is delivered once, and again when
// a consumer dies with it. What a producer dies with is skipped. A Ring may be shared by threads
// and used on both sides of a fork(); slots taken before it belong to the parent.
#pragma once

#include <cstdint>
#include <shm/array.hpp>
#include <shm/sync.hpp>
#include <span>
#include <string>
#include <utility>

namespace shm {

struct RingPage;

class Ring {
 public:
  /// One slot that this process has, in place. Requires: the Ring lives longer.
  class Slot {
   public:
    Slot(Slot&& other) noexcept;
    Slot& operator=(Slot&&) = delete;
    /// A producer's slot that was not published is skipped; a consumer's is done with.
    ~Slot();

    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
    /// How many items were reserved before this one since the ring was made.
    [[nodiscard]] std::uint64_t position() const { return position_; }
    /// A consumer had it before and died, or returned it.
    [[nodiscard]] bool redelivered() const;

    /// The producer has filled it, or the consumer is done with it.
    /// Errors: EPERM when it is not this process's any more.
    [[nodiscard]] Result<void> finish();
    /// The producer has nothing for it, or another consumer shall have it. Errors: as finish().
    [[nodiscard]] Result<void> give_up();

   private:
    friend class Ring;
    Slot(const Ring& ring, std::uint64_t owner, std::uint64_t position, std::uint64_t word);
    Result<void> give_back(bool done);

    const Ring* ring_;
    std::uint64_t owner_;  ///< the process that took it
    std::uint64_t position_;
    std::uint64_t word_;  ///< what the slot's word must still be
    std::span<std::byte> bytes_;
  };

  /// Makes the array (slots, *item) at `path` and its control file, and opens it.
  /// Errors: EINVAL (no slots, more than 1,048,576, items without bytes), those of Array::create.
  [[nodiscard]] static Result<Ring> create(const std::string& path, const Dtype& dtype,
                                           const Shape& item, std::uint64_t slots,
                                           unsigned mode = 0666);
  /// Errors: ENOENT (no such array, or it is no ring), EINVAL (the control file is of another
  /// array), EXDEV (another PID namespace), those of Array::open.
  [[nodiscard]] static Result<Ring> open(const std::string& path);

  /// The next slot to fill. Errors: ETIMEDOUT when the ring stays full, EBUSY instead of it when
  /// the timeout is zero; EAGAIN when 1024 processes that live have used the ring.
  [[nodiscard]] Result<Slot> reserve(Timeout timeout = {}) const;
  /// The next item. Errors: as reserve(), when the ring stays empty.
  [[nodiscard]] Result<Slot> acquire(Timeout timeout = {}) const;

  [[nodiscard]] const Array& array() const { return array_; }
  [[nodiscard]] std::uint64_t slots() const { return array_.layout().shape.front(); }
  /// Positions reserved and acquired so far, as of some moment; who died just then may be missing
  /// until the next one comes.
  [[nodiscard]] std::uint64_t reserved() const;
  [[nodiscard]] std::uint64_t acquired() const;

 private:
  Ring(Array array, posix::Mapping control)
      : array_(std::move(array)), control_(std::move(control)) {}
  [[nodiscard]] RingPage& page() const;

  mutable Array array_;  ///< its bytes belong to who has the slot
  posix::Mapping control_;
};

}  // namespace shm
