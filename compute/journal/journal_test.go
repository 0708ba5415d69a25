package journal

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

func open(t *testing.T, o Options) *Journal {
	t.Helper()
	o.ReserveBytes, o.BallastBytes = max(o.ReserveBytes, 1), 1<<16
	j, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func commit(t *testing.T, j *Journal, fill func(b *Batch)) {
	t.Helper()
	b := j.NewBatch()
	fill(b)
	if err := j.Commit(b); err != nil {
		t.Fatal(err)
	}
}

func parts(t *testing.T, j *Journal, w WindowID) []string {
	t.Helper()
	var out []string
	err := j.Contents(w, func(b *Base) error {
		out = append(out, fmt.Sprintf("base of %d", len(b.Parts)))
		return nil
	}, func(p *Part) error {
		r, err := p.Decode()
		if err != nil {
			return err
		}
		out = append(out, fmt.Sprintf("%s %s %d r%d %v %s", p.Task, p.Agent, p.PartID.Part, p.Revision, p.Sealed, r.GetTable()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func rev(task string, part, revision uint64, sealed bool, body string) *pharosv1.Revision {
	return &pharosv1.Revision{TaskId: task, Part: part, Revision: revision, Sealed: sealed, Payload: &pharosv1.Revision_Table{Table: []byte(body)}}
}

func TestPartsByWindow(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Options{Dir: dir})
	w1, w2 := WindowID{"m", 1000, 1000}, WindowID{"m", 2000, 1000}
	others := []WindowID{{"m2", 1000, 1000}, {"m", 1000, 60_000}, {"", 1000, 1000}}
	commit(t, j, func(b *Batch) {
		b.PutPart(w1, "b", rev("t", 1, 1, false, "old"))
		b.PutPart(w1, "a", rev("t", 256, 9, true, "x"))
		b.PutPart(w1, "a", rev("t", 2, 9, true, "y"))
		b.PutPart(w2, "a", rev("t", 1, 1, false, "z"))
		for _, o := range others {
			b.PutPart(o, "a", rev("t", 1, 1, false, "other"))
		}
	})
	commit(t, j, func(b *Batch) { b.PutPart(w1, "b", rev("t", 1, 2, false, "new")) })
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, Options{Dir: dir})
	defer j.Close()
	if got, want := parts(t, j, w1), []string{"t a 2 r9 true y", "t a 256 r9 true x", "t b 1 r2 false new"}; !slices.Equal(got, want) {
		t.Errorf("parts are %q, want %q", got, want)
	}
	for _, o := range others {
		if got := parts(t, j, o); len(got) != 1 {
			t.Errorf("window %v has %q", o, got)
		}
	}
	commit(t, j, func(b *Batch) { b.Expire(2000) })
	if got := parts(t, j, w1); len(got) != 0 {
		t.Errorf("after it expired, the window has %q", got)
	}
	if got := parts(t, j, w2); len(got) != 1 {
		t.Errorf("a later window has %q", got)
	}
}

func TestRecords(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Options{Dir: dir})
	w := WindowID{"m", 1000, 1000}
	s := &Settled{State: &pharosv1.WindowState{WindowStartMs: 1000, Revision: 3, Completeness: 0.5}, Expected: 2, Missing: []string{"x"}}
	commit(t, j, func(b *Batch) {
		b.Mark(w)
		b.PutSettled(w, s)
		b.PutKey("m", "k\x00", 77)
		b.PutCursor("m", 5000)
		b.PutTask(&pharosv1.MonitorInfo{MonitorId: "m", TaskId: "m/1"})
		b.PutState(&pharosv1.ClusterState{Revision: 8})
		for i := range uint64(3) {
			b.PutSamples(i+1, "a", &pharosv1.Samples{Series: []*pharosv1.SampleSeries{{Name: fmt.Sprint(i)}}})
		}
	})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, Options{Dir: dir})
	defer j.Close()
	got, err := j.Settled(w)
	if err != nil || got.State.GetRevision() != 3 || got.Expected != 2 || !slices.Equal(got.Missing, []string{"x"}) {
		t.Errorf("settled is %+v, %v", got, err)
	}
	if none, err := j.Settled(WindowID{"m", 2000, 1000}); err != nil || none != nil || none.GetRevision() != 0 {
		t.Errorf("a window that has not settled is %+v, %v", none, err)
	}
	var log []string
	note := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	read := func() []string {
		log = nil
		for _, err := range []error{
			j.Marked(func(w WindowID) { note("mark %v", w) }),
			j.Incomplete(func(w WindowID) { note("incomplete %v", w) }),
			j.Keys(func(m, k string, ms int64) { note("key %s %q %d", m, k, ms) }),
			j.Cursors(func(m string, ms int64) { note("cursor %s %d", m, ms) }),
			j.Tasks(func(m *pharosv1.MonitorInfo) { note("task %s", m.GetTaskId()) }),
			j.Samples(2, func(seq uint64, agent string, s *pharosv1.Samples) error {
				note("samples %d %s %s", seq, agent, s.GetSeries()[0].GetName())
				return nil
			}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return log
	}
	want := []string{"mark {m 1000 1000}", "incomplete {m 1000 1000}", `key m "k\x00" 77`, "cursor m 5000", "task m/1", "samples 2 a 1", "samples 3 a 2"}
	if got := read(); !slices.Equal(got, want) {
		t.Errorf("records are %q, want %q", got, want)
	}
	if state, err := j.State(); err != nil || state.GetRevision() != 8 {
		t.Errorf("state is %v, %v", state, err)
	}
	s.Missing = nil
	commit(t, j, func(b *Batch) {
		b.Unmark(w)
		b.PutSettled(w, s)
		b.DropKey("m", "k\x00")
		b.DropSamples(2)
	})
	if got, want := read(), []string{"cursor m 5000", "task m/1", "samples 3 a 2"}; !slices.Equal(got, want) {
		t.Errorf("records are %q, want %q", got, want)
	}
}

func TestRoom(t *testing.T) {
	free := uint64(100)
	j := open(t, Options{Dir: t.TempDir(), ReserveBytes: 200, Free: func(string) (uint64, error) { return free, nil }})
	defer j.Close()
	if err := j.Room(); !errors.Is(err, ErrNoRoom) {
		t.Errorf("room: %v", err)
	}
	free = 201
	if err := j.Room(); err != nil {
		t.Error(err)
	}
}

// TestFailedWrite lets the disk fail: Commit must say so, and what was
// committed before must be there for the next process.
func TestFailedWrite(t *testing.T) {
	fs := vfs.NewCrashableMem()
	broken := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			return syscall.EIO
		}
		return nil
	})}
	j := open(t, Options{Dir: "journal", FS: errorfs.Wrap(fs, &broken), Free: func(string) (uint64, error) { return 1 << 30, nil }})
	w := WindowID{"m", 1000, 1000}
	commit(t, j, func(b *Batch) { b.PutPart(w, "a", rev("t", 1, 1, true, "kept")) })
	broken.On()
	b := j.NewBatch()
	b.PutPart(w, "a", rev("t", 2, 2, true, "lost"))
	if err := j.Commit(b); err == nil {
		t.Fatal("a commit to a broken disk succeeded")
	}
	<-j.Failed()
	if j.Err() == nil || j.Room() == nil {
		t.Error("the failure is not told")
	}
	after := fs.CrashClone(vfs.CrashCloneCfg{})
	j = open(t, Options{Dir: "journal", FS: after})
	defer j.Close()
	if got := parts(t, j, w); !slices.Equal(got, []string{"t a 1 r1 true kept"}) {
		t.Errorf("after the crash there is %q", got)
	}
}
