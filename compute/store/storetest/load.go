package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
)

func testRetention(t *testing.T, s *subject) {
	ls := store.FromStrings("__name__", "old:count")
	day := 24 * 60 * minute
	retention := store.DefaultRetention.Milliseconds()
	s.windows(
		store.WindowSample{Labels: ls, StartMs: s.now - retention - day, WindowMs: minute, Revision: 1, Value: 1},
		store.WindowSample{Labels: ls, StartMs: s.now - retention + day, WindowMs: minute, Revision: 1, Value: 2},
		store.WindowSample{Labels: ls, StartMs: s.now, WindowMs: minute, Revision: 1, Value: 3},
		store.WindowSample{Labels: ls, StartMs: s.now + 4*day, WindowMs: minute, Revision: 1, Value: 4})
	s.samples(store.Sample{Labels: ls, TimeMs: s.now - 2*retention, Value: 5}, store.Sample{Labels: ls, TimeMs: 0, Value: 6})
	s.want(s.selIn(0, s.now+10*day, named("old:count")...),
		fmt.Sprintf(`old:count{}/60000: %d=2 0=3`, day-retention))
	if d := s.Stats().Dropped; d != 4 {
		t.Errorf("%d samples counted as dropped, want 4", d)
	}
}

func testManySeries(t *testing.T, s *subject) {
	const series, windows = 5000, 4
	batch := make([]store.WindowSample, 0, series*windows)
	for i := range series {
		ls := store.FromStrings("__name__", "many:count", "key", fmt.Sprintf("key-%05d", i), "zone", fmt.Sprint(i%7))
		for w := range int64(windows) {
			batch = append(batch, store.WindowSample{Labels: ls, StartMs: s.now + w*minute, WindowMs: minute, Revision: uint32(i % 3), Value: float64(i*10) + float64(w)})
		}
	}
	s.windows(batch...)
	got := s.sel(named("many:count")...)
	if len(got) != series {
		t.Fatalf("%d series", len(got))
	}
	for i, g := range got {
		if g.Labels.Get("key") != fmt.Sprintf("key-%05d", i) || len(g.Values) != windows || g.Values[3] != float64(i*10+3) {
			t.Fatalf("series %d is %s", i, s.text(got[i:i+1]))
		}
	}
	if zone := s.sel(eq(store.MetricName, "many:count"), eq("zone", "3")); len(zone) != 714 {
		t.Errorf("%d series of zone 3", len(zone))
	}
	if st := s.Stats(); st.Rows < series*windows {
		t.Errorf("stats: %+v", st)
	}
}

func testLimits(t *testing.T, s *subject) {
	var batch []store.Sample
	for i := range 20 {
		ls := store.FromStrings("__name__", "lim", "i", fmt.Sprint(i))
		for m := range int64(10) {
			batch = append(batch, store.Sample{Labels: ls, TimeMs: s.now + m*minute, Value: 1})
		}
	}
	s.samples(batch...)
	count := func(l store.Limits) (int, error) {
		n := 0
		err := s.Select(context.Background(), named("lim"), s.now, s.now+60*minute, l, func(*store.Series) error { n++; return nil })
		return n, err
	}
	if n, err := count(store.Limits{MaxSeries: 20, MaxSamples: 200}); n != 20 || err != nil {
		t.Errorf("at the limit: %d series, %v", n, err)
	}
	if _, err := count(store.Limits{MaxSeries: 19}); !errors.Is(err, store.ErrLimit) {
		t.Errorf("too many series: %v", err)
	}
	if _, err := count(store.Limits{MaxSamples: 199}); !errors.Is(err, store.ErrLimit) {
		t.Errorf("too many samples: %v", err)
	}
}

func testCallbackError(t *testing.T, s *subject) {
	for i := range 3 {
		s.samples(store.Sample{Labels: store.FromStrings("__name__", "cb", "i", fmt.Sprint(i)), TimeMs: s.now, Value: 1})
	}
	stop, calls := errors.New("stop"), 0
	err := s.Select(context.Background(), named("cb"), s.now, s.now, store.Limits{}, func(*store.Series) error {
		calls++
		if calls == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// testConcurrent writes and reads at once; a reader always sees what was
// written before, and never a lower revision after a higher one.
func testConcurrent(t *testing.T, s *subject) {
	const writers, rounds = 3, 8
	var wg sync.WaitGroup
	fail := make(chan error, 2*writers)
	for w := range writers {
		name := fmt.Sprintf("conc%d:count", w)
		ls := store.FromStrings("__name__", name)
		wg.Go(func() {
			for r := uint32(1); r <= rounds; r++ {
				err := s.WriteWindows(context.Background(), []store.WindowSample{{Labels: ls, StartMs: s.now, WindowMs: minute, Revision: r, Value: float64(r)}})
				if err != nil {
					fail <- err
					return
				}
				got := 0.0
				err = s.Select(context.Background(), named(name), s.now, s.now, store.Limits{}, func(x *store.Series) error {
					got = x.Values[0]
					return nil
				})
				if err != nil || got != float64(r) {
					fail <- fmt.Errorf("%s: read %v after writing revision %d, %v", name, got, r, err)
					return
				}
			}
		})
		wg.Go(func() {
			last := 0.0
			for last < rounds {
				err := s.Select(context.Background(), named(name), s.now, s.now, store.Limits{}, func(x *store.Series) error {
					if x.Values[0] < last {
						return fmt.Errorf("%s: read %v after %v", name, x.Values[0], last)
					}
					last = x.Values[0]
					return nil
				})
				if err != nil || len(fail) > 0 {
					fail <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-fail:
		t.Fatal(err)
	default:
	}
}

func testSync(t *testing.T, s *subject) {
	for range 3 {
		s.samples(store.Sample{Labels: store.FromStrings("__name__", "sy"), TimeMs: s.now, Value: 1})
		if err := s.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	s.want(s.sel(named("sy")...), `sy{}/0: 0=1`)
	if st := s.Stats(); st.DiskBytes == 0 || st.Rows == 0 {
		t.Errorf("stats after Sync: %+v", st)
	}
}

func testCancelled(t *testing.T, s *subject) {
	ls := store.FromStrings("__name__", "ca")
	s.samples(store.Sample{Labels: ls, TimeMs: s.now, Value: 1})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.WriteSamples(ctx, []store.Sample{{Labels: ls, TimeMs: s.now + 1, Value: 2}}); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	if err := s.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("sync: %v", err)
	}
	err := s.Select(ctx, named("ca"), s.now, s.now+minute, store.Limits{}, func(*store.Series) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("select: %v", err)
	}
	past, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Hour))
	defer cancel()
	err = s.Select(past, named("ca"), s.now, s.now+minute, store.Limits{}, func(*store.Series) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("select after the deadline: %v", err)
	}
	s.want(s.sel(named("ca")...), `ca{}/0: 0=1`)
}
