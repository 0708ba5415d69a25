package dashboards

import (
	"context"
	"math"
	"time"

	"github.com/pharos-stack/pharos/internal/dashboard"
)

var (
	dayMs  = (24 * time.Hour).Milliseconds()
	weekMs = 7 * dayMs
)

// column makes the values of a column on g.
func (r *run) column(ctx context.Context, c dashboard.Column, s func(operand) selection, g grid) (*frame, error) {
	a, err := r.operand(c.Source, c.Figure)
	if err != nil {
		return nil, err
	}
	shifted := func(ms int64) (*frame, error) { return r.fetch(ctx, a, s(a), g, ms) }
	against := func(ms int64, combine func(now, base float64) float64) (*frame, error) {
		now, err := shifted(0)
		if err != nil {
			return nil, err
		}
		base, err := shifted(ms)
		if err != nil {
			return nil, err
		}
		return combined(now, base, g.n, combine), nil
	}
	switch c.Function {
	case dashboard.ValueYesterday:
		return shifted(dayMs)
	case dashboard.ValueLastWeek:
		return shifted(weekMs)
	case dashboard.RingDiff:
		return r.ring(ctx, a, s(a), g, difference)
	case dashboard.RingPct:
		return r.ring(ctx, a, s(a), g, percentage)
	case dashboard.DayDiff:
		return against(dayMs, difference)
	case dashboard.DayPct:
		return against(dayMs, percentage)
	case dashboard.WeekDiff:
		return against(weekMs, difference)
	case dashboard.WeekPct:
		return against(weekMs, percentage)
	case dashboard.APlusB, dashboard.AMinusB, dashboard.ATimesB, dashboard.ADivB:
		b, err := r.operand(c.SourceB, c.FigureB)
		if err != nil {
			return nil, err
		}
		left, err := shifted(0)
		if err != nil {
			return nil, err
		}
		right, err := r.fetch(ctx, b, s(b), g, 0)
		if err != nil {
			return nil, err
		}
		return combined(left, right, g.n, arithmetic[c.Function]), nil
	}
	return shifted(0)
}

// ring combines each value with the one before.
func (r *run) ring(ctx context.Context, a operand, s selection, g grid, combine func(now, base float64) float64) (*frame, error) {
	f, err := r.fetch(ctx, a, s, g.earlier(), 0)
	if err != nil {
		return nil, err
	}
	for _, v := range f.rows {
		for i := range g.n {
			v.at[i] = combine(v.at[i+1], v.at[i])
		}
		v.at = v.at[:g.n]
	}
	return f, nil
}

// combined joins two frames by key. A row without a key goes with every key of the other frame.
func combined(a, b *frame, n int, combine func(a, b float64) float64) *frame {
	out := &frame{rows: map[string]*values{}, alone: a.alone && b.alone}
	for _, f := range []*frame{a, b} {
		if f.alone && !out.alone {
			continue
		}
		for id, one := range f.rows {
			if out.rows[id] != nil || out.alone && len(out.rows) > 0 {
				continue
			}
			left, right, v := a.of(id), b.of(id), &values{one.key, nones(n)}
			if left != nil && right != nil {
				for i := range n {
					v.at[i] = combine(left[i], right[i])
				}
			}
			out.rows[id] = v
		}
	}
	return out
}

func difference(now, base float64) float64 { return now - base }

// percentage is the change in percent of base; none for base 0 (spec 05 §S7.4).
func percentage(now, base float64) float64 {
	if base == 0 {
		return math.NaN()
	}
	return (now - base) / base * 100
}

var arithmetic = map[dashboard.Function]func(a, b float64) float64{
	dashboard.APlusB:  func(a, b float64) float64 { return a + b },
	dashboard.AMinusB: func(a, b float64) float64 { return a - b },
	dashboard.ATimesB: func(a, b float64) float64 { return a * b },
	dashboard.ADivB: func(a, b float64) float64 {
		if b == 0 {
			return math.NaN()
		}
		return a / b
	},
}

// cell returns a value with its colour; red wins over orange.
func cell(c dashboard.Column, v float64) Cell {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Cell{}
	}
	out := Cell{Value: &v}
	beyond := func(limit *float64) bool {
		return limit != nil && (c.Direction == dashboard.Below && v < *limit || c.Direction != dashboard.Below && v > *limit)
	}
	switch {
	case beyond(c.Red):
		out.Level = "red"
	case beyond(c.Orange):
		out.Level = "orange"
	}
	return out
}
