package window

import (
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Samples appends the values of a window to dst. keep says which keys may be
// told (nil: all); lines of others are in the totals only. want says which
// series are asked for by name (nil: all).
//
// A figure without input is absent, except that count and sum of a monitor
// without keys, and the totals, are 0 if any agent has reported the window
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
	for _, f := range e.plan.figures {
		if f.kind == logrule.Count {
			if known {
				e.put(f.name+suffix, r.Labels, float64(r.Lines))
			}
			continue
		}
		c := &r.Cells[f.cell]
		switch f.kind {
		case logrule.Sum:
			if known {
				e.put(f.name+suffix, r.Labels, c.Sum())
			}
		case logrule.Avg:
			e.average(f.name, suffix, r.Labels, c)
		case logrule.Min:
			if c.N > 0 {
				e.put(f.name+suffix, r.Labels, c.Min)
			}
		case logrule.Max:
			if c.N > 0 {
				e.put(f.name+suffix, r.Labels, c.Max)
			}
		}
	}
}

// average tells a mean and what it is made of, so that means over keys or
// time can be computed from sums.
func (e *emitter) average(name, suffix string, key store.Labels, c *partial.Cell) {
	if c.N == 0 {
		return
	}
	sum := c.Sum()
	e.put(name+suffix, key, sum/float64(c.N))
	e.put(name+"_sum"+suffix, key, sum)
	e.put(name+"_count"+suffix, key, float64(c.N))
}
