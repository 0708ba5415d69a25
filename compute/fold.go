package compute

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/window"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// foldsPerTurn bounds how many windows are folded before others get their turn.
const foldsPerTurn = 2000

// inBase stands for the revision of a part in its window's base: no other can
// take its place, since it was sealed.
const inBase = math.MaxUint64

var errUnknownTask = errors.New("task of folded parts is not known")

// foldIdle folds the windows that have settled and been idle: their sealed
// parts become one base, so that the journal need not keep every part for a day.
func (c *Compute) foldIdle(ctx context.Context) error {
	if err := c.findUnfolded(); err != nil {
		return err
	}
	now := c.nowMs()
	var ids []journal.WindowID
	c.mu.Lock()
	for id, w := range c.windows {
		if len(ids) < foldsPerTurn && w.foldable() && w.before && !w.dirty() && !w.marked && now-w.lastMs > c.opts.Idle.Milliseconds() {
			ids = append(ids, id)
		}
	}
	c.mu.Unlock()
	for _, id := range ids {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if c.journal.Room() != nil {
			return nil // parts give way only after their base is written
		}
		if err := c.fold(id); err != nil {
			return err
		}
	}
	return nil
}

// findUnfolded loads, once after the start, windows that have settled and left
// memory, or the process, before they were folded.
func (c *Compute) findUnfolded() error {
	if !c.unfolded.CompareAndSwap(false, true) {
		return nil
	}
	var ids []journal.WindowID
	if err := c.journal.Unfolded(func(id journal.WindowID) { ids = append(ids, id) }); err != nil {
		return err
	}
	for _, id := range ids {
		if settled, err := c.journal.Settled(id); err != nil {
			return err
		} else if settled == nil {
			continue
		}
		c.commit.Lock()
		c.mu.Lock()
		_, err := c.load(id)
		c.mu.Unlock()
		c.commit.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// fold merges the sealed parts of a window into its base. Parts that are not
// sealed, whose task or agent is not known, or that can't be used, stay as they
// are. The base and the end of its parts are one commit, so a crash leaves either
// the parts or the base.
func (c *Compute) fold(id journal.WindowID) error {
	c.mu.Lock()
	w, meta := c.windows[id], c.meta
	if w == nil {
		c.mu.Unlock()
		return nil
	}
	version := w.version
	w.loose = 0 // what can't be folded now is looked at again when more has come
	c.mu.Unlock()
	base, folded, err := c.folded(id, meta)
	if err != nil || len(folded) == 0 {
		return err
	}
	b := c.journal.NewBatch()
	b.PutBase(id, base)
	for _, p := range folded {
		b.DropPart(id, p)
	}
	c.commit.Lock()
	defer c.commit.Unlock()
	c.mu.Lock()
	same := c.windows[id] == w && w.version == version
	if !same {
		w.loose += len(folded)
	}
	c.mu.Unlock()
	if !same {
		b.Discard()
		return nil // a part came meanwhile
	}
	if err := c.journal.Commit(b); err != nil {
		return err
	}
	c.mu.Lock()
	w.based = true
	for _, p := range folded {
		w.parts[p] = inBase
	}
	c.mu.Unlock()
	c.stats.foldedParts.Add(uint64(len(folded)))
	return nil
}

// folded returns a window's base with its sealed parts in it, and which those are.
func (c *Compute) folded(id journal.WindowID, meta *metadata) (*journal.Base, []journal.PartID, error) {
	bad := map[journal.PartID]bool{}
	for {
		base, parts, err := c.foldedWithout(id, meta, bad)
		if !errors.Is(err, errPart) {
			return base, parts, err
		}
	}
}

// foldedWithout leaves the bad parts alone, and adds one to them when it fails with errPart.
func (c *Compute) foldedWithout(id journal.WindowID, meta *metadata, bad map[journal.PartID]bool) (*journal.Base, []journal.PartID, error) {
	fold := window.NewFold()
	var base *journal.Base
	var parts []journal.PartID
	next := &journal.Base{Parts: map[journal.PartID]uint64{}, Lines: &pharosv1.LineCounters{}}
	err := c.journal.Contents(id, func(b *journal.Base) error {
		base = b
		for _, s := range b.Sources {
			task := meta.tasks[s.Task]
			if task == nil {
				return errUnknownTask // it stays as it is
			}
			if err := fold.Add(task, s.Labels, s.Table); err != nil {
				return err
			}
		}
		return nil
	}, func(p *journal.Part) error {
		task, agent := meta.tasks[p.Task], meta.agents[p.Agent]
		if !p.Sealed || task == nil || task.Monitor != id.Monitor || agent == nil || bad[p.PartID] {
			return nil
		}
		r, err := p.Decode()
		if err == nil {
			err = fold.Add(task, agent, r.GetTable())
		}
		if err != nil {
			bad[p.PartID] = true
			return fmt.Errorf("%w: %w", errPart, err)
		}
		parts = append(parts, p.PartID)
		next.Parts[p.PartID] = p.Revision
		addCounters(next.Lines, r.GetLines())
		for _, receipt := range r.GetReceipts() {
			next.LostBytes += uint64(max(0, receipt.GetLostBytes()))
		}
		return nil
	})
	if errors.Is(err, errUnknownTask) {
		return nil, nil, nil
	}
	if err != nil || len(parts) == 0 || base == nil && len(parts) < 2 {
		return nil, nil, err
	}
	if base != nil {
		for p, revision := range base.Parts {
			next.Parts[p] = revision
		}
		addCounters(next.Lines, base.Lines)
		next.LostBytes += base.LostBytes
	}
	fold.Each(func(s *window.Folded, table []byte) {
		next.Sources = append(next.Sources, journal.BaseSource{Task: s.Plan.Task, Labels: s.Labels, Table: table})
	})
	return next, parts, nil
}
