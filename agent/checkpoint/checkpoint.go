// Package checkpoint keeps an agent's state over a crash: what is read of each
// file and the open windows in one of two slots, and sealed revisions that are
// not acknowledged in a spool.
//
// It promises that Write returns only when the state is durable, that a torn
// write costs only itself, and that state and spool always belong together:
// what was spooled after the last whole state is ignored. The slots are
// allocated beforehand, so that a full disk does not stop a state of usual
// size. Formats: docs/formats/checkpoint.md.
package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	magic = "PHCKPT01"
	// header: magic | sequence (8) | length (8) | CRC-32C of sequence, length and body (4)
	headerSize = 8 + 8 + 8 + 4
	// slotSize is allocated for each slot at the start.
	slotSize = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Slots are two files that are written in turn.
type Slots struct {
	files [2]*os.File
	sizes [2]int64 // allocated
	next  int
	seq   uint64
	buf   []byte
}

// OpenSlots opens or makes the slots in dir and returns the newest whole state,
// nil if there is none, with its sequence.
func OpenSlots(dir string) (*Slots, []byte, error) {
	s := &Slots{}
	var newest []byte
	for i := range s.files {
		f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("checkpoint-%c", 'a'+i)), os.O_CREATE|os.O_RDWR, 0o640)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("cannot open checkpoint: %w", err), s.Close())
		}
		s.files[i] = f
		body, seq, err := readSlot(f)
		if err != nil {
			return nil, nil, errors.Join(err, s.Close())
		}
		if seq > s.seq {
			s.seq, newest, s.next = seq, body, 1-i
		}
		info, err := f.Stat()
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("cannot open checkpoint: %w", err), s.Close())
		}
		s.sizes[i] = info.Size()
		// Where the file system can't allocate, the write itself will tell.
		if s.sizes[i] < slotSize && unix.Fallocate(int(f.Fd()), 0, 0, slotSize) == nil {
			s.sizes[i] = slotSize
		}
	}
	if err := syncDir(dir); err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, newest, nil
}

// readSlot returns a zero sequence for a slot without a whole state.
func readSlot(f *os.File) (body []byte, seq uint64, err error) {
	header := make([]byte, headerSize)
	if _, err := f.ReadAt(header, 0); errors.Is(err, io.EOF) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, fmt.Errorf("cannot read checkpoint %q: %w", f.Name(), err)
	}
	seq, length := binary.LittleEndian.Uint64(header[8:]), binary.LittleEndian.Uint64(header[16:])
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read checkpoint %q: %w", f.Name(), err)
	}
	if string(header[:8]) != magic || length > uint64(info.Size()) {
		return nil, 0, nil
	}
	body = make([]byte, length)
	if _, err := f.ReadAt(body, headerSize); errors.Is(err, io.EOF) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, fmt.Errorf("cannot read checkpoint %q: %w", f.Name(), err)
	}
	if binary.LittleEndian.Uint32(header[24:]) != checksum(header[8:24], body) {
		return nil, 0, nil
	}
	return body, seq, nil
}

func checksum(parts ...[]byte) uint32 {
	var crc uint32
	for _, p := range parts {
		crc = crc32.Update(crc, castagnoli, p)
	}
	return crc
}

// Sequence of the last durable state; 0 before the first.
func (s *Slots) Sequence() uint64 { return s.seq }

// Write makes body the state of sequence Sequence()+1 and durable. On an error
// the state before stays.
func (s *Slots) Write(body []byte) error {
	f := s.files[s.next]
	s.buf = append(s.buf[:0], magic...)
	s.buf = binary.LittleEndian.AppendUint64(s.buf, s.seq+1)
	s.buf = binary.LittleEndian.AppendUint64(s.buf, uint64(len(body)))
	s.buf = binary.LittleEndian.AppendUint32(s.buf, checksum(s.buf[8:24], body))
	s.buf = append(s.buf, body...)
	if _, err := f.WriteAt(s.buf, 0); err != nil {
		return fmt.Errorf("cannot write checkpoint: %w", err)
	}
	sync := unix.Fdatasync
	if int64(len(s.buf)) > s.sizes[s.next] {
		sync = unix.Fsync // the file grew
		s.sizes[s.next] = int64(len(s.buf))
	}
	if err := sync(int(f.Fd())); err != nil {
		return fmt.Errorf("cannot write checkpoint: %w", err)
	}
	s.seq++
	s.next = 1 - s.next
	return nil
}

// Close closes the files.
func (s *Slots) Close() error {
	var errs []error
	for _, f := range s.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
