package query

import (
	"cmp"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/pharos-stack/pharos/compute/store"
)

// Where a value comes from; the higher one wins at the same time.
const (
	fromStore = iota
	fromPeer
	fromLive
)

// merger joins the series of several sources by their visible labels.
type merger struct {
	byKey map[string]*merged
	key   []byte
}

type merged struct {
	labels store.Labels
	parts  []sourced
}

type sourced struct {
	series *store.Series
	source int
}

func newMerger() *merger { return &merger{byKey: map[string]*merged{}} }

// add takes a series under its visible labels.
func (m *merger) add(series *store.Series, source int) {
	m.addAs(visible(series.Labels), series, source)
}

// addAs takes a series under the given labels.
func (m *merger) addAs(ls store.Labels, series *store.Series, source int) {
	m.key = ls.AppendKey(m.key[:0])
	entry := m.byKey[string(m.key)]
	if entry == nil {
		entry = &merged{labels: ls}
		m.byKey[string(m.key)] = entry
	}
	entry.parts = append(entry.parts, sourced{series, source})
}

// sorted returns what was added, ordered by labels.
func (m *merger) sorted() []*merged {
	out := make([]*merged, 0, len(m.byKey))
	for _, entry := range m.byKey {
		out = append(out, entry)
	}
	slices.SortFunc(out, func(a, b *merged) int { return a.labels.Compare(b.labels) })
	return out
}

// points is a series' values in the order of time, each with the length of its
// window in ms, 0 for a raw sample.
type points struct {
	times   []int64
	values  []float64
	windows []int64
}

// points joins the parts. At one time the source of higher rank wins, then the longer window.
func (m *merged) points() points {
	type point struct {
		time, window int64
		value        float64
		source       int
	}
	if len(m.parts) == 1 {
		x := m.parts[0].series
		p := points{times: x.TimesMs, values: x.Values, windows: make([]int64, len(x.TimesMs))}
		for i := range p.windows {
			p.windows[i] = x.WindowMs
		}
		return p
	}
	var all []point
	for _, part := range m.parts {
		for i, t := range part.series.TimesMs {
			all = append(all, point{t, part.series.WindowMs, part.series.Values[i], part.source})
		}
	}
	slices.SortStableFunc(all, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.source, b.source), cmp.Compare(a.window, b.window))
	})
	var p points
	for i, x := range all {
		if i+1 < len(all) && all[i+1].time == x.time {
			continue
		}
		p.times, p.values, p.windows = append(p.times, x.time), append(p.values, x.value), append(p.windows, x.window)
	}
	return p
}

// hold makes instant vectors see a window's value from its start to its end
// and not after: a staleness marker ends a window that no other follows, and a window longer than the
// lookback is repeated once a lookback. Points after endMs are left out.
func (p points) hold(lookbackMs, endMs int64, repeat bool) points {
	if !slices.ContainsFunc(p.windows, func(w int64) bool { return w > 0 }) {
		return p
	}
	stale := math.Float64frombits(value.StaleNaN)
	out := points{times: make([]int64, 0, len(p.times)+1), values: make([]float64, 0, len(p.times)+1)}
	put := func(t int64, v float64) {
		if t <= endMs {
			out.times, out.values = append(out.times, t), append(out.values, v)
		}
	}
	for i, t := range p.times {
		put(t, p.values[i])
		if p.windows[i] == 0 {
			continue
		}
		end := t + p.windows[i]
		next := int64(math.MaxInt64)
		if i+1 < len(p.times) {
			next = p.times[i+1]
		}
		if repeat {
			for again := t + lookbackMs; again < min(end, next) && again <= endMs; again += lookbackMs {
				put(again, p.values[i])
			}
		}
		if next > end {
			put(end, stale)
		}
	}
	return out
}

// seriesSet hands points to the engine.
type seriesSet struct {
	series   []storage.Series
	at       int
	warnings annotations.Annotations
}

func (s *seriesSet) Next() bool                        { s.at++; return s.at <= len(s.series) }
func (s *seriesSet) At() storage.Series                { return s.series[s.at-1] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return s.warnings }

// samples are points as the engine's own iterator takes them.
type samples []sample

func (s samples) Get(i int) chunks.Sample { return &s[i] }
func (s samples) Len() int                { return len(s) }

// entry returns a series of these points.
func (p points) entry(ls labels.Labels) storage.Series {
	all := make(samples, len(p.times))
	for i, t := range p.times {
		all[i] = sample{t, p.values[i]}
	}
	return &storage.SeriesEntry{Lset: ls, SampleIteratorFn: func(chunkenc.Iterator) chunkenc.Iterator {
		return storage.NewListSeriesIterator(all)
	}}
}

// sample is a float at a time. The store holds no native histograms.
type sample struct {
	time  int64
	value float64
}

func (s *sample) ST() int64                     { return 0 }
func (s *sample) T() int64                      { return s.time }
func (s *sample) F() float64                    { return s.value }
func (s *sample) H() *histogram.Histogram       { return nil }
func (s *sample) FH() *histogram.FloatHistogram { return nil }
func (s *sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }

func (s *sample) Copy() chunks.Sample {
	c := *s
	return &c
}
