package logpipe

import (
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/pharos-stack/pharos/internal/partial"
)

// Window is the aggregate of one window of a task.
type Window struct {
	// StartMs is the beginning in Unix milliseconds.
	StartMs int64
	// Touched is set when a line changes the window; the caller clears it.
	Touched bool
	// Counters of the lines that belong to this window: those with its time,
	// and bad and late ones that were read during it.
	Counters Counters

	restored Counters // what of Counters came from Restore
	layout   partial.Layout

	slots []slotEntry // open addressing, a power of two
	rows  []row
	ends  []uint32 // Groups end offsets into a row's key, for each row
	quick []words  // Groups values, for each row; n is beyond short if a value is
	arena []byte   // keys, values one after another
	accs  []acc    // Columns for each row
	wide  map[int]*partial.Cell
	// sketches of the inputs that have one, numbered as those of wide.
	sketches map[int]*partial.Sketch

	lines partial.Lines // that are kept

	// pruned is what was given up, where rows are bounded, and missed is what
	// rows that were there at the last cut may lack.
	pruned *partial.Pruned
	missed []float64

	other     uint64 // lines outside of rows: of dropped keys, or all without keys
	otherAccs []acc
}

// slotEntry finds a row by hash; row is 1-based, 0 means free.
type slotEntry struct{ tag, row uint32 }

type row struct {
	key   uint32 // offset into arena
	tag   uint32
	hash  uint32
	lines uint64
}

// acc aggregates one number column of a row in integers. Numbers that
// millionths can't hold go to Window.wide.
type acc struct {
	n        uint64
	lo       uint64
	hi       int64
	min, max int64
}

func newWindow(t *Task, startMs int64) *Window {
	l := t.p.layout
	return &Window{StartMs: startMs, layout: l, otherAccs: make([]acc, l.Columns)}
}

// add adds a number in millionths.
func (a *acc) add(micro int64) {
	var carry uint64
	a.lo, carry = bits.Add64(a.lo, uint64(micro), 0)
	a.hi += micro>>63 + int64(carry)
	if a.n == 0 {
		a.min, a.max = micro, micro
	} else {
		a.min, a.max = min(a.min, micro), max(a.max, micro)
	}
	a.n++
}

// cell returns an aggregate in its wire form, with its floats and sketch, if
// any. Accumulators of the lines outside of rows have negative numbers.
func (w *Window) cell(at int) partial.Cell {
	a := &w.otherAccs[max(0, -1-at)]
	if at >= 0 {
		a = &w.accs[at]
	}
	c := partial.Cell{N: a.n, SumHi: a.hi, SumLo: a.lo,
		Min: float64(a.min) / partial.Micro, Max: float64(a.max) / partial.Micro}
	if wide := w.wide[at]; wide != nil {
		c.Merge(wide)
	}
	c.Sketch = w.sketches[at]
	return c
}

// sketch returns the sketch of an accumulator.
func (w *Window) sketch(at int, kind partial.SketchKind) *partial.Sketch {
	s := w.sketches[at]
	if s == nil {
		if w.sketches == nil {
			w.sketches = map[int]*partial.Sketch{}
		}
		s = partial.NewSketch(kind)
		w.sketches[at] = s
	}
	return s
}

// addFloat adds a number that millionths can't hold.
func (w *Window) addFloat(acc int, v float64) {
	c := w.wide[acc]
	if c == nil {
		if w.wide == nil {
			w.wide = map[int]*partial.Cell{}
		}
		c = &partial.Cell{}
		w.wide[acc] = c
	}
	c.AddFloat(v)
}

// crowded reports whether another row needs more slots. Most windows have few
// keys, and are given so many slots that rows rarely meet; what a processor
// can't foresee costs more than the room.
func (w *Window) crowded() bool {
	rows := len(w.rows) + 1
	if rows <= 4096 {
		return 8*rows > len(w.slots)
	}
	return 2*rows > len(w.slots)
}

// grow makes room for more rows.
func (w *Window) grow() {
	n := max(64, 2*len(w.slots))
	w.slots = make([]slotEntry, n)
	mask := uint32(n - 1)
	for i := range w.rows {
		at := w.rows[i].hash & mask
		for w.slots[at].row != 0 {
			at = (at + 1) & mask
		}
		w.slots[at] = slotEntry{tag: w.rows[i].tag, row: uint32(i + 1)}
	}
}

// addValue adds a value to the key that begins at start in the arena.
func (w *Window) addValue(start int, v []byte) {
	w.arena = append(w.arena, v...)
	w.ends = append(w.ends, uint32(len(w.arena)-start))
	q, ok := wordsOf(v)
	if !ok {
		q.n = short + 1
	}
	w.quick = append(w.quick, q)
}

// value returns the k-th value of a row's key.
func (w *Window) value(row, k int) []byte {
	ends := w.ends[row*w.layout.Groups:]
	key := w.arena[w.rows[row].key:]
	if k == 0 {
		return key[:ends[0]]
	}
	return key[ends[k-1]:ends[k]]
}

// newRow adds a row whose key's values were added since keyStart.
func (w *Window) newRow(hash uint64, keyStart int) int {
	if w.crowded() {
		w.grow()
	}
	n := len(w.rows)
	r := row{key: uint32(keyStart), tag: uint32(hash >> 32), hash: uint32(hash)}
	w.rows = append(w.rows, r)
	for range w.layout.Columns {
		w.accs = append(w.accs, acc{})
	}
	mask := uint32(len(w.slots) - 1)
	at := r.hash & mask
	for w.slots[at].row != 0 {
		at = (at + 1) & mask
	}
	w.slots[at] = slotEntry{tag: r.tag, row: uint32(n + 1)}
	return n
}

// load fills an empty window from a table.
func (w *Window) load(t *partial.Table) {
	w.lines, w.pruned = t.Lines, t.Pruned
	joined := make([]string, 0, len(t.Rows))
	for k := range t.Rows {
		joined = append(joined, k)
	}
	slices.Sort(joined) // so that the same checkpoint gives the same table again
	rest := partial.Row{Lines: t.Total.Lines, Cells: slices.Clone(t.Total.Cells)}
	for i := range rest.Cells {
		if s := rest.Cells[i].Sketch; s != nil {
			rest.Cells[i].Sketch = s.Clone()
		}
	}
	for _, k := range joined {
		r := t.Rows[k]
		var hash uint64
		start := len(w.arena)
		for i, v := range r.Key {
			hash = hashKey(hash, i, hashValue(hashSeed, []byte(v)))
			w.addValue(start, []byte(v))
		}
		n := w.newRow(hash, start)
		w.rows[n].lines = r.Lines
		if t.Pruned != nil {
			w.missed = append(w.missed, r.Missed)
		}
		for i := range r.Cells {
			at := n*w.layout.Columns + i
			w.loadCell(&w.accs[at], at, &r.Cells[i])
			subtract(&rest.Cells[i], &r.Cells[i])
		}
		rest.Lines -= r.Lines
	}
	w.other = rest.Lines
	for i := range rest.Cells {
		w.loadCell(&w.otherAccs[i], -1-i, &rest.Cells[i])
	}
}

// subtract takes a row's share out of the total; what stays are the lines
// outside of rows. The smallest and largest number stay, which is right for
// the total and never looked at otherwise.
func subtract(c, o *partial.Cell) {
	c.N -= o.N
	var borrow uint64
	c.SumLo, borrow = bits.Sub64(c.SumLo, o.SumLo, 0)
	c.SumHi -= o.SumHi + int64(borrow)
	c.Rest -= o.Rest
	if c.Sketch != nil && o.Sketch != nil {
		c.Sketch.Subtract(o.Sketch)
	}
	if c.N == 0 {
		*c = partial.Cell{}
	}
}

func (w *Window) loadCell(a *acc, at int, c *partial.Cell) {
	if c.N == 0 {
		return
	}
	if c.Sketch != nil {
		if w.sketches == nil {
			w.sketches = map[int]*partial.Sketch{}
		}
		w.sketches[at] = c.Sketch
	}
	lo, okLo := toMicro(c.Min)
	hi, okHi := toMicro(c.Max)
	if okLo && okHi && c.Rest == 0 {
		*a = acc{n: c.N, lo: c.SumLo, hi: c.SumHi, min: lo, max: hi}
		return
	}
	if w.wide == nil {
		w.wide = map[int]*partial.Cell{}
	}
	own := *c
	own.Sketch = nil
	w.wide[at] = &own
}

// toMicro returns v in millionths if that loses nothing.
func toMicro(v float64) (int64, bool) {
	if math.Abs(v) > 1<<53/partial.Micro {
		return 0, false
	}
	m := int64(math.Round(v * partial.Micro))
	return m, float64(m)/partial.Micro == v
}

// AppendTable appends the window in the wire form of internal/partial.
func (w *Window) AppendTable(dst []byte) []byte {
	cols := w.layout.Columns
	total := make([]partial.Cell, cols, 2*cols)
	lines := w.other
	for i := range total {
		total[i] = w.cell(-1 - i)
		if s := total[i].Sketch; s != nil {
			total[i].Sketch = s.Clone()
		}
	}
	for r := range w.rows {
		lines += w.rows[r].lines
		for i := range cols {
			c := w.cell(r*cols + i)
			total[i].Merge(&c)
		}
	}
	out := partial.NewWriter(dst, w.layout, w.Counters.KeysDropped, w.keysCounted(), len(w.rows), lines, total)
	cells := total[cols : 2*cols]
	ends := make([]int, w.layout.Groups)
	for r := range w.rows {
		for i := range ends {
			ends[i] = int(w.ends[r*len(ends)+i])
		}
		for i := range cells {
			cells[i] = w.cell(r*cols + i)
		}
		start := int(w.rows[r].key)
		out.Row(w.arena[start:start+ends[len(ends)-1]], ends, w.rows[r].lines, cells, w.missing(r))
	}
	if w.layout.Keep > 0 {
		out.Lines(w.lines)
	}
	return out.Bytes()
}

// Keys is the number of keys held.
func (w *Window) Keys() int { return len(w.rows) }

// MemoryBytes is about what the window holds in memory.
func (w *Window) MemoryBytes() int {
	const perWide = 128
	sketches := 0
	for _, s := range w.sketches {
		sketches += s.MemoryBytes()
	}
	if w.pruned != nil {
		sketches += w.pruned.Keys.MemoryBytes()
	}
	return sketches + cap(w.missed)*8 + w.linesBytes() + int(unsafe.Sizeof(*w)) + cap(w.slots)*8 + cap(w.rows)*24 + cap(w.ends)*4 + cap(w.quick)*24 + cap(w.arena) +
		(cap(w.accs)+len(w.otherAccs))*40 + len(w.wide)*perWide
}
