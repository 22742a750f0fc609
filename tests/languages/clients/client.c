/* C: the file is an address and a length, the array a pointer into it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 4) {
    fputs("usage: client PATH INDEX VALUE\n", stderr);
    return 2;
  }
  const int fd = open(argv[1], O_RDWR);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) {
    perror(argv[1]);
    return 1;
  }
  const size_t size = (size_t)st.st_size;
  unsigned char* file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (file == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  close(fd); /* the mapping needs no descriptor */
  if (size < 128 || memcmp(file, "\x93NUMPY\x01", 7) != 0) {
    fputs("no .npy file of version 1\n", stderr);
    return 1;
  }
  /* Bytes 8 and 9 say how long the header is that begins at byte 10. */
  const size_t offset = 10U + file[8] + 256U * file[9];
  double* array = (double*)(file + offset);
  const size_t count = (size - offset) / sizeof *array;

  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    sum += array[i];
  }
  printf("%.17g\n", sum);
  array[strtoul(argv[2], NULL, 10)] = strtod(argv[3], NULL);
  return 0;
}
