/* A C program with a file of which it keeps nothing but the mapping.
 *
 *   mapper r|w PATH
 *
 * says "mapped", then answers each line of its input with one of its own: `sum` with the sum of all
 * bytes, `store INDEX VALUE` with "done". It ends with its input. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned long sum_of(const unsigned char* bytes, size_t size) {
  unsigned long sum = 0;
  for (size_t i = 0; i < size; ++i) {
    sum += bytes[i];
  }
  return sum;
}

static int serve(unsigned char* bytes, size_t size) {
  char line[100];
  size_t index;
  unsigned value;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "sum\n") == 0) {
      printf("%lu\n", sum_of(bytes, size));
    } else if (sscanf(line, "store %zu %u", &index, &value) == 2 && index < size) {
      bytes[index] = (unsigned char)value;
      puts("done");
    } else {
      return 2;
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 3 || (strcmp(argv[1], "r") != 0 && strcmp(argv[1], "w") != 0)) {
    fputs("usage: mapper r|w PATH\n", stderr);
    return 2;
  }
  const int writable = argv[1][0] == 'w';
  const int fd = open(argv[2], writable ? O_RDWR : O_RDONLY);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) {
    perror(argv[2]);
    return 1;
  }
  const size_t size = (size_t)st.st_size;
  void* bytes = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  close(fd);
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("mapped");
  return serve(bytes, size);
}
