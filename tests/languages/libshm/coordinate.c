/* libshm from C99: an array, a lock around it, a row more, and an item through a ring. */
#include <shm/shm.h>
#include <stdio.h>
#include <string.h>

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, shm_last_error());
  return 1;
}

int main(int argc, char** argv) {
  const uint64_t shape[] = {3, 4};
  const float row[4] = {1, 2, 3, 4};
  char queue[4096];
  shm_array* array = NULL;
  shm_sync* sync = NULL;
  shm_held* held = NULL;
  shm_ring* ring = NULL;
  shm_slot* slot = NULL;
  if (argc != 2) return 2;

  if (shm_array_create(argv[1], "float32", shape, 2, SHM_REPLACE, &array)) return failed("create");
  if (shm_sync_open(argv[1], &sync)) return failed("sync");
  if (shm_sync_lock(sync, SHM_EXCLUSIVE, -1, &held)) return failed("lock");
  if (shm_held_owner_died(held)) printf("somebody died here\n");
  ((float*)shm_array_data(array))[11] = 7;
  if (shm_array_append(array, row, sizeof row)) return failed("append");
  if (shm_held_release(held, 0)) return failed("unlock");
  printf("%s (%d, %d) %g %g, generation %d\n", shm_array_dtype(array),
         (int)shm_array_shape(array)[0], (int)shm_array_shape(array)[1],
         ((float*)shm_array_data(array))[11], ((float*)shm_array_data(array))[15],
         (int)shm_sync_notify(sync));

  snprintf(queue, sizeof queue, "%s.queue", argv[1]);
  if (shm_ring_create(queue, "int32", shape, 2, 8, &ring)) return failed("ring");
  if (shm_ring_reserve(ring, -1, &slot)) return failed("reserve");
  memset(shm_slot_data(slot), 1, (size_t)shm_slot_nbytes(slot));
  if (shm_slot_finish(slot)) return failed("publish");
  if (shm_ring_acquire(ring, 0, &slot)) return failed("acquire");
  printf("item %d: %#x\n", (int)shm_slot_position(slot), *(unsigned*)shm_slot_data(slot));
  if (shm_slot_finish(slot)) return failed("finish");
  if (shm_ring_acquire(ring, 0, &slot) == 0) return 1;
  printf("%s\n", shm_last_error());

  if (shm_array_open("missing.npy", SHM_READ_ONLY, &array) == 0) return 1;
  printf("%s\n", shm_last_error());
  if (shm_sync_lock(sync, 99, 0, &held) == 0 || shm_array_open(NULL, 0, &array) == 0) return 1;
  if (shm_array_create("x.npy", "no type", shape, 2, 0, &array) == 0) return 1;
  if (shm_array_create("x.npy", "f4", shape, 2, 64, &array) == 0) return 1;

  shm_ring_close(ring);
  shm_sync_close(sync);
  shm_array_close(array);
  return 0;
}
