package logpipe

import (
	"bytes"

	"github.com/pharos-stack/pharos/internal/partial"
)

// prune cuts a window whose rows are bounded when it has become too large. The
// rows that go are counted among the lines outside of rows, so totals stay exact.
func (w *Window) prune() {
	if !w.layout.Crowded(len(w.rows)) {
		return
	}
	if w.pruned == nil {
		w.pruned = &partial.Pruned{Missed: w.layout.Weight.None()}
	}
	next := &Window{layout: w.layout, otherAccs: w.otherAccs, other: w.other}
	next.pruned = w.keysCounted()
	row := partial.Row{Cells: make([]partial.Cell, w.layout.Columns)}
	kept := next.pruned.Cut(w.layout, len(w.rows), func(i int) *partial.Row { w.fill(&row, i); return &row },
		func(a, b int) int { return bytes.Compare(w.key(a), w.key(b)) })
	for i := range w.otherAccs { // floats and sketches of the lines outside of rows
		next.moveCell(-1-i, w, -1-i)
	}
	stays := make([]bool, len(w.rows))
	for _, i := range kept {
		stays[i] = true
		next.moveRow(w, i)
	}
	for i := range w.rows {
		if !stays[i] {
			next.giveUp(w, i)
		}
	}
	w.slots, w.rows, w.ends, w.quick, w.arena, w.accs, w.missed = next.slots, next.rows, next.ends, next.quick, next.arena, next.accs, next.missed
	w.wide, w.other, w.pruned = next.wide, next.other, next.pruned
}

// fill reads what a row weighs by.
func (w *Window) fill(r *partial.Row, i int) {
	r.Lines, r.Missed = w.rows[i].lines, w.missing(i)
	for c := range r.Cells {
		r.Cells[c] = w.cell(i*w.layout.Columns + c)
	}
}

// missing is what lines of a row's key that are not in the row may weigh.
func (w *Window) missing(i int) float64 {
	switch {
	case i < len(w.missed):
		return w.missed[i]
	case w.pruned != nil:
		return w.pruned.Missed // it came after the last cut
	}
	return w.layout.Weight.None()
}

// key is the text of a row's key, its values one after another.
func (w *Window) key(i int) []byte {
	start := int(w.rows[i].key)
	return w.arena[start : start+int(w.ends[(i+1)*w.layout.Groups-1])]
}

// keysCounted returns what the window has given up, with the keys that have rows
// counted as well; nil for nothing.
func (w *Window) keysCounted() *partial.Pruned {
	if w.pruned == nil {
		return nil
	}
	p := &partial.Pruned{Missed: w.pruned.Missed, Keys: partial.NewSketch(partial.Distinct)}
	if w.pruned.Keys != nil {
		p.Keys = w.pruned.Keys.Clone()
	}
	var joined []byte
	values := make([]string, w.layout.Groups)
	for i := range w.rows {
		for k := range values {
			values[k] = string(w.value(i, k))
		}
		joined = partial.JoinKey(joined[:0], values)
		p.Keys.AddValue(joined)
	}
	return p
}

// moveRow takes a row of another window.
func (w *Window) moveRow(from *Window, i int) {
	start := len(w.arena)
	for k := range from.layout.Groups {
		w.addValue(start, from.value(i, k))
	}
	r := from.rows[i]
	n := w.newRow(uint64(r.tag)<<32|uint64(r.hash), start)
	w.rows[n].lines = r.lines
	w.missed = append(w.missed, from.missing(i))
	columns := w.layout.Columns
	for c := range columns {
		w.accs[n*columns+c] = from.accs[i*columns+c]
		w.moveCell(n*columns+c, from, i*columns+c)
	}
}

// moveCell takes the floats of a cell of another window.
func (w *Window) moveCell(at int, from *Window, i int) {
	if c := from.wide[i]; c != nil {
		if w.wide == nil {
			w.wide = map[int]*partial.Cell{}
		}
		w.wide[at] = c
	}
}

// giveUp counts a row of another window among the lines outside of rows.
func (w *Window) giveUp(from *Window, i int) {
	w.other += from.rows[i].lines
	columns := w.layout.Columns
	for c := range columns {
		w.otherAccs[c].merge(&from.accs[i*columns+c])
		if wide := from.wide[i*columns+c]; wide != nil {
			if own := w.wide[-1-c]; own != nil {
				own.Merge(wide)
			} else {
				w.moveCell(-1-c, from, i*columns+c)
			}
		}
	}
}

// merge adds o to a.
func (a *acc) merge(o *acc) {
	if o.n == 0 {
		return
	}
	if a.n == 0 {
		*a = *o
		return
	}
	sum := partial.Cell{N: 1, SumHi: a.hi, SumLo: a.lo}
	sum.Merge(&partial.Cell{N: 1, SumHi: o.hi, SumLo: o.lo})
	a.hi, a.lo = sum.SumHi, sum.SumLo
	a.min, a.max = min(a.min, o.min), max(a.max, o.max)
	a.n += o.n
}

// prune cuts the windows of tasks whose rows are bounded, after a block: so
// rows keep their places while lines are worked on.
func (g *Group) prune() {
	for i := range g.runs {
		t := g.runs[i].task
		if t.p.layout.Top == 0 {
			continue
		}
		for _, w := range t.windows {
			w.prune()
		}
	}
}
