; newLISP: mmap of the C library through import; get-float and cpymem reach the elements.
(import "libc.so.6" "mmap" "void*" "void*" "long" "int" "int" "int" "long")
(constant 'PROT_READ_WRITE 3 'MAP_SHARED 1)

(map set '(path at-index value) (-3 (main-args)))
(set 'size (file-info path 0 true))  ; true: of what a link leads to
(set 'file (mmap 0 size PROT_READ_WRITE MAP_SHARED (open path "update") 0))

; Bytes 8 and 9 say how long the header is that begins at byte 10.
(set 'offset (+ 10 (first (unpack "<u" (+ file 8)))))
(set 'elements (+ file offset))

(set 'sum 0.0)
(dotimes (i (/ (- size offset) 8))
  (inc sum (get-float (+ elements (* 8 i)))))
(println (format "%.17g" sum))
(cpymem (pack "lf" (float value)) (+ elements (* 8 (int at-index 0 10))) 8)
(exit)
