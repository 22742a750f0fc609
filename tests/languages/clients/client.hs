-- Haskell: the package mmap; the elements are a pointer that the garbage collector unmaps.
import Data.Bits (shiftL, (.|.))
import qualified Data.ByteString as Bytes
import Foreign (Ptr, peekArray, plusPtr, pokeElemOff, withForeignPtr)
import System.Environment (getArgs)
import System.IO (IOMode (ReadMode), withBinaryFile)
import System.IO.MMap (Mode (ReadWrite), mmapFileForeignPtr)

-- Bytes 8 and 9 say how long the header is that begins at byte 10.
dataOffset :: Bytes.ByteString -> Int
dataOffset start = 10 + (byte 8 .|. byte 9 `shiftL` 8)
  where byte = fromIntegral . Bytes.index start

main :: IO ()
main = do
  [path, index, value] <- getArgs
  offset <- dataOffset <$> withBinaryFile path ReadMode (`Bytes.hGet` 10)
  size <- Bytes.length <$> Bytes.readFile path
  let nbytes = size - offset
  (mapped, start, _) <- mmapFileForeignPtr path ReadWrite (Just (fromIntegral offset, nbytes))
  withForeignPtr mapped $ \pages -> do
    let array = pages `plusPtr` start :: Ptr Double
    elements <- peekArray (nbytes `div` 8) array
    print (sum elements)
    pokeElemOff array (read index) (read value)
