// Pike: System.Memory maps files; sscanf and sprintf convert the elements, "%-8F" little-endian doubles.
int main(int argc, array(string) argv)
{
  [string path, int index, float value] = ({ argv[1], (int)argv[2], (float)argv[3] });
  System.Memory file = System.Memory();
  file->mmap(path);

  // Bytes 8 and 9 say how long the header is that begins at byte 10.
  int offset = 10 + file->pread16i(8, 1)[0];

  float sum = 0.0;
  for (int at = offset; at < sizeof(file); at += 8)
    sum += array_sscanf(reverse(file->pread(at, 8)), "%8F")[0];
  write("%.17g\n", sum);
  file->pwrite(offset + 8 * index, reverse(sprintf("%8F", value)));
}
