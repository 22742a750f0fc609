// Objective-C: mmap, and an object that owns the mapping and gives the elements.
#import <fcntl.h>
#import <objc/runtime.h>
#import <stdio.h>
#import <stdlib.h>
#import <sys/mman.h>
#import <sys/stat.h>
#import <unistd.h>

__attribute__((objc_root_class))
@interface MappedArray {
  Class isa;
  unsigned char* file;
  size_t size;
}
+ (MappedArray*)arrayAtPath:(const char*)path;
- (double*)elements;
- (size_t)count;
- (void)unmap;
@end

@implementation MappedArray
+ (MappedArray*)arrayAtPath:(const char*)path {
  const int fd = open(path, O_RDWR);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) return nil;
  MappedArray* array = class_createInstance(self, 0);
  array->size = (size_t)status.st_size;
  array->file = mmap(NULL, array->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);  // the mapping needs no descriptor
  return array->file == MAP_FAILED ? nil : array;
}

// Bytes 8 and 9 say how long the header is that begins at byte 10.
- (size_t)offset {
  return 10U + file[8] + 256U * file[9];
}

- (double*)elements {
  return (double*)(file + [self offset]);
}

- (size_t)count {
  return (size - [self offset]) / sizeof(double);
}

- (void)unmap {
  munmap(file, size);
  object_dispose(self);
}
@end

int main(int argc, char** argv) {
  MappedArray* array = argc == 4 ? [MappedArray arrayAtPath:argv[1]] : nil;
  if (array == nil) {
    fputs("usage: client PATH INDEX VALUE\n", stderr);
    return 2;
  }
  double* const elements = [array elements];
  double sum = 0;
  for (size_t i = 0; i < [array count]; ++i) sum += elements[i];
  printf("%.17g\n", sum);
  elements[strtoul(argv[2], NULL, 10)] = strtod(argv[3], NULL);
  [array unmap];
  return 0;
}
