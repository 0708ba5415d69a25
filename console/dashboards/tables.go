package dashboards

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"github.com/pharos-stack/pharos/internal/dashboard"
)

// rowsOf returns the grid of a table that ends with the newest window that is
// over: span long, or the report's own.
func (r *run) rowsOf(spanMs, unit int64, most int) grid {
	if own := int64(r.report.SpanS) * 1000; own > 0 {
		spanMs = own
	}
	step := r.stepIn(spanMs, unit, most)
	n := max(1, spanMs/step)
	return grid{roundDown(r.question.End, step) - n*step, step, int(n)}
}

// timeTable has a row per time, the newest first.
func (r *run) timeTable(ctx context.Context) error {
	span, unit := int64(600_000), max(r.windowMs(), 1000)
	if r.report.Type == dashboard.TableSecond {
		span = 60 * unit
	}
	g := r.rowsOf(max(span, unit), unit, maxRows)
	r.cover(g)
	windows := r.health(ctx, g)
	rows := make([]Row, g.n)
	for i := range rows {
		at := g.at(g.n - 1 - i)
		rows[i] = windows.row(at, at+g.step)
		rows[i].StartMs = at
	}
	for _, c := range r.report.Columns {
		h := r.head(c)
		r.data.Columns = append(r.data.Columns, h)
		if c.Function == dashboard.Time {
			for i := range rows {
				rows[i].Cells = append(rows[i].Cells, Cell{})
			}
			continue
		}
		f, err := r.column(ctx, c, r.totals(c), g)
		if err != nil {
			return err
		}
		v := f.only()
		for i := range rows {
			rows[i].Cells = append(rows[i].Cells, cell(c, at(v, g.n-1-i)))
		}
	}
	r.data.Rows = rows
	return nil
}

// only returns the values of a frame that is expected to have one row.
func (f *frame) only() []float64 {
	for _, v := range f.rows {
		return v.at
	}
	return nil
}

func at(v []float64, i int) float64 {
	if v == nil {
		return math.NaN()
	}
	return v[i]
}

// settledEnd is the end of the newest window that has settled, or that is over
// where none has lately.
func (r *run) settledEnd(ctx context.Context, unit int64) int64 {
	end := roundDown(r.question.End, unit)
	windows := r.health(ctx, grid{end - recentWindows*unit, unit, recentWindows})
	if until := roundDown(windows.settledUntil, unit); until < end && until > end-recentWindows*unit {
		return until
	}
	return end
}

// latest has a row per key of the newest window that has settled, or that is
// over where none has lately.
func (r *run) latest(ctx context.Context) error {
	unit := max(r.windowMs(), 1000)
	if len(r.monitors) == 0 {
		unit = 60_000
	}
	step := unit
	if own := int64(max(r.report.SpanS, r.report.StepS)) * 1000; own > 0 {
		step = roundUp(own, unit)
	}
	end := r.settledEnd(ctx, unit)
	g := grid{end - step, step, 1}
	r.cover(g)
	windows := r.health(ctx, g)
	if r.report.Type == dashboard.SingleValue {
		return r.single(ctx, g, windows)
	}
	titles, labels := r.keyed()
	r.data.Keys = append(r.data.Keys, titles...)
	frames, err := r.frames(ctx, labels, g)
	if err != nil {
		return err
	}
	state := windows.row(g.start, g.end())
	keys, total := largest(frames, cmp.Or(r.report.Top, maxRows))
	r.data.KeysTotal = total
	for _, key := range keys {
		row := state
		row.Key, row.StartMs = key, g.start
		for i, c := range r.report.Columns {
			row.Cells = append(row.Cells, cellAt(c, frames[i], key, 0))
		}
		r.data.Rows = append(r.data.Rows, row)
	}
	return nil
}

// frames makes the values of every column by key; nil for times.
func (r *run) frames(ctx context.Context, labels []string, g grid) ([]*frame, error) {
	frames := make([]*frame, len(r.report.Columns))
	for i, c := range r.report.Columns {
		r.data.Columns = append(r.data.Columns, r.head(c))
		if c.Function == dashboard.Time {
			continue
		}
		var err error
		if frames[i], err = r.column(ctx, c, r.byKey(c, labels), g); err != nil {
			return nil, err
		}
	}
	return frames, nil
}

func cellAt(c dashboard.Column, f *frame, key []string, i int) Cell {
	if f == nil {
		return Cell{}
	}
	return cell(c, at(f.of(idOf(key)), i))
}

// largest returns at most n keys of all frames, the largest by the first frame
// first and those without a value last, and how many there are. Rows without
// a key make one without a key when there are no others.
func largest(frames []*frame, n int) (chosen [][]string, total int) {
	sizes, keys := map[string]float64{}, map[string][]string{}
	first := true
	for _, f := range frames {
		if f == nil {
			continue
		}
		for id, v := range f.rows {
			if len(v.key) == 0 {
				continue
			}
			keys[id] = v.key
			if first {
				sizes[id] = size(v.at)
			} else if _, ok := sizes[id]; !ok {
				sizes[id] = size(nil)
			}
		}
		first = false
	}
	ids := slices.SortedFunc(maps.Keys(keys), func(a, b string) int {
		return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b))
	})
	if len(ids) == 0 && slices.ContainsFunc(frames, func(f *frame) bool { return f != nil && len(f.rows) > 0 }) {
		return [][]string{nil}, 0
	}
	for _, id := range ids[:min(n, len(ids))] {
		chosen = append(chosen, keys[id])
	}
	return chosen, len(ids)
}

// size is the sum of what values there are; less than any number without one.
func size(values []float64) float64 {
	sum, found := 0.0, false
	for _, v := range values {
		if !math.IsNaN(v) {
			sum, found = sum+v, true
		}
	}
	if !found {
		return math.Inf(-1)
	}
	return sum
}

// timesAcross has a row per key and a column per time, the newest first.
func (r *run) timesAcross(ctx context.Context) error {
	g := r.across()
	windows := r.health(ctx, g)
	titles, labels := r.keyed()
	r.data.Keys = append(r.data.Keys, titles...)
	frames, err := r.frames(ctx, labels, g)
	if err != nil {
		return err
	}
	heads := r.data.Columns
	r.data.Columns = []Head{}
	var from []int
	for i := g.n - 1; i >= 0; i-- {
		for j, h := range heads {
			if frames[j] != nil {
				h.StartMs = g.at(i)
				r.data.Columns, from = append(r.data.Columns, h), append(from, j)
			}
		}
	}
	state := windows.row(g.start, g.end())
	perTime := len(from) / g.n
	keys, total := largest(frames, cmp.Or(r.report.Top, maxRows))
	r.data.KeysTotal = total
	for _, key := range keys {
		row := state
		row.Key = key
		for i, j := range from {
			row.Cells = append(row.Cells, cellAt(r.report.Columns[j], frames[j], key, g.n-1-i/perTime))
		}
		r.data.Rows = append(r.data.Rows, row)
	}
	return nil
}

// keysAcross has a row per time, the newest first, and a column per key.
func (r *run) keysAcross(ctx context.Context) error {
	g := r.across()
	windows := r.health(ctx, g)
	titles, labels := r.keyed()
	r.data.Keys = append(r.data.Keys, titles...)
	frames, err := r.frames(ctx, labels, g)
	if err != nil {
		return err
	}
	heads := r.data.Columns
	r.data.Columns = []Head{}
	perKey := 0
	for _, f := range frames {
		if f != nil {
			perKey++
		}
	}
	most := maxAcross / max(1, perKey)
	rows := make([]Row, g.n)
	for i := range rows {
		start := g.at(g.n - 1 - i)
		rows[i] = windows.row(start, start+g.step)
		rows[i].StartMs = start
	}
	keys, total := largest(frames, min(cmp.Or(r.report.Top, fewKeys), most))
	r.data.KeysTotal = total
	for _, key := range keys {
		for j, h := range heads {
			if frames[j] == nil {
				continue
			}
			h.Key = key
			r.data.Columns = append(r.data.Columns, h)
			for i := range rows {
				rows[i].Cells = append(rows[i].Cells, cellAt(r.report.Columns[j], frames[j], key, g.n-1-i))
			}
		}
	}
	r.data.Rows = rows
	return nil
}

// across is the grid of the last ten windows, or of the report's own span in at
// most maxAcross steps.
func (r *run) across() grid {
	unit := max(r.windowMs(), 1000)
	g := r.rowsOf(10*unit, unit, maxAcross)
	if g.n > maxAcross {
		g = grid{g.at(g.n - maxAcross), g.step, maxAcross}
	}
	r.cover(g)
	return g
}
