/* libshm for C and for every language that can call C: C99, no other header of libshm.
 *
 * Handles are opaque; each is closed once, by the function that says so, and NULL is closed without
 * effect. Functions that can fail return 0 or a positive errno value; shm_last_error() then has the
 * message, kept per thread until the next failure there. What they hand out (`*out`) is changed
 * only on success. Timeouts are nanoseconds: negative waits for ever, 0 does not wait and then
 * reports EBUSY instead of ETIMEDOUT. Handles may be shared between threads, except that arrays
 * must not be used by others during append, resize, refresh and close. Text is UTF-8.
 */
#ifndef SHM_SHM_H
#define SHM_SHM_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SHM_API __attribute__((visibility("default")))
#else
#define SHM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The message of this thread's last failure: what, which path, why. Valid until the next one. */
SHM_API const char* shm_last_error(void);
/* The version of the library, as "0.1.0". */
SHM_API const char* shm_version(void);

/* ---- Arrays ------------------------------------------------------------------------------- */

typedef struct shm_array shm_array;

enum { SHM_READ_ONLY = 0, SHM_READ_WRITE = 1, SHM_COPY_ON_WRITE = 2 };

enum {
  SHM_FORTRAN_ORDER = 1, /* the first axis is the one that changes fastest */
  SHM_REPLACE = 2        /* an existing file is replaced; otherwise EEXIST */
};

/* Makes the .npy file `path`, whole, allocated and zero, and maps it read-write. `dtype` is as
 * "float32", "<f8" or "[('x', '<f4'), ('y', '<f4')]". Closed by shm_array_close().
 * Errors: EEXIST, ENOSPC, EINVAL, EOVERFLOW, those of open(2). */
SHM_API int shm_array_create(const char* path, const char* dtype, const uint64_t* shape,
                             size_t ndim, unsigned flags, shm_array** out);
/* Maps an existing .npy file. Errors: EINVAL (no .npy, an object array), those of open(2). */
SHM_API int shm_array_open(const char* path, int access, shm_array** out);
SHM_API void shm_array_close(shm_array* array);

/* The elements in memory; NULL for an array without elements. */
SHM_API void* shm_array_data(const shm_array* array);
SHM_API uint64_t shm_array_nbytes(const shm_array* array);
SHM_API size_t shm_array_ndim(const shm_array* array);
/* ndim extents, valid until the array changes its length or is closed. */
SHM_API const uint64_t* shm_array_shape(const shm_array* array);
/* ndim distances in bytes, valid as the shape. */
SHM_API const uint64_t* shm_array_strides(const shm_array* array);
/* What NumPy writes as 'descr': "<f8", "[('x', '<f4')]". Valid until the array is closed. */
SHM_API const char* shm_array_dtype(const shm_array* array);
SHM_API uint64_t shm_array_itemsize(const shm_array* array);
/* 'C' or 'F'. */
SHM_API char shm_array_order(const shm_array* array);
/* Where the data begins in the file, in bytes. */
SHM_API uint64_t shm_array_offset(const shm_array* array);

/* Adds whole rows along the first axis; the mapping may move.
 * Errors: EINVAL, ESTALE (the path names another file now), ENOSPC, EOVERFLOW. */
SHM_API int shm_array_append(shm_array* array, const void* rows, size_t size_bytes);
/* Gives the first axis another length, new rows zero. Errors: as append, ETXTBSY. */
SHM_API int shm_array_resize(shm_array* array, uint64_t length);
/* Maps the array as long as it is now. Errors: ESTALE, those of open. */
SHM_API int shm_array_refresh(shm_array* array);
/* Brings all pages in, for writing when `write` is not 0. Errors: those of madvise(2). */
SHM_API int shm_array_prefault(shm_array* array, int write);

/* Makes the array at `path` immutable, or mutable again. Errors: EOPNOTSUPP off an arrayfs mount,
 * EBUSY while somebody writes it. */
SHM_API int shm_seal(const char* path);
SHM_API int shm_unseal(const char* path);

/* ---- Coordination around an array --------------------------------------------------------- */

typedef struct shm_sync shm_sync;
typedef struct shm_held shm_held;
typedef struct shm_rows shm_rows;

enum {
  SHM_MUTEX = 0,     /* one owner */
  SHM_EXCLUSIVE = 1, /* the writer of the reader-writer lock */
  SHM_SHARED = 2,    /* a reader of it */
  SHM_PERMIT = 3     /* one of the permits: a counting semaphore */
};

/* The sync page of the array at `path`. Closed by shm_sync_close(), after all that is held.
 * Errors: ENOENT, EACCES, EINVAL, EXDEV (in use in another PID namespace). */
SHM_API int shm_sync_open(const char* path, shm_sync** out);
SHM_API void shm_sync_close(shm_sync* sync);

/* Gives `kind` to this process. A process that ends while it holds something blocks nobody.
 * Errors: ETIMEDOUT, EBUSY, EINVAL. */
SHM_API int shm_sync_lock(shm_sync* sync, int kind, int64_t timeout_ns, shm_held** out);
/* 1 when the last owner died while it held this: what it protects may be half changed. */
SHM_API int shm_held_owner_died(const shm_held* held);
/* Releases it and closes the handle, whatever it returns; with `damaged` not 0 the next owner is
 * told that an owner died. Errors: EPERM when this process does not hold it. */
SHM_API int shm_held_release(shm_held* held, int damaged);

/* How many permits there are, at most 128; 1 at first. Errors: EINVAL. */
SHM_API int shm_sync_set_permits(shm_sync* sync, uint32_t count);

/* How often notify was called. */
SHM_API uint64_t shm_sync_generation(const shm_sync* sync);
/* Begins the next generation, wakes who waits for it, returns it. */
SHM_API uint64_t shm_sync_notify(shm_sync* sync);
/* Waits until the generation is beyond `seen`; `*now` is the new one and may be NULL.
 * Errors: ETIMEDOUT, EBUSY. */
SHM_API int shm_sync_wait(shm_sync* sync, uint64_t seen, int64_t timeout_ns, uint64_t* now);

/* Locks rows [begin, end) of the array file against all that lock bytes of it; `end` 0: all rows.
 * Errors: ETIMEDOUT, EBUSY, EINVAL (no such rows), those of open(2). */
SHM_API int shm_rows_lock(const char* path, uint64_t begin, uint64_t end, int exclusive,
                          int64_t timeout_ns, shm_rows** out);
SHM_API void shm_rows_unlock(shm_rows* rows);

/* ---- Rings -------------------------------------------------------------------------------- */

typedef struct shm_ring shm_ring;
typedef struct shm_slot shm_slot;

/* Makes an array (slots, *item) that is a bounded queue of items. Closed by shm_ring_close().
 * Errors: EEXIST, ENOSPC, EINVAL, EOVERFLOW, those of open(2). */
SHM_API int shm_ring_create(const char* path, const char* dtype, const uint64_t* item, size_t ndim,
                            uint64_t slots, shm_ring** out);
/* Errors: ENOENT (no such array, or no ring), EINVAL, EXDEV, those of open(2). */
SHM_API int shm_ring_open(const char* path, shm_ring** out);
/* Requires: no slot of it is open. */
SHM_API void shm_ring_close(shm_ring* ring);
SHM_API uint64_t shm_ring_slots(const shm_ring* ring);

/* The next slot to fill in place, or the next item to read in place; closed by shm_slot_finish()
 * or shm_slot_give_up(). Errors: ETIMEDOUT, EBUSY, EAGAIN (more than 1024 processes). */
SHM_API int shm_ring_reserve(shm_ring* ring, int64_t timeout_ns, shm_slot** out);
SHM_API int shm_ring_acquire(shm_ring* ring, int64_t timeout_ns, shm_slot** out);
SHM_API void* shm_slot_data(const shm_slot* slot);
SHM_API uint64_t shm_slot_nbytes(const shm_slot* slot);
/* How many items were reserved before this one. The slot is position % slots. */
SHM_API uint64_t shm_slot_position(const shm_slot* slot);
/* 1 when a consumer had it before and died with it, or gave it up. */
SHM_API int shm_slot_redelivered(const shm_slot* slot);
/* Publishes what was reserved, or is done with what was acquired. Errors: EPERM when it is not
 * this process's any more; the handle is closed even then. */
SHM_API int shm_slot_finish(shm_slot* slot);
/* What was reserved is skipped, what was acquired goes to another consumer. Errors: as finish. */
SHM_API int shm_slot_give_up(shm_slot* slot);

#ifdef __cplusplus
}
#endif

#endif
