# CoffeeScript on Node: mmap of the C library through koffi, and a Float64Array over the elements.
fs = require 'node:fs'
koffi = require 'koffi'

mmap = koffi.load(null).func 'void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)'
[PROT_READ_WRITE, MAP_SHARED] = [1 | 2, 1]

# The elements of a float64 array, mapped for as long as the process lives.
mapArray = (path) ->
  fd = fs.openSync path, 'r+'
  {size} = fs.fstatSync fd
  address = mmap null, size, PROT_READ_WRITE, MAP_SHARED, fd, 0
  fs.closeSync fd
  throw new Error "#{path}: cannot be mapped" if koffi.address(address) is 2n ** 64n - 1n
  file = koffi.view address, size
  # Bytes 8 and 9 say how long the header is that begins at byte 10.
  new Float64Array file, 10 + new DataView(file).getUint16(8, true)

[path, index, value] = process.argv[2..]
array = mapArray path
console.log array.reduce ((sum, element) -> sum + element), 0
array[Number index] = Number value
