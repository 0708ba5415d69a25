package partial

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The wire form, all integers as unsigned varints unless said otherwise:
//
//	version | groups | columns | [keep | bound] | dropped | rows | total row | row … | [lines]
//	total row = lines | cell …
//	row       = (length | bytes) per group | lines | cell … | [missed]
//	bound     = top | weight | pruned; if pruned is 1: missed | sketch
//	cell      = n; if n > 0: flags | sum | [rest] | min | max | [sketch]
//
// flags bit 0: the sum is 16 bytes (high, low, little-endian) instead of a
// zig-zag varint; bit 1: rest follows; bit 2: a sketch follows. rest, min and max are 8-byte
// little-endian floats. keep and the lines (see Lines.append) are in version 2,
// which is that of tables that keep lines; bound in version 3, that of bounded
// tables. missed is an 8-byte float, in the rows of pruned tables.
const (
	version          = 1
	versionWithLines = 2
	versionBounded   = 3
)

const (
	flagWide = 1 << iota
	flagRest
	flagSketch
)

// MaxValue is the longest value of a key in bytes.
const MaxValue = 4096

var errShort = errors.New("cannot decode partial: it ends early")

// Writer encodes a table row by row without holding it. Rows must be called
// as often as its header said.
type Writer struct {
	buf    []byte
	pruned bool
}

// NewWriter begins a table at the end of dst. total is the row over all lines,
// pruned nil for a table that has given up no rows.
func NewWriter(dst []byte, l Layout, dropped uint64, pruned *Pruned, rows int, totalLines uint64, total []Cell) *Writer {
	switch {
	case l.Keep > 0:
		dst = append(dst, versionWithLines)
	case l.Top > 0:
		dst = append(dst, versionBounded)
	default:
		dst = append(dst, version)
	}
	dst = binary.AppendUvarint(dst, uint64(l.Groups))
	dst = binary.AppendUvarint(dst, uint64(l.Columns))
	switch {
	case l.Keep > 0:
		dst = binary.AppendUvarint(dst, uint64(l.Keep))
	case l.Top > 0:
		dst = append(binary.AppendUvarint(dst, uint64(l.Top)), byte(l.Weight))
		if pruned == nil {
			dst = append(dst, 0)
			break
		}
		dst = binary.LittleEndian.AppendUint64(append(dst, 1), math.Float64bits(pruned.Missed))
		dst = pruned.Keys.append(dst)
	}
	dst = binary.AppendUvarint(dst, dropped)
	dst = binary.AppendUvarint(dst, uint64(rows))
	w := &Writer{buf: dst, pruned: pruned != nil}
	w.cells(totalLines, total)
	return w
}

// Row appends one row. The key's values follow each other in key, each at its
// end offset in ends. missed is that of a pruned table's row.
func (w *Writer) Row(key []byte, ends []int, lines uint64, cells []Cell, missed float64) {
	start := 0
	for _, end := range ends {
		w.buf = binary.AppendUvarint(w.buf, uint64(end-start))
		w.buf = append(w.buf, key[start:end]...)
		start = end
	}
	w.cells(lines, cells)
	if w.pruned {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(missed))
	}
}

// Lines appends the lines of a table that keeps some, after its rows.
func (w *Writer) Lines(ls Lines) { w.buf = ls.append(w.buf) }

// Bytes returns dst with the table appended.
func (w *Writer) Bytes() []byte { return w.buf }

func (w *Writer) cells(lines uint64, cells []Cell) {
	b := binary.AppendUvarint(w.buf, lines)
	for i := range cells {
		c := &cells[i]
		b = binary.AppendUvarint(b, c.N)
		if c.N == 0 {
			continue
		}
		var flags byte
		wide := c.SumHi != int64(c.SumLo)>>63
		if wide {
			flags |= flagWide
		}
		if c.Rest != 0 {
			flags |= flagRest
		}
		if c.Sketch != nil {
			flags |= flagSketch
		}
		b = append(b, flags)
		if wide {
			b = binary.LittleEndian.AppendUint64(b, uint64(c.SumHi))
			b = binary.LittleEndian.AppendUint64(b, c.SumLo)
		} else {
			b = binary.AppendVarint(b, int64(c.SumLo))
		}
		if c.Rest != 0 {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c.Rest))
		}
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c.Min))
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c.Max))
		if c.Sketch != nil {
			b = c.Sketch.append(b)
		}
	}
	w.buf = b
}

// Append encodes t at the end of dst.
func (t *Table) Append(dst []byte) []byte {
	w := NewWriter(dst, t.Layout, t.Dropped, t.Pruned, len(t.Rows), t.Total.Lines, t.Total.Cells)
	var key []byte
	var ends []int
	for _, r := range t.Rows {
		key, ends = key[:0], ends[:0]
		for _, v := range r.Key {
			key = append(key, v...)
			ends = append(ends, len(key))
		}
		w.Row(key, ends, r.Lines, r.Cells, r.Missed)
	}
	if t.Layout.Keep > 0 {
		w.Lines(t.Lines)
	}
	return w.Bytes()
}

// Decode reads a whole table. It refuses input that is cut short, goes on
// after the table, or has another version.
func Decode(body []byte) (*Table, error) {
	t := NewTable(Layout{})
	if err := t.MergeEncoded(body); err != nil {
		return nil, err
	}
	return t, nil
}

// MergeEncoded adds an encoded table to t. An empty table takes the layout of
// the first one; later ones must have the same. On an error t may hold part of
// the input and is not to be used.
func (t *Table) MergeEncoded(body []byte) error {
	d := decoder{b: body}
	v := d.byte()
	if (v < version || v > versionBounded) && d.err == nil {
		return fmt.Errorf("cannot decode partial: version %d, this program reads %d to %d", v, version, versionBounded)
	}
	l := Layout{Groups: d.small(64), Columns: d.small(64)}
	var pruned *Pruned
	switch v {
	case versionWithLines:
		l.Keep = d.small(MaxKeep)
	case versionBounded:
		l.Top, l.Weight = d.small(MaxTop), Weight(d.byte())
		pruned = d.pruned(l)
	}
	dropped := d.uvarint()
	rows := d.uvarint()
	if d.err != nil {
		return d.err
	}
	if rows > uint64(len(body)) {
		return fmt.Errorf("cannot decode partial: %d rows in %d bytes", rows, len(body))
	}
	if len(t.Rows) == 0 && t.Total.Lines == 0 {
		t.Layout, t.Total.Cells = l, make([]Cell, l.Columns)
	} else if t.Layout != l {
		return fmt.Errorf("cannot merge partial of layout %+v into %+v", l, t.Layout)
	}
	row := Row{Cells: make([]Cell, l.Columns)}
	d.cells(&row)
	t.Total.merge(&row)
	t.Dropped += dropped
	t.round++
	before := t.Pruned
	var buf [256]byte
	joined, ends, plain := buf[:0], make([]int, l.Groups), false
	values := make([][]byte, l.Groups)
	for left := rows; left > 0; left-- {
		joined, plain = joined[:0], true
		for i := range values {
			values[i] = d.bytes()
			began := len(joined)
			joined = joinValue(joined, values[i])
			ends[i] = len(joined) - 1
			plain = plain && ends[i]-began == len(values[i])
		}
		d.cells(&row)
		row.Missed = l.Weight.None()
		if pruned != nil {
			row.Missed = math.Float64frombits(d.word())
		}
		if d.err != nil {
			return d.err
		}
		own := t.Rows[string(joined)] // does not allocate
		if own == nil {
			own = t.newRow(string(joined), values, ends, plain, int(min(left, maxChunk)))
		}
		t.mergeRow(own, &row)
	}
	if v == versionWithLines {
		d.lines(t)
	}
	if l.Top > 0 && d.err == nil {
		t.mergePruned(pruned, before)
		t.prune()
	}
	if d.err == nil && len(d.b) > 0 {
		return fmt.Errorf("cannot decode partial: %d bytes after its end", len(d.b))
	}
	return d.err
}

// pruned reads what a bounded table has given up, nil for nothing.
func (d *decoder) pruned(l Layout) *Pruned {
	if l.Top == 0 || l.Weight < ByLines || l.Weight > ByMax || l.Columns == 0 && l.Weight != ByLines {
		d.refuse("%d rows by weight %d of %d columns", l.Top, l.Weight, l.Columns)
		return nil
	}
	switch is := d.byte(); is {
	case 0:
		return nil
	case 1:
	default:
		d.refuse("%d where 1 or 0 says whether rows were given up", is)
		return nil
	}
	p := &Pruned{Missed: math.Float64frombits(d.word()), Keys: d.sketch()}
	if d.err == nil && (p.Keys.kind != Distinct || math.IsNaN(p.Missed)) {
		d.refuse("no number of keys")
		return nil
	}
	return p
}

// refuse makes the first error.
func (d *decoder) refuse(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("cannot decode partial: "+format, args...)
	}
}

type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errShort
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) small(most uint64) int {
	v := d.uvarint()
	if v > most {
		d.err = fmt.Errorf("cannot decode partial: %d groups, columns or lines, at most %d", v, most)
		return 0
	}
	return int(v)
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > MaxValue || n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) word() uint64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}

func (d *decoder) cells(r *Row) {
	r.Lines = d.uvarint()
	for i := range r.Cells {
		c := &r.Cells[i]
		*c = Cell{N: d.uvarint()}
		if c.N == 0 {
			continue
		}
		flags := d.byte()
		if flags&flagWide != 0 {
			c.SumHi, c.SumLo = int64(d.word()), d.word()
		} else {
			v, n := binary.Varint(d.b)
			if n <= 0 {
				d.fail()
				return
			}
			d.b = d.b[n:]
			c.SumHi, c.SumLo = v>>63, uint64(v)
		}
		if flags&flagRest != 0 {
			c.Rest = math.Float64frombits(d.word())
		}
		c.Min, c.Max = math.Float64frombits(d.word()), math.Float64frombits(d.word())
		if flags&flagSketch != 0 {
			c.Sketch = d.sketch()
		}
	}
}
