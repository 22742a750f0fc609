// Scala: FileChannel.map of Java, and a DoubleBuffer over the elements.
import java.nio.{ByteBuffer, ByteOrder, DoubleBuffer}
import java.nio.channels.FileChannel
import java.nio.channels.FileChannel.MapMode
import java.nio.file.{Path, Paths, StandardOpenOption}

object Client {
  /** The elements of a float64 array; the mapping outlives the channel. */
  def mapArray(path: Path): DoubleBuffer = {
    val channel = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)
    try {
      // Bytes 8 and 9 say how long the header is that begins at byte 10.
      val start = ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN)
      channel.read(start, 0)
      val offset = 10 + java.lang.Short.toUnsignedInt(start.getShort(8))
      channel.map(MapMode.READ_WRITE, offset, channel.size - offset)
        .order(ByteOrder.LITTLE_ENDIAN)
        .asDoubleBuffer
    } finally channel.close()
  }

  def main(arguments: Array[String]): Unit = {
    val Array(path, index, value) = arguments
    val array = mapArray(Paths.get(path))
    println((0 until array.limit).map(array.get(_)).sum)
    array.put(index.toInt, value.toDouble)
  }
}
