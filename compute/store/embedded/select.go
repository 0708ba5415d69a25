package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/storage"

	"github.com/pharos-stack/pharos/compute/store"
)

// selection is a set of matchers, ours and the engine's form of them.
type selection struct {
	filter *store.Filter
	engine []*storage.TagFilters
	// nothing is set when no series can match.
	nothing bool
}

func newSelection(matchers []store.Matcher) (*selection, error) {
	filter, err := store.NewFilter(matchers)
	if err != nil {
		return nil, err
	}
	sel := &selection{filter: filter}
	tfs := storage.NewTagFilters()
	// Every series has a name, so this matches all; the engine wants one filter at least.
	if err := tfs.Add(nil, nil, true, false); err != nil {
		return nil, err
	}
	for i, m := range matchers {
		if m.Name == store.WindowLabel || m.Name == store.EpochLabel {
			// Hidden: to a reader no series has such a label.
			sel.nothing = sel.nothing || !filter.MatchesEmpty(i)
			continue
		}
		value := m.Value
		isRegex := m.Type == store.MatchRegex || m.Type == store.MatchNotRegex
		if isRegex && value != "" {
			// The engine anchors by itself; the dot must match newlines too.
			value = "(?s:" + value + ")"
		}
		var key []byte
		if m.Name != store.MetricName {
			key = []byte(m.Name)
		}
		negative := m.Type == store.MatchNotEqual || m.Type == store.MatchNotRegex
		if err := tfs.Add(key, []byte(value), negative, isRegex); err != nil {
			return nil, fmt.Errorf("cannot use matcher %s: %w", m, err)
		}
	}
	sel.engine = []*storage.TagFilters{tfs}
	return sel, nil
}

// part holds the samples of one engine series.
type part struct {
	labels store.Labels
	window int64
	epoch  int64
	times  []int64
	values []float64
	// revisions of the values, once lastPerWindow has run.
	revisions []uint32
}

// Select calls fn with every series that matches and has a value in the range.
func (s *Store) Select(ctx context.Context, matchers []store.Matcher, startMs, endMs int64, limits store.Limits, fn func(*store.Series) error) error {
	return s.level.selectSeries(ctx, matchers, startMs, endMs, limits, fn)
}

// SelectRollups is Select among the buckets of a level.
func (s *Store) SelectRollups(ctx context.Context, l store.Level, matchers []store.Matcher, startMs, endMs int64, limits store.Limits, fn func(*store.Series) error) error {
	at, err := s.at(l)
	if err != nil {
		return fmt.Errorf("cannot select series: %w", err)
	}
	return at.selectSeries(ctx, matchers, startMs, endMs, limits, fn)
}

func (s *level) selectSeries(ctx context.Context, matchers []store.Matcher, startMs, endMs int64, limits store.Limits, fn func(*store.Series) error) error {
	sel, err := newSelection(matchers)
	if err != nil {
		return fmt.Errorf("cannot select series: %w", err)
	}
	if sel.nothing || endMs < startMs {
		return nil
	}
	limits = limits.WithDefaults()
	s.show()
	parts, err := s.read(ctx, sel, startMs, endMs, limits)
	if err != nil {
		return fmt.Errorf("cannot select series: %w", err)
	}
	slices.SortFunc(parts, func(a, b *part) int {
		return cmp.Or(a.labels.Compare(b.labels), cmp.Compare(a.window, b.window), cmp.Compare(a.epoch, b.epoch))
	})
	found := 0
	for len(parts) > 0 {
		// The parts of one series differ in their epoch only, the highest last.
		n := 1
		for n < len(parts) && parts[n].window == parts[0].window && parts[n].labels.Compare(parts[0].labels) == 0 {
			n++
		}
		series := merge(parts[:n], startMs, endMs)
		clear(parts[:n])
		parts = parts[n:]
		if len(series.TimesMs) == 0 {
			continue
		}
		if found++; found > limits.MaxSeries {
			return fmt.Errorf("cannot select series: %w", store.TooManySeries(limits.MaxSeries))
		}
		if err := fn(series); err != nil {
			return err
		}
	}
	return nil
}

// engineSeriesLimit allows for series the engine finds by day and that have
// nothing in the range itself.
func engineSeriesLimit(limit int) int { return 4*limit + 1000 }

func (s *level) read(ctx context.Context, sel *selection, startMs, endMs int64, limits store.Limits) ([]*part, error) {
	startMs = max(startMs, 0)
	readEndMs := endMs
	if endMs < math.MaxInt64-maxRevisionGridMs {
		// Revisions of the last window lie after its start.
		readEndMs += maxRevisionGridMs
	}
	readEndMs = min(readEndMs, maxTimeMs)
	if readEndMs < startMs {
		return nil, nil
	}
	tr := storage.TimeRange{MinTimestamp: startMs, MaxTimestamp: readEndMs}

	var search storage.Search
	search.Init(nil, s.engine, sel.engine, tr, engineSeriesLimit(limits.MaxSeries), deadline(ctx))
	defer search.MustClose()
	var (
		block    storage.Block
		mn       storage.MetricName
		lastName []byte
		current  *part
		parts    []*part
		byName   = map[string]*part{}
		samples  int
	)
	for search.NextMetricBlock() {
		ref := &search.MetricBlockRef
		if current == nil || string(ref.MetricName) != string(lastName) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			lastName = append(lastName[:0], ref.MetricName...)
			var seen bool
			if current, seen = byName[string(lastName)]; !seen {
				p, err := decodeName(&mn, lastName)
				if err != nil {
					return nil, err
				}
				current = p
				byName[string(lastName)] = p
				parts = append(parts, p)
			}
		}
		ref.BlockRef.MustReadBlock(&block)
		if err := block.UnmarshalData(); err != nil {
			return nil, fmt.Errorf("cannot decode samples of %s: %w", current.labels, err)
		}
		before := len(current.times)
		current.times, current.values = block.AppendRowsWithTimeRangeFilter(current.times, current.values, tr)
		if samples += len(current.times) - before; samples > limits.MaxSamples {
			return nil, store.TooManySamples(limits.MaxSamples)
		}
	}
	if err := search.Error(); err != nil && !errors.Is(err, io.EOF) {
		return nil, engineError(ctx, err, limits.MaxSeries)
	}
	return parts, nil
}

// maxTimeMs is the last moment the engine can think of (year 2262).
const maxTimeMs = math.MaxInt64 / 1_000_000

// merge makes a series of its engine series, which differ in epoch and are
// sorted by it. Windows outside the range are left out.
func merge(parts []*part, startMs, endMs int64) *store.Series {
	first := parts[0]
	out := &store.Series{Labels: first.labels, WindowMs: first.window}
	for _, p := range parts {
		sortSamples(p.times, p.values)
		lastPerWindow(p)
	}
	if len(parts) == 1 {
		first.cut(out, startMs, endMs)
		return out
	}
	// A later epoch holds higher revisions whatever the time.
	type place struct{ part, at int }
	latest := map[int64]place{}
	for n, p := range parts {
		for i, t := range p.times {
			latest[t] = place{n, i}
		}
	}
	all := &part{times: make([]int64, 0, len(latest)), window: first.window}
	for t := range latest {
		all.times = append(all.times, t)
	}
	slices.Sort(all.times)
	for _, t := range all.times {
		p := latest[t]
		all.values = append(all.values, parts[p.part].values[p.at])
		all.revisions = append(all.revisions, parts[p.part].revisions[p.at])
	}
	all.cut(out, startMs, endMs)
	return out
}

// lastPerWindow keeps the last of the samples at one time or in one window, in
// place, and gives it the window's start as its time.
func lastPerWindow(p *part) {
	grid := int64(1)
	if p.window > 0 {
		grid = revisionGridMs(p.window)
	}
	if p.window > 0 {
		p.revisions = make([]uint32, len(p.times))
	}
	n := 0
	for i, t := range p.times {
		revision := t % grid
		t -= revision
		if n > 0 && p.times[n-1] == t {
			n--
		}
		p.times[n], p.values[n] = t, p.values[i]
		if p.window > 0 {
			p.revisions[n] = uint32(p.epoch*grid + revision)
		}
		n++
	}
	p.times, p.values = p.times[:n], p.values[:n]
}

// cut gives to what lies in a time range.
func (p *part) cut(to *store.Series, startMs, endMs int64) {
	from, _ := slices.BinarySearch(p.times, startMs)
	end, found := slices.BinarySearch(p.times, endMs)
	if found {
		end++
	}
	if from >= end {
		return
	}
	to.TimesMs, to.Values = p.times[from:end], p.values[from:end]
	if p.window > 0 {
		to.Revisions = p.revisions[from:end]
	}
}

// sortSamples orders both slices by time. Blocks come in order, except those
// of parts not yet merged, which may overlap.
func sortSamples(times []int64, values []float64) {
	if slices.IsSorted(times) {
		return
	}
	order := make([]int, len(times))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(times[a], times[b]) })
	oldTimes, oldValues := slices.Clone(times), slices.Clone(values)
	for i, o := range order {
		times[i], values[i] = oldTimes[o], oldValues[o]
	}
}

// decodeName turns the engine's name of a series into labels, without the hidden ones.
func decodeName(mn *storage.MetricName, name []byte) (*part, error) {
	if err := mn.Unmarshal(name); err != nil {
		return nil, fmt.Errorf("cannot decode series name %q: %w", name, err)
	}
	p := &part{labels: make(store.Labels, 0, len(mn.Tags)+1)}
	p.labels = append(p.labels, store.Label{Name: store.MetricName, Value: string(mn.MetricGroup)})
	for _, tag := range mn.Tags {
		switch string(tag.Key) {
		case store.WindowLabel:
			p.window, _ = strconv.ParseInt(string(tag.Value), 10, 64)
		case store.EpochLabel:
			p.epoch, _ = strconv.ParseInt(string(tag.Value), 10, 64)
		default:
			p.labels = append(p.labels, store.Label{Name: string(tag.Key), Value: string(tag.Value)})
		}
	}
	p.labels.Sort()
	return p, nil
}

// SeriesLabels returns the label sets of series that match.
func (s *Store) SeriesLabels(ctx context.Context, matchers []store.Matcher, startMs, endMs int64, limit int) ([]store.Labels, error) {
	if limit <= 0 {
		limit = store.DefaultMaxSeries
	}
	sel, tr, err := s.lookup(matchers, startMs, endMs)
	if err != nil || sel == nil {
		return nil, err
	}
	var names []string
	for _, l := range s.within(tr) {
		more, err := l.engine.SearchMetricNames(nil, sel.engine, tr, engineSeriesLimit(limit), deadline(ctx))
		if err != nil {
			return nil, fmt.Errorf("cannot list series: %w", engineError(ctx, err, limit))
		}
		names = append(names, more...)
	}
	var mn storage.MetricName
	out := make([]store.Labels, 0, len(names))
	for _, name := range names {
		p, err := decodeName(&mn, []byte(name))
		if err != nil {
			return nil, err
		}
		out = append(out, p.labels)
	}
	slices.SortFunc(out, store.Labels.Compare)
	out = slices.CompactFunc(out, func(a, b store.Labels) bool { return a.Compare(b) == 0 })
	if len(out) > limit {
		return nil, fmt.Errorf("cannot list series: %w", store.TooManySeries(limit))
	}
	return out, nil
}

// LabelNames returns the names of the labels of series that match, sorted.
func (s *Store) LabelNames(ctx context.Context, matchers []store.Matcher, startMs, endMs int64) ([]string, error) {
	sel, tr, err := s.lookup(matchers, startMs, endMs)
	if err != nil || sel == nil {
		return nil, err
	}
	var names []string
	for _, l := range s.within(tr) {
		more, err := l.engine.SearchLabelNames(nil, sel.engine, tr, math.MaxInt32, math.MaxInt32, deadline(ctx))
		if err != nil {
			return nil, fmt.Errorf("cannot list label names: %w", engineError(ctx, err, 0))
		}
		names = append(names, more...)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == store.WindowLabel || n == store.EpochLabel })
	slices.Sort(names)
	return slices.Compact(names), nil
}

// LabelValues returns the values of one label of series that match, sorted.
func (s *Store) LabelValues(ctx context.Context, name string, matchers []store.Matcher, startMs, endMs int64) ([]string, error) {
	sel, tr, err := s.lookup(matchers, startMs, endMs)
	if err != nil || sel == nil || name == store.WindowLabel || name == store.EpochLabel {
		return nil, err
	}
	var values []string
	for _, l := range s.within(tr) {
		more, err := l.engine.SearchLabelValues(nil, name, sel.engine, tr, math.MaxInt32, math.MaxInt32, deadline(ctx))
		if err != nil {
			return nil, fmt.Errorf("cannot list values of label %q: %w", name, engineError(ctx, err, 0))
		}
		values = append(values, more...)
	}
	slices.Sort(values)
	return slices.Compact(values), nil
}

// within returns the levels that may know series of a time range: Base, and the
// longest kept rollups if the range begins before its retention. Their writes are visible.
func (s *Store) within(tr storage.TimeRange) []*level {
	out := []*level{s.level}
	if tr.MinTimestamp < time.Now().Add(-s.retention).UnixMilli() {
		out = append(out, s.rollups[store.OneHour])
	}
	for _, l := range out {
		l.show()
	}
	return out
}

// lookup prepares a search of the index; the selection is nil when nothing can match.
func (s *Store) lookup(matchers []store.Matcher, startMs, endMs int64) (*selection, storage.TimeRange, error) {
	tr := storage.TimeRange{MinTimestamp: max(startMs, 0), MaxTimestamp: min(endMs, maxTimeMs)}
	sel, err := newSelection(matchers)
	if err != nil {
		return nil, tr, fmt.Errorf("cannot list series: %w", err)
	}
	if sel.nothing || tr.MaxTimestamp < tr.MinTimestamp {
		return nil, tr, nil
	}
	return sel, tr, nil
}

// deadline is the context's, in the engine's Unix seconds.
func deadline(ctx context.Context) uint64 {
	if t, ok := ctx.Deadline(); ok {
		return uint64(t.Unix()) + 1
	}
	return math.MaxUint64
}

// engineError gives the engine's errors our meaning.
func engineError(ctx context.Context, err error, limit int) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, storage.ErrDeadlineExceeded):
		return context.DeadlineExceeded
	case strings.Contains(err.Error(), "the number of matching timeseries exceeds"):
		return store.TooManySeries(limit)
	}
	return err
}
