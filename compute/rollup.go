package compute

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/store"
)

// rollup is a bucket of rollups that the store does not have as it should be.
// It is marked in the journal from before its windows are written until the
// store has it on disk. Its fields are guarded by Compute.mu.
type rollup struct {
	// writing counts batches on their way to the store that have windows of the bucket.
	writing int
	// version grows with each write of windows; written is the version that the store has.
	version, written uint64
	// sinceMs and lastMs are when the first and last change came that the store doesn't have.
	sinceMs, lastMs int64
}

func (r *rollup) touch(nowMs int64) {
	if r.version == r.written {
		r.sinceMs = nowMs
	}
	r.version++
	r.lastMs = nowMs
}

// bucketsOf returns the buckets that a window lies in.
func bucketsOf(id journal.WindowID) []journal.WindowID {
	out := make([]journal.WindowID, 0, store.Levels)
	for l := store.FiveMinutes; int(l) < store.Levels; l++ {
		if l.Suits(id.LengthMs) {
			length := l.LengthMs()
			out = append(out, journal.WindowID{Monitor: id.Monitor, StartMs: id.StartMs - id.StartMs%length, LengthMs: length})
		}
	}
	return out
}

// levelOf returns the level of a bucket.
func levelOf(bucket journal.WindowID) store.Level {
	for l := store.FiveMinutes; int(l) < store.Levels; l++ {
		if l.LengthMs() == bucket.LengthMs {
			return l
		}
	}
	return store.Base
}

// announce marks the buckets of windows that are about to be written. wrote is
// to be called when they are, or could not be. c.mu is held, and not when wrote is called.
func (c *Compute) announce(b *journal.Batch, jobs []job) (wrote func(ok bool)) {
	touched := map[journal.WindowID]*rollup{}
	for i := range jobs {
		for _, id := range bucketsOf(jobs[i].id) {
			r := c.rollups[id]
			if r == nil {
				r = &rollup{}
				c.rollups[id] = r
				b.MarkRollup(id)
			}
			if touched[id] == nil {
				touched[id] = r
				r.writing++
			}
		}
	}
	return func(ok bool) {
		now := c.nowMs()
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, r := range touched {
			r.writing--
			if ok {
				r.touch(now)
			}
		}
	}
}

// restoreRollups takes up the buckets that are marked.
func (c *Compute) restoreRollups() error {
	now := c.nowMs()
	return c.journal.Rollups(func(id journal.WindowID) {
		r := &rollup{}
		r.touch(now)
		c.rollups[id] = r
	})
}

// rollUp computes the buckets that are over and have been quiet for a while.
func (c *Compute) rollUp(ctx context.Context) error {
	if c.nowMs() < c.rollUpAfter {
		return nil
	}
	for _, id := range c.dueRollups() {
		if err := c.rollUpOne(ctx, id); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.stats.rollupErr.set(err)
			c.log.Error("rollups wait for the store", "monitor", id.Monitor, "bucket", id.StartMs, "err", err)
			c.rollUpAfter = c.nowMs() + storePauseMs
			return nil // they are found again
		}
		c.stats.rollupErr.set(nil)
	}
	return nil
}

// dueRollups returns the buckets to compute now, in the order of time. A bucket
// waits until nothing has come for RollupWait (longer ones for longer), or five times that if more
// keeps coming.
func (c *Compute) dueRollups() []journal.WindowID {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.nowMs()
	var due []journal.WindowID
	for id, r := range c.rollups {
		if r.version == r.written || now < id.EndMs() {
			continue
		}
		wait := c.opts.RollupWait.Milliseconds() * id.LengthMs / store.FiveMinutes.LengthMs()
		if now-max(r.lastMs, id.EndMs()) >= wait || now-max(r.sinceMs, id.EndMs()) >= 5*wait {
			due = append(due, id)
		}
	}
	slices.SortFunc(due, func(a, b journal.WindowID) int {
		return cmp.Or(cmp.Compare(a.StartMs, b.StartMs), cmp.Compare(a.LengthMs, b.LengthMs), cmp.Compare(a.Monitor, b.Monitor))
	})
	return due
}

func (c *Compute) rollUpOne(ctx context.Context, id journal.WindowID) error {
	c.mu.Lock()
	r, m := c.rollups[id], c.monitors[id.Monitor]
	version := r.version
	c.mu.Unlock()
	// Of a monitor that is gone, and of windows that the store no longer has, nothing is computed.
	tooOld := id.StartMs < c.nowMs()-c.opts.Store.Retention(store.Base).Milliseconds()
	if m != nil && m.plan != nil && !tooOld {
		n, err := store.RollUp(ctx, c.opts.Store, levelOf(id), id.StartMs, m.plan.Matchers(), m.plan.Rollup)
		switch {
		case errors.Is(err, store.ErrLimit):
			c.log.Error("a bucket has too many series to be rolled up; its windows are kept", "monitor", id.Monitor, "bucket", id.StartMs, "err", err)
		case err != nil:
			return err
		}
		c.stats.rolledUp.Add(uint64(n))
	}
	c.mu.Lock()
	r.written = version
	c.mu.Unlock()
	return nil
}

// rolledUp returns the buckets whose last version the store has, if only in memory. c.mu is held.
func (c *Compute) rolledUp() map[journal.WindowID]uint64 {
	out := map[journal.WindowID]uint64{}
	for id, r := range c.rollups {
		if r.version > 0 && r.version == r.written && r.writing == 0 {
			out[id] = r.version
		}
	}
	return out
}

// syncedRollups forgets buckets that the store has on disk. c.mu is held.
func (c *Compute) syncedRollups(b *journal.Batch, synced map[journal.WindowID]uint64) {
	for id, version := range synced {
		if r := c.rollups[id]; r != nil && r.version == version && r.writing == 0 {
			delete(c.rollups, id)
			b.UnmarkRollup(id)
		}
	}
}

// PendingRollup returns the start of a monitor's earliest bucket that the
// store does not have as it should be; math.MaxInt64 if there is none.
func (c *Compute) PendingRollup(monitorID string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := int64(math.MaxInt64)
	for id, r := range c.rollups {
		if id.Monitor == monitorID && (r.version != r.written || r.writing > 0) {
			first = min(first, id.StartMs)
		}
	}
	return first
}
