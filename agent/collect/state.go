package collect

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pharos-stack/pharos/agent/checkpoint"
	"github.com/pharos-stack/pharos/agent/files"
	"github.com/pharos-stack/pharos/agent/outbox"
	"github.com/pharos-stack/pharos/internal/logpipe"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// The state in a checkpoint, as gob; docs/formats/checkpoint.md describes it.
type state struct {
	Tasks   []taskState
	Paths   []pathState
	Known   []knownFile
	Orphans []windowState
}

type taskState struct {
	ID         string
	Discovered bool
	Windows    []windowState
	// FlowMinute and FlowTaken are the intake of the current minute, if limited.
	FlowMinute int64
	FlowTaken  uint64
}

// windowState is an open window as the encoded Revision that says all of it.
type windowState struct{ Revision []byte }

type pathState struct {
	Name        string
	Generations []generationState
}

type generationState struct {
	Inode   files.Inode
	Content files.Content
	Far     int64
	Seen    int64
	MtimeNs int64
	Since   since
	Serial  int64
	Real    string
	Cursors []cursorState
}

type cursorState struct {
	Offset int64
	Long   bool
	State  []byte
	Tasks  []string
}

func decodeState(body []byte) (state, error) {
	var s state
	if body == nil {
		return s, nil
	}
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(&s); err != nil {
		return s, fmt.Errorf("cannot read checkpoint: %w", err)
	}
	for _, p := range s.Paths {
		for _, g := range p.Generations {
			for _, cur := range g.Cursors {
				if _, _, err := logpipe.DecodeFileState(cur.State); err != nil {
					return s, fmt.Errorf("cannot read checkpoint of %q: %w", p.Name, err)
				}
			}
		}
	}
	return s, nil
}

func decodeRevision(b []byte) (*pharosv1.Revision, error) {
	r := &pharosv1.Revision{}
	if err := proto.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("cannot read a revision of the checkpoint: %w", err)
	}
	return r, nil
}

// snapshot is the state that goes into the checkpoint. Tasks and paths of the
// last one that no plan has touched yet stay in it.
func (c *Collector) snapshot() state {
	s := state{Tasks: slices.Clone(c.restored.Tasks), Paths: slices.Clone(c.restored.Paths), Orphans: c.restored.Orphans}
	for _, t := range c.tasks {
		if t.lines == nil {
			continue
		}
		ts := taskState{ID: t.id, Discovered: t.discovered, FlowMinute: t.flow.minute, FlowTaken: t.flow.taken}
		for _, w := range t.windows {
			ts.Windows = append(ts.Windows, windowState{w.encoded})
		}
		s.Tasks = append(s.Tasks, ts)
	}
	for _, p := range c.paths {
		ps := pathState{Name: p.name}
		for _, g := range p.generations {
			gs := generationState{Inode: g.id, Content: g.content, Far: g.far, Seen: g.seen, MtimeNs: g.mtimeNs, Since: g.since, Serial: g.serial, Real: g.real}
			for _, cur := range g.cursors {
				cs := cursorState{Offset: cur.offset, Long: cur.long, State: cur.state.AppendBinary(nil)}
				for _, t := range cur.tasks {
					cs.Tasks = append(cs.Tasks, t.id)
				}
				gs.Cursors = append(gs.Cursors, cs)
			}
			ps.Generations = append(ps.Generations, gs)
		}
		s.Paths = append(s.Paths, ps)
	}
	for _, k := range c.known {
		s.Known = append(s.Known, k)
	}
	return s
}

// maybeCheckpoint writes a checkpoint when one is due: not more often than the
// interval, nor for more than a twentieth of the time.
func (c *Collector) maybeCheckpoint(now time.Time) {
	if now.Sub(c.last) < max(c.o.CheckpointInterval, 20*c.took) && !now.Before(c.last) {
		return
	}
	c.checkpoint()
	c.last, c.took = now, c.o.Now().Sub(now)
}

// checkpoint makes what was read durable and hands it to the outbox. When it
// can't, nothing is handed over: the data waits here and in the files. A part
// whose place in the spool is durable and whose slot is not stays open; what
// was spooled is then overtaken by a record of the same sequence.
func (c *Collector) checkpoint() {
	now := c.o.Now()
	c.takeDone()
	seq := c.slots.Sequence() + 1
	samples := c.box.TakeSamples(seq << 8)
	var sealed []*pharosv1.Revision
	var sealedWindows []sealedWindow
	var consumed []*pharosv1.Watermark
	var memory int64
	for _, t := range c.tasks {
		if t.lines == nil {
			continue
		}
		t.watermark = max(t.watermark, c.watermark(t, now))
		consumed = append(consumed, &pharosv1.Watermark{TaskId: t.id, MonitorId: t.monitorID, TimeMs: t.watermark})
		for _, w := range t.lines.Windows() {
			memory += int64(w.MemoryBytes())
		}
	}
	over := c.over(memory)
	var open []*pharosv1.Revision
	for _, t := range c.tasks {
		if t.lines == nil {
			continue
		}
		for _, w := range t.lines.Windows() {
			part := t.windows[w.StartMs]
			if part == nil { // opened without a line, such as by a restore
				part = t.touch(c, w, now.UnixMilli())
			}
			seal := over(t, w)
			if !seal && !part.changed {
				continue
			}
			r := c.encodeWindow(t, w, seq, seal)
			if seal {
				sealed = append(sealed, r)
				sealedWindows = append(sealedWindows, sealedWindow{t, w, part})
			} else {
				open = append(open, r)
			}
		}
	}
	for _, o := range c.restored.Orphans {
		r, err := decodeRevision(o.Revision)
		if err != nil {
			c.log.Error("a window of an ended task is lost", "err", err)
			continue
		}
		r.Sealed, r.Revision = true, seq
		sealed = append(sealed, r)
	}
	sealed = append(sealed, samples...)
	if !c.dirty && len(sealed) == 0 && len(open) == 0 {
		c.box.Put(nil, consumed)
		c.maybeReport(now)
		return
	}
	// Without a place for sealed parts, parts stay open and go on in the slots.
	spoolErr := c.spoolAll(seq, sealed)
	orphans := c.restored.Orphans
	if spoolErr != nil {
		for _, s := range samples {
			c.box.PutSamples(s.TaskId, s.MonitorId, s.GetSamples(), s.ReadMs, s.WindowMs)
		}
		for _, s := range sealedWindows {
			open = append(open, c.encodeWindow(s.task, s.lines, seq, false))
		}
		sealed, sealedWindows = nil, nil
	} else {
		c.restored.Orphans = nil
	}
	for _, s := range sealedWindows {
		delete(s.task.windows, s.lines.StartMs)
	}
	if err := c.writeSlot(); err != nil {
		c.stalled = true
		c.setProblem(err.Error())
		if spoolErr == nil {
			for _, s := range samples {
				c.box.PutSamples(s.TaskId, s.MonitorId, s.GetSamples(), s.ReadMs, s.WindowMs)
			}
		}
		for _, s := range sealedWindows {
			s.task.windows[s.lines.StartMs] = s.part
		}
		c.restored.Orphans = orphans
		return
	}
	c.stalled = false
	if spoolErr != nil {
		c.setProblem(spoolErr.Error())
	} else {
		c.setProblem("")
	}
	for _, s := range sealedWindows {
		s.task.lines.Forget(s.lines.StartMs)
	}
	for _, t := range c.tasks {
		for _, w := range t.windows {
			w.changed = false
		}
	}
	c.dirty = false
	c.box.Put(append(sealed, open...), consumed)
	c.maybeReport(now)
}

type sealedWindow struct {
	task  *task
	lines *lpWindow
	part  *window
}

// over says which windows are to be sealed: those that the watermark has
// passed, and the oldest while all of them take too much memory: parts make it
// cheap to give a window away early.
func (c *Collector) over(memory int64) func(*task, *lpWindow) bool {
	early := int64(math.MinInt64) // windows that begin before it
	if memory > c.o.MaxMemory {
		type open struct{ start, bytes int64 }
		var all []open
		for _, t := range c.tasks {
			if t.lines == nil {
				continue
			}
			for _, w := range t.lines.Windows() {
				all = append(all, open{w.StartMs, int64(w.MemoryBytes())})
			}
		}
		slices.SortFunc(all, func(a, b open) int { return cmp.Compare(a.start, b.start) })
		for _, w := range all {
			if memory <= c.o.MaxMemory {
				break
			}
			memory -= w.bytes
			early = w.start + 1
		}
	}
	return func(t *task, w *lpWindow) bool {
		return t.watermark >= w.StartMs+t.lines.Program().WindowMs() || w.StartMs < early
	}
}

// spoolAll makes sealed parts durable.
func (c *Collector) spoolAll(seq uint64, sealed []*pharosv1.Revision) error {
	if len(sealed) == 0 {
		return nil
	}
	records := make([][]byte, len(sealed))
	for i, r := range sealed {
		b, err := proto.Marshal(r)
		if err != nil {
			return fmt.Errorf("cannot write spool: %w", err)
		}
		records[i] = b
	}
	handles, err := c.spool.Append(seq, records)
	if err != nil {
		return err
	}
	c.handlesMu.Lock()
	defer c.handlesMu.Unlock()
	for i, r := range sealed {
		k := outbox.KeyOf(r)
		c.handles[k] = append(c.handles[k], handles[i])
	}
	return nil
}

func (c *Collector) writeSlot() error {
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(c.snapshot()); err != nil {
		return fmt.Errorf("cannot write checkpoint: %w", err)
	}
	return c.slots.Write(body.Bytes())
}

// encodeWindow makes the revision that says all of a window's open part.
func (c *Collector) encodeWindow(t *task, w *lpWindow, seq uint64, sealed bool) *pharosv1.Revision {
	part := t.windows[w.StartMs]
	if part == nil {
		part = t.touch(c, w, c.o.Now().UnixMilli())
	}
	r := &pharosv1.Revision{TaskId: t.id, MonitorId: t.monitorID, WindowStartMs: w.StartMs, WindowMs: t.lines.Program().WindowMs(), Part: part.part,
		Revision: seq, Sealed: sealed, Payload: &pharosv1.Revision_Table{Table: w.AppendTable(nil)}, Lines: protoCounters(w.Counters), ReadMs: part.readMs}
	r.Receipts = append(r.Receipts, part.lost...)
	for _, receipt := range part.receipts {
		r.Receipts = append(r.Receipts, proto.CloneOf(receipt))
	}
	slices.SortFunc(r.Receipts, func(a, b *pharosv1.Receipt) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.From, b.From))
	})
	part.rev = r
	encoded, err := proto.Marshal(r)
	if err != nil {
		panic(err) // strings were made valid when they were cut out
	}
	part.encoded = encoded
	return r
}

// watermark is the event time up to which the task has consumed everything.
func (c *Collector) watermark(t *task, now time.Time) int64 {
	mark := now.Add(-c.o.Grace).UnixMilli()
	for _, p := range c.paths {
		if p.tasks[t.id] == nil {
			continue
		}
		for _, g := range p.generations {
			for _, cur := range g.cursors {
				if g.more && slices.Contains(cur.tasks, t) {
					mark = min(mark, cur.state.LastTimeMs())
				}
			}
		}
	}
	return mark
}

// forgetPart is told by the outbox, which may be called by any goroutine.
func (c *Collector) forgetPart(k outbox.PartKey) {
	c.handlesMu.Lock()
	defer c.handlesMu.Unlock()
	c.done = append(c.done, c.handles[k]...)
	delete(c.handles, k)
}

// takeDone removes what is acknowledged from the spool.
func (c *Collector) takeDone() {
	c.handlesMu.Lock()
	done := c.done
	c.done = nil
	c.handlesMu.Unlock()
	for _, h := range done {
		if err := c.spool.Done(checkpoint.Handle(h)); err != nil {
			c.log.Warn("cannot tidy the spool", "err", err)
		}
	}
}

func (c *Collector) setProblem(text string) {
	if text != c.problem {
		c.problem = text
		if text != "" {
			c.log.Error("nothing is delivered until the state can be kept; the data waits in the files", "err", text)
		} else {
			c.log.Info("the state can be kept again")
		}
		c.report()
	}
}
