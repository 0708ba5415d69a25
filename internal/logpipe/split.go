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
	need   int  // delimiters needed from the start: the largest index + 1
	tail   int  // fields needed from the end: the largest of the negative indexes
	width  int  // bytes of the delimiter in the line at hand
	single bool // the delimiter is one byte of ASCII

	stamp uint64  // line for which the rest holds
	n     int     // delimiters found; all there are if tail > 0
	ends  []int32 // position of the first need delimiters
	last  []int32 // ring of the last tail delimiters
}

// run finds the delimiters of a line.
func (s *splitter) run(line []byte, gb bool) {
	if s.single && s.tail == 0 && !(gb && s.delim.loose) {
		s.width = 1
		s.n = splitByte(line, s.delim.utf8[0], s.ends)
		return
	}
	s.n = 0
	from := 0
	for s.n < s.need || s.tail > 0 {
		at, size := s.delim.find(line, from, gb)
		if at < 0 {
			break
		}
		s.width = size
		if s.n < s.need {
			s.ends[s.n] = int32(at)
		}
		if s.tail > 0 {
			s.last[s.n%s.tail] = int32(at)
		}
		s.n++
		from = at + size
	}
}

// field returns the bounds of the index-th field in a line of size bytes.
func (s *splitter) field(index, size int) (start, end int, ok bool) {
	if index < 0 {
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
	if index > s.n {
		return 0, 0, false
	}
	if index > 0 {
		start = int(s.ends[index-1]) + s.width
	}
	if index < s.n {
		return start, int(s.ends[index]), true
	}
	return start, size, true
}

// splitByte writes the positions of the first len(ends) delimiters to ends and
// returns how many there are. It looks at eight bytes at a time: in x, a byte
// is zero where the word has the delimiter, and the sum sets the high bit of
// the others (exactly: no carry leaves a byte of seven bits).
func splitByte(line []byte, delim byte, ends []int32) int {
	const low7, ones = 0x7f7f7f7f7f7f7f7f, 0x0101010101010101
	pattern := uint64(delim) * ones
	n, i := 0, 0
	for ; i+8 <= len(line); i += 8 {
		x := binary.LittleEndian.Uint64(line[i:]) ^ pattern
		m := ^(((x & low7) + low7) | x | low7)
		for m != 0 {
			if n >= len(ends) {
				return n
			}
			ends[n] = int32(i + bits.TrailingZeros64(m)>>3)
			n++
			m &= m - 1
		}
		if n == len(ends) {
			return n
		}
	}
	for ; i < len(line) && n < len(ends); i++ {
		if line[i] == delim {
			ends[n] = int32(i)
			n++
		}
	}
	return n
}

// between finds the text between two markers.
type between struct {
	left, right           marker
	leftIndex, rightIndex int
	enc                   encoding
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
