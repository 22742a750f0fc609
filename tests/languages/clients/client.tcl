# Tcl: critcl compiles mmap and the access to elements into commands; an address is an integer.
package require critcl

critcl::ccode {
    #include <fcntl.h>
    #include <sys/mman.h>
    #include <unistd.h>
}
critcl::cproc map_file {char* path wideint size} wideint {
    int fd = open(path, O_RDWR);
    void *file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd); /* the mapping needs no descriptor */
    return (Tcl_WideInt)file;
}
critcl::cproc byte {wideint file int at} int {
    return ((unsigned char *)file)[at];
}
critcl::cproc element {wideint array wideint index} double {
    return ((double *)array)[index];
}
critcl::cproc set_element {wideint array wideint index double value} void {
    ((double *)array)[index] = value;
}
critcl::load

if {$argc == 3} {
    lassign $argv path index value
    set size [file size $path]
    set file [map_file $path $size]
    if {$file == -1} {
        error "$path: cannot be mapped"
    }
    # Bytes 8 and 9 say how long the header is that begins at byte 10.
    set offset [expr {10 + [byte $file 8] + 256 * [byte $file 9]}]
    set array [expr {$file + $offset}]

    set sum 0.0
    for {set i 0} {$i < ($size - $offset) / 8} {incr i} {
        set sum [expr {$sum + [element $array $i]}]
    }
    puts $sum
    set_element $array $index $value
}
