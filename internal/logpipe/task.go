package logpipe

import (
	"fmt"
	"slices"
	"time"

	"github.com/pharos-stack/pharos/internal/partial"
)

// DefaultKeyCap bounds the keys of a window when TaskOptions say nothing.
const DefaultKeyCap = 100_000

// TaskOptions tune a Task.
type TaskOptions struct {
	// KeyCap is how many keys of a window are kept; lines of further keys count
	// in the total and in KeysDropped. Default DefaultKeyCap.
	KeyCap int
	// Location is the agent's time zone, for rules that name none. Default UTC.
	Location *time.Location
}

// Counters say what happened to lines, as proto LineCounters.
type Counters struct {
	Read           uint64 // lines seen
	Matched        uint64 // lines that entered the figures
	Filtered       uint64 // dropped by a white or black list
	Unmatched      uint64 // lacked a column that a group or white list needs
	Bad            uint64 // had no usable time and no earlier line to take it from
	Late           uint64 // older than a day or more than an hour ahead
	BadNumbers     uint64 // values missing or not numbers that a figure needs
	ThrottledBytes uint64 // given up at the flow limit; counted by the caller
	Undecodable    uint64 // characters replaced by U+FFFD in values that were used
	Cut            uint64 // lines longer than logrule.MaxLine
	KeysDropped    uint64 // lines whose key was beyond the key cap
	ValuesCut      uint64 // values longer than 256 characters
}

// Add adds o to c.
func (c *Counters) Add(o Counters) {
	c.Read += o.Read
	c.Matched += o.Matched
	c.Filtered += o.Filtered
	c.Unmatched += o.Unmatched
	c.Bad += o.Bad
	c.Late += o.Late
	c.BadNumbers += o.BadNumbers
	c.ThrottledBytes += o.ThrottledBytes
	c.Undecodable += o.Undecodable
	c.Cut += o.Cut
	c.KeysDropped += o.KeysDropped
	c.ValuesCut += o.ValuesCut
}

// Task aggregates one monitor over all its files on this agent. It and the
// groups it is in may be used by one goroutine at a time.
type Task struct {
	p        *Program
	version  int // grows with SetProgram, so that groups notice
	keyCap   int
	location *time.Location
	windows  []*Window // by start
	cur      *Window   // where the last line went
	dropped  Counters  // of windows that are forgotten
	samples  samples
}

// NewTask returns a task without windows.
func NewTask(p *Program, o TaskOptions) *Task {
	if o.KeyCap <= 0 {
		o.KeyCap = DefaultKeyCap
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	return &Task{p: p, keyCap: o.KeyCap, location: o.Location}
}

// SetProgram exchanges the rule, such as for new filters. Open windows go on,
// so the layout and the window length must be the same.
func (t *Task) SetProgram(p *Program) error {
	if p.layout != t.p.layout || p.windowMs != t.p.windowMs {
		return fmt.Errorf("cannot exchange rule %q: layout %+v and window %d ms differ from %+v and %d ms",
			p.spec.Title, p.layout, p.windowMs, t.p.layout, t.p.windowMs)
	}
	t.p = p
	t.version++
	return nil
}

// Program returns the rule in use.
func (t *Task) Program() *Program { return t.p }

// Windows returns the open windows by start time. The slice is the task's own
// and good until the next Process, Forget or Restore.
func (t *Task) Windows() []*Window { return t.windows }

// Forget drops a window. A later line for it opens a new one.
func (t *Task) Forget(startMs int64) {
	i, ok := t.search(startMs)
	if !ok {
		return
	}
	w := t.windows[i]
	t.dropped.Add(w.Counters)
	t.dropped.sub(w.restored)
	t.windows = slices.Delete(t.windows, i, i+1)
	if t.cur == w {
		t.cur = nil
	}
}

// Restore opens a window with the table and counters of a checkpoint.
func (t *Task) Restore(startMs int64, table []byte, c Counters) (*Window, error) {
	if _, ok := t.search(startMs); ok {
		return nil, fmt.Errorf("cannot restore window %d: it is open already", startMs)
	}
	if startMs%t.p.windowMs != 0 {
		return nil, fmt.Errorf("cannot restore window %d: windows start at multiples of %d ms", startMs, t.p.windowMs)
	}
	decoded, err := partial.Decode(table)
	if err != nil {
		return nil, fmt.Errorf("cannot restore window %d: %w", startMs, err)
	}
	if decoded.Layout != t.p.layout {
		return nil, fmt.Errorf("cannot restore window %d: layout %+v, the rule has %+v", startMs, decoded.Layout, t.p.layout)
	}
	w := t.open(startMs)
	w.load(decoded)
	w.Counters, w.restored = c, c
	return w, nil
}

// Counters returns what happened to all lines since NewTask; lines of restored
// windows are not among them.
func (t *Task) Counters() Counters {
	c := t.dropped
	for _, w := range t.windows {
		c.Add(w.Counters)
		c.sub(w.restored)
	}
	return c
}

func (c *Counters) sub(o Counters) {
	c.Read -= o.Read
	c.Matched -= o.Matched
	c.Filtered -= o.Filtered
	c.Unmatched -= o.Unmatched
	c.Bad -= o.Bad
	c.Late -= o.Late
	c.BadNumbers -= o.BadNumbers
	c.ThrottledBytes -= o.ThrottledBytes
	c.Undecodable -= o.Undecodable
	c.Cut -= o.Cut
	c.KeysDropped -= o.KeysDropped
	c.ValuesCut -= o.ValuesCut
}

// BadSamples returns up to four recent lines for each reason they could not be
// used for, masked if the rule keeps lines or the workspace has a policy.
func (t *Task) BadSamples() []BadLine {
	return t.samples.lines(t.p.masker)
}

func (t *Task) search(startMs int64) (int, bool) {
	return slices.BinarySearchFunc(t.windows, startMs, func(w *Window, s int64) int {
		switch {
		case w.StartMs < s:
			return -1
		case w.StartMs > s:
			return 1
		}
		return 0
	})
}

// At returns the window that holds a time, opening it if need be. Callers use
// it to count what happened outside of lines, such as throttled bytes.
func (t *Task) At(ms int64) *Window {
	start := ms - ms%t.p.windowMs
	if start > ms {
		start -= t.p.windowMs // times before 1970
	}
	return t.open(start)
}

// open returns the window that starts at startMs and makes it current.
func (t *Task) open(startMs int64) *Window {
	i, ok := t.search(startMs)
	if !ok {
		t.windows = slices.Insert(t.windows, i, newWindow(t, startMs))
	}
	t.cur = t.windows[i]
	return t.cur
}
