// C#: a MemoryMappedFile, and an accessor that begins at the first element.
using System;
using System.Globalization;
using System.IO;
using System.IO.MemoryMappedFiles;

static class Client
{
    static void Main(string[] arguments)
    {
        using (var stream = new FileStream(arguments[0], FileMode.Open, FileAccess.ReadWrite))
        using (var file = MemoryMappedFile.CreateFromFile(
            stream, null, 0, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, true))
        using (var accessor = file.CreateViewAccessor())
        {
            // Bytes 8 and 9 say how long the header is that begins at byte 10.
            long offset = 10 + accessor.ReadUInt16(8);
            long count = (stream.Length - offset) / sizeof(double);
            double sum = 0;
            for (long i = 0; i < count; i++)
            {
                sum += accessor.ReadDouble(offset + i * sizeof(double));
            }
            Console.WriteLine(sum.ToString("R", CultureInfo.InvariantCulture));
            double value = double.Parse(arguments[2], CultureInfo.InvariantCulture);
            accessor.Write(offset + long.Parse(arguments[1]) * sizeof(double), value);
        }
    }
}
