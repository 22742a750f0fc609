// Reads Zarr stores of version 3 by zarrita: `node read.js STORE...` gives a line of JSON for each,
// its type, shape, and its elements in C order as base64 of their bytes, little endian, or an error.
import { Float16Array } from "@petamoriken/float16";
import { FileSystemStore } from "@zarrita/storage";

globalThis.Float16Array ??= Float16Array; // Node has it from version 24 on
const zarr = await import("zarrita");

// The places of the elements one after the other, the last axis first.
function* places(shape, stride, axis = 0, at = 0) {
  if (axis === shape.length) {
    yield at;
    return;
  }
  for (let i = 0; i < shape[axis]; i++) {
    yield* places(shape, stride, axis + 1, at + i * stride[axis]);
  }
}

function inOrder({ data, shape, stride }) {
  const element = data.get ? (at) => data.get(at) : (at) => data[at];
  const values = Array.from(places(shape, stride), element);
  const Type = data.get ? Uint8Array : data.constructor;
  return Buffer.from(Type.from(values).buffer).toString("base64");
}

async function read(path) {
  const array = await zarr.open.v3(new FileSystemStore(path), { kind: "array" });
  const { shape } = array;
  const whole = shape.includes(0) ? { data: new Uint8Array(), shape, stride: shape } // get() fails
    : shape.length === 0 ? await array.getChunk([]) // get() gives a number
    : await zarr.get(array, null);
  return { dtype: array.dtype, shape, attributes: array.attrs, data: inOrder(whole) };
}

for (const path of process.argv.slice(2)) {
  const result = await read(path).catch((error) => ({ error: String(error) }));
  console.log(JSON.stringify(result));
}
