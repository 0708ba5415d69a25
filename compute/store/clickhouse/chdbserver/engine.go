package main

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// engine is the library's C interface.
type engine struct {
	chdbConnect func(argc int32, argv **byte) *connection
	chdbQuery   func(c connection, query *byte, queryLen uintptr, format *byte, formatLen uintptr) uintptr
	buffer      func(result uintptr) *byte
	length      func(result uintptr) uintptr
	failure     func(result uintptr) *byte
	destroy     func(result uintptr)
}

// connection is one session with the engine; it serves one query at a time.
type connection uintptr

func loadEngine(path string) (*engine, error) {
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("cannot load %q: %w", path, err)
	}
	e := &engine{}
	purego.RegisterLibFunc(&e.chdbConnect, lib, "chdb_connect")
	purego.RegisterLibFunc(&e.chdbQuery, lib, "chdb_query_n")
	purego.RegisterLibFunc(&e.buffer, lib, "chdb_result_buffer")
	purego.RegisterLibFunc(&e.length, lib, "chdb_result_length")
	purego.RegisterLibFunc(&e.failure, lib, "chdb_result_error")
	purego.RegisterLibFunc(&e.destroy, lib, "chdb_destroy_query_result")
	return e, nil
}

// connect opens the data directory; all connections of a process share it.
func (e *engine) connect(dir string) (connection, error) {
	var argv []*byte
	var pins runtime.Pinner
	defer pins.Unpin()
	for _, arg := range []string{"clickhouse", "--path=" + dir} {
		p := unsafe.SliceData(append([]byte(arg), 0))
		pins.Pin(p)
		argv = append(argv, p)
	}
	c := e.chdbConnect(int32(len(argv)), unsafe.SliceData(argv))
	if c == nil || *c == 0 {
		return 0, fmt.Errorf("cannot open engine in %q", dir)
	}
	return *c, nil
}

// query runs SQL and returns its result as Native blocks.
func (e *engine) query(c connection, sql string) ([]byte, error) {
	return e.queryAs(c, sql, "Native")
}

func (e *engine) queryAs(c connection, sql, format string) ([]byte, error) {
	result := e.chdbQuery(c, unsafe.StringData(sql), uintptr(len(sql)), unsafe.StringData(format), uintptr(len(format)))
	if result == 0 {
		return nil, errors.New("the engine returned nothing")
	}
	defer e.destroy(result)
	if text := e.failure(result); text != nil {
		n := 0
		for *(*byte)(unsafe.Add(unsafe.Pointer(text), n)) != 0 {
			n++
		}
		return nil, errors.New(string(unsafe.Slice(text, n)))
	}
	n := int(e.length(result))
	if n == 0 {
		return nil, nil
	}
	return append([]byte(nil), unsafe.Slice(e.buffer(result), n)...), nil
}
