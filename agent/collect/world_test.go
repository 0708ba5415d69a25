package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/pharos-stack/pharos/agent/outbox"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// world is a directory with logs, an agent that is driven step by step, and a
// compute that keeps the highest revision of every part. Each line has an id of
// its own, which the monitor groups by, so that lost and doubled lines show.
type world struct {
	t       testing.TB
	dir     string // of the logs
	data    string // of the agent
	now     time.Time
	c       *Collector // nil while the agent is down
	plan    *pharosv1.Plan
	parts   map[outbox.PartKey]*pharosv1.Revision
	written int
	noAck   bool
	options func(*Options)
}

func newWorld(t testing.TB, change ...func(*logrule.Spec)) *world {
	w := &world{t: t, dir: t.TempDir(), data: t.TempDir(), now: time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC), parts: map[outbox.PartKey]*pharosv1.Revision{}}
	w.plan = &pharosv1.Plan{Revision: 1, Tasks: []*pharosv1.PlanTask{w.task("m1", change...)}}
	return w
}

func (w *world) task(id string, change ...func(*logrule.Spec)) *pharosv1.PlanTask {
	split := func(i int) *logrule.SplitRule { return &logrule.SplitRule{Delimiter: ",", Index: i} }
	s := logrule.Spec{Title: id, Type: logrule.MinuteMulti, Paths: []string{w.path("x.log")}, StartAt: logrule.StartBeginning,
		Time:    logrule.TimeRule{Format: logrule.TimeNormal, Timezone: "UTC"},
		Columns: []logrule.Column{{Name: "id", Split: split(1)}, {Name: "n", Split: split(2)}}, GroupBy: []string{"id"}, KeyLimit: 100_000,
		Statistics: []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.Sum, Column: "n"}}}
	for _, f := range change {
		f(&s)
	}
	body, err := json.Marshal(s.WithDefaults())
	if err != nil {
		w.t.Fatal(err)
	}
	return &pharosv1.PlanTask{TaskId: id + "-1", MonitorId: id, DefinitionRevision: 1, Kind: &pharosv1.PlanTask_Log{Log: &pharosv1.LogTask{SpecJson: body}}}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start starts the agent on what is on its disk.
func (w *world) start() {
	w.t.Helper()
	if w.c != nil {
		return
	}
	o := Options{DataDir: w.data, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Location: time.UTC, Now: func() time.Time { return w.now }}
	if w.options != nil {
		w.options(&o)
	}
	c, err := New(o)
	w.must(err)
	c.watch, err = fsnotify.NewBufferedWatcher(4096)
	w.must(err)
	w.c = c
	c.apply(w.plan)
	w.look()
}

// crash drops the agent without a word: what is not on its disk is gone.
func (w *world) crash() {
	if w.c == nil {
		return
	}
	w.c.watch.Close()
	w.c.close()
	w.c = nil
}

// look is a turn of the agent a while later: it looks at all files, reads,
// writes a checkpoint and delivers.
func (w *world) look() {
	if w.c == nil {
		return
	}
	w.now = w.now.Add(time.Second)
	w.c.discover()
	w.read()
	w.c.checkpoint()
	w.deliver()
}

func (w *world) read() {
	for w.c.readAll(w.now) {
	}
}

// deliver lets compute take everything that is not acknowledged.
func (w *world) deliver() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	cur := w.c.Outbox().Stream()
	for {
		r, err := cur.Next(ended)
		if err != nil {
			return
		}
		w.keep(r)
		if !w.noAck {
			w.c.Outbox().Ack([]*pharosv1.Ack{{TaskId: r.TaskId, WindowStartMs: r.WindowStartMs, Part: r.Part, Revision: r.Revision}})
		}
	}
}

// keep is what compute does with a revision.
func (w *world) keep(r *pharosv1.Revision) {
	k := outbox.KeyOf(r)
	have := w.parts[k]
	if have != nil && have.Revision > r.Revision {
		return
	}
	if have != nil && have.Sealed && have.Revision < r.Revision {
		w.t.Errorf("part %v changed after it was sealed", k)
	}
	w.parts[k] = r
}

// settle lets time pass until rotated files are finished and windows sealed.
func (w *world) settle() {
	w.start()
	for range 4 {
		w.look()
	}
	w.now = w.now.Add(3 * time.Minute)
	w.look()
	w.look()
}

// lines makes n new lines.
func (w *world) lines(n int) string {
	var b strings.Builder
	for range n {
		w.written++
		fmt.Fprintf(&b, "2026-11-23 07:%02d:%02d,id-%d,1,some text that makes the line as long as lines are\n", w.written/7%2, w.written%60, w.written)
	}
	return b.String()
}

// write appends n new lines to a log.
func (w *world) write(name string, n int) { w.append(name, w.lines(n)) }

func (w *world) append(name, text string) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	w.must(err)
	_, err = f.WriteString(text)
	w.must(err)
	w.must(f.Close())
	w.tick()
}

// tick waits until the file system's clock has moved on: time stamps of files are coarse.
func (w *world) tick() {
	w.t.Helper()
	stamp := func() time.Time {
		name := filepath.Join(w.data, "tick")
		w.must(os.WriteFile(name, []byte("x"), 0o600))
		info, err := os.Stat(name)
		w.must(err)
		return info.ModTime()
	}
	for before := stamp(); !stamp().After(before); {
	}
}

func (w *world) rename(from, to string) { w.t.Helper(); w.must(os.Rename(w.path(from), w.path(to))) }

func (w *world) remove(name string) { w.t.Helper(); w.must(os.Remove(w.path(name))) }

func (w *world) truncate(name string) { w.t.Helper(); w.must(os.Truncate(w.path(name), 0)); w.tick() }

// copy makes a copy as cp does.
func (w *world) copy(from, to string) {
	w.t.Helper()
	b, err := os.ReadFile(w.path(from))
	w.must(err)
	w.must(os.WriteFile(w.path(to), b, 0o644))
	w.tick()
}

// outcome is what compute has, merged over all parts of a task.
type outcome struct {
	counted, lost, doubled int
	lostBytes              int64
	lines                  *pharosv1.LineCounters
}

func (w *world) outcome(task string) outcome {
	w.t.Helper()
	merged := partial.NewTable(partial.Layout{})
	o := outcome{lines: &pharosv1.LineCounters{}}
	seen := map[string]uint64{}
	for k, r := range w.parts {
		if k.TaskID != task {
			continue
		}
		w.must(merged.MergeEncoded(r.GetTable()))
		for _, receipt := range r.Receipts {
			o.lostBytes += receipt.LostBytes
		}
		addCounters(o.lines, r.Lines)
	}
	for _, row := range merged.Rows {
		seen[row.Key[0]] += row.Lines
	}
	for id, n := range seen {
		if strings.HasPrefix(id, "id-") {
			o.counted++
			o.doubled += int(n) - 1
		}
	}
	o.lost = w.written - o.counted
	return o
}

func addCounters(to, n *pharosv1.LineCounters) {
	to.Read += n.Read
	to.Matched += n.Matched
	to.Unmatched += n.Unmatched
	to.Bad += n.Bad
	to.Late += n.Late
	to.Cut += n.Cut
	to.ThrottledBytes += n.ThrottledBytes
	to.Undecodable += n.Undecodable
}

// status of a task.
func (w *world) status(task string) *pharosv1.TaskStatus {
	w.t.Helper()
	w.c.report()
	all, _, _ := w.c.Status()
	for _, s := range all {
		if s.TaskId == task {
			return s
		}
	}
	w.t.Fatalf("no status of task %q", task)
	return nil
}
