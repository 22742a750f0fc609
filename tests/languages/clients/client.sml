(* Standard ML on Poly/ML: mmap of the C library through Foreign; Memory reads and writes the elements. *)
local
  open Foreign
  val symbol = getSymbol (loadExecutable ())
  val open_file = buildCall2 (symbol "open", (cString, cInt), cInt)
  val mmap = buildCall6 (symbol "mmap", (cPointer, cLong, cInt, cInt, cInt, cLong), cPointer)
  val O_RDWR = 2 and PROT_READ_WRITE = 3 and MAP_SHARED = 1
in
  (* The elements of a float64 array, and how many they are. *)
  fun map_array path =
    let
      val size = Position.toInt (OS.FileSys.fileSize path)
      val file = mmap (Memory.null, size, PROT_READ_WRITE, MAP_SHARED, open_file (path, O_RDWR), 0)
      (* Bytes 8 and 9 say how long the header is that begins at byte 10. *)
      fun byte at = Word8.toInt (Memory.get8 (file, at))
      val offset = 10 + byte 0w8 + 256 * byte 0w9
    in
      (Memory.++ (file, Word.fromInt offset), (size - offset) div 8)
    end
  val element = Memory.getDouble
  val set_element = Memory.setDouble
end

fun sum (array, count) =
  let fun add (i, total) = if i = count then total else add (i + 1, total + element (array, Word.fromInt i))
  in add (0, 0.0) end

(* SML writes a negative number with a tilde. *)
val text = String.map (fn #"~" => #"-" | char => char) o Real.fmt (StringCvt.GEN (SOME 17))

val [path, index, value] = List.drop (CommandLine.arguments (), length (CommandLine.arguments ()) - 3)
val (array, count) = map_array path
val () = print (text (sum (array, count)) ^ "\n")
val () = set_element (array, Word.fromInt (valOf (Int.fromString index)), valOf (Real.fromString value))
