package logpipe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// FileState is what reading on in a file depends on beside its bytes. The
// caller keeps one for each generation of a file, writes it into its
// checkpoint with the offset (AppendBinary, DecodeFileState) and gives it to
// Group.Process and Program.Explain, which move it on.
type FileState struct {
	// Path is shown with samples of bad lines. The caller sets it; it is not
	// part of the encoded form.
	Path string
	// Encoding is utf-8 or gb18030 once enough lines have shown it, else empty.
	// Only rules with encoding auto look at it.
	Encoding logrule.Encoding
	// Evidence counts lines in a row that spoke for UTF-8 (positive) or GB18030
	// (negative) while Encoding is open.
	Evidence int8
	// LastTimes is the time of the latest line that had one, for each time rule.
	LastTimes []LastTime
	// Open are the records of several lines that may get more of them.
	Open []OpenRecord
}

// LastTime is what lines without a time of their own take.
type LastTime struct {
	Rule uint64 // identifies the time rule
	Ms   int64
}

// LastTimeMs is the latest of the last times, 0 if no line had a time yet.
func (fs *FileState) LastTimeMs() int64 {
	var last int64
	for _, t := range fs.LastTimes {
		last = max(last, t.Ms)
	}
	return last
}

// AppendBinary appends the encoded state to dst.
func (fs *FileState) AppendBinary(dst []byte) []byte {
	enc := byte(0)
	switch fs.Encoding {
	case logrule.EncodingUTF8:
		enc = 1
	case logrule.EncodingGB18030:
		enc = 2
	}
	if len(fs.Open) > 0 {
		enc |= openFollows
	}
	dst = append(dst, enc, byte(fs.Evidence), byte(len(fs.LastTimes)))
	for _, t := range fs.LastTimes {
		dst = binary.LittleEndian.AppendUint64(dst, t.Rule)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(t.Ms))
	}
	if len(fs.Open) == 0 {
		return dst
	}
	dst = append(dst, byte(len(fs.Open)))
	for _, o := range fs.Open {
		cut := byte(0)
		if o.Cut {
			cut = 1
		}
		dst = append(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint64(dst, o.Rule), o.Lines), cut)
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(o.Text))), o.Text...)
	}
	return dst
}

// openFollows is the bit of the first byte that says that open records follow.
const openFollows = 0x80

// DecodeFileState reads what AppendBinary wrote at the start of b and returns
// what follows it.
func DecodeFileState(b []byte) (fs FileState, rest []byte, err error) {
	if len(b) < 3 || len(b) < 3+16*int(b[2]) {
		return fs, nil, errors.New("cannot decode file state: it ends early")
	}
	switch b[0] &^ openFollows {
	case 0:
	case 1:
		fs.Encoding = logrule.EncodingUTF8
	case 2:
		fs.Encoding = logrule.EncodingGB18030
	default:
		return fs, nil, fmt.Errorf("cannot decode file state: encoding %d is not known", b[0])
	}
	fs.Evidence = int8(b[1])
	n, open := int(b[2]), b[0]&openFollows != 0
	b = b[3:]
	for range n {
		fs.LastTimes = append(fs.LastTimes, LastTime{Rule: binary.LittleEndian.Uint64(b), Ms: int64(binary.LittleEndian.Uint64(b[8:]))})
		b = b[16:]
	}
	if open {
		return fs.decodeOpen(b)
	}
	return fs, b, nil
}

func (fs FileState) decodeOpen(b []byte) (FileState, []byte, error) {
	short := errors.New("cannot decode file state: it ends early")
	if len(b) == 0 {
		return fs, nil, short
	}
	n := int(b[0])
	b = b[1:]
	for range n {
		if len(b) < 15 {
			return fs, nil, short
		}
		o := OpenRecord{Rule: binary.LittleEndian.Uint64(b), Lines: binary.LittleEndian.Uint16(b[8:]), Cut: b[10] != 0}
		size := int(binary.LittleEndian.Uint32(b[11:]))
		b = b[15:]
		if size > len(b) || size > maxRecord {
			return fs, nil, short
		}
		o.Text = append([]byte(nil), b[:size]...)
		b = b[size:]
		fs.Open = append(fs.Open, o)
	}
	return fs, b, nil
}

// maxLastTimes bounds what a state keeps when rules come and go; the oldest
// rule is forgotten first.
const maxLastTimes = 64

// lastTime returns the last time of a rule, 0 if there is none.
func (fs *FileState) lastTime(rule uint64) int64 {
	for _, t := range fs.LastTimes {
		if t.Rule == rule {
			return t.Ms
		}
	}
	return 0
}

func (fs *FileState) setLastTime(rule uint64, ms int64) {
	for i := range fs.LastTimes {
		if fs.LastTimes[i].Rule == rule {
			fs.LastTimes[i].Ms = ms
			return
		}
	}
	if len(fs.LastTimes) == maxLastTimes {
		fs.LastTimes = fs.LastTimes[:copy(fs.LastTimes, fs.LastTimes[1:])]
	}
	fs.LastTimes = append(fs.LastTimes, LastTime{Rule: rule, Ms: ms})
}

// observe says whether to read a line that has bytes beyond ASCII as GB18030,
// and learns from it. Each line speaks for itself until evidenceNeeded in a
// row agree, so that what is decided does not depend on how a file was cut
// into blocks.
func (fs *FileState) observe(line []byte) (gb bool) {
	const evidenceNeeded = 8
	if fs.Encoding != "" {
		return fs.Encoding == logrule.EncodingGB18030
	}
	switch {
	case utf8.Valid(line):
		if looksGB(line) {
			return true // it may be either: no evidence
		}
		fs.Evidence = max(fs.Evidence, 0) + 1
	case validGB(line):
		fs.Evidence = min(fs.Evidence, 0) - 1
		gb = true
	default: // speaks for neither
		return false
	}
	switch fs.Evidence {
	case evidenceNeeded:
		fs.Encoding, fs.Evidence = logrule.EncodingUTF8, 0
	case -evidenceNeeded:
		fs.Encoding, fs.Evidence = logrule.EncodingGB18030, 0
	}
	return gb
}
