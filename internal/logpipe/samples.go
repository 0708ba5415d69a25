package logpipe

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
)

// BadLine is a recent line that could not be used.
type BadLine struct {
	Path   string
	Reason string // time, column, number, result, encoding, long or late
	Text   string // as UTF-8, cut to 512 bytes
	ReadMs int64
}

// reason says why a line could not be used.
type reason int

const (
	badTime reason = iota
	badColumn
	badNumber
	badResult
	badEncoding
	badLong
	badLate
	reasons
)

var reasonNames = [reasons]string{"time", "column", "number", "result", "encoding", "long", "late"}

const (
	samplesPerReason = 4
	sampleBytes      = 512
)

// samples keeps the last few bad lines of each reason, so that a flood of one
// does not hide another. Room is taken once.
type samples struct {
	seen [reasons]int
	ring [reasons][samplesPerReason]sample
	next int
}

type sample struct {
	text   []byte
	path   string
	readMs int64
	gb     bool
	order  int
}

func (s *samples) add(why reason, fs *FileState, line []byte, gb bool, nowMs int64) {
	e := &s.ring[why][s.seen[why]%samplesPerReason]
	s.seen[why]++
	s.next++
	e.text = append(e.text[:0], line[:min(len(line), sampleBytes)]...)
	e.path, e.readMs, e.gb, e.order = fs.Path, nowMs, gb, s.next
}

// lines returns them in the order they were read, masked by m if there is one.
func (s *samples) lines(m *masker) []BadLine {
	type entry struct {
		order int
		line  BadLine
	}
	var found []entry
	for why := range s.ring {
		for i := range min(s.seen[why], samplesPerReason) {
			e := &s.ring[why][i]
			var text []byte
			if e.gb {
				text, _ = appendGB(nil, e.text)
			} else {
				text = bytes.ToValidUTF8(e.text, []byte("\uFFFD"))
			}
			if m != nil {
				if len(e.text) == sampleBytes { // what was cut in two would not be known any more
					text = bytes.TrimRightFunc(text, func(r rune) bool {
						return !unicode.IsSpace(r) && !unicode.IsPunct(r) || r == '@' || r == '.' || r == '-'
					})
				}
				text = m.mask(bytes.Clone(text))
			}
			if len(text) > sampleBytes {
				text = bytes.ToValidUTF8(text[:sampleBytes], nil)
			}
			found = append(found, entry{e.order, BadLine{Path: e.path, Reason: reasonNames[why],
				Text: strings.Clone(string(text)), ReadMs: e.readMs}})
		}
	}
	slices.SortFunc(found, func(a, b entry) int { return a.order - b.order })
	out := make([]BadLine, len(found))
	for i, f := range found {
		out[i] = f.line
	}
	return out
}
