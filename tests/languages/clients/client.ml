(* OCaml: Unix.map_file gives a Bigarray on the file. *)
let map_array path =
  let fd = Unix.openfile path [ Unix.O_RDWR ] 0 in
  (* Bytes 8 and 9 say how long the header is that begins at byte 10. *)
  let start = Bytes.create 10 in
  assert (Unix.read fd start 0 10 = 10);
  let pos = Int64.of_int (10 + Bytes.get_uint16_le start 8) in
  let shared = true and until_the_end = [| -1 |] in
  let array = Unix.map_file fd ~pos Bigarray.float64 Bigarray.c_layout shared until_the_end in
  Unix.close fd;
  Bigarray.array1_of_genarray array

let () =
  let array = map_array Sys.argv.(1) in
  let sum = ref 0.0 in
  for i = 0 to Bigarray.Array1.dim array - 1 do
    sum := !sum +. array.{i}
  done;
  Printf.printf "%.17g\n" !sum;
  array.{int_of_string Sys.argv.(2)} <- float_of_string Sys.argv.(3)
