;;; Common Lisp on SBCL: mmap of sb-posix; the elements lie behind a system area pointer.
(require :sb-posix)

(defun map-file (path)
  "The address of the mapped file and its size in bytes."
  (let* ((fd (sb-posix:open path sb-posix:o-rdwr))
         (size (sb-posix:stat-size (sb-posix:fstat fd)))
         (mapped (sb-posix:mmap nil size (logior sb-posix:prot-read sb-posix:prot-write)
                                sb-posix:map-shared fd 0)))
    (sb-posix:close fd)
    (values mapped size)))

(destructuring-bind (path index value) (last sb-ext:*posix-argv* 3)
  (multiple-value-bind (file size) (map-file path)
    ;; Bytes 8 and 9 say how long the header is that begins at byte 10.
    (let ((offset (+ 10 (sb-sys:sap-ref-16 file 8)))
          (*read-default-float-format* 'double-float))
      (format t "~f~%" (loop for at from offset below size by 8
                             sum (sb-sys:sap-ref-double file at)))
      (setf (sb-sys:sap-ref-double file (+ offset (* 8 (parse-integer index))))
            (coerce (read-from-string value) 'double-float)))))
