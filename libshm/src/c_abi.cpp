// The C ABI: handles around the C++ objects, errors as errno and a message, no exception across.
#include <shm/shm.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <shm/array.hpp>
#include <shm/ring.hpp>
#include <shm/sync.hpp>

struct shm_array {
  shm::Array array;
  std::vector<std::uint64_t> strides;
  std::string dtype;
};
struct shm_sync {
  shm::Sync sync;
};
struct shm_held {
  shm::Sync::Held held;
};
struct shm_rows {
  shm::RowLock lock;
};
struct shm_ring {
  shm::Ring ring;
};
struct shm_slot {
  shm::Ring::Slot slot;
};

namespace {

using shm::fail;
using shm::Result;

// A fixed place: a failure for want of memory must be told, too.
thread_local std::array<char, 1024> last_error{};

int report(int code, const char* message) noexcept {
  std::strncpy(last_error.data(), message, last_error.size() - 1);
  return code;
}

/// Runs `body` and turns what it returns or throws into an errno.
template <typename Body>
int guarded(Body body) noexcept {
  try {
    const Result<void> done = body();
    return done ? 0 : report(done.error().code, shm::to_string(done.error()).c_str());
  } catch (const std::bad_alloc&) {
    return report(ENOMEM, "out of memory");
  } catch (const std::exception& error) {
    return report(EIO, error.what());
  }
}

/// Hands out a new handle that holds what `result` is.
template <typename Handle, typename T>
Result<void> hand_out(Handle** out, Result<T>&& result) {
  if (!result) return tl::unexpected(std::move(result.error()));
  *out = new Handle{std::move(*result)};
  return {};
}

Result<void> missing() {
  return fail(EINVAL, "an argument is NULL");
}

shm::Timeout timeout_of(std::int64_t timeout_ns) {
  if (timeout_ns < 0) return std::nullopt;
  return std::chrono::nanoseconds(timeout_ns);
}

void describe(shm_array& handle) {
  handle.strides = handle.array.layout().strides();
  handle.dtype = handle.array.layout().dtype.descr();
  // A plain type stands in quotes there.
  std::erase_if(handle.dtype,
                [quoted = handle.dtype.starts_with('\'')](char c) { return quoted && c == '\''; });
}

Result<void> hand_out_array(shm_array** out, Result<shm::Array>&& array) {
  if (!array) return tl::unexpected(std::move(array.error()));
  auto handle = std::unique_ptr<shm_array>(new shm_array{std::move(*array), {}, {}});
  describe(*handle);
  *out = handle.release();
  return {};
}

template <typename Change>
int change_length(shm_array* array, Change change) {
  return guarded([&]() -> Result<void> {
    if (array == nullptr) return missing();
    auto changed = change(array->array);
    if (changed) describe(*array);
    return changed;
  });
}

Result<shm::Sync::Held> hold(shm::Sync& sync, int kind, shm::Timeout timeout) {
  switch (kind) {
    case SHM_MUTEX:
      return sync.lock(timeout);
    case SHM_EXCLUSIVE:
      return sync.lock_exclusive(timeout);
    case SHM_SHARED:
      return sync.lock_shared(timeout);
    case SHM_PERMIT:
      return sync.acquire_permit(timeout);
    default:
      return fail(EINVAL, "no such kind of lock");
  }
}

}  // namespace

extern "C" {

const char* shm_last_error(void) {
  return last_error.data();
}

const char* shm_version(void) {
  return SHM_VERSION;
}

int shm_array_create(const char* path, const char* dtype, const uint64_t* shape, size_t ndim,
                     unsigned flags, shm_array** out) {
  return guarded([&]() -> Result<void> {
    if (path == nullptr || dtype == nullptr || out == nullptr || (shape == nullptr && ndim != 0)) {
      return missing();
    }
    if ((flags & ~unsigned{SHM_FORTRAN_ORDER | SHM_REPLACE}) != 0) return fail(EINVAL, "flags");
    const auto type = shm::Dtype::parse(dtype);
    if (!type) return tl::unexpected(type.error());
    shm::CreateOptions options;
    options.replace = (flags & SHM_REPLACE) != 0;
    if ((flags & SHM_FORTRAN_ORDER) != 0) options.order = shm::Order::kFortran;
    const shm::Shape extents(shape, shape + ndim);
    return hand_out_array(out, shm::Array::create(path, *type, extents, options));
  });
}

int shm_array_open(const char* path, int access, shm_array** out) {
  return guarded([&]() -> Result<void> {
    if (path == nullptr || out == nullptr) return missing();
    if (access < SHM_READ_ONLY || access > SHM_COPY_ON_WRITE) return fail(EINVAL, "access");
    static constexpr std::array kAccess = {shm::Access::kReadOnly, shm::Access::kReadWrite,
                                           shm::Access::kCopyOnWrite};
    return hand_out_array(out, shm::Array::open(path, kAccess[static_cast<std::size_t>(access)]));
  });
}

void shm_array_close(shm_array* array) {
  delete array;
}

void* shm_array_data(const shm_array* array) {
  return const_cast<std::byte*>(array->array.bytes().data());
}

uint64_t shm_array_nbytes(const shm_array* array) {
  return array->array.layout().nbytes();
}

size_t shm_array_ndim(const shm_array* array) {
  return array->array.layout().shape.size();
}

const uint64_t* shm_array_shape(const shm_array* array) {
  return array->array.layout().shape.data();
}

const uint64_t* shm_array_strides(const shm_array* array) {
  return array->strides.data();
}

const char* shm_array_dtype(const shm_array* array) {
  return array->dtype.c_str();
}

uint64_t shm_array_itemsize(const shm_array* array) {
  return array->array.layout().dtype.itemsize();
}

char shm_array_order(const shm_array* array) {
  return static_cast<char>(array->array.layout().order);
}

uint64_t shm_array_offset(const shm_array* array) {
  return array->array.layout().data_offset;
}

int shm_array_append(shm_array* array, const void* rows, size_t size_bytes) {
  return change_length(array, [&](shm::Array& target) -> Result<void> {
    if (rows == nullptr && size_bytes != 0) return missing();
    return target.append({static_cast<const std::byte*>(rows), size_bytes});
  });
}

int shm_array_resize(shm_array* array, uint64_t length) {
  return change_length(array, [&](shm::Array& target) { return target.resize(length); });
}

int shm_array_refresh(shm_array* array) {
  return change_length(array, [](shm::Array& target) { return target.refresh(); });
}

int shm_array_prefault(shm_array* array, int write) {
  return guarded([&]() -> Result<void> {
    if (array == nullptr) return missing();
    return array->array.prefault(write != 0 ? shm::Array::Touch::kWrite : shm::Array::Touch::kRead);
  });
}

int shm_seal(const char* path) {
  return guarded([&] { return path == nullptr ? missing() : shm::seal(path); });
}

int shm_unseal(const char* path) {
  return guarded([&] { return path == nullptr ? missing() : shm::unseal(path); });
}

int shm_sync_open(const char* path, shm_sync** out) {
  return guarded([&]() -> Result<void> {
    if (path == nullptr || out == nullptr) return missing();
    return hand_out(out, shm::Sync::open(path));
  });
}

void shm_sync_close(shm_sync* sync) {
  delete sync;
}

int shm_sync_lock(shm_sync* sync, int kind, int64_t timeout_ns, shm_held** out) {
  return guarded([&]() -> Result<void> {
    if (sync == nullptr || out == nullptr) return missing();
    return hand_out(out, hold(sync->sync, kind, timeout_of(timeout_ns)));
  });
}

int shm_held_owner_died(const shm_held* held) {
  return held->held.owner_died() ? 1 : 0;
}

int shm_held_release(shm_held* held, int damaged) {
  if (held == nullptr) return 0;
  const std::unique_ptr<shm_held> owner(held);
  return guarded([&] { return held->held.release(damaged != 0); });
}

int shm_sync_set_permits(shm_sync* sync, uint32_t count) {
  return guarded([&] { return sync == nullptr ? missing() : sync->sync.set_permits(count); });
}

uint64_t shm_sync_generation(const shm_sync* sync) {
  return sync->sync.generation();
}

uint64_t shm_sync_notify(shm_sync* sync) {
  return sync->sync.notify();
}

int shm_sync_wait(shm_sync* sync, uint64_t seen, int64_t timeout_ns, uint64_t* now) {
  return guarded([&]() -> Result<void> {
    if (sync == nullptr) return missing();
    const auto generation = sync->sync.wait_beyond(seen, timeout_of(timeout_ns));
    if (!generation) return tl::unexpected(generation.error());
    if (now != nullptr) *now = *generation;
    return {};
  });
}

int shm_rows_lock(const char* path, uint64_t begin, uint64_t end, int exclusive, int64_t timeout_ns,
                  shm_rows** out) {
  return guarded([&]() -> Result<void> {
    if (path == nullptr || out == nullptr) return missing();
    const auto kind =
        exclusive != 0 ? shm::posix::LockKind::kExclusive : shm::posix::LockKind::kShared;
    const auto timeout = timeout_of(timeout_ns);
    const bool all = begin == 0 && end == 0;
    return hand_out(out, all ? shm::RowLock::lock_all(path, kind, timeout)
                             : shm::RowLock::lock(path, kind, begin, end, timeout));
  });
}

void shm_rows_unlock(shm_rows* rows) {
  delete rows;
}

int shm_ring_create(const char* path, const char* dtype, const uint64_t* item, size_t ndim,
                    uint64_t slots, shm_ring** out) {
  return guarded([&]() -> Result<void> {
    if (path == nullptr || dtype == nullptr || out == nullptr || (item == nullptr && ndim != 0)) {
      return missing();
    }
    const auto type = shm::Dtype::parse(dtype);
    if (!type) return tl::unexpected(type.error());
    return hand_out(out, shm::Ring::create(path, *type, shm::Shape(item, item + ndim), slots));
  });
}

int shm_ring_open(const char* path, shm_ring** out) {
  return guarded([&]() -> Result<void> {
    if (path == nullptr || out == nullptr) return missing();
    return hand_out(out, shm::Ring::open(path));
  });
}

void shm_ring_close(shm_ring* ring) {
  delete ring;
}

uint64_t shm_ring_slots(const shm_ring* ring) {
  return ring->ring.slots();
}

int shm_ring_reserve(shm_ring* ring, int64_t timeout_ns, shm_slot** out) {
  return guarded([&]() -> Result<void> {
    if (ring == nullptr || out == nullptr) return missing();
    return hand_out(out, ring->ring.reserve(timeout_of(timeout_ns)));
  });
}

int shm_ring_acquire(shm_ring* ring, int64_t timeout_ns, shm_slot** out) {
  return guarded([&]() -> Result<void> {
    if (ring == nullptr || out == nullptr) return missing();
    return hand_out(out, ring->ring.acquire(timeout_of(timeout_ns)));
  });
}

void* shm_slot_data(const shm_slot* slot) {
  return slot->slot.bytes().data();
}

uint64_t shm_slot_nbytes(const shm_slot* slot) {
  return slot->slot.bytes().size();
}

uint64_t shm_slot_position(const shm_slot* slot) {
  return slot->slot.position();
}

int shm_slot_redelivered(const shm_slot* slot) {
  return slot->slot.redelivered() ? 1 : 0;
}

int shm_slot_finish(shm_slot* slot) {
  if (slot == nullptr) return 0;
  const std::unique_ptr<shm_slot> owner(slot);
  return guarded([&] { return slot->slot.finish(); });
}

int shm_slot_give_up(shm_slot* slot) {
  if (slot == nullptr) return 0;
  const std::unique_ptr<shm_slot> owner(slot);
  return guarded([&] { return slot->slot.give_up(); });
}

}  // extern "C"
