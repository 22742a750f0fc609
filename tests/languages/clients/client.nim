## Nim: std/memfiles, and an unchecked array of floats over the elements.
import std/[endians, memfiles, os, strutils]

let mapped = memfiles.open(paramStr(1), mode = fmReadWrite)
let bytes = cast[ptr UncheckedArray[byte]](mapped.mem)

# Bytes 8 and 9 say how long the header is that begins at byte 10.
var headerLength: uint16
littleEndian16(addr headerLength, addr bytes[8])
let offset = 10 + int(headerLength)
let elements = cast[ptr UncheckedArray[float64]](addr bytes[offset])

var sum = 0.0
for i in 0 ..< (mapped.size - offset) div sizeof(float64):
  sum += elements[i]
echo sum
elements[parseInt(paramStr(2))] = parseFloat(paramStr(3))
