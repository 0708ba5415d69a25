package dashboards

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/pharos-stack/pharos/console/figures"
	"github.com/pharos-stack/pharos/internal/dashboard"
)

const (
	// maxLines is how many lines a chart has at most.
	maxLines = 50
	// fewKeys is how many keys of a chart are shown unless the report says.
	fewKeys = 10
)

// trend has a line per column, or one per column and key.
func (r *run) trend(ctx context.Context) error {
	start, end := r.question.Start, r.question.End
	if own := int64(r.report.SpanS) * 1000; own > 0 {
		start = end - own
	}
	unit := r.windowMs()
	if unit == 0 {
		unit = niceStep((end - start) / maxPoints)
	}
	step := r.stepIn(end-start, unit, maxPoints)
	start = roundDown(start, step)
	g := grid{start, step, int(max(1, (end-start+step-1)/step))}
	r.cover(g)
	r.health(ctx, g)
	titles, labels := r.keyed()
	r.data.Keys = append(r.data.Keys, titles...)
	for i, c := range r.report.Columns {
		r.data.Columns = append(r.data.Columns, r.head(c))
		if c.Function == dashboard.Time {
			continue
		}
		if err := r.lines(ctx, i, c, labels, g, ""); err != nil {
			return err
		}
		for _, shift := range r.question.Compare {
			if err := r.lines(ctx, i, earlier(c, shift), labels, g, shift); err != nil {
				return err
			}
		}
	}
	return nil
}

// earlier makes a column show its values of a day or week before; those that
// are comparisons already stay away.
func earlier(c dashboard.Column, shift string) dashboard.Column {
	switch {
	case c.Function != dashboard.Value:
		c.Function = dashboard.Time
	case shift == "day":
		c.Function = dashboard.ValueYesterday
	default:
		c.Function = dashboard.ValueLastWeek
	}
	return c
}

// lines adds the lines of a column.
func (r *run) lines(ctx context.Context, column int, c dashboard.Column, labels []string, g grid, shift string) error {
	if c.Function == dashboard.Time {
		return nil
	}
	o, err := r.operand(c.Source, c.Figure)
	if err != nil {
		return err
	}
	choose := r.totals(c)
	var keys [][]string
	if o.monitor != nil && len(o.monitor.GroupBy) > 0 && r.report.Top > 0 && shift == "" {
		if choose, keys, err = r.topKeys(ctx, c, labels, g); err != nil {
			return err
		}
	}
	f, err := r.column(ctx, c, choose, g)
	if err != nil {
		return err
	}
	if keys == nil {
		var total int
		keys, total = largest([]*frame{f}, cmp.Or(r.report.Top, maxLines))
		r.data.KeysTotal = max(r.data.KeysTotal, total)
	}
	for _, key := range keys {
		line := Line{Column: column, Key: key, Shift: shift, Values: make([]*float64, g.n)}
		for i, v := range f.of(idOf(key)) {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				line.Values[i] = &v
			}
		}
		r.data.Lines = append(r.data.Lines, line)
	}
	return nil
}

// topKeys selects the report's number of keys, the largest over all of g.
func (r *run) topKeys(ctx context.Context, c dashboard.Column, labels []string, g grid) (func(operand) selection, [][]string, error) {
	plain := c
	plain.Function = dashboard.Value
	f, err := r.column(ctx, plain, r.byKey(c, labels), grid{g.start, g.end() - g.start, 1})
	if err != nil {
		return nil, nil, err
	}
	keys, total := largest([]*frame{f}, min(r.report.Top, maxLines))
	r.data.KeysTotal = max(r.data.KeysTotal, total)
	among := map[string][]string{}
	for _, key := range keys {
		for i, label := range labels {
			if !slices.Contains(among[label], key[i]) {
				among[label] = append(among[label], key[i])
			}
		}
	}
	return func(o operand) selection {
		s := r.byKey(c, labels)(o)
		for label, values := range among {
			if s.where != nil && s.where[label] == nil && slices.ContainsFunc(o.monitor.GroupBy, func(g string) bool { return figures.Label(g) == label }) {
				s.where[label] = values
			}
		}
		return s
	}, keys, nil
}

// niceStep is the next of the usual distances of points, in ms.
func niceStep(ms int64) int64 {
	for _, s := range []int64{15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400} {
		if s*1000 >= ms {
			return s * 1000
		}
	}
	return roundUp(ms, 86_400_000)
}

// shares has a row per key over the whole range, and the rest of the total.
func (r *run) shares(ctx context.Context) error {
	unit := max(r.windowMs(), 1000)
	end := roundDown(r.question.End, unit)
	start := min(roundDown(r.question.Start, unit), end-unit)
	if own := int64(r.report.SpanS) * 1000; own > 0 {
		start = end - roundUp(own, unit)
	}
	g := grid{start, end - start, 1}
	r.cover(g)
	windows := r.health(ctx, g)
	titles, labels := r.keyed()
	if len(titles) == 0 {
		return r.single(ctx, g, windows)
	}
	r.data.Keys = append(r.data.Keys, titles...)
	frames, err := r.frames(ctx, labels, g)
	if err != nil {
		return err
	}
	state := windows.row(g.start, g.end())
	sums := make([]float64, len(frames))
	keys, total := largest(frames, cmp.Or(r.report.Top, fewKeys))
	r.data.KeysTotal = total
	for _, key := range keys {
		row := state
		row.Key = key
		for i, c := range r.report.Columns {
			one := cellAt(c, frames[i], key, 0)
			if one.Value != nil {
				sums[i] += *one.Value
			}
			row.Cells = append(row.Cells, one)
		}
		r.data.Rows = append(r.data.Rows, row)
	}
	return r.rest(ctx, g, state, sums)
}

// rest tells what the shown keys leave of the totals of counts and sums.
func (r *run) rest(ctx context.Context, g grid, state Row, shown []float64) error {
	row, any := state, false
	for i, c := range r.report.Columns {
		o, err := r.operand(c.Source, c.Figure)
		if err != nil {
			return err
		}
		if c.Function != dashboard.Value || o.monitor == nil || !o.figure.Kind.Additive() {
			row.Cells = append(row.Cells, Cell{})
			continue
		}
		f, err := r.column(ctx, c, r.totals(c), g)
		if err != nil {
			return err
		}
		left := at(f.only(), 0) - shown[i]
		// What is left of sums of decimals may be their rounding.
		if left > 1e-9*math.Abs(shown[i]) {
			row.Cells, any = append(row.Cells, Cell{Value: &left}), true
		} else {
			row.Cells = append(row.Cells, Cell{})
		}
	}
	if any {
		r.data.Rest = &row
	}
	return nil
}

// single has a row per column, and per series of an expression.
func (r *run) single(ctx context.Context, g grid, windows *windowStates) error {
	state := windows.row(g.start, g.end())
	for i, c := range r.report.Columns {
		r.data.Columns = append(r.data.Columns, r.head(c))
		if c.Function == dashboard.Time {
			continue
		}
		f, err := r.column(ctx, c, r.totals(c), g)
		if err != nil {
			return err
		}
		keys, total := largest([]*frame{f}, cmp.Or(r.report.Top, fewKeys))
		r.data.KeysTotal = max(r.data.KeysTotal, total)
		if len(keys) == 0 {
			keys = [][]string{nil}
		}
		for _, key := range keys {
			row := state
			row.Key, row.StartMs = key, g.start
			row.Cells = make([]Cell, len(r.report.Columns))
			row.Cells[i] = cellAt(c, f, key, 0)
			r.data.Rows = append(r.data.Rows, row)
		}
	}
	return nil
}
