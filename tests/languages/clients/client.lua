-- LuaJIT: mmap of the C library through ffi; the elements are a double pointer.
local ffi = require("ffi")
ffi.cdef [[
  int open(const char *path, int flags, ...);
  int close(int fd);
  void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset);
]]
local O_RDWR, PROT_READ_WRITE, MAP_SHARED = 2, 3, 1

-- The elements of a float64 array, counted from 0, and how many they are.
local function map_array(path)
  local size = assert(io.open(path)):seek("end")
  local fd = ffi.C.open(path, O_RDWR)
  local mapped = ffi.C.mmap(nil, size, PROT_READ_WRITE, MAP_SHARED, fd, 0)
  assert(mapped ~= ffi.cast("void *", -1), "mmap: error " .. ffi.errno())
  ffi.C.close(fd)
  local bytes = ffi.cast("uint8_t *", mapped)
  -- Bytes 8 and 9 say how long the header is that begins at byte 10.
  local offset = 10 + bytes[8] + 256 * bytes[9]
  return ffi.cast("double *", bytes + offset), (size - offset) / 8
end

local path, index, value = unpack(arg)
local array, count = map_array(path)
local sum = 0
for i = 0, count - 1 do
  sum = sum + array[i]
end
print(string.format("%.17g", sum))
array[tonumber(index)] = tonumber(value)
