// Package partial holds mergeable aggregates of a window: what an agent
// computes from its lines, sends as a revision, and compute merges over agents.
//
// It promises that merging is exact and independent of order: counts are
// integers, and numbers of at most six decimals are summed as 128-bit integers
// of millionths, so that the sum over any split of the lines is the same to
// the last digit. Numbers outside that range fall back to floating point.
package partial

import (
	"math"
	"math/bits"
	"slices"

	"github.com/pharos-stack/pharos/internal/logrule"
)

// Micro is how many units of a Cell's integer sum make 1.
const Micro = 1_000_000

// Layout says what a table's rows are made of.
type Layout struct {
	// Groups is the number of values in a key; 0 for a table without keys.
	Groups int
	// Columns is the number of number columns; each row has one Cell for each.
	Columns int
	// Keep is how many lines are kept, at most MaxKeep; then there are no rows,
	// and the values of Groups are those of each line.
	Keep int
	// Top bounds the rows: at least so many of the largest Weight are kept, at
	// most twice as many; at most MaxTop. 0: all rows are.
	Top    int
	Weight Weight
}

// LayoutOf returns the layout of the tables of a monitor's windows. spec has
// passed WithDefaults.
func LayoutOf(spec logrule.Spec) Layout {
	l := Layout{Columns: len(spec.Inputs()), Keep: spec.Keep()}
	for _, name := range spec.GroupBy {
		if !slices.Contains(logrule.GroupLabels, name) { // those compute adds
			l.Groups++
		}
	}
	if spec.Type == logrule.MinuteTop && l.Groups > 0 {
		l.Top = spec.KeyLimit
		switch st := spec.Statistics[0]; st.Kind {
		case logrule.Count, logrule.Avg:
			l.Weight = ByLines
			if st.Kind == logrule.Count && st.Weight != "" {
				l.Weight = BySum
			}
		case logrule.Sum, logrule.Success, logrule.Occurrences:
			l.Weight = BySum
		case logrule.Fail:
			l.Weight = ByFail
		case logrule.Max:
			l.Weight = ByMax
		}
	}
	return l
}

// MaxKeep is the most lines that a table keeps.
const MaxKeep = 1000

// Cell aggregates one number column over the lines of one key.
type Cell struct {
	// N counts the lines that had a number.
	N uint64
	// SumHi and SumLo are the two's complement 128-bit sum in millionths.
	SumHi int64
	SumLo uint64
	// Rest is the sum of the numbers that millionths can't hold.
	Rest float64
	// Min and Max are meaningful when N > 0.
	Min, Max float64
	// Sketch is set for columns that estimate quantiles or count different
	// values, when N > 0. Merge does not keep the other cell's.
	Sketch *Sketch
}

// AddMicro adds a number given in millionths.
func (c *Cell) AddMicro(micro int64) {
	c.addWide(micro>>63, uint64(micro))
	c.observe(float64(micro) / Micro)
}

// AddFloat adds a number that millionths can't hold exactly.
func (c *Cell) AddFloat(v float64) {
	c.Rest += v
	c.observe(v)
}

func (c *Cell) observe(v float64) {
	if c.N == 0 {
		c.Min, c.Max = v, v
	} else if v < c.Min {
		c.Min = v
	} else if v > c.Max {
		c.Max = v
	}
	c.N++
}

func (c *Cell) addWide(hi int64, lo uint64) {
	var carry uint64
	c.SumLo, carry = bits.Add64(c.SumLo, lo, 0)
	c.SumHi += hi + int64(carry)
}

// Merge adds o to c.
func (c *Cell) Merge(o *Cell) {
	if o.N == 0 {
		return
	}
	if o.Sketch != nil {
		if c.Sketch == nil {
			c.Sketch = NewSketch(o.Sketch.kind)
		}
		c.Sketch.Merge(o.Sketch)
	}
	if c.N == 0 {
		own := c.Sketch
		*c = *o
		c.Sketch = own
		return
	}
	c.N += o.N
	c.addWide(o.SumHi, o.SumLo)
	c.Rest += o.Rest
	c.Min = math.Min(c.Min, o.Min)
	c.Max = math.Max(c.Max, o.Max)
}

// Sum returns the sum of all numbers, rounded once.
func (c *Cell) Sum() float64 {
	if c.SumHi == int64(c.SumLo)>>63 {
		return float64(int64(c.SumLo))/Micro + c.Rest
	}
	return (math.Ldexp(float64(c.SumHi), 64)+float64(c.SumLo))/Micro + c.Rest
}

// Row is one key's aggregate.
type Row struct {
	// Key has Layout.Groups values.
	Key []string
	// Lines counts the lines of the key.
	Lines uint64
	// Cells has Layout.Columns entries.
	Cells []Cell
	// Missed is the most that lines of the key which are not in the row may
	// weigh, in bounded tables.
	Missed float64
	// round is the merge that touched the row last.
	round uint64
}

// Table merges the rows of many partials of one window. Total covers all
// lines, also those whose key was dropped. It is not safe for concurrent use.
type Table struct {
	Layout  Layout
	Total   Row
	Rows    map[string]*Row // by JoinKey
	Dropped uint64          // lines counted in Total whose key an agent dropped
	Lines   Lines           // the first Layout.Keep of all
	// Pruned is set when a bounded table has given up rows.
	Pruned *Pruned
	// Instance is given to lines that name none when they are merged.
	Instance string

	round uint64 // of merges

	// spare is room for the next rows that MergeEncoded adds.
	spare struct {
		rows  []Row
		keys  []string
		cells []Cell
	}
}

// NewTable returns an empty table.
func NewTable(l Layout) *Table {
	return &Table{Layout: l, Total: Row{Cells: make([]Cell, l.Columns)}, Rows: map[string]*Row{}}
}

// JoinKey appends an unambiguous form of a key to dst, usable as a map key and
// ordered like the key's values.
func JoinKey(dst []byte, key []string) []byte {
	for _, v := range key {
		dst = joinValue(dst, v)
	}
	return dst
}

// joinValue appends one value of a key: 0 ends it; 0 and 1 inside it are escaped by 1.
func joinValue[T string | []byte](dst []byte, v T) []byte {
	plain := 0 // start of what has been neither escaped nor copied
	for i := range len(v) {
		if v[i] <= 1 {
			dst = append(append(dst, v[plain:i]...), 1, v[i]+1)
			plain = i + 1
		}
	}
	return append(append(dst, v[plain:]...), 0)
}

// maxChunk is for how many new rows room is made at once.
const maxChunk = 256

// newRow adds an empty row. values are those of its key, joined their JoinKey;
// if that is plain (nothing in it is escaped) each value stands in it before
// its end. more is how many rows may follow: room is made for them with one
// allocation.
func (t *Table) newRow(joined string, values [][]byte, ends []int, plain bool, more int) *Row {
	if len(t.spare.rows) == 0 {
		t.spare.rows = make([]Row, more)
		t.spare.keys = make([]string, more*len(values))
		t.spare.cells = make([]Cell, more*t.Layout.Columns)
	}
	n, c := len(values), t.Layout.Columns
	row := &t.spare.rows[0]
	row.Missed = t.missing()
	row.Key, row.Cells = t.spare.keys[:n:n], t.spare.cells[:c:c]
	t.spare.rows, t.spare.keys, t.spare.cells = t.spare.rows[1:], t.spare.keys[n:], t.spare.cells[c:]
	for i, v := range values {
		if plain { // no copy
			row.Key[i] = joined[ends[i]-len(v) : ends[i]]
		} else {
			row.Key[i] = string(v)
		}
	}
	t.Rows[joined] = row
	return row
}

func (t *Table) mergeRow(r, o *Row) {
	r.merge(o)
	r.round = t.round
	if t.Layout.Top > 0 {
		r.Missed = t.Layout.Weight.Join(r.Missed, o.Missed)
	}
}

func (r *Row) merge(o *Row) {
	r.Lines += o.Lines
	for i := range r.Cells {
		r.Cells[i].Merge(&o.Cells[i])
	}
}

// Add merges one row into the table, without touching Total.
func (t *Table) Add(r *Row) {
	var buf [256]byte
	joined := JoinKey(buf[:0], r.Key)
	own, ok := t.Rows[string(joined)]
	if !ok {
		own = &Row{Key: append([]string(nil), r.Key...), Cells: make([]Cell, t.Layout.Columns), Missed: t.missing()}
		t.Rows[string(joined)] = own
	}
	own.merge(r)
	t.prune()
}
