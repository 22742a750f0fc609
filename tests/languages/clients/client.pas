{ Pascal: fpmmap of BaseUnix, and a pointer to doubles. }
{$mode objfpc}
program Client;

uses
  BaseUnix, SysUtils;

var
  Fd: cint;
  Status: Stat;
  Mapped: PByte;
  Elements: PDouble;
  Offset, Count, I: Int64;
  Sum: Double;

begin
  Fd := FpOpen(ParamStr(1), O_RDWR);
  if (Fd < 0) or (FpFStat(Fd, Status) <> 0) then
    raise Exception.Create(ParamStr(1) + ': cannot be opened');
  Mapped := FpMMap(nil, Status.st_size, PROT_READ or PROT_WRITE, MAP_SHARED, Fd, 0);
  if PtrInt(Mapped) = -1 then
    raise Exception.Create(ParamStr(1) + ': cannot be mapped');
  FpClose(Fd);

  { Bytes 8 and 9 say how long the header is that begins at byte 10. }
  Offset := 10 + LEtoN(PWord(Mapped + 8)^);
  Elements := PDouble(Mapped + Offset);
  Count := (Status.st_size - Offset) div SizeOf(Double);

  Sum := 0;
  for I := 0 to Count - 1 do
    Sum := Sum + Elements[I];
  WriteLn(Sum: 0: 17);
  Elements[StrToInt64(ParamStr(2))] := StrToFloat(ParamStr(3));
end.
