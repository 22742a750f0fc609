# BASIC, Yabasic: mmap of the C library; foreign_buffer_get and foreign_buffer_set reach the elements.
libc$ = "libc.so.6"
O_RDWR = 2
PROT_READ_WRITE = 3
MAP_SHARED = 1

path$ = peek$("argument")
index = val(peek$("argument"))
value = val(peek$("argument"))

open 1, path$, "r"
seek 1, 0, "end"
size = tell(1)
close 1

null$ = foreign_buffer_alloc$(-1)
fd = foreign_function_call(libc$, "int", "open", "string", path$, "int", O_RDWR)
file$ = foreign_function_call$(libc$, "buffer", "mmap", "buffer", null$, "long", size, "int", PROT_READ_WRITE, "int", MAP_SHARED, "int", fd, "long", 0)

# Bytes 8 and 9 say how long the header is that begins at byte 10.
offset = 10 + foreign_buffer_get(file$, 8, "uint16")

sum = 0
for i = offset to size - 8 step 8
  sum = sum + foreign_buffer_get(file$, i, "double")
next i
print str$(sum, "%.17g")
foreign_buffer_set file$, offset + 8 * index, "double", value
