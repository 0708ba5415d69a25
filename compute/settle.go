package compute

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/window"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	// jobsPerMonitor bounds how much of a monitor's past settles at once.
	jobsPerMonitor = 100
	// samplesPerWrite is about how many samples go to the store with one call.
	samplesPerWrite = 20_000
	// lineWindowsPerWrite is the same for windows with lines, each of at most 800 KiB.
	lineWindowsPerWrite = 20
	// windowsPerWrite is the most windows that settle with one commit.
	windowsPerWrite = 1000
	// storePauseMs is how long windows wait after the store has refused some.
	storePauseMs = 2000
)

// job is a window that is to settle.
type job struct {
	id  journal.WindowID
	mon *monitor
	// w is the window in memory, nil if it isn't there; version is the one that is settled.
	w       *win
	version uint64
	// expected and missing agents, if it settles for the first time.
	expected int
	missing  []string
	// advance is where the monitor's cursor moves; 0: it stays.
	advance int64
	// before are the lines that the window had when it settled the last time.
	before uint64
	plan   *window.Plan
	meta   *metadata
}

// settle settles the windows that are due.
func (c *Compute) settle(ctx context.Context) error {
	if c.nowMs() < c.settleAfter {
		return nil
	}
	jobs, err := c.due()
	if err != nil {
		return err
	}
	for len(jobs) > 0 {
		n, err := c.settleSome(ctx, jobs)
		if errors.Is(err, errStore) {
			c.stats.storeErr.set(err)
			c.log.Error("windows wait for the store", "windows", len(jobs), "err", err)
			c.settleAfter = c.nowMs() + storePauseMs
			c.mu.Lock()
			for i := range jobs {
				jobs[i].mon.recheck = true
			}
			c.mu.Unlock()
			return nil // they are found again
		}
		if err != nil {
			return err
		}
		jobs = jobs[n:]
	}
	return nil
}

// due finds the windows that are to settle now.
func (c *Compute) due() ([]job, error) {
	var jobs []job
	var recheck []*monitor
	c.mu.Lock()
	now := c.nowMs()
	for _, m := range c.monitors {
		if m.plan == nil {
			continue
		}
		jobs = c.dueInOrder(jobs, m, now)
		if m.recheck {
			m.recheck = false
			recheck = append(recheck, m)
		}
	}
	for _, w := range c.windows {
		if w.dirty() {
			jobs = c.dueApart(jobs, w, now)
		}
	}
	c.mu.Unlock()
	for _, m := range recheck {
		more, err := c.dueAgain(m)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, more...)
	}
	return jobs, nil
}

// dueInOrder finds a monitor's windows that follow its last settled one, also
// those for which nobody sent anything. c.mu is held.
func (c *Compute) dueInOrder(jobs []job, m *monitor, now int64) []job {
	length := m.plan.LengthMs
	if m.disabled || len(m.expected) == 0 {
		m.cursor = max(m.cursor, m.plan.Floor(now))
		return jobs
	}
	began := len(jobs)
	for m.cursor+length <= now && len(jobs)-began < jobsPerMonitor {
		start := m.cursor
		if len(jobs) > began {
			start = jobs[len(jobs)-1].advance
		}
		end := start + length
		if end > now {
			break
		}
		if !c.owns(m.info.GetMonitorId(), start) {
			if len(jobs) > began {
				jobs[len(jobs)-1].advance = end
			} else {
				m.cursor = end
			}
			continue
		}
		d := c.decide(m, end, now)
		if !d.Settle {
			break
		}
		id := journal.WindowID{Monitor: m.info.GetMonitorId(), StartMs: start, LengthMs: length}
		jobs = append(jobs, c.jobFor(id, m, m.plan, d, end))
	}
	return jobs
}

// dueApart decides on a window out of the order: of the past, of another
// compute, or of a task that the monitor had before. c.mu is held.
func (c *Compute) dueApart(jobs []job, w *win, now int64) []job {
	m := c.monitors[w.id.Monitor]
	if m == nil || m.plan == nil || w.id.EndMs() > now {
		return jobs
	}
	plan := c.meta.planOf(m.plan, w.id, w.tasks)
	if plan == nil {
		return jobs
	}
	active := !m.disabled && len(m.expected) > 0
	if active && plan == m.plan && w.id.StartMs >= m.cursor && c.owns(w.id.Monitor, w.id.StartMs) {
		return jobs // its turn comes
	}
	wait := c.opts.Debounce.Milliseconds()
	quiet := now-w.lastMs >= wait || now-w.dirtySince >= 5*wait
	if w.before {
		if quiet {
			jobs = append(jobs, c.jobFor(w.id, m, plan, window.Decision{}, 0))
		}
		return jobs
	}
	d := c.decide(m, w.id.EndMs(), now)
	if d.Settle && (quiet || active && len(d.Missing) == 0) {
		jobs = append(jobs, c.jobFor(w.id, m, plan, d, 0))
	}
	return jobs
}

// dueAgain finds windows that settled without an agent that has reported meanwhile.
func (c *Compute) dueAgain(m *monitor) ([]job, error) {
	c.mu.Lock()
	ids := slices.Collect(maps.Keys(m.incomplete))
	marks := maps.Clone(m.marks)
	c.mu.Unlock()
	var jobs []job
	for _, id := range ids {
		before, err := c.journal.Settled(id)
		if err != nil {
			return nil, err
		}
		if before != nil && len(window.StillMissing(id.EndMs(), before.Missing, func(a string) int64 { return marks[a].ms })) == len(before.Missing) {
			continue
		}
		c.mu.Lock()
		if before == nil { // expired
			m.setIncomplete(id, false)
		} else if plan := c.meta.planOf(m.plan, id, nobody); plan != nil {
			jobs = append(jobs, c.jobFor(id, m, plan, window.Decision{}, 0))
		}
		c.mu.Unlock()
	}
	return jobs, nil
}

func nobody(func(string) bool) {}

func (c *Compute) jobFor(id journal.WindowID, m *monitor, plan *window.Plan, d window.Decision, advance int64) job {
	j := job{id: id, mon: m, plan: plan, meta: c.meta, w: c.windows[id], expected: len(m.expected), missing: d.Missing, advance: advance}
	if j.w != nil {
		j.version = j.w.version
	}
	return j
}

// decide is window.Decide for a monitor. After a start, agents get the time of
// the deadline to report again. c.mu is held.
func (c *Compute) decide(m *monitor, endMs, nowMs int64) window.Decision {
	deadline := max(endMs, c.startedMs) + m.plan.DeadlineMs
	if nowMs < deadline && m.blocker < len(m.expected) && m.markOf(m.expected[m.blocker]) < endMs {
		return window.Decision{} // the one that was behind still is
	}
	d := window.Decide(endMs, deadline, nowMs, m.expected, m.markOf)
	if !d.Settle && len(d.Missing) > 0 {
		m.blocker = slices.Index(m.expected, d.Missing[0])
	}
	return d
}

var errStore = errors.New("the store does not take windows")

// settleSome settles as many of jobs as make one commit and one write, and
// returns how many they are.
func (c *Compute) settleSome(ctx context.Context, jobs []job) (int, error) {
	b := c.journal.NewBatch()
	var samples []store.WindowSample
	var lines []store.LineWindow
	var records []*journal.Settled
	for i := range jobs {
		if len(samples) >= samplesPerWrite || len(records) >= windowsPerWrite || len(lines) >= lineWindowsPerWrite {
			break
		}
		record, x, more, err := c.prepare(b, &jobs[i], samples)
		if err != nil {
			b.Discard()
			return 0, err
		}
		records, samples = append(records, record), more
		if w, ok := jobs[i].lines(x, record); ok && c.opts.Rows != nil {
			lines = append(lines, w)
		}
	}
	jobs = jobs[:len(records)]

	c.commit.Lock()
	c.mu.Lock()
	for i := range jobs {
		if w := c.windows[jobs[i].id]; w == nil || !w.marked {
			b.Mark(jobs[i].id)
			if w != nil {
				w.marked = true
			}
		}
	}
	wrote := c.announce(b, jobs)
	c.mu.Unlock()
	err := c.journal.Commit(b)
	c.commit.Unlock()
	if err != nil {
		return 0, err
	}
	err = c.opts.Store.WriteWindows(ctx, samples)
	wrote(err == nil)
	if err == nil && len(lines) > 0 {
		err = store.WriteLines(ctx, c.opts.Rows, lines)
	}
	if err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, fmt.Errorf("%w: %w", errStore, err)
	}
	c.stats.storeErr.set(nil)
	c.stats.written.Add(uint64(len(samples)))
	c.settled(jobs, records)
	return len(jobs), nil
}

// lines returns what the store is to know of the lines that a window keeps. A
// window without lines needs none, unless it had some before.
func (j *job) lines(x *contents, record *journal.Settled) (store.LineWindow, bool) {
	w := lineWindow(j.plan, x, record.State)
	return w, j.plan.HasList() && (w.Count > 0 || j.before > 0)
}

func lineWindow(plan *window.Plan, x *contents, s *pharosv1.WindowState) store.LineWindow {
	w := store.LineWindow{Workspace: plan.Workspace(), Monitor: plan.Monitor, StartMs: s.GetWindowStartMs(), WindowMs: s.GetWindowMs(),
		Revision: s.GetRevision(), Count: s.GetLines(), Kept: len(x.merged.Lines), Completeness: s.GetCompleteness(), Lines: x.merged.Lines}
	if t := x.merged.Top; t != nil {
		w.Keys = t.Keys
		if !t.Exact {
			w.Missed = &t.Missed
		}
	}
	return w
}

// prepare merges a window, puts what has to be remembered into b, and appends its samples.
func (c *Compute) prepare(b *journal.Batch, j *job, samples []store.WindowSample) (*journal.Settled, *contents, []store.WindowSample, error) {
	x, err := c.merge(j.id, j.plan, j.meta)
	if err != nil {
		return nil, nil, nil, err
	}
	before, err := c.journal.Settled(j.id)
	if err != nil {
		return nil, nil, nil, err
	}
	now := c.nowMs()
	c.mu.Lock()
	admitted := j.mon.keys.Admit(x.merged.Rows, j.id.StartMs, now, j.plan.KeyLimit, false)
	record := &journal.Settled{Expected: uint32(j.expected), Missing: j.missing}
	if before != nil {
		j.before = before.State.GetLines()
		record.Expected = before.Expected
		record.Missing = window.StillMissing(j.id.EndMs(), before.Missing, j.mon.markOf)
	}
	c.mu.Unlock()
	record.State = x.state(j.id, len(admitted.Dropped))
	record.State.Settled = true
	record.State.Completeness = window.Completeness(int(record.Expected), len(record.Missing))
	record.State.Revision = before.GetRevision() + 1
	b.PutSettled(j.id, record)
	for key, seen := range admitted.Stored {
		b.PutKey(j.id.Monitor, key, seen)
	}
	for _, key := range admitted.Gone {
		b.DropKey(j.id.Monitor, key)
	}
	if j.advance > 0 {
		b.PutCursor(j.id.Monitor, j.advance)
	}
	began := len(samples)
	samples = j.plan.Samples(samples, x.merged, record.State, func(key string) bool { return !admitted.Dropped[key] }, nil)
	samples = j.plan.Companions(samples, record.State, nil)
	samples = c.onlyValid(samples, began)
	return record, x, samples, nil
}

// onlyValid leaves out what the store would refuse the whole write for.
func (c *Compute) onlyValid(samples []store.WindowSample, began int) []store.WindowSample {
	kept := samples[:began]
	for i := began; i < len(samples); i++ {
		if err := samples[i].Validate(); err != nil {
			c.stats.dropped.Add(1)
			c.log.Warn("a value can't be stored", "err", err)
			continue
		}
		kept = append(kept, samples[i])
	}
	return kept
}

// settled notes that the store has the windows.
func (c *Compute) settled(jobs []job, records []*journal.Settled) {
	now := c.nowMs()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range jobs {
		j, r := &jobs[i], records[i]
		c.unsynced[j.id] = r.State.GetRevision()
		c.stats.lines.Add(r.State.GetLines() - j.before)
		j.mon.setIncomplete(j.id, len(r.Missing) > 0)
		if len(window.StillMissing(j.id.EndMs(), r.Missing, j.mon.markOf)) < len(r.Missing) {
			j.mon.recheck = true // an agent has reported while the window was being written
		}
		if j.advance > 0 && j.advance > j.mon.cursor && j.plan.LengthMs == j.mon.plan.LengthMs {
			j.mon.cursor = j.advance
		}
		if r.State.GetRevision() == 1 {
			c.stats.settled.Add(1)
			if j.advance > 0 {
				c.stats.delay.add(now, now-j.id.EndMs())
			}
		} else {
			c.stats.resettled.Add(1)
		}
		if w := j.w; w != nil {
			w.settled, w.before = j.version, true
			if !w.dirty() {
				w.dirtySince, w.cache = 0, nil
			} else {
				w.dirtySince = now
			}
		}
	}
}
