package compute

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/ring"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const minute = int64(60_000)

const (
	linesCount    = `lines:count{app="shop",workspace="w"}`
	linesComplete = `lines:completeness{app="shop",workspace="w"}`
)

func TestWindowSettlesWhenAllHaveReported(t *testing.T) {
	r := newRig(t, nil)
	m := goods(t, 100, "a", "b")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a", "b"))
	r.deliver("a", revision(m, t0, 1, 1, false, table(1, map[string]int{"food": 1}, 10)))
	r.deliver("a", revision(m, t0, 1, 2, true, table(1, map[string]int{"food": 2, "home": 1}, 10)))
	r.deliver("a", revision(m, t0, 1, 1, false, table(1, map[string]int{"food": 1}, 10))) // a late resend
	r.deliver("b", revision(m, t0, 7, 1, true, table(1, map[string]int{"food": 4}, 40)))
	r.now.Store(t0 + minute + 10)
	r.mark("a", m, t0+minute)
	r.absentLive(t, t0)
	r.mark("b", m, t0+minute)
	r.is(`goods:count{app="shop",az="az-1",kind="food",workspace="w"}`, t0, 2)
	r.is(`goods:count{app="shop",az="az-1",kind="home",workspace="w"}`, t0, 1)
	r.is(`goods:count{app="shop",az="az-2",kind="food",workspace="w"}`, t0, 4)
	r.is(`goods:count:total{app="shop",workspace="w"}`, t0, 7)
	r.is(`goods:ms:total{app="shop",workspace="w"}`, t0, (30.0+160)/7)
	r.is(`goods:ms_sum:total{app="shop",workspace="w"}`, t0, 190)
	r.is(`goods:ms_count:total{app="shop",workspace="w"}`, t0, 7)
	r.is(`goods:completeness{app="shop",workspace="w"}`, t0, 1)
	r.is(`goods:lines_bad{app="shop",workspace="w"}`, t0, 2)
	r.is(`goods:keys_dropped{app="shop",workspace="w"}`, t0, 0)

	// A late part settles it again.
	r.deliver("b", revision(m, t0, 9, 3, true, table(1, map[string]int{"food": 1}, 40)))
	r.is(`goods:count{app="shop",az="az-2",kind="food",workspace="w"}`, t0, 5)
	r.is(`goods:count:total{app="shop",workspace="w"}`, t0, 8)
}

// absentLive checks that the window is told as live, and not in the store.
func (r *rig) absentLive(t *testing.T, startMs int64) {
	t.Helper()
	found := 0
	err := r.c.SelectLive([]store.Matcher{{Name: store.MetricName, Value: "goods:count"}, {Name: "az", Value: "az-2"}}, startMs, startMs, func(s *store.Series) error {
		found++
		if s.WindowMs != minute || len(s.Values) != 1 || s.Values[0] != 4 || s.TimesMs[0] != startMs {
			t.Errorf("live series is %+v", s)
		}
		return nil
	})
	if err != nil || found != 1 {
		t.Errorf("found %d live series, %v", found, err)
	}
	r.absent(`goods:count:total{app="shop",workspace="w"}`, startMs)
}

func TestEmptyWindowIsZeroAndMissingAgentIsNot(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a", "b", "c")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a", "b", "c"))
	for _, a := range []string{"a", "b", "c"} {
		r.mark(a, m, t0+minute)
	}
	r.now.Store(t0 + minute + 1)
	r.is(linesCount, t0, 0)
	r.is(linesComplete, t0, 1)

	// c is gone: at the deadline the window settles with what there is.
	r.deliver("a", revision(m, t0+minute, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	r.mark("a", m, t0+3*minute)
	r.mark("b", m, t0+3*minute)
	r.now.Store(t0 + 2*minute + 59_000)
	r.until("told as missing", func() bool {
		resp, err := r.c.MonitorWindows(t.Context(), &pharosv1.MonitorWindowsRequest{MonitorId: m.GetMonitorId(), StartMs: t0, EndMs: t0 + 5*minute})
		return err == nil && len(resp.GetMissingAgents()) == 1 && resp.GetMissingAgents()[0] == "c" && resp.GetSettledUntilMs() == t0+minute && len(resp.GetWindows()) == 2
	})
	r.absent(linesComplete, t0+minute)
	r.now.Store(t0 + 3*minute)
	r.is(linesCount, t0+minute, 5)
	r.is(linesComplete, t0+minute, 2.0/3)

	// Nobody reported: absent, not zero.
	r.now.Store(t0 + 5*minute)
	r.is(linesComplete, t0+3*minute, 0)
	r.absent(linesCount, t0+3*minute)

	// c is back.
	r.deliver("c", revision(m, t0+minute, 1, 1, true, table(0, map[string]int{"": 2}, 0)))
	r.mark("c", m, t0+2*minute)
	r.is(linesCount, t0+minute, 7)
	r.is(linesComplete, t0+minute, 1)
}

func TestKeyLimit(t *testing.T) {
	r := newRig(t, nil)
	m := goods(t, 3, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	settle := func(start int64) {
		r.now.Store(start + minute)
		r.mark("a", m, start+minute)
		r.is(`goods:completeness{app="shop",workspace="w"}`, start, 1)
	}
	r.deliver("a", revision(m, t0, 1, 1, true, table(1, map[string]int{"k1": 1, "k2": 1}, 1)))
	settle(t0)
	r.deliver("a", revision(m, t0+minute, 2, 2, true, table(1, map[string]int{"a1": 1, "a2": 1, "a3": 2, "k2": 1}, 1)))
	settle(t0 + minute)
	r.is(`goods:keys_dropped{app="shop",workspace="w"}`, t0+minute, 2)
	r.is(`goods:count:total{app="shop",workspace="w"}`, t0+minute, 5)
	r.is(`goods:count{app="shop",az="az-1",kind="a1",workspace="w"}`, t0+minute, 1)
	r.is(`goods:count{app="shop",az="az-1",kind="k2",workspace="w"}`, t0+minute, 1)
	r.absent(`goods:count{app="shop",az="az-1",kind="a2",workspace="w"}`, t0+minute)

	// A restart forgets no key.
	r.crash()
	r.start()
	r.deliver("a", revision(m, t0+2*minute, 3, 3, true, table(1, map[string]int{"a0": 1, "k1": 1}, 1)))
	settle(t0 + 2*minute)
	r.is(`goods:count{app="shop",az="az-1",kind="k1",workspace="w"}`, t0+2*minute, 1)
	r.is(`goods:keys_dropped{app="shop",workspace="w"}`, t0+2*minute, 1)
	resp, err := r.c.MonitorWindows(t.Context(), &pharosv1.MonitorWindowsRequest{MonitorId: m.GetMonitorId(), StartMs: t0, EndMs: t0 + 5*minute})
	if err != nil || resp.GetKeys() != 3 || resp.GetKeyLimit() != 3 || len(resp.GetWindows()) != 3 || resp.GetWindows()[2].GetKeysDropped() != 1 {
		t.Errorf("windows: %v, %v", resp, err)
	}

	// A day later the places are free.
	day := t0 + 26*60*minute
	r.now.Store(day)
	r.mark("a", m, day)
	r.deliver("a", revision(m, day, 4, 4, true, table(1, map[string]int{"b1": 1, "b2": 1, "b3": 1}, 1)))
	settle(day)
	r.is(`goods:keys_dropped{app="shop",workspace="w"}`, day, 0)
}

func TestRestartWritesAgainWhatTheStoreLost(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	r.deliver("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	r.part("a", &pharosv1.Revision{TaskId: "host", MonitorId: "host", WindowStartMs: t0, WindowMs: 10_000, Part: 1, Revision: 1, Sealed: true,
		Payload: &pharosv1.Revision_Samples{Samples: &pharosv1.Samples{Series: []*pharosv1.SampleSeries{{Name: "sys_load", TimeMs: t0, Value: 2, Labels: map[string]string{"cpu": "0"}}}}}})
	r.mark("a", m, t0+minute)
	r.now.Store(t0 + minute)
	r.is(linesCount, t0, 5)
	host := func() bool {
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		_, ok := r.store.samples[`sys_load{agent="a",az="az-1",cpu="0",host="ha"}@1800000000000`]
		return ok
	}
	r.until("host sample", host)
	r.crash()
	r.absent(linesCount, t0)
	r.start()
	r.is(linesCount, t0, 5)
	r.until("host sample again", host)

	// After a sync nothing is written again.
	r.synced()
	r.crash()
	r.is(linesCount, t0, 5)
}

func TestLatePartAfterEviction(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	r.deliver("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	r.mark("a", m, t0+minute)
	r.now.Store(t0 + minute)
	r.is(linesCount, t0, 5)
	r.synced()
	r.now.Store(t0 + 10*minute)
	if err := r.c.forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.c.windows); n != 0 {
		t.Errorf("%d windows in memory", n)
	}
	r.deliver("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0))) // a repeated one changes nothing
	r.deliver("a", revision(m, t0, 2, 2, true, table(0, map[string]int{"": 3}, 0)))
	r.is(linesCount, t0, 8)

	// Beyond what is remembered, a part would stand for the whole: it is refused.
	r.now.Store(t0 + 30*60*minute)
	r.deliver("a", revision(m, t0, 3, 3, true, table(0, map[string]int{"": 1}, 0)))
	r.until("refused", func() bool { return r.c.stats.refused.Load() == 1 })
}

func TestChangedTaskKeepsOldParts(t *testing.T) {
	r := newRig(t, nil)
	before := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{before}, "a"))
	r.deliver("a", revision(before, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	after := goods(t, 10, "a")
	after.MonitorId, after.Key = before.MonitorId, before.Key
	// The agent has the new plan before compute knows of it.
	r.deliver("a", revision(after, t0, 2, 2, true, table(1, map[string]int{"food": 2}, 1)))
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{after}, "a"))
	r.mark("a", after, t0+minute)
	r.now.Store(t0 + minute)
	r.is(`lines:count:total{app="shop",workspace="w"}`, t0, 7)
	r.is(`lines:count{app="shop",az="az-1",kind="food",workspace="w"}`, t0, 2)
}

func TestStoreRefuses(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	r.store.set(store.ErrDiskFull, nil)
	r.deliver("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	r.mark("a", m, t0+minute)
	r.now.Store(t0 + minute)
	r.until("disk error is told", func() bool { return r.c.Status().GetDiskError() != "" })
	r.store.set(nil, nil)
	r.now.Add(storePauseMs)
	r.is(linesCount, t0, 5)
	r.until("disk error is gone", func() bool { return r.c.Status().GetDiskError() == "" })
	r.store.set(nil, errors.New("no sync"))
	if err := r.c.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.c.Status().GetDiskError() == "" {
		t.Error("a failed sync is not told")
	}
}

func TestNoRoomHoldsEverythingBack(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 30)
	r := newRig(t, func(o *Options) {
		o.Journal.ReserveBytes = 1 << 20
		o.Journal.Free = func(string) (uint64, error) { return free.Load(), nil }
	})
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	free.Store(1000)
	rev := revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0))
	r.part("a", rev)
	r.until("told", func() bool { return r.c.Status().GetDiskError() != "" })
	r.mu.Lock()
	acked, credit := len(r.acked), r.credit
	r.mu.Unlock()
	if acked != 0 || credit != 16<<20 {
		t.Errorf("%d acknowledged, credit %d, without room", acked, credit)
	}
	free.Store(1 << 30)
	r.deliver("a", rev)
	r.until("credit is back", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.credit > 16<<20 })
	if e := r.c.Status().GetDiskError(); e != "" {
		t.Errorf("still told: %s", e)
	}
}

func TestWindowsOfOthersAreNotSettled(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	s := cluster([]*pharosv1.MonitorInfo{m}, "a")
	s.Computes = []*pharosv1.ServerInfo{{ServerId: "cmp_1"}, {ServerId: "cmp_2"}}
	r.c.SetState(s)
	r.mark("a", m, t0+200*minute)
	r.until("the report is there", func() bool {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		return r.c.monitors[m.GetMonitorId()].markOf("a") > t0
	})
	r.now.Store(t0 + 100*minute)
	r.until("all settled", func() bool {
		resp, err := r.c.MonitorWindows(t.Context(), &pharosv1.MonitorWindowsRequest{MonitorId: m.GetMonitorId()})
		return err == nil && resp.GetSettledUntilMs() >= t0+99*minute
	})
	own := 0
	for i := range int64(99) {
		if _, ok := r.store.value(linesCount, t0+i*minute, minute); ok {
			own++
			if !r.c.owns(m.GetMonitorId(), t0+i*minute) {
				t.Errorf("settled window %d of another", i)
			}
		} else if r.c.owns(m.GetMonitorId(), t0+i*minute) {
			t.Errorf("window %d has not settled", i)
		}
	}
	if own < 10 || own > 90 {
		t.Errorf("owns %d of 99 windows", own)
	}
}

// TestKeyLimitWithSeveralComputes routes the parts of many agents to three
// computes as a vessel does. All parts of a window meet in one of them, so the
// limit holds for the window as a whole, and its total counts every line.
func TestKeyLimitWithSeveralComputes(t *testing.T) {
	const limit, windows = 4, 12
	agents := []string{"a", "b", "c", "d"}
	m := monitorInfo(t, "goods", logrule.Spec{Type: logrule.MinuteMulti, GroupBy: []string{"kind"}, KeyLimit: limit,
		Columns:    []logrule.Column{{Name: "kind", Line: true}, {Name: "ms", Line: true}},
		Statistics: []logrule.Statistic{{Name: "count", Kind: logrule.Count}, {Name: "ms", Kind: logrule.Avg, Column: "ms"}}}, agents...)
	state := cluster([]*pharosv1.MonitorInfo{m}, agents...)
	var members []ring.Member
	rigs := map[string]*rig{}
	for _, id := range []string{"cmp_1", "cmp_2", "cmp_3"} {
		state.Computes = append(state.Computes, &pharosv1.ServerInfo{ServerId: id})
		members = append(members, ring.Member{ID: id})
		rigs[id] = newRig(t, func(o *Options) { o.ID = id })
	}
	for _, r := range rigs {
		r.c.SetState(state)
	}
	owners := ring.New(members)
	for w := range int64(windows) {
		for i, agent := range agents { // two keys of its own each, one of all
			kinds := map[string]int{agent + "1": i + 1, agent + "2": 1, "all": 2}
			rigs[owners.Owner(m.GetMonitorId(), t0+w*minute)].deliver(agent, revision(m, t0+w*minute, uint64(w+1), 1, true, table(1, kinds, 1)))
		}
	}
	used := map[string]bool{}
	for _, r := range rigs {
		for _, agent := range agents {
			r.mark(agent, m, t0+windows*minute)
		}
		r.now.Store(t0 + windows*minute)
	}
	for w := range int64(windows) {
		start, owner := t0+w*minute, owners.Owner(m.GetMonitorId(), t0+w*minute)
		used[owner] = true
		r := rigs[owner]
		r.is(`goods:keys_dropped{app="shop",workspace="w"}`, start, 2*4+1-limit)
		r.is(`goods:count:total{app="shop",workspace="w"}`, start, 10+4+8)
		r.is(`goods:count{app="shop",kind="all",workspace="w"}`, start, 8) // over all agents
		r.is(`goods:count{app="shop",kind="b1",workspace="w"}`, start, 2)
		r.absent(`goods:count{app="shop",kind="b2",workspace="w"}`, start)
		for id, other := range rigs {
			if id != owner {
				other.absent(`goods:count:total{app="shop",workspace="w"}`, start)
			}
		}
	}
	if len(used) < 2 {
		t.Errorf("all windows went to %v", used)
	}
}

func TestBadPartIsLeftOut(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	r.deliver("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	r.deliver("a", revision(m, t0, 2, 2, true, []byte("nonsense")))
	r.deliver("a", revision(m, t0, 3, 3, true, table(1, map[string]int{"of another layout": 5}, 0)))
	r.deliver("a", revision(m, t0+1, 4, 4, true, nil)) // no such window
	r.mark("a", m, t0+minute)
	r.now.Store(t0 + minute)
	r.is(linesCount, t0, 5)
}

func TestCrashBetweenLatePartAndSettling(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Debounce = time.Hour })
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	r.deliver("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	r.mark("a", m, t0+minute)
	r.now.Store(t0 + minute)
	r.is(linesCount, t0, 5)
	r.until("settled", func() bool { return r.c.Status().GetWindowsSettledTotal() == 1 })
	r.deliver("a", revision(m, t0, 2, 2, true, table(0, map[string]int{"": 3}, 0)))
	if err := r.c.sync(t.Context()); err != nil { // the store has the window, but not this part
		t.Fatal(err)
	}
	r.crash()
	r.opts.Debounce = time.Millisecond
	r.start()
	r.is(linesCount, t0, 8)
}

func TestWindowsNobodySentToAreSettledAfterRestart(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	r.crash()
	r.now.Store(t0 + 3*minute)
	r.start()
	r.until("a report is waited for", func() bool { return r.c.running.Load() != nil })
	r.absent(linesComplete, t0)
	r.mark("a", m, t0+3*minute)
	for i := range int64(3) {
		r.is(linesCount, t0+i*minute, 0)
		r.is(linesComplete, t0+i*minute, 1)
	}
}

// TestJournalFailureEndsRun lets the disk of the journal fail.
func TestJournalFailureEndsRun(t *testing.T) {
	broken := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo {
			return syscall.EIO
		}
		return nil
	})}
	r := newRig(t, func(o *Options) {
		o.Journal.FS = errorfs.Wrap(vfs.NewMem(), &broken)
		o.Journal.Free = func(string) (uint64, error) { return 1 << 30, nil }
	})
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	broken.On()
	r.part("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	if err := <-r.done; !errors.Is(err, syscall.EIO) {
		t.Errorf("Run ended with %v", err)
	}
	if r.c.Status().GetDiskError() == "" {
		t.Error("the failure is not told")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.acked) > 0 {
		t.Error("acknowledged what is not on disk")
	}
	r.cancel = nil // Run has ended
}

func TestSelfMetrics(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	r.deliver("a", revision(m, t0, 1, 1, true, table(0, map[string]int{"": 5}, 0)))
	r.mark("a", m, t0+minute)
	r.now.Store(t0 + minute)
	r.is(linesCount, t0, 5)
	r.until("counted", func() bool { return r.c.Status().GetLinesTotal() == 5 })
	if err := r.c.writeSelf(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	found := 0
	for _, s := range r.store.samples {
		if s.Labels.Get(store.MetricName) == "self_compute_lines_total" && s.Value == 5 && s.Labels.Get("compute") == "cmp_1" {
			found++
		}
	}
	if found != 1 || r.c.Status().GetWindowsSettledTotal() != 1 {
		t.Errorf("%d samples of lines, status %v", found, r.c.Status())
	}
}

func TestRecentForgets(t *testing.T) {
	var r recent
	if v := r.p95(0); v != nil {
		t.Errorf("without values: %d", *v)
	}
	for i := range int64(2000) {
		r.add(i, i)
	}
	r.add(recentMs+1500, 7)
	for at, want := range map[int64]int64{2000: 1949, recentMs + 1500: 1974, recentMs + 3000: 7} {
		if v := r.p95(at); v == nil || *v != want {
			t.Errorf("at %d: %v, want %d", at, v, want)
		}
	}
	if v := r.p95(3 * recentMs); v != nil {
		t.Errorf("long after: %d", *v)
	}
}
