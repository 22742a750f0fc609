;;; Guile: mmap of the C library; the file is a bytevector with accessors for doubles.
(use-modules (ice-9 match) (rnrs bytevectors) (system foreign))

(define mmap
  (pointer->procedure '* (dynamic-func "mmap" (dynamic-link))
                      (list '* size_t int int int int64)))
(define prot-read-write 3)
(define map-shared 1)

(define (map-file path)
  (let* ((port (open-file path "r+b"))
         (size (stat:size (stat port)))
         (mapped (mmap %null-pointer size prot-read-write map-shared (fileno port) 0)))
    (close-port port)
    (pointer->bytevector mapped size)))

(match (command-line)
  ((_ path index value)
   (let* ((file (map-file path))
          ;; Bytes 8 and 9 say how long the header is that begins at byte 10.
          (offset (+ 10 (bytevector-u16-ref file 8 (endianness little)))))
     (let loop ((at offset) (sum 0.0))
       (if (< at (bytevector-length file))
           (loop (+ at 8) (+ sum (bytevector-ieee-double-native-ref file at)))
           (format #t "~a\n" sum)))
     (bytevector-ieee-double-native-set! file (+ offset (* 8 (string->number index)))
                                         (exact->inexact (string->number value))))))
