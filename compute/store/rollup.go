package store

import (
	"context"
	"fmt"
	"math"
)

// RollupKind is how the windows of a bucket become its value.
type RollupKind uint8

const (
	// RollupSum adds: counts and sums.
	RollupSum RollupKind = iota + 1
	// RollupMin takes the least: minima, and completeness, since a bucket is as good as its worst window.
	RollupMin
	// RollupMax takes the greatest.
	RollupMax
	// RollupRatio divides the sums of two other series of the same labels, times Scale: averages.
	RollupRatio
)

// Rollup says how a series is rolled up.
type Rollup struct {
	Kind RollupKind
	// Over and Under are the names of the series whose sums RollupRatio divides.
	Over, Under string
	Scale       float64
}

// RollUp computes one bucket of a level, of all series that match, from the
// windows that the store has, and writes it. how says for a series' name how
// it is rolled up; others are left out.
//
// A bucket's revision is the sum of its windows' revisions. These only grow, so
// whoever has seen more writes the greater revision: RollUp may be called at any
// time, again, and by several processes, and the bucket ends up right if it is called
// after the last of its windows was written. The windows must be within the
// retention of Base. It returns how many values it wrote.
func RollUp(ctx context.Context, s Store, level Level, startMs int64, matchers []Matcher, how func(name string) (Rollup, bool)) (int, error) {
	length := level.LengthMs()
	if length == 0 || startMs%length != 0 {
		return 0, fmt.Errorf("cannot roll up: there is no bucket at %d in level %d", startMs, level)
	}
	buckets := map[string]*bucket{}
	var order []*bucket
	var key []byte
	err := s.Select(ctx, matchers, startMs, startMs+length-1, Limits{}, func(x *Series) error {
		rollup, ok := how(x.Labels.Get(MetricName))
		if !ok || !level.Suits(x.WindowMs) {
			return nil
		}
		key = x.Labels.AppendKey(key[:0])
		b := buckets[string(key)]
		if b == nil { // a series of another window length is the same bucket
			b = &bucket{labels: x.Labels, rollup: rollup, low: math.Inf(1), high: math.Inf(-1)}
			buckets[string(key)] = b
			order = append(order, b)
		}
		b.add(x)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("cannot roll up: %w", err)
	}
	sum := func(b *bucket, name string) float64 {
		key = b.labels.renamed(name).AppendKey(key[:0])
		if other := buckets[string(key)]; other != nil {
			return other.sum()
		}
		return 0
	}
	out := make([]WindowSample, 0, len(order))
	for _, b := range order {
		w := WindowSample{Labels: b.labels, StartMs: startMs, WindowMs: length, Revision: uint32(min(b.revision, math.MaxUint32))}
		switch b.rollup.Kind {
		case RollupSum:
			w.Value = b.sum()
		case RollupMin:
			w.Value = b.low
		case RollupMax:
			w.Value = b.high
		case RollupRatio:
			under := sum(b, b.rollup.Under)
			if under == 0 {
				continue
			}
			w.Value = b.rollup.Scale * sum(b, b.rollup.Over) / under
		}
		out = append(out, w)
	}
	if len(out) == 0 {
		return 0, nil
	}
	return len(out), s.WriteRollups(ctx, level, out)
}

// bucket collects the windows of a series.
type bucket struct {
	labels    Labels
	rollup    Rollup
	revision  uint64
	high, low float64
	// total and rest are a compensated sum (Neumaier), as sum_over_time of PromQL makes it.
	total, rest float64
}

func (b *bucket) add(x *Series) {
	for i, v := range x.Values {
		b.revision += uint64(x.Revisions[i])
		b.low, b.high = min(b.low, v), max(b.high, v)
		t := b.total + v
		switch {
		case math.IsInf(t, 0):
			b.rest = 0
		case math.Abs(b.total) >= math.Abs(v):
			b.rest += (b.total - t) + v
		default:
			b.rest += (v - t) + b.total
		}
		b.total = t
	}
}

func (b *bucket) sum() float64 { return b.total + b.rest }

// renamed returns ls with another name of the series.
func (ls Labels) renamed(name string) Labels {
	out := make(Labels, 0, len(ls)+1)
	for _, l := range ls {
		if l.Name == MetricName {
			l.Value = name
		}
		out = append(out, l)
	}
	return out
}
