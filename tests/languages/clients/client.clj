;;; Clojure: FileChannel.map of Java, and a DoubleBuffer over the elements.
(import (java.io File)
        (java.nio ByteBuffer ByteOrder DoubleBuffer)
        (java.nio.channels FileChannel FileChannel$MapMode)
        (java.nio.file OpenOption StandardOpenOption))

(defn map-array
  "The elements of a float64 array; the mapping outlives the channel."
  ^DoubleBuffer [path]
  (with-open [channel (FileChannel/open (.toPath (File. path))
                                        (into-array OpenOption [StandardOpenOption/READ StandardOpenOption/WRITE]))]
    ;; Bytes 8 and 9 say how long the header is that begins at byte 10.
    (let [start (.order (ByteBuffer/allocate 10) ByteOrder/LITTLE_ENDIAN)
          _ (.read channel start 0)
          offset (+ 10 (Short/toUnsignedInt (.getShort start 8)))]
      (-> (.map channel FileChannel$MapMode/READ_WRITE offset (- (.size channel) offset))
          (.order ByteOrder/LITTLE_ENDIAN)
          .asDoubleBuffer))))

(let [[path index value] *command-line-args*
      array (map-array path)]
  (println (reduce + 0.0 (map #(.get array (int %)) (range (.limit array)))))
  (.put array (Integer/parseInt index) (Double/parseDouble value)))
