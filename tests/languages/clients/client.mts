// TypeScript on Node: mmap of the C library through koffi, and a Float64Array over the elements.
import * as fs from "node:fs";
import koffi from "koffi";

const mmap = koffi.load(null).func(
  "void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)");
const PROT_READ_WRITE = 1 | 2;
const MAP_SHARED = 1;

// The elements of a float64 array, mapped for as long as the process lives.
function mapArray(path: string): Float64Array {
  const fd = fs.openSync(path, "r+");
  const size = fs.fstatSync(fd).size;
  const address: unknown = mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  fs.closeSync(fd);
  if (koffi.address(address) === 2n ** 64n - 1n) throw new Error(`${path}: cannot be mapped`);
  const file: ArrayBuffer = koffi.view(address, size);
  // Bytes 8 and 9 say how long the header is that begins at byte 10.
  return new Float64Array(file, 10 + new DataView(file).getUint16(8, true));
}

const [path, index, value] = process.argv.slice(2) as [string, string, string];
const array = mapArray(path);
console.log(array.reduce((sum, element) => sum + element, 0));
array[Number(index)] = Number(value);
