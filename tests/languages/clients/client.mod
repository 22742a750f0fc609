(* Modula-2: mmap of the C library; the elements are an array behind a pointer. *)
MODULE client;

FROM DynamicStrings IMPORT String, string;
FROM SArgs IMPORT GetArg;
FROM StringConvert IMPORT stoc, stor;
FROM SYSTEM IMPORT ADDRESS, CARDINAL8, CSIZE_T;
FROM libc IMPORT close, exit, lseek, open, perror, printf;
FROM mman IMPORT mmap;

CONST
  ReadWrite = 2;
  ProtReadWrite = 3;
  MapShared = 1;
  FromEnd = 2;

VAR
  path, index, value: String;
  fd: INTEGER;
  size, offset, i: LONGINT;
  file: ADDRESS;
  bytes: POINTER TO ARRAY [0..9] OF CARDINAL8;
  array: POINTER TO ARRAY [0..MAX (INTEGER) DIV 8] OF REAL;
  sum: REAL;
BEGIN
  IF NOT (GetArg (path, 1) AND GetArg (index, 2) AND GetArg (value, 3)) THEN
    exit (2)
  END;
  fd := open (string (path), ReadWrite);
  IF fd < 0 THEN
    perror ("client");
    exit (1)
  END;
  size := lseek (fd, 0, FromEnd);
  file := mmap (NIL, VAL (CSIZE_T, size), ProtReadWrite, MapShared, fd, 0);
  IF file = VAL (ADDRESS, -1) THEN
    perror ("mmap");
    exit (1)
  END;
  close (fd);  (* the mapping needs no descriptor *)

  (* Bytes 8 and 9 say how long the header is that begins at byte 10. *)
  bytes := file;
  offset := 10 + VAL (LONGINT, bytes^[8]) + 256 * VAL (LONGINT, bytes^[9]);
  array := file + VAL (ADDRESS, offset);

  sum := 0.0;
  FOR i := 0 TO (size - offset) DIV 8 - 1 DO
    sum := sum + array^[i]
  END;
  printf ("%.17g\n", sum);
  array^[stoc (index)] := stor (value)
END client.
