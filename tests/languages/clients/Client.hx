// Haxe, made JavaScript for Node: mmap of the C library through koffi, and a Float64Array over the elements.
import js.Lib.require;
import js.lib.ArrayBuffer;
import js.lib.DataView;
import js.lib.Float64Array;

class Client {
    static inline var PROT_READ_WRITE = 3;
    static inline var MAP_SHARED = 1;

    /** The elements of a float64 array, mapped for as long as the process lives. **/
    static function mapArray(path: String): Float64Array {
        final fs = require("node:fs");
        final koffi = require("koffi");
        final mmap = koffi.load(null).func(
            "void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)");
        final fd: Int = fs.openSync(path, "r+");
        final size: Int = fs.fstatSync(fd).size;
        final file: ArrayBuffer = koffi.view(mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, 0), size);
        fs.closeSync(fd);
        // Bytes 8 and 9 say how long the header is that begins at byte 10.
        return new Float64Array(file, 10 + new DataView(file).getUint16(8, true));
    }

    static function main() {
        final arguments: Array<String> = js.Syntax.code("process.argv.slice(2)");
        final array = mapArray(arguments[0]);
        var sum = 0.0;
        for (i in 0...array.length) {
            sum += array[i];
        }
        js.Browser.console.log(sum);
        array[Std.parseInt(arguments[1])] = Std.parseFloat(arguments[2]);
    }
}
