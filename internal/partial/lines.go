package partial

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// Line is a line that a window keeps.
type Line struct {
	// Value is what lines are ordered by, the largest first.
	Value float64
	// TimeMs is the line's event time.
	TimeMs int64
	// Instance is who read it; an agent leaves it out, for who merges knows.
	Instance string
	// File is the log by its name, also when it was read after a rotation.
	File string
	// Key has Layout.Groups values.
	Key []string
	// Text is the line, masked and at most MaxValue bytes.
	Text string
	// Cut says that the text is only the beginning.
	Cut bool
	// More is what Value may lack at most, of keys that stand in place of lines. It
	// doesn't travel in tables.
	More float64
}

// Compare orders lines: larger values first, then earlier ones, then by all else
// they say. Lines that are equal are the same in everything, so the first N of
// a set of lines are the same in whatever order and portions it is merged.
func (l *Line) Compare(o *Line) int {
	if c := cmp.Or(cmp.Compare(o.Value, l.Value), cmp.Compare(l.TimeMs, o.TimeMs), strings.Compare(l.Instance, o.Instance),
		strings.Compare(l.File, o.File), strings.Compare(l.Text, o.Text), slices.Compare(l.Key, o.Key)); c != 0 {
		return c
	}
	switch {
	case l.Cut == o.Cut:
		return 0
	case o.Cut:
		return -1
	}
	return 1
}

// Lines are the first of all lines that were kept, in their order.
type Lines []Line

// Keep adds a line to the first n and reports whether it is among them.
func (ls *Lines) Keep(n int, l Line) bool {
	at, _ := slices.BinarySearchFunc(*ls, &l, func(a Line, b *Line) int { return a.Compare(b) })
	if at >= n {
		return false
	}
	if len(*ls) >= n {
		*ls = (*ls)[:n-1]
	}
	*ls = slices.Insert(*ls, at, l)
	return true
}

// Below reports whether a line of this value and time can't be among the first
// n, whatever else it says.
func (ls Lines) Below(n int, value float64, timeMs int64) bool {
	if len(ls) < n {
		return false
	}
	if n == 0 {
		return true
	}
	last := &ls[n-1]
	return value < last.Value || value == last.Value && timeMs > last.TimeMs
}

// append writes count | line …, each
//
//	value | time | flags | instance | file | key values | text
//
// value is an 8-byte little-endian float, time a zig-zag varint, texts have
// their length before them. flags bit 0: the text is cut.
func (ls Lines) append(dst []byte) []byte {
	text := func(s string) {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(ls)))
	for i := range ls {
		l := &ls[i]
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(l.Value))
		dst = binary.AppendVarint(dst, l.TimeMs)
		flags := byte(0)
		if l.Cut {
			flags = 1
		}
		dst = append(dst, flags)
		text(l.Instance)
		text(l.File)
		for _, v := range l.Key {
			text(v)
		}
		text(l.Text)
	}
	return dst
}

// lines merges what append wrote into t.
func (d *decoder) lines(t *Table) {
	n := d.uvarint()
	if n > uint64(t.Layout.Keep) {
		d.fail()
		return
	}
	for ; n > 0 && d.err == nil; n-- {
		l := Line{Value: math.Float64frombits(d.word())}
		ms, used := binary.Varint(d.b)
		if used <= 0 {
			d.fail()
			return
		}
		d.b = d.b[used:]
		l.TimeMs, l.Cut = ms, d.byte() != 0
		l.Instance, l.File = string(d.bytes()), string(d.bytes())
		if l.Instance == "" {
			l.Instance = t.Instance
		}
		for range t.Layout.Groups {
			l.Key = append(l.Key, string(d.bytes()))
		}
		l.Text = string(d.bytes())
		if d.err == nil {
			t.Lines.Keep(t.Layout.Keep, l)
		}
	}
}
