// Java: FileChannel.map, and a DoubleBuffer over the elements.
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

public class Client {
    /** The elements of a float64 array; the mapping outlives the channel. */
    static DoubleBuffer mapArray(Path path) throws IOException {
        try (var channel = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            // Bytes 8 and 9 say how long the header is that begins at byte 10.
            var start = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN);
            channel.read(start, 0);
            long offset = 10 + Short.toUnsignedInt(start.getShort(8));
            return channel.map(MapMode.READ_WRITE, offset, channel.size() - offset)
                .order(ByteOrder.LITTLE_ENDIAN)
                .asDoubleBuffer();
        }
    }

    public static void main(String[] arguments) throws IOException {
        DoubleBuffer array = mapArray(Path.of(arguments[0]));
        double sum = 0;
        for (int i = 0; i < array.limit(); i++) {
            sum += array.get(i);
        }
        System.out.println(sum);
        array.put(Integer.parseInt(arguments[1]), Double.parseDouble(arguments[2]));
    }
}
