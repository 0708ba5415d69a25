package compute

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/window"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// contentsOf says how many parts of a window are in its base and beside it.
func contentsOf(t *testing.T, j *journal.Journal, id journal.WindowID) (inside, beside int) {
	t.Helper()
	err := j.Contents(id, func(b *journal.Base) error { inside = len(b.Parts); return nil }, func(*journal.Part) error { beside++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return inside, beside
}

func (r *rig) forgetNow() {
	r.t.Helper()
	r.now.Add(10 * minute)
	if err := r.c.forget(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func TestFold(t *testing.T) {
	r := newRig(t, nil)
	agents := []string{"a", "b", "c"}
	m := goods(t, 100, agents...)
	state := cluster([]*pharosv1.MonitorInfo{m}, agents...)
	r.c.SetState(state)
	id := journal.WindowID{Monitor: m.GetMonitorId(), StartMs: t0, LengthMs: minute}
	first := revision(m, t0, 1, 3, true, table(1, map[string]int{"food": 2}, 10))
	r.deliver("a", first)
	r.deliver("a", revision(m, t0, 2, 4, true, table(1, map[string]int{"food": 1, "home": 1}, 20)))
	r.deliver("b", revision(m, t0, 1, 1, true, table(1, map[string]int{"food": 10}, 30)))
	r.deliver("c", revision(m, t0, 1, 1, false, table(1, map[string]int{"food": 100}, 40)))
	for _, a := range agents {
		r.mark(a, m, t0+minute)
	}
	r.now.Store(t0 + minute)
	az1, az2, total, sum := `goods:count{app="shop",az="az-1",kind="food",workspace="w"}`, `goods:count{app="shop",az="az-2",kind="food",workspace="w"}`,
		`goods:count:total{app="shop",workspace="w"}`, `goods:ms_sum:total{app="shop",workspace="w"}`
	r.is(az1, t0, 103)
	r.synced()
	if inside, beside := contentsOf(t, r.c.journal, id); inside != 0 || beside != 4 {
		t.Fatalf("%d parts in the base, %d beside it", inside, beside)
	}
	r.forgetNow()
	if inside, beside := contentsOf(t, r.c.journal, id); inside != 3 || beside != 1 {
		t.Fatalf("%d parts in the base, %d beside it, want 3 and the one that is not sealed", inside, beside)
	}
	if n := len(r.c.windows); n != 0 {
		t.Errorf("%d windows in memory", n)
	}

	// What is inside comes again, and changes nothing even under a greater revision.
	r.deliver("a", first)
	r.deliver("b", revision(m, t0, 1, 9, true, table(1, map[string]int{"food": 1}, 30)))
	// The part beside it is sealed with more; a late one comes. Agent a is somewhere else now, its old lines are not.
	state.Agents[0].Labels["az"] = "az-9"
	r.c.SetState(state)
	r.deliver("c", revision(m, t0, 1, 2, true, table(1, map[string]int{"food": 101}, 40)))
	r.deliver("b", revision(m, t0, 5, 5, true, table(1, map[string]int{"food": 1000}, 1)))
	r.is(az2, t0, 1010)
	r.is(az1, t0, 104)
	r.is(total, t0, 2+2+10+101+1000)
	r.is(sum, t0, 20+40+300+4040+1000)
	r.is(`goods:lines_bad{app="shop",workspace="w"}`, t0, 5)
	r.until("the repeated ones were recognised", func() bool { return r.c.stats.repeated.Load() == 2 })

	// Folded again, and again after a crash.
	r.synced()
	r.forgetNow()
	if inside, beside := contentsOf(t, r.c.journal, id); inside != 5 || beside != 0 {
		t.Errorf("%d parts in the base, %d beside it", inside, beside)
	}
	r.crash()
	r.start()
	r.deliver("a", first)
	r.deliver("b", revision(m, t0, 7, 7, true, table(1, map[string]int{"food": 5000}, 1)))
	r.is(total, t0, 1115+5000)
	r.is(az1, t0, 104)
}

// TestFoldOfTheProcessBefore folds windows that a process did not come to fold.
func TestFoldOfTheProcessBefore(t *testing.T) {
	r := newRig(t, nil)
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	for part := range uint64(3) {
		r.deliver("a", revision(m, t0, part+1, 1, true, table(0, map[string]int{"": 5}, 0)))
	}
	r.deliver("a", revision(m, t0+minute, 9, 1, true, table(0, map[string]int{"": 5}, 0))) // nothing to fold
	r.mark("a", m, t0+2*minute)
	r.now.Store(t0 + 2*minute)
	r.is(linesCount, t0, 15)
	r.is(linesCount, t0+minute, 5)
	r.synced()
	r.crash()
	r.start()
	r.forgetNow() // finds it
	r.forgetNow()
	id := journal.WindowID{Monitor: m.GetMonitorId(), StartMs: t0, LengthMs: minute}
	if inside, beside := contentsOf(t, r.c.journal, id); inside != 3 || beside != 0 {
		t.Errorf("%d parts in the base, %d beside it", inside, beside)
	}
	id.StartMs += minute
	if inside, beside := contentsOf(t, r.c.journal, id); inside != 0 || beside != 1 {
		t.Errorf("a single part: %d in the base, %d beside it", inside, beside)
	}
}

// TestCrashInTheMiddleOfFolding takes what a disk may hold after a crash at each
// operation of a fold, and reads the window from there: it has all parts, each once.
func TestCrashInTheMiddleOfFolding(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	mem := vfs.NewCrashableMem()
	var armed atomic.Bool
	var states []*vfs.MemFS
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			for _, percent := range []int{0, 50, 100} {
				states = append(states, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
			}
		}
		return nil
	}))
	r := newRig(t, func(o *Options) {
		o.Journal.FS = fs
		o.Journal.Free = func(string) (uint64, error) { return 1 << 30, nil }
	})
	m := goods(t, 100, "a", "b")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a", "b"))
	const parts = 6
	lines := 0
	for i := range parts {
		lines += i + 1
		r.deliver([]string{"a", "b"}[i%2], revision(m, t0, uint64(i+1), 1, true, table(1, map[string]int{"food": i + 1}, 10)))
	}
	r.mark("a", m, t0+minute)
	r.mark("b", m, t0+minute)
	r.now.Store(t0 + minute)
	r.is(`goods:count:total{app="shop",workspace="w"}`, t0, float64(lines))
	r.synced()
	id := journal.WindowID{Monitor: m.GetMonitorId(), StartMs: t0, LengthMs: minute}
	armed.Store(true)
	err := r.c.fold(id)
	armed.Store(false)
	if err != nil {
		t.Fatal(err)
	}
	states = append(states, mem.CrashClone(vfs.CrashCloneCfg{}))
	plan, err := window.NewPlan(m)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i, state := range states {
		j, err := journal.Open(journal.Options{Dir: r.opts.Dir + "/journal", FS: state, Free: func(string) (uint64, error) { return 1 << 30, nil }})
		if err != nil {
			t.Fatal(err)
		}
		inside, beside := contentsOf(t, j, id)
		seen[fmt.Sprintf("%d inside, %d beside", inside, beside)]++
		merge := window.NewMerge(plan)
		err = j.Contents(id, func(b *journal.Base) error {
			for _, s := range b.Sources {
				if err := merge.Add(plan, s.Labels, s.Table); err != nil {
					return err
				}
			}
			return nil
		}, func(p *journal.Part) error {
			rev, err := p.Decode()
			if err != nil {
				return err
			}
			return merge.Add(plan, map[string]string{"az": "x"}, rev.GetTable())
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := merge.Result().Total.Lines; got != uint64(lines) {
			t.Errorf("state %d of %d: %d lines, want %d (%d parts inside, %d beside)", i, len(states), got, lines, inside, beside)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	last, _ := contentsOf(t, r.c.journal, id)
	if last != parts || len(seen) != 2 {
		t.Errorf("after the fold %d parts are inside; the disk was seen with %v", last, seen)
	}
}
