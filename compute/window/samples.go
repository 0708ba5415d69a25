package window

import (
	"slices"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Samples appends the values of a window to dst. keep says which keys may be
// told (nil: all); lines of others are in the totals only. want says which
// series are asked for by name (nil: all).
//
// A figure without input is absent, except that additive ones of a monitor
// without keys, and of the totals, are 0 if any agent has reported the window
// (spec 05 §3.4).
func (p *Plan) Samples(dst []store.WindowSample, m *Merged, state *pharosv1.WindowState, keep func(key string) bool, want func(name string) bool) []store.WindowSample {
	e := emitter{dst: dst, want: want, base: store.WindowSample{StartMs: state.GetWindowStartMs(), WindowMs: p.LengthMs, Revision: uint32(state.GetRevision())}, plan: p}
	if p.Multi {
		for _, r := range m.Rows {
			if keep == nil || keep(r.Key) {
				e.row(r, "", true)
			}
		}
		e.row(&m.Total, ":total", m.Total.Lines > 0 || state.GetCompleteness() > 0)
	} else {
		e.row(&m.Total, "", m.Total.Lines > 0 || state.GetCompleteness() > 0)
	}
	return e.dst
}

// Companions appends the values that stand beside the figures of a window.
func (p *Plan) Companions(dst []store.WindowSample, state *pharosv1.WindowState, want func(name string) bool) []store.WindowSample {
	e := emitter{dst: dst, want: want, base: store.WindowSample{StartMs: state.GetWindowStartMs(), WindowMs: p.LengthMs, Revision: uint32(state.GetRevision())}, plan: p}
	for _, c := range companions {
		e.put(p.Key+":"+c.suffix, nil, c.value(state))
	}
	return e.dst
}

type emitter struct {
	dst  []store.WindowSample
	want func(string) bool
	base store.WindowSample
	plan *Plan
}

func (e *emitter) put(name string, key store.Labels, value float64) {
	if e.want != nil && !e.want(name) {
		return
	}
	s := e.base
	s.Labels, s.Value = e.plan.series(name, key), value
	e.dst = append(e.dst, s)
}

// row tells all figures of a row. Additive ones are told only if known.
func (e *emitter) row(r *Row, suffix string, known bool) {
	all := partial.Row{Lines: r.Lines, Cells: r.Cells}
	for _, f := range e.plan.figures {
		value, ok := all.Figure(f.stat.Kind, f.cells)
		if f.stat.Kind.Additive() {
			ok = known
		}
		if ok {
			e.put(f.name+suffix, r.Labels, value)
		}
		// A window whose divisor is 0 has no ratio, but is part of those over longer times.
		if over, under, _, has := f.stat.Parts(); has && (ok || f.fed(r)) {
			a, b := f.parts(r)
			e.put(f.name+over+suffix, r.Labels, a)
			e.put(f.name+under+suffix, r.Labels, b)
		}
	}
}

// fed reports whether any line had a value of the figure's inputs.
func (f *figure) fed(r *Row) bool {
	return slices.ContainsFunc(f.cells, func(i int) bool { return r.Cells[i].N > 0 })
}

// parts are the values of the series of logrule.Statistic.Parts.
func (f *figure) parts(r *Row) (over, under float64) {
	c := &r.Cells[f.cells[0]]
	switch {
	case len(f.cells) > 1: // a ratio, or a figure of lines with weights
		return c.Sum(), r.Cells[f.cells[1]].Sum()
	case f.stat.Kind == logrule.SuccessRate:
		return c.Sum(), float64(r.Lines)
	default:
		return c.Sum(), float64(c.N)
	}
}
