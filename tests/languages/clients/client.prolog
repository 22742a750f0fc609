% Prolog: the FileChannel of Java, which it can call through JPL, and a DoubleBuffer over the elements.
:- use_module(library(jpl)).
:- initialization(main, main).

% Bytes 8 and 9 say how long the header is that begins at byte 10.
data_offset(Path, Offset) :-
    setup_call_cleanup(open(Path, read, Stream, [type(binary)]),
                       ( seek(Stream, 8, bof, _), get_byte(Stream, Low), get_byte(Stream, High) ),
                       close(Stream)),
    Offset is 10 + Low + 256 * High.

map_array(Path, Array) :-
    data_offset(Path, Offset),
    size_file(Path, Size),
    Length is Size - Offset,
    jpl_new('java.io.RandomAccessFile', [Path, rw], File),
    jpl_call(File, getChannel, [], Channel),
    jpl_get('java.nio.channels.FileChannel$MapMode', 'READ_WRITE', Mode),
    jpl_call(Channel, map, [Mode, Offset, Length], Mapped),
    jpl_get('java.nio.ByteOrder', 'LITTLE_ENDIAN', Order),
    jpl_call(Mapped, order, [Order], Ordered),
    jpl_call(Ordered, asDoubleBuffer, [], Array),
    jpl_call(File, close, [], _).  % the mapping needs no file

element(Array, Index, Element) :-
    jpl_call(Array, get, [Index], Element).

main([Path, Index, Value]) :-
    map_array(Path, Array),
    jpl_call(Array, limit, [], Count),
    Last is Count - 1,
    aggregate_all(sum(Element), (between(0, Last, I), element(Array, I, Element)), Sum),
    writeln(Sum),
    atom_number(Index, At),
    atom_number(Value, Number),
    jpl_call(Array, put, [At, Number], _).
