// Vala: mmap of the C library; the elements are an array of doubles without an owner.
int main(string[] arguments) {
    int fd = Posix.open(arguments[1], Posix.O_RDWR);
    var status = Posix.Stat();
    if (fd < 0 || Posix.fstat(fd, out status) != 0) {
        Posix.perror(arguments[1]);
        return 1;
    }
    var size = (size_t) status.st_size;
    var file = (uint8*) Posix.mmap(null, size, Posix.PROT_READ | Posix.PROT_WRITE, Posix.MAP_SHARED, fd, 0);
    if (file == Posix.MAP_FAILED) {
        Posix.perror("mmap");
        return 1;
    }
    Posix.close(fd);  // the mapping needs no descriptor

    // Bytes 8 and 9 say how long the header is that begins at byte 10.
    size_t offset = 10 + file[8] + 256 * file[9];
    unowned double[] array = (double[]) (file + offset);
    array.length = (int) ((size - offset) / sizeof(double));

    double sum = 0;
    foreach (double element in array) {
        sum += element;
    }
    print("%.17g\n", sum);
    array[int.parse(arguments[2])] = double.parse(arguments[3]);
    return 0;
}
