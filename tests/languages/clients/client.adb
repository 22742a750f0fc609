--  Ada: mmap of the C library, and an array that lies where the elements are.
with Ada.Command_Line;         use Ada.Command_Line;
with Ada.Long_Float_Text_IO;
with GNAT.OS_Lib;              use GNAT.OS_Lib;
with Interfaces;               use Interfaces;
with Interfaces.C;             use Interfaces.C;
with System;                   use System;
with System.Storage_Elements;  use System.Storage_Elements;

procedure Client is
   function Map
     (Near : Address; Length : size_t; Protection, Flags, Fd : int; Offset : long) return Address
     with Import, Convention => C, External_Name => "mmap";

   Read_Write : constant := 3;
   Shared     : constant := 1;

   Fd   : constant File_Descriptor := Open_Read_Write (Argument (1), Binary);
   Size : constant Long_Integer := File_Length (Fd);
   File : constant Address :=
     Map (Null_Address, size_t (Size), Read_Write, Shared, int (Fd), 0);

   --  Bytes 8 and 9 say how long the header is that begins at byte 10.
   Header_Length : Unsigned_16 with Import, Address => File + 8;
   Offset        : constant Storage_Offset := 10 + Storage_Offset (Header_Length);

   type Elements is array (Storage_Offset range <>) of Long_Float;
   Data : Elements (0 .. (Storage_Offset (Size) - Offset) / 8 - 1)
     with Import, Address => File + Offset;
   Sum  : Long_Float := 0.0;
begin
   for Element of Data loop
      Sum := Sum + Element;
   end loop;
   Ada.Long_Float_Text_IO.Put (Sum, Fore => 1, Aft => 17);
   Data (Storage_Offset'Value (Argument (2))) := Long_Float'Value (Argument (3));
end Client;
