! Fortran: mmap of the C library, and a pointer array over the elements.
program client
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int16, int64, real64
  implicit none

  interface
    function mmap(address, length, protection, flags, fd, offset) bind(c)
      import :: c_ptr, c_size_t, c_int, c_int64_t
      type(c_ptr), value :: address
      integer(c_size_t), value :: length
      integer(c_int), value :: protection, flags, fd
      integer(c_int64_t), value :: offset
      type(c_ptr) :: mmap
    end function
  end interface

  integer(c_int), parameter :: prot_read_write = 3, map_shared = 1
  character(len=4096) :: argument
  integer :: unit, index
  integer(int16) :: header_length
  integer(int64) :: size_bytes, first
  real(real64) :: value
  real(real64), pointer :: file(:), array(:)

  call get_command_argument(2, argument)
  read (argument, *) index
  call get_command_argument(3, argument)
  read (argument, *) value

  ! Bytes 8 and 9 say how long the header is that begins at byte 10; Fortran counts from 1.
  call get_command_argument(1, argument)
  open (newunit=unit, file=trim(argument), access='stream', action='readwrite', status='old')
  read (unit, pos=9) header_length
  inquire (unit, size=size_bytes)
  first = (10 + header_length) / 8

  call c_f_pointer(mmap(c_null_ptr, size_bytes, prot_read_write, map_shared, fnum(unit), 0_int64), &
                   file, [size_bytes / 8])
  close (unit)
  array(0:) => file(first + 1:)

  print '(g0)', sum(array)
  array(index) = value
end program
