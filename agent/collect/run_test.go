package collect

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// running starts a Collector as the agent does, with real events and clock.
func running(t testing.TB, w *world, plan *pharosv1.Plan) (*Collector, func()) {
	t.Helper()
	c, err := New(Options{DataDir: w.data, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	c.SetPlan(plan)
	return c, func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestRunDeliversAndGoesOnAfterAStop(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	counted := func(c *Collector, want int) {
		t.Helper()
		cur := c.Outbox().Stream()
		for w.outcome("m1-1").counted < want {
			r, err := cur.Next(ctx)
			if err != nil {
				t.Fatalf("counted %d of %d: %v", w.outcome("m1-1").counted, want, err)
			}
			w.keep(r)
			if !w.noAck {
				c.Outbox().Ack([]*pharosv1.Ack{{TaskId: r.TaskId, WindowStartMs: r.WindowStartMs, Part: r.Part, Revision: r.Revision}})
			}
		}
	}
	line := func() string {
		w.written++
		return fmt.Sprintf("%s,id-%d,1\n", time.Now().UTC().Format("2006-01-02 15:04:05"), w.written)
	}
	c, stop := running(t, w, w.plan)
	w.append("x.log", line())
	counted(c, 1)
	for n := 2; n < 5; n++ {
		w.append("x.log", line())
		counted(c, n)
	}
	stop()
	w.append("x.log", line())
	c, stop = running(t, w, w.plan)
	counted(c, 5)
	if o := w.outcome("m1-1"); o.doubled != 0 {
		t.Errorf("%+v", o)
	}
	w.noAck = true
	w.append("x.log", line())
	counted(c, 6)
	stop()
	// What was not acknowledged is sent again after a restart.
	for k := range w.parts {
		delete(w.parts, k)
	}
	c, stop = running(t, w, w.plan)
	counted(c, 1)
	stop()
}

func TestWatermarkFollowsTheClockWhenNothingIsWritten(t *testing.T) {
	w := newWorld(t)
	w.write("x.log", 3)
	w.start()
	mark := func() int64 {
		for _, m := range w.c.Outbox().Watermarks() {
			return m.TimeMs
		}
		return 0
	}
	before := mark()
	w.look()
	if now := mark(); now != before+1000 || now != w.now.Add(-time.Second).UnixMilli() {
		t.Errorf("watermark went from %d to %d, the clock is at %d", before, now, w.now.UnixMilli())
	}
	w.noAck = true
	w.write("x.log", 1)
	w.look()
	w.now = w.now.Add(time.Hour)
	w.look()
	if at := time.UnixMilli(mark()).UTC(); at.After(w.now.Add(-30 * time.Minute)) {
		t.Errorf("watermark %v passes what is not acknowledged", at)
	}
}

// A file that was rotated away and finished takes the place of its successor.
func TestOldFilePutBack(t *testing.T) {
	w := newWorld(t)
	w.write("x.log", 5)
	w.start()
	w.rename("x.log", "x.log.1")
	w.write("x.log", 5)
	w.look()
	w.now = w.now.Add(3 * time.Minute)
	w.look()
	w.look()
	if n := w.c.open; n != 1 {
		t.Fatalf("%d files are open; the rotated one should be finished", n)
	}
	w.rename("x.log.1", "x.log")
	w.write("x.log", 5)
	w.look()
	w.settle()
	w.expect(15)
}

func TestFlowLimit(t *testing.T) {
	w := newWorld(t)
	w.plan.Tasks[0].GetLog().FlowLimitBytesMin = 2000
	w.start()
	w.write("x.log", 100)
	w.look()
	o := w.outcome("m1-1")
	if o.counted < 15 || o.counted > 25 || o.lines.ThrottledBytes == 0 {
		t.Errorf("counted %d, throttled %d bytes", o.counted, o.lines.ThrottledBytes)
	}
	w.crash() // the limit holds over a restart
	w.start()
	w.write("x.log", 100)
	w.look()
	if now := w.outcome("m1-1"); now.counted != o.counted || now.lines.ThrottledBytes <= o.lines.ThrottledBytes {
		t.Errorf("counted %d more after a restart within the minute", now.counted-o.counted)
	}
	o = w.outcome("m1-1")
	w.now = w.now.Add(time.Minute)
	w.write("x.log", 5)
	w.look()
	if now := w.outcome("m1-1"); now.counted != o.counted+5 || now.lines.ThrottledBytes != o.lines.ThrottledBytes {
		t.Errorf("in the next minute counted %d more, throttled %d", now.counted-o.counted, now.lines.ThrottledBytes-o.lines.ThrottledBytes)
	}
}

func TestTooMuchMemorySealsEarly(t *testing.T) {
	w := newWorld(t)
	w.options = func(o *Options) { o.MaxMemory = 1 << 20 }
	w.start()
	for range 5 {
		w.write("x.log", 5000)
		w.look()
	}
	sealed := 0
	for _, r := range w.parts {
		if r.Sealed {
			sealed++
		}
	}
	if sealed < 2 {
		t.Errorf("%d parts were sealed early", sealed)
	}
	w.settle()
	if o := w.outcome("m1-1"); o.lost != 0 || o.doubled != 0 {
		t.Errorf("%+v", o)
	}
}

func TestTasksJoinOneCursor(t *testing.T) {
	w := newWorld(t)
	w.write("x.log", 50)
	w.start()
	w.plan = &pharosv1.Plan{Tasks: []*pharosv1.PlanTask{w.plan.Tasks[0], w.task("m2"), w.task("m3", func(s *logrule.Spec) { s.StartAt = logrule.StartEnd })}}
	w.c.apply(w.plan)
	w.write("x.log", 7)
	w.look()
	for id, want := range map[string]int{"m1-1": 57, "m2-1": 57, "m3-1": 7} {
		if o := w.outcome(id); o.counted != want || o.doubled != 0 {
			t.Errorf("%s: counted %d, doubled %d, want %d", id, o.counted, o.doubled, want)
		}
	}
	if g := w.c.paths[w.path("x.log")].live(); len(g.cursors) != 1 {
		t.Errorf("%d cursors", len(g.cursors))
	}
}

func TestEndedTaskIsDelivered(t *testing.T) {
	w := newWorld(t)
	w.write("x.log", 5)
	w.start()
	w.write("x.log", 5)
	w.c.discover()
	w.read()
	w.c.apply(&pharosv1.Plan{})
	w.look()
	for k, r := range w.parts {
		if !r.Sealed {
			t.Errorf("part %v is not sealed", k)
		}
	}
	w.expect(10)
	if n := len(w.c.paths); n != 0 {
		t.Errorf("%d logs are still followed", n)
	}
}

// BenchmarkCollect reads a file from end to end: discovery, reading,
// aggregation by two columns, checkpoints, delivery. Set PHAROS_BENCH_MB for a
// size other than 300 MB.
func BenchmarkCollect(b *testing.B) {
	mb := 300
	if testing.Short() {
		mb = 20
	}
	if v := os.Getenv("PHAROS_BENCH_MB"); v != "" {
		fmt.Sscan(v, &mb)
	}
	for _, tasks := range []int{1, 10} {
		b.Run(fmt.Sprintf("monitors=%d", tasks), func(b *testing.B) {
			w := newWorld(b)
			size := writeBenchFile(b, w.path("x.log"), mb)
			plan := &pharosv1.Plan{}
			for i := range tasks {
				plan.Tasks = append(plan.Tasks, w.task(fmt.Sprintf("m%d", i), func(s *logrule.Spec) {
					column := func(i int) *logrule.SplitRule { return &logrule.SplitRule{Delimiter: ",", Index: i} }
					s.Columns = []logrule.Column{{Name: "goods", Split: column(2)}, {Name: "service", Split: column(3)}, {Name: "cost", Split: column(5)}}
					s.GroupBy = []string{"goods", "service"}
					s.Statistics = []logrule.Statistic{{Kind: logrule.Count}, {Kind: logrule.Sum, Column: "cost"}}
				}))
			}
			b.SetBytes(size)
			b.ResetTimer()
			for range b.N {
				w.data = b.TempDir()
				c, stop := running(b, w, plan)
				for {
					_, _, load := c.Status()
					if load.BytesTotal >= uint64(size) {
						break
					}
					time.Sleep(5 * time.Millisecond)
				}
				stop()
			}
			b.StopTimer()
			b.ReportMetric(float64(rssMB()), "rss-MB")
		})
	}
}

func writeBenchFile(b *testing.B, name string, mb int) int64 {
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	at := time.Now().UTC().Add(-time.Hour)
	var size int64
	for n := 0; size < int64(mb)<<20; n++ {
		k, err := fmt.Fprintf(out, "%s,%010d,goods-%02d,service-%d,create,%d,Y,some more text in the line\n",
			at.Add(time.Duration(n)*time.Millisecond).Format("2006-01-02 15:04:05"), n, n%20, n%7, n%1000)
		if err != nil {
			b.Fatal(err)
		}
		size += int64(k)
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	return size
}

func rssMB() int {
	runtime.GC()
	body, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(body)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb := 0
			fmt.Sscan(v, &kb)
			return kb >> 10
		}
	}
	return 0
}

// BenchmarkIdle says what a thousand files cost that nobody writes to: a sweep,
// of which there is one every five seconds, and the turns in between.
func BenchmarkIdle(b *testing.B) {
	w := newWorld(b, all)
	for n := range 1000 {
		if err := os.WriteFile(filepath.Join(w.dir, fmt.Sprintf("%d.log", n)), []byte(w.lines(1)), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	w.start()
	defer w.crash()
	b.Run("sweep", func(b *testing.B) {
		for range b.N {
			w.c.discover()
			w.read()
		}
	})
	b.Run("turn", func(b *testing.B) {
		for range b.N {
			w.read()
			w.c.checkpoint()
		}
	})
}
