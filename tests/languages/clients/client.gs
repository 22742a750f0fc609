// Genie: mmap of the C library; the elements are a pointer to doubles.
[indent=4]
init
    var fd = Posix.open(args[1], Posix.O_RDWR)
    if fd < 0
        error("%s cannot be opened", args[1])
    status: Posix.Stat
    Posix.fstat(fd, out status)
    var size = (size_t) status.st_size
    file: uint8* = Posix.mmap(null, size, Posix.PROT_READ | Posix.PROT_WRITE, Posix.MAP_SHARED, fd, 0)
    if file == Posix.MAP_FAILED
        error("%s cannot be mapped", args[1])
    Posix.close(fd)  // the mapping needs no descriptor

    // Bytes 8 and 9 say how long the header is that begins at byte 10.
    var offset = 10 + file[8] + 256 * file[9]
    elements: double* = (double*) (file + offset)
    var count = (int) ((size - offset) / sizeof(double))

    sum: double = 0
    for var i = 0 to (count - 1)
        sum += elements[i]
    print("%.17g", sum)
    elements[int.parse(args[2])] = double.parse(args[3])
