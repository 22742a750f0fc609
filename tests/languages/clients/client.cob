*> COBOL: mmap of the C library; the elements are a table at its address.
identification division.
program-id. client.

data division.
working-storage section.
01 prot-read-write  constant as 3.
01 map-shared       constant as 1.
01 open-read-write  constant as 2.
77 path             pic x(4096).
77 path-of-c        pic x(4097).
77 argument         pic x(40).
77 file-descriptor  usage binary-long.
77 file-address     usage pointer.
77 data-offset      usage binary-double.
77 element-count    usage binary-double.
77 i                usage binary-double.
77 total            usage float-long value 0.
01 file-details.
   05 file-size     pic x(8) comp-x.
   05 filler        pic x(8).

linkage section.
01 header.
   05 filler        pic x(8).
   05 header-length usage binary-short unsigned.
01 elements.
   05 element       usage float-long occurs 1 to unbounded depending on element-count.

procedure division.
    accept path from argument-value
    call "CBL_CHECK_FILE_EXIST" using path file-details
    if return-code not = 0 then
        display function trim(path) ": cannot be opened" upon stderr
        stop run returning 1
    end-if

    string function trim(path) x"00" delimited by size into path-of-c
    call "open" using path-of-c by value open-read-write returning file-descriptor
    set file-address to null
    call "mmap" using by value file-address by value file-size by value prot-read-write
        by value map-shared by value file-descriptor by value size 8 0 returning file-address

    *> Bytes 8 and 9 say how long the header is that begins at byte 10.
    set address of header to file-address
    add 10 header-length giving data-offset
    compute element-count = (file-size - data-offset) / 8
    set file-address up by data-offset
    set address of elements to file-address

    perform varying i from 1 by 1 until i > element-count
        add element(i) to total
    end-perform
    display total

    accept argument from argument-value
    compute i = function numval(argument) + 1
    accept argument from argument-value
    move function numval(argument) to element(i)
    stop run.
