// Package outbox holds what the agent has to tell compute and compute has not
// acknowledged yet: of every part the newest revision that is durable here.
//
// It promises that every new delivery stream gets everything unacknowledged
// again, oldest window first; that a task's watermark never passes a window
// with something unacknowledged; and that it stays within its limit, counting
// the windows it has to give up for that.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// DefaultMaxBytes of unacknowledged revisions.
const DefaultMaxBytes = 256 << 20

// maxSamples bounds the readings that wait for a checkpoint; also no more than
// the part numbers that one checkpoint can give them.
const maxSamples = 256

// Options of an Outbox.
type Options struct {
	// MaxBytes of unacknowledged revisions; beyond it the oldest windows are dropped. Default DefaultMaxBytes.
	MaxBytes int64
	// Done is told of sealed parts that need not be kept any more: they are
	// acknowledged or dropped. It must not call the outbox. Default none.
	Done func(PartKey)
}

// PartKey names a part.
type PartKey struct {
	TaskID  string
	StartMs int64
	Part    uint64
}

// KeyOf returns the key of a revision's part.
func KeyOf(r *pharosv1.Revision) PartKey { return PartKey{r.TaskId, r.WindowStartMs, r.Part} }

type entry struct {
	rev   *pharosv1.Revision
	size  int64
	acked uint64 // highest acknowledged revision of the part
}

func (e *entry) settled() bool { return e.acked >= e.rev.Revision }

type samples struct {
	taskID, monitorID string
	samples           *pharosv1.Samples
	atMs, windowMs    int64
}

// Outbox is safe for concurrent use.
type Outbox struct {
	o Options

	mu       sync.Mutex
	entries  map[PartKey]*entry
	bytes    int64
	dropped  uint64
	consumed map[string]*pharosv1.Watermark // by task, of what is durable
	samples  []samples
	cursor   *Cursor
	changed  chan struct{} // closed and replaced at every change
}

// New returns an empty outbox.
func New(o Options) *Outbox {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Done == nil {
		o.Done = func(PartKey) {}
	}
	return &Outbox{o: o, entries: map[PartKey]*entry{}, consumed: map[string]*pharosv1.Watermark{}, changed: make(chan struct{})}
}

// Put takes revisions that are durable, replacing older ones of their parts,
// and the event times up to which each task has consumed everything that is in them.
func (b *Outbox) Put(revs []*pharosv1.Revision, consumed []*pharosv1.Watermark) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range revs {
		k := KeyOf(r)
		e := b.entries[k]
		if e == nil {
			e = &entry{}
			b.entries[k] = e
		}
		b.bytes -= e.size
		e.rev, e.size = r, size(r)
		b.bytes += e.size
		if b.cursor != nil {
			b.cursor.queue = append(b.cursor.queue, k)
		}
	}
	for _, w := range consumed {
		if have := b.consumed[w.TaskId]; have == nil || have.TimeMs < w.TimeMs {
			b.consumed[w.TaskId] = w
		}
	}
	b.shrink()
	b.announce()
}

func size(r *pharosv1.Revision) int64 {
	n := int64(256 + len(r.GetTable()) + 200*len(r.Receipts))
	if s := r.GetSamples(); s != nil {
		n += 120 * int64(len(s.Series))
	}
	return n
}

// shrink drops the oldest windows while there is too much. An open part is
// dropped too: its next revision says all of it again.
func (b *Outbox) shrink() {
	if b.bytes <= b.o.MaxBytes {
		return
	}
	for _, k := range b.sorted() {
		if b.bytes <= b.o.MaxBytes*9/10 {
			return
		}
		e := b.entries[k]
		if e.settled() {
			continue
		}
		b.dropped++
		b.remove(k, e)
	}
}

func (b *Outbox) remove(k PartKey, e *entry) {
	b.bytes -= e.size
	delete(b.entries, k)
	if e.rev.Sealed {
		b.o.Done(k)
	}
}

// sorted returns the keys of all parts, oldest window first.
func (b *Outbox) sorted() []PartKey {
	keys := make([]PartKey, 0, len(b.entries))
	for k := range b.entries {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y PartKey) int {
		return cmp.Or(cmp.Compare(x.StartMs, y.StartMs), cmp.Compare(x.TaskID, y.TaskID), cmp.Compare(x.Part, y.Part))
	})
	return keys
}

func (b *Outbox) announce() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Changed is closed at the next change.
func (b *Outbox) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// PutSamples takes values of a moment; they become a sealed revision at the
// next checkpoint, through TakeSamples.
func (b *Outbox) PutSamples(taskID, monitorID string, s *pharosv1.Samples, atMs, windowMs int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.samples) == maxSamples {
		b.samples = b.samples[1:]
		b.dropped++
	}
	b.samples = append(b.samples, samples{taskID, monitorID, s, atMs, windowMs})
}

// TakeSamples returns the samples that wait, as sealed revisions of the parts from part on.
func (b *Outbox) TakeSamples(part uint64) []*pharosv1.Revision {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []*pharosv1.Revision
	for _, s := range b.samples {
		start := s.atMs / s.windowMs * s.windowMs
		out = append(out, &pharosv1.Revision{TaskId: s.taskID, MonitorId: s.monitorID, WindowStartMs: start, WindowMs: s.windowMs, Part: part,
			Revision: part, Sealed: true, Payload: &pharosv1.Revision_Samples{Samples: s.samples}, ReadMs: s.atMs})
		part++
	}
	b.samples = nil
	return out
}

// Ack takes acknowledgements; those of older revisions than the newest change
// nothing but what is known of the part.
func (b *Outbox) Ack(acks []*pharosv1.Ack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range acks {
		k := PartKey{a.TaskId, a.WindowStartMs, a.Part}
		e := b.entries[k]
		if e == nil {
			continue
		}
		e.acked = max(e.acked, a.Revision)
		if e.settled() && e.rev.Sealed {
			b.remove(k, e)
		}
	}
	b.announce()
}

// Watermarks returns, for each task, the event time up to which everything is
// consumed, durable and acknowledged.
func (b *Outbox) Watermarks() []*pharosv1.Watermark {
	b.mu.Lock()
	defer b.mu.Unlock()
	oldest := map[string]int64{}
	for k, e := range b.entries {
		if e.settled() {
			continue
		}
		if t, ok := oldest[k.TaskID]; !ok || k.StartMs < t {
			oldest[k.TaskID] = k.StartMs
		}
	}
	var out []*pharosv1.Watermark
	for id, w := range b.consumed {
		at := w.TimeMs
		if t, ok := oldest[id]; ok {
			at = min(at, t)
		}
		out = append(out, &pharosv1.Watermark{TaskId: id, MonitorId: w.MonitorId, TimeMs: at})
	}
	slices.SortFunc(out, func(x, y *pharosv1.Watermark) int { return cmp.Compare(x.TaskId, y.TaskId) })
	return out
}

// ForgetTask drops the watermark of a task that is no longer in the plan.
func (b *Outbox) ForgetTask(taskID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.consumed, taskID)
}

// Stats of an outbox.
type Stats struct {
	// Unacked revisions and their bytes.
	Unacked, UnackedBytes uint64
	// Dropped windows since the start.
	Dropped uint64
}

// Stats tells what waits.
func (b *Outbox) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{Dropped: b.dropped}
	for _, e := range b.entries {
		if !e.settled() {
			s.Unacked++
			s.UnackedBytes += uint64(e.size)
		}
	}
	return s
}

// ErrReplaced ends a cursor when a newer stream has taken over.
var ErrReplaced = errors.New("a newer delivery stream has taken over")

// Cursor is where one delivery stream stands.
type Cursor struct {
	box   *Outbox
	queue []PartKey
	sent  map[PartKey]uint64
}

// Stream begins a delivery stream: everything unacknowledged is sent again.
// Cursors of earlier streams end.
func (b *Outbox) Stream() *Cursor {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cursor = &Cursor{box: b, queue: b.sorted(), sent: map[PartKey]uint64{}}
	b.announce()
	return b.cursor
}

// Next returns a revision that was not yet sent on this stream, waiting for one
// if need be. It returns ErrReplaced or the error of ctx.
func (c *Cursor) Next(ctx context.Context) (*pharosv1.Revision, error) {
	for {
		c.box.mu.Lock()
		if c.box.cursor != c {
			c.box.mu.Unlock()
			return nil, ErrReplaced
		}
		for len(c.queue) > 0 {
			k := c.queue[0]
			c.queue = c.queue[1:]
			e := c.box.entries[k]
			if e == nil || e.settled() || c.sent[k] >= e.rev.Revision {
				if e == nil {
					delete(c.sent, k)
				}
				continue
			}
			c.sent[k] = e.rev.Revision
			c.box.mu.Unlock()
			return e.rev, nil
		}
		changed := c.box.changed
		c.box.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}
