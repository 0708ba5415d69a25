package compute

import (
	"errors"
	"testing"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// pendingRollups counts the buckets of the first hour that are marked in the journal.
func (r *rig) pendingRollups() (n int) {
	r.t.Helper()
	if err := r.c.journal.Rollups(func(id journal.WindowID) {
		if id.StartMs < t0+60*minute {
			n++
		}
	}); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// written waits until windows of a minute from t0 to endMs are complete in the
// store, and compute knows it. When the clock moves before, it takes that for
// the time of the write.
func (r *rig) written(monitor string, endMs int64) {
	r.t.Helper()
	for ms := int64(t0); ms < endMs; ms += minute {
		r.is(monitor+`:completeness{app="shop",workspace="w"}`, ms, 1)
	}
	r.until("the writes are over", func() bool {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		for _, b := range r.c.rollups {
			if b.writing > 0 {
				return false
			}
		}
		return true
	})
}

func TestRollups(t *testing.T) {
	r := newRig(t, nil)
	m := goods(t, 100, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	for i := range int64(60) {
		r.deliver("a", revision(m, t0+i*minute, uint64(i+1), 1, true, table(1, map[string]int{"food": int(i)}, i)))
	}
	r.mark("a", m, t0+60*minute)
	r.now.Store(t0 + 60*minute)
	r.is(`goods:count:total{app="shop",workspace="w"}`, t0+59*minute, 59)
	r.written("goods", t0+60*minute)
	r.now.Add(10 * minute)
	r.rolled(store.FiveMinutes, "goods:count:total", t0+5*minute, 5+6+7+8+9)
	r.rolled(store.OneHour, "goods:count:total", t0, 59*60/2)
	r.rolled(store.OneHour, "goods:ms_sum:total", t0, 59*60*119/6)
	r.rolled(store.OneHour, "goods:ms:total", t0, 119.0/3) // the average of all lines, not of averages
	r.rolled(store.OneHour, "goods:lines_bad", t0, 60)
	r.rolled(store.OneHour, "goods:completeness", t0, 1)
	r.until("nothing is pending", func() bool { return r.c.PendingRollup(m.GetMonitorId()) >= t0+60*minute })
	r.synced()
	if n := r.pendingRollups(); n != 0 {
		t.Errorf("%d buckets are marked after a sync", n)
	}

	// A late part, and a crash when the store has the window, but no new rollup yet.
	r.c.mu.Lock()
	r.c.opts.RollupWait = 1 << 40
	r.c.mu.Unlock()
	r.deliver("a", revision(m, t0+7*minute, 99, 1, true, table(1, map[string]int{"food": 100}, 1)))
	r.is(`goods:count:total{app="shop",workspace="w"}`, t0+7*minute, 107)
	r.until("pending", func() bool { return r.c.PendingRollup(m.GetMonitorId()) == t0 })
	r.synced()
	if n := r.pendingRollups(); n != 2 {
		t.Errorf("%d buckets are marked, want that of 5 minutes and that of the hour", n)
	}
	r.crash()
	r.start()
	r.now.Add(10 * minute)
	r.rolled(store.FiveMinutes, "goods:count:total", t0+5*minute, 135)
	r.rolled(store.OneHour, "goods:count:total", t0, 59*60/2+100)
}

func TestRollupWaitsForTheStore(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	r.deliver("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	r.mark("a", m, t0+2*minute)
	r.now.Store(t0 + 2*minute)
	r.is(linesCount, t0+minute, 0)
	r.written("lines", t0+2*minute)
	r.store.set(errors.New("away"), nil)
	r.now.Store(t0 + 10*minute)
	r.until("told", func() bool { return r.c.Status().GetDiskError() != "" })
	r.store.set(nil, nil)
	r.now.Add(storePauseMs)
	r.rolled(store.FiveMinutes, "lines:count", t0, 5)
	r.until("no longer told", func() bool { return r.c.Status().GetDiskError() == "" })
}

// An agent that reports while a window is on its way to the store, settled
// without it, must not be missing from it for good.
func TestReportWhileSettling(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	r.deliver("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	r.store.mu.Lock() // the store takes its time
	r.now.Store(t0 + 10*minute)
	r.until("the window is being written", func() bool {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		for _, b := range r.c.rollups {
			if b.writing > 0 {
				return true
			}
		}
		return false
	})
	r.mark("a", m, t0+2*minute)
	r.until("the report is known", func() bool {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		return r.c.monitors[m.GetMonitorId()].markOf("a") > 0
	})
	r.store.mu.Unlock()
	r.is(`lines:completeness{app="shop",workspace="w"}`, t0, 1)
}
