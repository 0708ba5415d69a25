package checkpoint

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// segmentSize is about where a segment of the spool is closed.
const segmentSize = 4 << 20

// maxRecord is a bound for what is read back.
const maxRecord = 64 << 20

// Spool keeps records in segment files until all of a segment are done.
type Spool struct {
	dir      string
	segments []*segment // in order; the last is written
	file     *os.File
	buf      []byte
}

type segment struct {
	number uint64
	size   int64
	open   int // records that are not done
}

// Handle names the segment that a record is in.
type Handle uint64

// OpenSpool reads the records of dir, oldest first. Those of a sequence above
// seq are cut off: the state they belong to was never durable, and the same
// sequence will be used again.
func OpenSpool(dir string, seq uint64, fn func(Handle, []byte) error) (*Spool, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("cannot open spool: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open spool: %w", err)
	}
	s := &Spool{dir: dir}
	for _, e := range entries {
		number, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), ".spool"), 16, 64)
		if err != nil {
			continue
		}
		g := &segment{number: number}
		if err := s.read(g, seq, fn); err != nil {
			return nil, err
		}
		s.segments = append(s.segments, g)
	}
	slices.SortFunc(s.segments, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	return s, s.tidy()
}

func (s *Spool) path(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x.spool", number))
}

// read stops at the first record that is not whole, torn by a crash, or beyond
// seq. Nothing that counts can stand behind it; it is cut off.
func (s *Spool) read(g *segment, seq uint64, fn func(Handle, []byte) error) error {
	f, err := os.OpenFile(s.path(g.number), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("cannot read spool: %w", err)
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		body, err := nextRecord(r, seq)
		if err != nil {
			return fmt.Errorf("cannot read spool %q: %w", f.Name(), err)
		}
		if body == nil {
			break
		}
		g.size += recordHeader + int64(len(body))
		g.open++
		if err := fn(Handle(g.number), body); err != nil {
			return err
		}
	}
	info, err := f.Stat()
	if err == nil && info.Size() > g.size {
		if err = f.Truncate(g.size); err == nil {
			err = f.Sync()
		}
	}
	if err != nil {
		return fmt.Errorf("cannot mend spool %q: %w", f.Name(), err)
	}
	return nil
}

// recordHeader: length (4) | CRC-32C (4) | sequence (8)
const recordHeader = 16

// nextRecord returns nil where no whole record up to seq follows.
func nextRecord(r io.Reader, seq uint64) ([]byte, error) {
	var header [recordHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, unlessShort(err)
	}
	length := binary.LittleEndian.Uint32(header[0:])
	if length > maxRecord || binary.LittleEndian.Uint64(header[8:]) > seq {
		return nil, nil
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, unlessShort(err)
	}
	if binary.LittleEndian.Uint32(header[4:]) != checksum(header[8:16], body) {
		return nil, nil
	}
	return body, nil
}

func unlessShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// Append writes records that belong to the state of sequence seq and makes them
// durable. On an error none of them counts.
func (s *Spool) Append(seq uint64, records [][]byte) ([]Handle, error) {
	g, err := s.writable()
	if err != nil {
		return nil, err
	}
	s.buf = s.buf[:0]
	for _, r := range records {
		at := len(s.buf)
		s.buf = binary.LittleEndian.AppendUint32(s.buf, uint32(len(r)))
		s.buf = binary.LittleEndian.AppendUint32(s.buf, 0)
		s.buf = binary.LittleEndian.AppendUint64(s.buf, seq)
		s.buf = append(s.buf, r...)
		binary.LittleEndian.PutUint32(s.buf[at+4:], checksum(s.buf[at+8:at+16], r))
	}
	if _, err := s.file.WriteAt(s.buf, g.size); err != nil {
		return nil, fmt.Errorf("cannot write spool: %w", err)
	}
	if err := unix.Fdatasync(int(s.file.Fd())); err != nil {
		return nil, fmt.Errorf("cannot write spool: %w", err)
	}
	g.size += int64(len(s.buf))
	g.open += len(records)
	handles := make([]Handle, len(records))
	for i := range handles {
		handles[i] = Handle(g.number)
	}
	return handles, nil
}

// writable returns the segment to write to, a new one where need be: segments
// of an earlier run may end in a torn record and are not written again.
func (s *Spool) writable() (*segment, error) {
	if s.file != nil && s.segments[len(s.segments)-1].size < segmentSize {
		return s.segments[len(s.segments)-1], nil
	}
	number := uint64(1)
	if n := len(s.segments); n > 0 {
		number = s.segments[n-1].number + 1
	}
	f, err := os.OpenFile(s.path(number), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, fmt.Errorf("cannot make spool segment: %w", err)
	}
	if err := syncDir(s.dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file = f
	s.segments = append(s.segments, &segment{number: number})
	return s.segments[len(s.segments)-1], s.tidy()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot sync directory %q: %w", dir, err)
	}
	return nil
}

// Done says that a record is not needed any more.
func (s *Spool) Done(h Handle) error {
	for _, g := range s.segments {
		if g.number == uint64(h) {
			g.open--
		}
	}
	return s.tidy()
}

// tidy removes segments without open records, but for the one being written.
func (s *Spool) tidy() error {
	kept := s.segments[:0]
	for i, g := range s.segments {
		if g.open > 0 || s.file != nil && i == len(s.segments)-1 {
			kept = append(kept, g)
			continue
		}
		if err := os.Remove(s.path(g.number)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot remove spool segment: %w", err)
		}
	}
	clear(s.segments[len(kept):])
	s.segments = kept
	return nil
}

// Close closes the file.
func (s *Spool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
