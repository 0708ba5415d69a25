package partial

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// MaxTop is the most rows that a bounded table keeps.
const MaxTop = 100_000

// Weight says what the rows of a bounded table are weighed by.
type Weight uint8

// The weights.
const (
	// ByLines is the number of lines.
	ByLines Weight = iota + 1
	// BySum is the sum of the first cell.
	BySum
	// ByFail is the number of lines less the sum of the first cell.
	ByFail
	// ByMax is the largest number of the first cell.
	ByMax
)

// Pruned says what a bounded table has given up.
//
// The weight of a key lies between that of its row and the row's Upper. The
// weight of a key without a row is at most Missed. Both hold for any order and
// portions of lines and merges, as long as no number is negative: for the
// additive weights Missed is at most the weight of all lines divided by
// Layout.Top, as in Metwally et al., Efficient computation of frequent and
// top-k elements in data streams, 2005, and Agarwal et al., Mergeable
// summaries, 2012. With ByMax the rows with the largest weights are exact.
type Pruned struct {
	// Missed is the most that a key without a row may weigh; +Inf if negative
	// numbers make any bound impossible.
	Missed float64
	// Keys estimates how many different keys there were.
	Keys *Sketch
}

// of weighs a row; ByMax without a number weighs nothing.
func (k Weight) of(r *Row) float64 {
	switch k {
	case BySum:
		return r.Cells[0].Sum()
	case ByFail:
		return float64(r.Lines) - r.Cells[0].Sum()
	case ByMax:
		if r.Cells[0].N == 0 {
			return math.Inf(-1)
		}
		return r.Cells[0].Max
	}
	return float64(r.Lines)
}

// None is the weight of no lines.
func (k Weight) None() float64 {
	if k == ByMax {
		return math.Inf(-1)
	}
	return 0
}

// Join is the weight, at most, of lines of which one part weighs at most a and the other b.
func (k Weight) Join(a, b float64) float64 {
	if k == ByMax {
		return max(a, b)
	}
	return a + b
}

// Upper is what a row of a bounded table may weigh at most.
func (k Weight) Upper(r *Row) float64 { return k.Join(k.of(r), r.Missed) }

// Cut says which rows of a bounded table stay when it is cut to l.Top, and
// raises p.Missed to what the others may weigh. row gives the n rows, compare
// orders those of the same weight. It returns the places of the rows that stay.
func (p *Pruned) Cut(l Layout, n int, row func(i int) *Row, compare func(a, b int) int) []int {
	order, rank, upper := make([]int, n), make([]float64, n), make([]float64, n)
	for i := range order {
		r := row(i)
		order[i], upper[i] = i, l.Weight.Upper(r)
		rank[i] = upper[i]
		if l.Weight == ByMax {
			rank[i] = l.Weight.of(r) // so that the largest are never given up
		}
		if l.Weight == BySum && r.Cells[0].N > 0 && r.Cells[0].Min < 0 {
			p.Missed = math.Inf(1)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(rank[b], rank[a]), compare(a, b)) })
	top := min(n, l.Top)
	for _, i := range order[top:] {
		if !math.IsInf(p.Missed, 1) {
			p.Missed = max(p.Missed, upper[i])
		}
	}
	return order[:top]
}

// Crowded reports whether a bounded table of so many rows is to be cut: it may
// have twice as many as it keeps, so that rows are seldom sorted.
func (l Layout) Crowded(rows int) bool { return l.Top > 0 && rows > 2*l.Top }

// prune cuts a table that has become too large.
func (t *Table) prune() {
	if !t.Layout.Crowded(len(t.Rows)) {
		return
	}
	if t.Pruned == nil {
		t.Pruned = &Pruned{Missed: t.Layout.Weight.None()}
	}
	t.countKeys()
	joined := make([]string, 0, len(t.Rows))
	for k := range t.Rows {
		joined = append(joined, k)
	}
	kept := t.Pruned.Cut(t.Layout, len(joined), func(i int) *Row { return t.Rows[joined[i]] },
		func(a, b int) int { return strings.Compare(joined[a], joined[b]) })
	rows := make(map[string]*Row, len(kept))
	for _, i := range kept {
		rows[joined[i]] = t.Rows[joined[i]].clone()
	}
	t.Rows = rows
}

// clone lets go of the rows that r shares memory with.
func (r *Row) clone() *Row {
	out := *r
	out.Key, out.Cells = make([]string, len(r.Key)), slices.Clone(r.Cells)
	for i, v := range r.Key {
		out.Key[i] = strings.Clone(v)
	}
	return &out
}

// countKeys adds the keys that have rows to those that were there.
func (t *Table) countKeys() {
	if t.Pruned.Keys == nil {
		t.Pruned.Keys = NewSketch(Distinct)
	}
	for k := range t.Rows {
		t.Pruned.Keys.AddValue([]byte(k))
	}
}

// missing is what a key without a row may weigh.
func (t *Table) missing() float64 {
	if t.Pruned == nil {
		return t.Layout.Weight.None()
	}
	return t.Pruned.Missed
}

// mergePruned takes what another table has given up, nil for nothing, after its
// rows were merged in the current round. before is what t itself had.
func (t *Table) mergePruned(o *Pruned, before *Pruned) {
	if o == nil && before == nil {
		return
	}
	next := &Pruned{Missed: t.missing()}
	if before != nil {
		next.Keys = before.Keys
	}
	if o != nil {
		for _, r := range t.Rows {
			if r.round != t.round {
				r.Missed = t.Layout.Weight.Join(r.Missed, o.Missed)
			}
		}
		next.Missed = t.Layout.Weight.Join(next.Missed, o.Missed)
		if next.Keys == nil {
			next.Keys = NewSketch(Distinct)
		}
		next.Keys.Merge(o.Keys)
	}
	t.Pruned = next
	t.countKeys()
}

// Keys is how many different keys there were; exact unless the table was pruned,
// then with a standard error of 0.81 %.
func (t *Table) Keys() float64 {
	if t.Pruned == nil {
		return float64(len(t.Rows))
	}
	return math.Round(t.Pruned.Keys.Distinct())
}
