// Groovy: FileChannel.map of Java, and a DoubleBuffer over the elements.
import static java.nio.ByteOrder.LITTLE_ENDIAN
import static java.nio.channels.FileChannel.MapMode.READ_WRITE
import static java.nio.file.StandardOpenOption.READ
import static java.nio.file.StandardOpenOption.WRITE

import java.nio.ByteBuffer
import java.nio.channels.FileChannel

def (path, index, value) = args

def array = FileChannel.open(new File(path).toPath(), READ, WRITE).withCloseable { channel ->
    // Bytes 8 and 9 say how long the header is that begins at byte 10.
    def start = ByteBuffer.allocate(10).order(LITTLE_ENDIAN)
    channel.read(start, 0)
    def offset = 10 + Short.toUnsignedInt(start.getShort(8))
    channel.map(READ_WRITE, offset, channel.size() - offset).order(LITTLE_ENDIAN).asDoubleBuffer()
}

println((0..<array.limit()).sum(0.0d) { array.get(it) })
array.put(index as int, value as double)
