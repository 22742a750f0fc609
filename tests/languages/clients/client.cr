# Crystal: mmap of the C library, and a Slice over the elements.
def map_array(path)
  File.open(path, "r+") do |file|
    mapped = LibC.mmap(nil, file.size, LibC::PROT_READ | LibC::PROT_WRITE, LibC::MAP_SHARED, file.fd, 0)
    raise RuntimeError.from_errno(path) if mapped == LibC::MAP_FAILED
    bytes = Bytes.new(mapped.as(UInt8*), file.size)
    # Bytes 8 and 9 say how long the header is that begins at byte 10.
    offset = 10 + IO::ByteFormat::LittleEndian.decode(UInt16, bytes[8, 2])
    bytes[offset..].unsafe_slice_of(Float64)
  end
end

path, index, value = ARGV
array = map_array(path)
puts array.sum
array[index.to_i] = value.to_f
