package logpipe

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// index returns where sep first stands in b at or after from, -1 if nowhere.
func index(b []byte, from int, sep string) int {
	var i int
	if len(sep) == 1 {
		i = bytes.IndexByte(b[from:], sep[0])
	} else {
		// bytes.Index does not keep sep; going through strings.Index instead
		// would need b as a string.
		i = bytes.Index(b[from:], unsafe.Slice(unsafe.StringData(sep), len(sep)))
	}
	if i < 0 {
		return -1
	}
	return from + i
}

// splitter finds the fields of a line for one delimiter. It goes no further
// than the last field that is needed.
type splitter struct {
	delim  marker
	enc    encoding
	source int  // slot that is split, -1: the line
	need   int  // delimiters needed from the start: the largest index + 1
	tail   int  // fields needed from the end: the largest of the negative indexes
	single bool // the delimiter is one byte
	byByte bool // single, and no field is needed from the end

	stamp uint64 // line for which the rest holds
	src   source
	n     int // delimiters found; all there are if tail > 0
	width int // bytes of the delimiter in the line
	// ends holds where the fields end: ends[i+1] is the end of field i, for the
	// last field of the line its length; ends[0] makes field 0 begin at 0.
	ends []int32
	last []int32 // ring of the last tail delimiters
}

// run finds the delimiters of a line. room is the line and the bytes after it
// that may be read.
func (s *splitter) run(line, room []byte, gb bool) {
	if s.byByte && !(gb && s.delim.loose) {
		s.width = 1
		s.n = splitByte(line, room, s.delim.utf8[0], s.ends)
		return
	}
	s.n, s.width = 0, len(s.delim.utf8)
	if gb {
		s.width = len(s.delim.gb)
	}
	s.ends[0] = int32(-s.width)
	from := 0
	for s.n < s.need || s.tail > 0 {
		at, size := s.delim.find(line, from, gb)
		if at < 0 {
			break
		}
		if s.n < s.need {
			s.ends[s.n+1] = int32(at)
		}
		if s.tail > 0 {
			s.last[s.n%s.tail] = int32(at)
		}
		s.n++
		from = at + size
	}
	if s.n < s.need {
		s.ends[s.n+1] = int32(len(line))
	}
}

// field returns the bounds of the index-th field in a line of size bytes.
func (s *splitter) field(index, size int) (start, end int, ok bool) {
	if index >= 0 {
		if index > s.n {
			return 0, 0, false
		}
		return int(s.ends[index]) + s.width, int(s.ends[index+1]), true
	}
	if -index > s.n+1 {
		return 0, 0, false
	}
	end = size
	if index < -1 {
		end = int(s.last[(s.n+index+1)%s.tail])
	}
	if k := s.n + index; k >= 0 {
		start = int(s.last[k%s.tail]) + s.width
	}
	return start, end, true
}

// splitByte writes where fields end to ends, as splitter.ends has it, and
// returns how many delimiters it has found: at most len(ends)-1. It looks at
// 64 bytes at a time, so that the branches are the same for most lines; where
// exactly the delimiters stand is then a matter of arithmetic.
func splitByte(line, room []byte, delim byte, ends []int32) int {
	ends[0] = -1
	n, at := 0, 0
	for ; at < len(line) && at+64 <= len(room); at += 64 {
		m := mask64((*[64]byte)(room[at:]), delim)
		if left := len(line) - at; left < 64 {
			m &= 1<<left - 1
		}
		for m != 0 {
			n++
			ends[n] = int32(at + bits.TrailingZeros64(m))
			if n == len(ends)-1 {
				return n
			}
			m &= m - 1
		}
	}
	for ; at < len(line); at++ {
		if line[at] == delim {
			n++
			ends[n] = int32(at)
			if n == len(ends)-1 {
				return n
			}
		}
	}
	ends[n+1] = int32(len(line))
	return n
}

// mask64 has a bit for each byte that equals c, the first byte's lowest. In
// each word x, a byte is zero where the text has c; adding 0x7f to its low
// seven bits sets the high bit of all others (no carry leaves a byte). The
// product gathers the high bits.
func mask64(b *[64]byte, c byte) uint64 {
	const low7, gather = 0x7f7f7f7f7f7f7f7f, 0x0002040810204081
	pattern := uint64(c) * 0x0101010101010101
	var m uint64
	for i := 0; i < 8; i++ {
		x := binary.LittleEndian.Uint64(b[i*8:]) ^ pattern
		x = ^(((x & low7) + low7) | x | low7)
		m |= x * gather >> 56 << (i * 8)
	}
	return m
}

// between finds the text between two markers.
type between struct {
	left, right           marker
	leftIndex, rightIndex int
}

func (w *between) cut(line []byte, gb bool) (start, end int, ok bool) {
	if w.left.utf8 != "" {
		for range w.leftIndex {
			at, size := w.left.find(line, start, gb)
			if at < 0 {
				return 0, 0, false
			}
			start = at + size
		}
	}
	if w.right.utf8 == "" {
		return start, len(line), true
	}
	from := start
	for range w.rightIndex {
		at, size := w.right.find(line, from, gb)
		if at < 0 {
			return 0, 0, false
		}
		end, from = at, at+size
	}
	return start, end, true
}
