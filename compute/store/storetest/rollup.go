package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/compute/store"
)

// rolled renders the buckets of a level within two days of now.
func (s *subject) rolled(l store.Level, matchers ...store.Matcher) []*store.Series {
	s.t.Helper()
	const twoDays = 48 * 60 * minute
	return s.rolledIn(l, s.now-twoDays, s.now+twoDays, matchers...)
}

func (s *subject) rolledIn(l store.Level, startMs, endMs int64, matchers ...store.Matcher) []*store.Series {
	s.t.Helper()
	var out []*store.Series
	err := s.SelectRollups(context.Background(), l, matchers, startMs, endMs, store.Limits{}, func(x *store.Series) error {
		out = append(out, x)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// shopRollups is how the series of the monitor "shop" are rolled up.
func shopRollups(name string) (store.Rollup, bool) {
	switch {
	case strings.HasPrefix(name, "shop:count"), strings.HasSuffix(name, "_sum"), strings.HasSuffix(name, "_count"):
		return store.Rollup{Kind: store.RollupSum}, true
	case name == "shop:min", name == "shop:completeness":
		return store.Rollup{Kind: store.RollupMin}, true
	case name == "shop:max":
		return store.Rollup{Kind: store.RollupMax}, true
	case name == "shop:avg":
		return store.Rollup{Kind: store.RollupRatio, Over: "shop:avg_sum", Under: "shop:avg_count", Scale: 1}, true
	}
	return store.Rollup{}, false
}

func (s *subject) rollUp(l store.Level, startMs int64) {
	s.t.Helper()
	_, err := store.RollUp(context.Background(), s, l, startMs, []store.Matcher{{Type: store.MatchRegex, Name: store.MetricName, Value: "shop:.*"}}, shopRollups)
	if err != nil {
		s.t.Fatal(err)
	}
}

// testRollups rolls windows up, settles some of them again and rolls up again.
func testRollups(t *testing.T, s *subject) {
	write := func(m int64, revision uint32, figures map[string]float64) {
		t.Helper()
		var batch []store.WindowSample
		for figure, v := range figures {
			batch = append(batch, store.WindowSample{Labels: store.FromStrings("__name__", "shop:"+figure, "goods", "food"), StartMs: s.now + m*minute, WindowMs: minute, Revision: revision, Value: v})
		}
		s.windows(batch...)
	}
	for m := range int64(12) {
		write(m, 1, map[string]float64{"count": float64(m), "min": 50 - float64(m), "max": float64(m), "completeness": 1, "avg": float64(m), "avg_sum": float64(m), "avg_count": 4, "other": 1})
	}
	for b := range int64(3) {
		s.rollUp(store.FiveMinutes, s.now+5*b*minute)
	}
	s.rollUp(store.OneHour, s.now)
	five, hour := func(name string) []*store.Series { return s.rolled(store.FiveMinutes, named("shop:"+name)...) }, func(name string) []*store.Series { return s.rolled(store.OneHour, named("shop:"+name)...) }
	s.want(five("count"), `shop:count{goods="food"}/300000: 0=10 300000=35 600000=21`)
	s.want(hour("count"), `shop:count{goods="food"}/3600000: 0=66`)
	s.want(five("min"), `shop:min{goods="food"}/300000: 0=46 300000=41 600000=39`)
	s.want(five("max"), `shop:max{goods="food"}/300000: 0=4 300000=9 600000=11`)
	s.want(five("avg"), `shop:avg{goods="food"}/300000: 0=0.5 300000=1.75 600000=2.625`)
	s.want(hour("completeness"), `shop:completeness{goods="food"}/3600000: 0=1`)
	s.want(five("other"))
	// The windows are as they were, and nobody sees the buckets among them.
	if got := s.sel(named("shop:count")...); len(got) != 1 || len(got[0].Values) != 12 || !slices.Equal(got[0].Revisions[:2], []uint32{1, 1}) {
		t.Errorf("windows are %s with revisions %v", s.text(got), got[0].Revisions)
	}

	// Windows settle again, upwards and downwards; one that had no value gets one.
	write(3, 2, map[string]float64{"count": 103, "min": 1, "completeness": 0.5})
	write(7, 5, map[string]float64{"count": 0})
	write(59, 1, map[string]float64{"count": 1000})
	stale := s.rolled(store.FiveMinutes, named("shop:count")...)
	for range 2 { // once more changes nothing
		for _, b := range []int64{0, 1, 11} {
			s.rollUp(store.FiveMinutes, s.now+5*b*minute)
		}
		s.rollUp(store.OneHour, s.now)
		s.want(five("count"), `shop:count{goods="food"}/300000: 0=110 300000=28 600000=21 3300000=1000`)
		s.want(hour("count"), `shop:count{goods="food"}/3600000: 0=1159`)
		s.want(hour("min"), `shop:min{goods="food"}/3600000: 0=1`)
		s.want(hour("completeness"), `shop:completeness{goods="food"}/3600000: 0=0.5`)
	}
	// Somebody who had read before the windows changed writes after all others.
	var late []store.WindowSample
	for i, start := range stale[0].TimesMs {
		late = append(late, store.WindowSample{Labels: stale[0].Labels, StartMs: start, WindowMs: 5 * minute, Revision: stale[0].Revisions[i], Value: stale[0].Values[i]})
	}
	if err := s.WriteRollups(context.Background(), store.FiveMinutes, late); err != nil {
		t.Fatal(err)
	}
	s.want(five("count"), `shop:count{goods="food"}/300000: 0=110 300000=28 600000=21 3300000=1000`)

	if err := s.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(context.Background(), named("shop:count")); err != nil {
		t.Fatal(err)
	}
	s.want(five("count"))
	s.want(hour("count"))
	if got := five("max"); len(got) != 1 {
		t.Errorf("another series was deleted too: %s", s.text(got))
	}
	// No bucket at that start, of that length, or at that level.
	ls := store.FromStrings("__name__", "shop:count")
	for _, bad := range []store.WindowSample{{Labels: ls, StartMs: s.now + minute, WindowMs: 5 * minute}, {Labels: ls, StartMs: s.now, WindowMs: minute}} {
		if err := s.WriteRollups(context.Background(), store.FiveMinutes, []store.WindowSample{bad}); err == nil {
			t.Errorf("took %+v", bad)
		}
	}
	if err := s.WriteRollups(context.Background(), store.Base, []store.WindowSample{{Labels: ls, StartMs: s.now, WindowMs: minute}}); err == nil {
		t.Error("took a rollup to base")
	}
}

// testRollupLengths rolls up windows whose length was changed within the bucket,
// and windows as long as the bucket.
func testRollupLengths(t *testing.T, s *subject) {
	ls := store.FromStrings("__name__", "shop:count")
	s.windows(
		store.WindowSample{Labels: ls, StartMs: s.now, WindowMs: 1000, Revision: 7, Value: 1},
		store.WindowSample{Labels: ls, StartMs: s.now + minute, WindowMs: minute, Revision: 1, Value: 2},
		store.WindowSample{Labels: ls, StartMs: s.now + 5*minute, WindowMs: 5 * minute, Revision: 4, Value: 3},
		store.WindowSample{Labels: ls, StartMs: s.now + 8*minute, WindowMs: 7 * minute, Revision: 1, Value: 99}, // fits no bucket
		store.WindowSample{Labels: ls, StartMs: s.now, WindowMs: 60 * minute, Revision: 70_000, Value: 10})
	s.samples(store.Sample{Labels: ls, TimeMs: s.now, Value: 99})
	s.rollUp(store.FiveMinutes, s.now)
	s.rollUp(store.FiveMinutes, s.now+5*minute)
	s.rollUp(store.OneHour, s.now)
	s.want(s.rolled(store.FiveMinutes, named("shop:count")...), `shop:count{}/300000: 0=3 300000=3`)
	got := s.rolled(store.OneHour, named("shop:count")...)
	s.want(got, `shop:count{}/3600000: 0=16`)
	if got[0].Revisions[0] != 70_012 {
		t.Errorf("revision is %d", got[0].Revisions[0])
	}
}

func testRollupRetention(t *testing.T, s *subject) {
	const day = 24 * 60 * minute
	ls := store.FromStrings("__name__", "shop:count", "goods", "old")
	for _, age := range []int64{1, 30, 120, 500} {
		start := s.now - age*day
		s.windows(store.WindowSample{Labels: ls, StartMs: start, WindowMs: minute, Revision: 1, Value: float64(age)})
		for _, l := range []store.Level{store.FiveMinutes, store.OneHour} {
			if err := s.WriteRollups(context.Background(), l, []store.WindowSample{{Labels: ls, StartMs: start, WindowMs: l.LengthMs(), Revision: 1, Value: float64(age)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := func(l store.Level) []*store.Series { return s.rolledIn(l, 0, s.now, named("shop:count")...) }
	s.want(all(store.Base), fmt.Sprintf(`shop:count{goods="old"}/60000: %d=1`, -day))
	s.want(all(store.FiveMinutes), fmt.Sprintf(`shop:count{goods="old"}/300000: %d=30 %d=1`, -30*day, -day))
	s.want(all(store.OneHour), fmt.Sprintf(`shop:count{goods="old"}/3600000: %d=120 %d=30 %d=1`, -120*day, -30*day, -day))
	if s.Retention(store.Base) != store.DefaultRetention || s.Retention(store.OneHour).Hours() != 400*24 {
		t.Errorf("keeps windows for %s and hours for %s", s.Retention(store.Base), s.Retention(store.OneHour))
	}
	// The index still knows series of which only rollups are left.
	ctx := context.Background()
	found, err := s.SeriesLabels(ctx, named("shop:count"), s.now-121*day, s.now-119*day, 0)
	if err != nil || len(found) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
	values, err := s.LabelValues(ctx, "goods", named("shop:count"), s.now-121*day, s.now)
	if err != nil || !slices.Equal(values, []string{"old"}) {
		t.Errorf("values %v, %v", values, err)
	}
	names, err := s.LabelNames(ctx, named("shop:count"), s.now-121*day, s.now)
	if err != nil || !slices.Equal(names, []string{"__name__", "goods"}) {
		t.Errorf("names %v, %v", names, err)
	}
}
