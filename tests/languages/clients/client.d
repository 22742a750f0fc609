// D: std.mmfile, and a slice of doubles over the elements.
import std.algorithm : sum;
import std.bitmanip : littleEndianToNative;
import std.conv : to;
import std.mmfile : MmFile;
import std.stdio : writefln;

void main(string[] arguments)
{
    scope file = new MmFile(arguments[1], MmFile.Mode.readWrite, 0, null);
    auto bytes = cast(ubyte[]) file[];

    // Bytes 8 and 9 say how long the header is that begins at byte 10.
    const offset = 10 + littleEndianToNative!ushort(bytes[8 .. 10][0 .. 2]);
    auto array = cast(double[]) bytes[offset .. $];

    writefln("%.17g", sum(array));
    array[arguments[2].to!size_t] = arguments[3].to!double;
}
