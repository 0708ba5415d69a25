// Chdbserver serves ClickHouse's HTTP interface from libchdb.so, the real
// engine as a library, so that tests need no server package. It answers what
// clickhouse-go asks for; it is not a server for anything else.
//
// It prints its address on the first line of its output and ends when its
// input does, so that it never outlives the test that started it. The library
// must not live in the test's own process: it takes over signal handlers.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	lib := flag.String("lib", "", "path of libchdb.so")
	dir := flag.String("dir", "", "data directory")
	conns := flag.Int("connections", 4, "queries at a time")
	flag.Parse()
	if err := run(*lib, *dir, *conns); err != nil {
		fmt.Fprintln(os.Stderr, "chdbserver:", err)
		os.Exit(1)
	}
}

func run(lib, dir string, conns int) error {
	eng, err := loadEngine(lib)
	if err != nil {
		return err
	}
	s := &server{dir: dir, engine: eng, idle: make(chan connection, conns)}
	for range conns {
		c, err := eng.connect(filepath.Join(dir, "data"))
		if err != nil {
			return err
		}
		s.idle <- c
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, s)
}

type server struct {
	dir    string
	engine *engine
	idle   chan connection
}

// helloQuery is what the driver asks first.
const helloQuery = "SELECT displayName(), version(), revision(), timezone()"

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, err := s.answer(r)
	if err == nil {
		_, _ = w.Write(out)
		return
	}
	if m := exceptionCode.FindStringSubmatch(err.Error()); m != nil {
		w.Header().Set("X-ClickHouse-Exception-Code", m[1])
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

var exceptionCode = regexp.MustCompile(`^Code: (\d+)\.`)

func (s *server) answer(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	params := r.URL.Query()
	query := params.Get("query")
	insert := query != ""
	if !insert {
		query = string(body)
	}
	c := <-s.idle
	defer func() { s.idle <- c }()
	if strings.TrimSpace(query) == helloQuery {
		return s.hello(c)
	}
	if db := params.Get("database"); db != "" && db != "default" {
		if _, err := s.engine.query(c, "USE "+db); err != nil {
			return nil, err
		}
	}
	limit, _ := strconv.ParseFloat(params.Get("max_execution_time"), 64)
	if _, err := s.engine.query(c, fmt.Sprintf("SET max_execution_time = %g", limit)); err != nil {
		return nil, err
	}
	if !insert {
		return s.engine.query(c, query)
	}
	return s.insert(c, query, body)
}

var nativeInsert = regexp.MustCompile(`(?is)^\s*(INSERT INTO .*?)\s*(?:VALUES\s*)?(?:FORMAT\s+Native)?\s*;?\s*$`)

// insert puts the block into a file that the engine reads.
func (s *server) insert(c connection, query string, block []byte) ([]byte, error) {
	m := nativeInsert.FindStringSubmatch(query)
	if m == nil {
		return nil, fmt.Errorf("code: 62, chdbserver takes only inserts with a block, not %q", query)
	}
	f, err := os.CreateTemp(s.dir, "insert-*.native")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(block)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return s.engine.query(c, m[1]+" SELECT * FROM file('"+f.Name()+"', 'Native')")
}

// hello answers the driver's first query with one block in the newest framing
// and revision 0: from then on it decodes plain blocks, which is what the engine gives.
func (s *server) hello(c connection) ([]byte, error) {
	version, err := s.engine.queryAs(c, "SELECT version()", "TSVRaw")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write([]byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}) // block info
	putUvarint(&b, 4)                                   // columns
	putUvarint(&b, 1)                                   // rows
	column := func(name, kind string, data []byte) {
		putString(&b, name)
		putString(&b, kind)
		b.WriteByte(0) // no custom serialisation
		b.Write(data)
	}
	text := func(s string) []byte {
		var v bytes.Buffer
		putString(&v, s)
		return v.Bytes()
	}
	column("displayName()", "String", text("chdb"))
	column("version()", "String", text(strings.TrimSpace(string(version))))
	column("revision()", "UInt32", make([]byte, 4))
	column("timezone()", "String", text("UTC"))
	return b.Bytes(), nil
}

func putUvarint(b *bytes.Buffer, n uint64) {
	var buf [binary.MaxVarintLen64]byte
	b.Write(buf[:binary.PutUvarint(buf[:], n)])
}

func putString(b *bytes.Buffer, s string) {
	putUvarint(b, uint64(len(s)))
	b.WriteString(s)
}
