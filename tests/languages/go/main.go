// A filter in Go on the bare ABI, with its runtime, its collector and its goroutines. It does what the suite beside it says.
package main

import (
	"fmt"
	"unsafe"
)

//go:wasmimport env proxy_log
func proxyLog(level uint32, text unsafe.Pointer, size uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func getBuffer(kind, start, most uint32, bytes, size unsafe.Pointer) uint32

//go:wasmimport env proxy_get_header_map_value
func getHeader(kind uint32, name unsafe.Pointer, nameSize uint32, value, size unsafe.Pointer) uint32

//go:wasmimport env proxy_add_header_map_value
func addHeader(kind uint32, name unsafe.Pointer, nameSize uint32, value unsafe.Pointer, valueSize uint32) uint32

//go:wasmimport env proxy_define_metric
func defineMetric(kind uint32, name unsafe.Pointer, nameSize uint32, id unsafe.Pointer) uint32

//go:wasmimport env proxy_increment_metric
func incrementMetric(id uint32, offset int64) uint32

const (
	requestHeaders  = 0
	responseHeaders = 2
	configuration   = 7
)

var (
	// What the host was given to write into, so that the collector leaves it.
	given = map[unsafe.Pointer][]byte{}
	greet string
	seen  uint32
)

func text(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

// What the host wrote.
func take(at, size uint32) string {
	if size == 0 {
		return ""
	}
	pointer := unsafe.Pointer(uintptr(at))
	s := string(unsafe.Slice((*byte)(pointer), size))
	delete(given, pointer)
	return s
}

func add(kind uint32, name, value string) {
	namePointer, nameSize := text(name)
	valuePointer, valueSize := text(value)
	addHeader(kind, namePointer, nameSize, valuePointer, valueSize)
}

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) unsafe.Pointer {
	bytes := make([]byte, size)
	pointer := unsafe.Pointer(&bytes[0])
	given[pointer] = bytes
	return pointer
}

//go:wasmexport proxy_on_configure
func onConfigure(context, size uint32) uint32 {
	var at, length uint32
	getBuffer(configuration, 0, size, unsafe.Pointer(&at), unsafe.Pointer(&length))
	greet = take(at, length)
	name, nameSize := text("seen")
	return 1 - min(1, defineMetric(0, name, nameSize, unsafe.Pointer(&seen)))
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, count, endOfStream uint32) uint32 {
	var at, length uint32
	name, nameSize := text(":path")
	getHeader(requestHeaders, name, nameSize, unsafe.Pointer(&at), unsafe.Pointer(&length))
	// From another goroutine, which only runs when this one waits.
	lines := make(chan string)
	go func(path string) { lines <- fmt.Sprintf("asked for %s", path) }(take(at, length))
	line, lineSize := text(<-lines)
	proxyLog(2, line, lineSize)
	incrementMetric(seen, 1)
	add(requestHeaders, "x-filter", greet)
	return 0
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(context, count, endOfStream uint32) uint32 {
	add(responseHeaders, "x-filter", greet)
	return 0
}

func main() {}
