\ Forth: mmap of the C library; floats lie in memory as Forth reads and writes them.
c-library client
  \c #include <stdio.h>
  \c #include <sys/mman.h>
  c-function mmap mmap a n n n n n -- a
  c-function fileno fileno a -- n
end-c-library

3 constant PROT_READ_WRITE
1 constant MAP_SHARED

: map-file ( path -- addr size )
  r/w open-file throw { file }
  file file-size throw d>s { size }
  0 size PROT_READ_WRITE MAP_SHARED file fileno 0 mmap
  dup -1 = abort" cannot be mapped"
  size file close-file throw ;

\ Bytes 8 and 9 say how long the header is that begins at byte 10.
: elements ( addr size -- end array )
  over dup 8 + uw@ 10 + + >r + r> ;

: sum ( end array -- ) ( F: -- r )
  0e ?do i f@ f+ float +loop ;

: client ( -- )
  next-arg map-file elements { end array }
  end array sum 15 set-precision f. cr
  next-arg s>number drop floats array +
  next-arg >float 0= abort" not a number"
  f! ;

argc @ 1 > [if] client [then]
bye
