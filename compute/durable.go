package compute

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// samplesPerRead is how many revisions of samples go to the store at once.
const samplesPerRead = 500

// runSamples writes what Ingest took of samples to the store, from the journal.
func (c *Compute) runSamples(ctx context.Context) error {
	for {
		more, err := c.writeSamples(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errStore):
			c.stats.sampleErr.set(err)
			c.log.Error("samples wait for the store", "err", err)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(storePauseMs * time.Millisecond):
			}
			continue
		case err != nil:
			return err
		case more:
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.samples:
		}
	}
}

var errEnough = errors.New("enough for now")

// writeSamples writes some of the samples that the store doesn't have, and
// tells whether there may be more.
func (c *Compute) writeSamples(ctx context.Context) (bool, error) {
	c.mu.Lock()
	meta, next := c.meta, c.samplesWritten+1
	c.mu.Unlock()
	var samples []store.Sample
	last, n := next-1, 0
	err := c.journal.Samples(next, func(seq uint64, agent string, s *pharosv1.Samples) error {
		if n >= samplesPerRead {
			return errEnough
		}
		n, last = n+1, seq
		samples = c.appendSamples(samples, meta.labelsOf(agent), s)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return false, err
	}
	if len(samples) > 0 {
		if err := c.opts.Store.WriteSamples(ctx, samples); err != nil {
			return false, errors.Join(errStore, err)
		}
		c.stats.written.Add(uint64(len(samples)))
	}
	c.stats.sampleErr.set(nil)
	c.mu.Lock()
	c.samplesWritten = last
	c.mu.Unlock()
	return err != nil, nil
}

// appendSamples gives samples the labels of their agent, which win over their own.
func (c *Compute) appendSamples(dst []store.Sample, agent map[string]string, s *pharosv1.Samples) []store.Sample {
	for _, x := range s.GetSeries() {
		labels := maps.Clone(x.GetLabels())
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, agent)
		labels[store.MetricName] = x.GetName()
		out := store.Sample{Labels: store.FromMap(labels), TimeMs: x.GetTimeMs(), Value: x.GetValue()}
		if err := out.Labels.Validate(); err != nil {
			c.stats.dropped.Add(1)
			c.log.Warn("a sample can't be stored", "err", err)
			continue
		}
		dst = append(dst, out)
	}
	return dst
}

// sync makes the store durable, and forgets what need not be written again.
func (c *Compute) sync(ctx context.Context) error {
	c.mu.Lock()
	settled, samples, rolled := maps.Clone(c.unsynced), c.samplesWritten, c.rolledUp()
	idle := len(settled) == 0 && samples == c.samplesSynced && len(rolled) == 0
	c.mu.Unlock()
	if idle {
		return nil
	}
	err := c.opts.Store.Sync(ctx)
	if err == nil && c.opts.Rows != nil && len(settled) > 0 {
		err = c.opts.Rows.Sync(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.stats.syncErr.set(err)
		c.log.Error("cannot make the store durable; the journal keeps what it has", "err", err)
		return nil
	}
	c.stats.syncErr.set(nil)
	c.commit.Lock()
	defer c.commit.Unlock()
	b := c.journal.NewBatch()
	c.mu.Lock()
	for id, revision := range settled {
		if c.unsynced[id] != revision {
			continue // it has settled again meanwhile
		}
		delete(c.unsynced, id)
		if w := c.windows[id]; w != nil {
			if w.dirty() {
				continue
			}
			w.marked = false
		}
		b.Unmark(id)
	}
	c.syncedRollups(b, rolled)
	b.DropSamples(samples)
	c.samplesSynced = samples
	c.mu.Unlock()
	return c.journal.Commit(b)
}

// forget folds windows that have settled and are quiet and drops them from
// memory, and from the journal those that are too old.
func (c *Compute) forget(ctx context.Context) error {
	if err := c.foldIdle(ctx); err != nil {
		return err
	}
	now := c.nowMs()
	c.commit.Lock()
	defer c.commit.Unlock()
	c.mu.Lock()
	// An hour more than is taken in, so that no part comes after the others have gone.
	horizon := now - c.opts.Keep.Milliseconds() - time.Hour.Milliseconds()
	for id, w := range c.windows {
		quiet := now-w.lastMs > c.opts.Idle.Milliseconds()
		if id.StartMs < horizon || quiet && !w.dirty() && !w.marked && !w.foldable() || quiet && c.monitors[id.Monitor] == nil {
			delete(c.windows, id)
		}
	}
	for id := range c.unsynced {
		if id.StartMs < horizon {
			delete(c.unsynced, id)
		}
	}
	for _, m := range c.monitors {
		for id := range m.incomplete {
			if id.StartMs < horizon {
				delete(m.incomplete, id)
			}
		}
	}
	expire := now-c.expiredMs > time.Hour.Milliseconds()
	if expire {
		c.expiredMs = now
	}
	c.mu.Unlock()
	if !expire {
		return nil
	}
	b := c.journal.NewBatch()
	b.Expire(horizon)
	return c.journal.Commit(b)
}
