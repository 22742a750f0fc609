# R: its own mapping of files as vectors (ALTREP); the header is the first elements of it.
arguments <- commandArgs(trailingOnly = TRUE)
path <- arguments[1]

# Bytes 8 and 9 say how long the header is that begins at byte 10.
header <- readBin(path, "raw", 10)
offset <- 10 + as.integer(header[9]) + 256 * as.integer(header[10])

# path, type, a pointer may be had, it may be written through, serialised as a path.
mapped <- .Internal(mmap_file(path, "double", TRUE, TRUE, FALSE))
first <- offset / 8

cat(sprintf("%.17g\n", sum(mapped[(first + 1):length(mapped)])))
mapped[first + 1 + as.integer(arguments[2])] <- as.double(arguments[3])
