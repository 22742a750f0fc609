// Go: syscall.Mmap, and a slice over the elements.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// mapArray returns the elements of a float64 array, mapped for as long as the process lives.
func mapArray(path string) ([]float64, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the mapping needs no descriptor
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	mapped, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()),
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(mapped, []byte("\x93NUMPY\x01")) {
		return nil, fmt.Errorf("%s: no .npy file of version 1", path)
	}
	// Bytes 8 and 9 say how long the header is that begins at byte 10.
	data := mapped[10+binary.LittleEndian.Uint16(mapped[8:]):]
	return unsafe.Slice((*float64)(unsafe.Pointer(&data[0])), len(data)/8), nil
}

func main() {
	array, err := mapArray(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	sum := 0.0
	for _, value := range array {
		sum += value
	}
	fmt.Println(sum)
	index, _ := strconv.Atoi(os.Args[2])
	array[index], _ = strconv.ParseFloat(os.Args[3], 64)
}
