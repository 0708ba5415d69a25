// Package storetest holds what every store must do, as tests that run against
// any of them. A store's own tests call Run and RunRows with a way to open it.
package storetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
)

// Open opens an empty store that keeps samples for retention, and has it
// closed at the end of the test.
type Open func(t *testing.T, retention time.Duration) store.Store

// Run runs the suite for time series.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *subject)
	}{
		{"revisions", testRevisions},
		{"revisions beyond the window length", testLargeRevisions},
		{"unordered writes", testUnordered},
		{"window lengths side by side", testWindowLengths},
		{"calendar windows", testCalendarWindows},
		{"raw samples", testRawSamples},
		{"range ends", testRangeEnds},
		{"matchers", testMatchers},
		{"odd labels", testOddLabels},
		{"wrong input", testWrongInput},
		{"special values", testSpecialValues},
		{"index", testIndex},
		{"delete", testDelete},
		{"retention", testRetention},
		{"rollups", testRollups},
		{"rollups of several window lengths", testRollupLengths},
		{"rollup retention", testRollupRetention},
		{"many series", testManySeries},
		{"limits", testLimits},
		{"callback error", testCallbackError},
		{"concurrent", testConcurrent},
		{"sync", testSync},
		{"cancelled", testCancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, &subject{t: t, Store: open(t, store.DefaultRetention), now: time.Now().Truncate(time.Hour).UnixMilli()})
		})
	}
}

// subject is the store under test with helpers that fail the test.
type subject struct {
	store.Store
	t   *testing.T
	now int64 // the start of this hour: a safe, round time
}

const minute = int64(60_000)

func (s *subject) windows(samples ...store.WindowSample) {
	s.t.Helper()
	if err := s.WriteWindows(context.Background(), samples); err != nil {
		s.t.Fatal(err)
	}
}

func (s *subject) samples(samples ...store.Sample) {
	s.t.Helper()
	if err := s.WriteSamples(context.Background(), samples); err != nil {
		s.t.Fatal(err)
	}
}

func eq(name, value string) store.Matcher {
	return store.Matcher{Type: store.MatchEqual, Name: name, Value: value}
}

func named(name string) []store.Matcher { return []store.Matcher{eq(store.MetricName, name)} }

// sel reads everything within two days of now.
func (s *subject) sel(matchers ...store.Matcher) []*store.Series {
	s.t.Helper()
	const twoDays = 48 * 60 * minute
	return s.selIn(s.now-twoDays, s.now+twoDays, matchers...)
}

func (s *subject) selIn(startMs, endMs int64, matchers ...store.Matcher) []*store.Series {
	s.t.Helper()
	var out []*store.Series
	err := s.Select(context.Background(), matchers, startMs, endMs, store.Limits{}, func(series *store.Series) error {
		out = append(out, series)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// text renders series with times relative to now in ms, for comparison.
func (s *subject) text(series []*store.Series) string {
	var b strings.Builder
	for _, x := range series {
		fmt.Fprintf(&b, "%s/%d:", x.Labels, x.WindowMs)
		for i, t := range x.TimesMs {
			fmt.Fprintf(&b, " %d=%v", t-s.now, x.Values[i])
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (s *subject) want(series []*store.Series, lines ...string) {
	s.t.Helper()
	want := ""
	for _, l := range lines {
		want += l + "\n"
	}
	if got := s.text(series); got != want {
		s.t.Fatalf("got:\n%swant:\n%s", got, want)
	}
}

func testRevisions(t *testing.T, s *subject) {
	ls := store.FromStrings("__name__", "shop:count", "goods", "food")
	write := func(revision uint32, value float64) {
		s.windows(store.WindowSample{Labels: ls, StartMs: s.now, WindowMs: minute, Revision: revision, Value: value})
	}
	write(1, 10)
	s.want(s.sel(named("shop:count")...), `shop:count{goods="food"}/60000: 0=10`)
	write(2, 30)
	s.want(s.sel(named("shop:count")...), `shop:count{goods="food"}/60000: 0=30`)
	write(5, 20) // a correction downwards
	s.want(s.sel(named("shop:count")...), `shop:count{goods="food"}/60000: 0=20`)
	write(4, 99) // comes late, is old
	write(3, -99)
	s.want(s.sel(named("shop:count")...), `shop:count{goods="food"}/60000: 0=20`)
	write(5, 20) // a resend
	s.want(s.sel(named("shop:count")...), `shop:count{goods="food"}/60000: 0=20`)
	write(6, 0)
	s.want(s.sel(named("shop:count")...), `shop:count{goods="food"}/60000: 0=0`)
	if err := s.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.want(s.sel(named("shop:count")...), `shop:count{goods="food"}/60000: 0=0`)
}

func testLargeRevisions(t *testing.T, s *subject) {
	ls := store.FromStrings("__name__", "fast:count")
	revisions := []uint32{999, 1000, 1001, 2500, 3_600_000, math.MaxUint32, 59_999, 60_000, 7, 0}
	for i, r := range revisions {
		s.windows(
			store.WindowSample{Labels: ls, StartMs: s.now, WindowMs: 1000, Revision: r, Value: float64(r)},
			store.WindowSample{Labels: ls, StartMs: s.now + 1000, WindowMs: 1000, Revision: uint32(i), Value: float64(i)})
		highest := slices.Max(revisions[:i+1])
		s.want(s.sel(named("fast:count")...), fmt.Sprintf(`fast:count{}/1000: 0=%v 1000=%v`, float64(highest), float64(i)))
	}
	s.want(s.selIn(s.now+1000, s.now+1000, named("fast:count")...), `fast:count{}/1000: 1000=9`)
}

func testUnordered(t *testing.T, s *subject) {
	ls := store.FromStrings("__name__", "u:count")
	order := []int64{5, 1, 9, 0, 7, 3, 8, 2, 6, 4}
	for round := range uint32(3) {
		for _, m := range order {
			s.windows(store.WindowSample{Labels: ls, StartMs: s.now + m*minute, WindowMs: minute, Revision: 10 - round, Value: float64(m) - float64(round)/10})
		}
	}
	s.want(s.sel(named("u:count")...),
		`u:count{}/60000: 0=0 60000=1 120000=2 180000=3 240000=4 300000=5 360000=6 420000=7 480000=8 540000=9`)
}

func testWindowLengths(t *testing.T, s *subject) {
	ls := store.FromStrings("__name__", "l:count")
	s.windows(
		store.WindowSample{Labels: ls, StartMs: s.now, WindowMs: minute, Revision: 1, Value: 1},
		store.WindowSample{Labels: ls, StartMs: s.now, WindowMs: 5 * minute, Revision: 1, Value: 2},
		store.WindowSample{Labels: ls, StartMs: s.now + 90_000, WindowMs: 90_000, Revision: 29_999, Value: 3},
		store.WindowSample{Labels: ls, StartMs: s.now + 90_000, WindowMs: 90_000, Revision: 30_001, Value: 4})
	s.samples(store.Sample{Labels: ls, TimeMs: s.now, Value: 5})
	s.want(s.sel(named("l:count")...),
		`l:count{}/0: 0=5`, `l:count{}/60000: 0=1`, `l:count{}/90000: 90000=4`, `l:count{}/300000: 0=2`)
}

func testCalendarWindows(t *testing.T, s *subject) {
	// A week from Monday 00:00 in Kathmandu (UTC+5:45) starts on no multiple of a week, nor of an hour.
	start := s.now - s.now%(24*60*minute) - (5*60+45)*minute
	week := 7 * 24 * 60 * minute
	ls := store.FromStrings("__name__", "w:sum")
	s.windows(
		store.WindowSample{Labels: ls, StartMs: start, WindowMs: week, Revision: 59_999, Value: 1},
		store.WindowSample{Labels: ls, StartMs: start, WindowMs: week, Revision: 60_001, Value: 2})
	got := s.selIn(start, start, named("w:sum")...)
	if len(got) != 1 || len(got[0].TimesMs) != 1 || got[0].TimesMs[0] != start || got[0].Values[0] != 2 {
		t.Fatalf("got %s", s.text(got))
	}
}

func testRawSamples(t *testing.T, s *subject) {
	ls := store.FromStrings("__name__", "sys_cpu_util", "host", "a")
	for _, i := range []int64{3, 0, 2, 1, 4} {
		s.samples(store.Sample{Labels: ls, TimeMs: s.now + i*10_000 + 7, Value: float64(i) / 3})
	}
	// The same sample again, and another value at the same time: one of them stays.
	s.samples(store.Sample{Labels: ls, TimeMs: s.now + 7, Value: 0}, store.Sample{Labels: ls, TimeMs: s.now + 7, Value: 0})
	got := s.sel(named("sys_cpu_util")...)
	if len(got) != 1 || got[0].WindowMs != 0 || !slices.Equal(got[0].TimesMs, []int64{s.now + 7, s.now + 10_007, s.now + 20_007, s.now + 30_007, s.now + 40_007}) {
		t.Fatalf("got %s", s.text(got))
	}
	for i, v := range got[0].Values {
		if math.Abs(v-float64(i)/3) > 1e-12 {
			t.Errorf("sample %d is %v", i, v)
		}
	}
}

func testRangeEnds(t *testing.T, s *subject) {
	ls := store.FromStrings("__name__", "r:count")
	for m := range int64(5) {
		s.windows(store.WindowSample{Labels: ls, StartMs: s.now + m*minute, WindowMs: minute, Revision: 40_000, Value: float64(m)})
	}
	n := named("r:count")
	s.want(s.selIn(s.now+minute, s.now+3*minute, n...), `r:count{}/60000: 60000=1 120000=2 180000=3`)
	s.want(s.selIn(s.now+minute+1, s.now+3*minute-1, n...), `r:count{}/60000: 120000=2`)
	s.want(s.selIn(s.now+minute+1, s.now+minute+2, n...))
	s.want(s.selIn(s.now+3*minute, s.now+minute, n...))
	s.want(s.selIn(math.MinInt64, s.now, n...), `r:count{}/60000: 0=0`)
	s.want(s.selIn(s.now+4*minute, math.MaxInt64, n...), `r:count{}/60000: 240000=4`)
}
