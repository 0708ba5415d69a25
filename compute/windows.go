package compute

import (
	"errors"
	"fmt"
	"time"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/window"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// win is a window in memory: which parts it has, not what is in them. Its
// fields are guarded by Compute.mu.
type win struct {
	id    journal.WindowID
	parts map[journal.PartID]uint64 // revisions, also of parts that are in the base
	// loose is how many parts came since the window was folded or looked at for it.
	loose int
	// based is set when the window has a base.
	based bool
	// version grows with each commit that changed the window; settled is the
	// version that the store has, 0 for none.
	version, settled uint64
	// before is set when the window has ever settled.
	before bool
	// dirtySince and lastMs are when the first and last change came that the store doesn't have.
	dirtySince, lastMs int64
	// marked is set when the journal has a mark for the window.
	marked bool
	// cache is what the window was when it was last merged.
	cache *contents
}

// contents is a merged window.
type contents struct {
	version uint64
	at      time.Time     // when it was merged
	took    time.Duration // to merge it
	meta    *metadata
	plan    *window.Plan
	merged  *window.Merged
	lines   pharosv1.LineCounters
	lost    uint64
	// left is set when parts could not be used.
	left bool
}

// foldable tells whether there may be parts to fold: two, or one and a base.
func (w *win) foldable() bool { return w.loose > 1 || w.loose == 1 && w.based }

func (w *win) dirty() bool { return w.version != w.settled }

func (w *win) touch(nowMs int64) {
	if w.dirtySince == 0 {
		w.dirtySince = nowMs
	}
	w.lastMs = nowMs
}

// tasks yields the tasks of the window's parts.
func (w *win) tasks(yield func(string) bool) {
	for p := range w.parts {
		if !yield(p.Task) {
			return
		}
	}
}

// load returns a window, from the journal if it isn't in memory. c.mu is held,
// and c.commit unless nothing runs yet.
func (c *Compute) load(id journal.WindowID) (*win, error) {
	if w := c.windows[id]; w != nil {
		return w, nil
	}
	w := &win{id: id, parts: map[journal.PartID]uint64{}, version: 1, lastMs: c.nowMs()}
	if err := c.journal.Contents(id, func(b *journal.Base) error {
		w.based = true
		for p := range b.Parts {
			w.parts[p] = inBase
		}
		return nil
	}, func(p *journal.Part) error {
		w.parts[p.PartID] = p.Revision
		w.loose++
		return nil
	}); err != nil {
		return nil, err
	}
	settled, err := c.journal.Settled(id)
	if err != nil {
		return nil, err
	}
	if w.marked, err = c.journal.IsMarked(id); err != nil {
		return nil, err
	}
	if settled != nil {
		w.before, w.settled = true, w.version
	}
	c.windows[id] = w
	return w, nil
}

// errPart stops a merge at a part that can't be used.
var errPart = errors.New("part can't be used")

// merge reads and merges a window's parts. No lock is held.
func (c *Compute) merge(id journal.WindowID, plan *window.Plan, meta *metadata) (*contents, error) {
	bad := map[journal.PartID]bool{}
	for {
		out, err := c.mergeWithout(id, plan, meta, bad)
		if !errors.Is(err, errPart) {
			return out, err
		}
	}
}

// mergeWithout leaves the bad parts out, and adds one to them when it fails with errPart.
func (c *Compute) mergeWithout(id journal.WindowID, plan *window.Plan, meta *metadata, bad map[journal.PartID]bool) (*contents, error) {
	out := &contents{meta: meta, plan: plan, left: len(bad) > 0}
	merge := window.NewMerge(plan)
	err := c.journal.Contents(id, func(b *journal.Base) error {
		addCounters(&out.lines, b.Lines)
		out.lost += b.LostBytes
		for _, s := range b.Sources {
			task := meta.tasks[s.Task]
			if task == nil {
				out.left = true
				c.log.Error("folded parts of a task that is not known", "monitor", id.Monitor, "window", id.StartMs, "task", s.Task)
				continue
			}
			if err := merge.Add(task, s.Labels, s.Table); err != nil {
				return err
			}
		}
		return nil
	}, func(p *journal.Part) error {
		if bad[p.PartID] {
			return nil
		}
		task := meta.tasks[p.Task]
		if task == nil || task.Monitor != id.Monitor {
			out.left = true // until the task is known
			return nil
		}
		r, err := p.Decode()
		if err == nil {
			err = merge.Add(task, meta.labelsOf(p.Agent), r.GetTable())
		}
		if err != nil {
			bad[p.PartID] = true
			c.stats.refused.Add(1)
			c.log.Error("a part can't be used", "monitor", id.Monitor, "window", id.StartMs, "agent", p.Agent, "part", p.PartID.Part, "err", err)
			return fmt.Errorf("%w: %w", errPart, err)
		}
		addCounters(&out.lines, r.GetLines())
		for _, receipt := range r.GetReceipts() {
			out.lost += uint64(max(0, receipt.GetLostBytes()))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.merged = merge.Result()
	return out, nil
}

func addCounters(to, from *pharosv1.LineCounters) {
	to.Read += from.GetRead()
	to.Matched += from.GetMatched()
	to.Filtered += from.GetFiltered()
	to.Unmatched += from.GetUnmatched()
	to.Bad += from.GetBad()
	to.Late += from.GetLate()
	to.BadNumbers += from.GetBadNumbers()
	to.ThrottledBytes += from.GetThrottledBytes()
	to.Undecodable += from.GetUndecodable()
	to.Cut += from.GetCut()
	to.KeysDropped += from.GetKeysDropped()
}

// state describes a window's contents; completeness and revision are the caller's.
func (x *contents) state(id journal.WindowID, droppedKeys int) *pharosv1.WindowState {
	if x.merged.DroppedLines > 0 {
		droppedKeys++ // agents tell of lines, not of how many keys they had: at least one
	}
	return &pharosv1.WindowState{
		WindowStartMs: id.StartMs, WindowMs: id.LengthMs, Lines: x.merged.Total.Lines,
		LinesBad: x.lines.GetBad(), LinesLate: x.lines.GetLate(), LinesUnmatched: x.lines.GetUnmatched(), LinesFiltered: x.lines.GetFiltered(),
		BadNumbers: x.lines.GetBadNumbers(), ThrottledBytes: x.lines.GetThrottledBytes(), LostBytes: x.lost, KeysDropped: uint64(droppedKeys),
	}
}
