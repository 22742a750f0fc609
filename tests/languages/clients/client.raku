# Raku: mmap of the C library through NativeCall; the elements are a CArray of num64.
use NativeCall;

sub open(Str, int32 --> int32) is native { * }
sub mmap(Pointer, size_t, int32, int32, int32, int64 --> Pointer) is native { * }
constant O_RDWR = 2;
constant PROT_READ_WRITE = 3;
constant MAP_SHARED = 1;

sub MAIN(Str $path, Int $index, Num(Str) $value) {
    my $size = $path.IO.s;
    my $file = mmap(Pointer, $size, PROT_READ_WRITE, MAP_SHARED, open($path, O_RDWR), 0);
    die "$path cannot be mapped" if $file == -1;

    # Bytes 8 and 9 say how long the header is that begins at byte 10.
    my $bytes = nativecast(CArray[uint8], $file);
    my $offset = 10 + $bytes[8] + 256 * $bytes[9];
    my $array = nativecast(CArray[num64], Pointer.new($file + $offset));

    say [+] (^(($size - $offset) div 8)).map: { $array[$_] };
    $array[$index] = $value;
}
