% Octave: the FileChannel of Java, which it can call, and a DoubleBuffer over the elements.
arguments = argv();
path = arguments{1};

% Bytes 8 and 9 say how long the header is that begins at byte 10.
file = fopen(path, "r", "ieee-le");
fseek(file, 8, SEEK_SET);
offset = 10 + fread(file, 1, "uint16");
fclose(file);

file = javaObject("java.io.RandomAccessFile", path, "rw");
channel = file.getChannel();
read_write = java_get("java.nio.channels.FileChannel$MapMode", "READ_WRITE");
little_endian = java_get("java.nio.ByteOrder", "LITTLE_ENDIAN");
mapped = channel.map(read_write, offset, file.length() - offset);
array = mapped.order(little_endian).asDoubleBuffer();
file.close();  % the mapping needs no channel

total = 0;
for i = 0:array.limit() - 1
  total += array.get(i);
end
printf("%.17g\n", total);
array.put(str2double(arguments{2}), str2double(arguments{3}));
