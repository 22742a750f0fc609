<?php
// PHP: mmap of the C library through FFI; the elements are a double pointer.
[, $path, $index, $value] = $argv;

$c = FFI::cdef('
    int open(const char *path, int flags, ...);
    void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset);
');
const O_RDWR = 2, PROT_READ_WRITE = 3, MAP_SHARED = 1;

$size = filesize($path);
$fd = $c->open($path, O_RDWR);
$file = $c->cast('uint8_t *', $c->mmap(null, $size, PROT_READ_WRITE, MAP_SHARED, $fd, 0));

// Bytes 8 and 9 say how long the header is that begins at byte 10.
$offset = 10 + $file[8] + 256 * $file[9];
$array = $c->cast('double *', $file + $offset);

$sum = 0.0;
for ($i = 0; $i < ($size - $offset) / 8; $i++) {
    $sum += $array[$i];
}
printf("%.17g\n", $sum);
$array[(int) $index] = (float) $value;
