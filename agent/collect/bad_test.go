package collect

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// all reads every *.log, so that bad files stand beside a good one.
func all(s *logrule.Spec) { s.Paths[0] = filepath.Join(filepath.Dir(s.Paths[0]), "*.log") }

func (w *world) expect(counted int) outcome {
	w.t.Helper()
	o := w.outcome("m1-1")
	if o.counted != counted || o.doubled != 0 {
		w.t.Fatalf("counted %d, doubled %d, want %d", o.counted, o.doubled, counted)
	}
	return o
}

func (w *world) fileError(name string) string {
	w.t.Helper()
	for _, f := range w.status("m1-1").Files {
		if f.Path == w.path(name) {
			return f.Error
		}
	}
	return ""
}

func TestWhatIsNoFileStopsNoOther(t *testing.T) {
	w := newWorld(t, all)
	w.must(os.Mkdir(w.path("a.log"), 0o755))
	w.must(unix.Mkfifo(w.path("b.log"), 0o644)) // opening it in the usual way would wait for a writer
	w.must(os.Symlink("nowhere", w.path("c.log")))
	w.write("x.log", 10)
	w.start()
	w.expect(10)
	for _, name := range []string{"a.log", "b.log"} {
		if e := w.fileError(name); !strings.Contains(e, "not a regular file") {
			t.Errorf("%s: error %q", name, e)
		}
	}
	w.remove("b.log") // in its place, a file
	w.write("b.log", 5)
	w.look()
	w.look()
	w.expect(15)
	if e := w.fileError("b.log"); e != "" {
		t.Errorf("b.log: error %q", e)
	}
}

func TestLinks(t *testing.T) {
	w := newWorld(t, func(s *logrule.Spec) { s.Paths[0] = filepath.Join(filepath.Dir(s.Paths[0]), "link", "x.log") })
	w.must(os.Mkdir(w.path("real"), 0o755))
	w.write("real/x.log", 5)
	w.must(os.Symlink("real", w.path("link")))
	w.start()
	if s := w.status("m1-1"); !strings.Contains(s.Error, "is a symbolic link; declare it") || s.Files[0].Problem != "link_undeclared" {
		t.Errorf("undeclared link: error %q", s.Error)
	}
	w.plan = &pharosv1.Plan{Tasks: []*pharosv1.PlanTask{w.task("m1", func(s *logrule.Spec) {
		s.Paths[0], s.SymlinkPart = w.path("link/x.log"), w.path("link")
	})}}
	w.c.apply(w.plan)
	w.look()
	if s := w.status("m1-1"); s.Error != "" || s.Files[0].Problem != "" || s.Files[0].ModifiedMs == 0 {
		t.Errorf("declared link: error %q, file %v", s.Error, s.Files[0])
	}
	if o := w.outcome("m1-1"); o.doubled != 0 {
		t.Errorf("doubled %d", o.doubled)
	}
	w.write("real/x.log", 5)
	w.look()
	if o := w.outcome("m1-1"); o.counted < 5 {
		t.Errorf("declared link: counted %d", o.counted)
	}
	w.crash()

	w = newWorld(t, func(s *logrule.Spec) { s.SymlinkPart = s.Paths[0] })
	w.write("real", 5)
	w.must(os.Symlink("real", w.path("middle")))
	w.must(os.Symlink("middle", w.path("x.log")))
	w.start()
	if s := w.status("m1-1"); !strings.Contains(s.Error, "only one link level") || s.Files[0].Problem != "link_levels" {
		t.Errorf("two levels: error %q", s.Error)
	}
	w.expect(0)
}

// A log that was replaced by a link out of the roots must not be followed.
func TestLinkPutInPlaceOfALog(t *testing.T) {
	w := newWorld(t)
	w.options = func(o *Options) { o.AllowedRoots = []string{w.dir} }
	secret := filepath.Join(t.TempDir(), "secret")
	w.write("x.log", 5)
	w.start()
	w.must(os.WriteFile(secret, []byte(w.lines(5)), 0o600))
	w.remove("x.log")
	w.must(os.Symlink(secret, w.path("x.log")))
	w.look()
	w.look()
	w.expect(5)
	if e := w.fileError("x.log"); !strings.Contains(e, "symbolic link") {
		t.Errorf("error %q", e)
	}
}

func TestNamesThatAreNoText(t *testing.T) {
	w := newWorld(t, all)
	w.write("bad\xff\xfe.log", 10)
	w.start()
	w.expect(10)
	w.crash()
	w.write("bad\xff\xfe.log", 5)
	w.start()
	w.expect(15)
}

func TestBinary(t *testing.T) {
	w := newWorld(t, all)
	noise := make([]byte, 3<<20)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(noise)
	w.must(os.WriteFile(w.path("noise.log"), noise, 0o644))
	w.must(os.WriteFile(w.path("zeros.log"), make([]byte, 3<<20), 0o644))
	w.write("x.log", 10)
	w.start()
	w.expect(10)
	// Each line is counted once, those that can't be read as such; the zeros are one line without end, which is cut.
	s := w.status("m1-1")
	if lines := uint64(bytes.Count(noise, []byte("\n"))) + 10 + 1; s.Lines.Read != lines || s.Lines.Cut != 1 || s.Lines.Matched != 10 ||
		s.Lines.Bad+s.Lines.Unmatched != lines-10 || len(s.BadSamples) == 0 {
		t.Errorf("of %d lines: %v, %d samples", lines, s.Lines, len(s.BadSamples))
	}
	if len(w.c.buf) > blockSize {
		t.Errorf("the buffer has grown to %d bytes", len(w.c.buf))
	}
}

// asNobody calls f as a user that may read only what everybody may.
func (w *world) asNobody(f func()) {
	w.t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w.must(unix.Setfsuid(65534))
	defer unix.Setfsuid(0)
	f()
}

func TestUnreadableFileStopsNoOther(t *testing.T) {
	w := newWorld(t, all)
	for dir := w.dir; strings.Contains(dir, t.Name()); dir = filepath.Dir(dir) {
		w.must(os.Chmod(dir, 0o755))
	}
	w.start()
	w.must(os.WriteFile(w.path("a.log"), []byte(w.lines(5)), 0))
	w.write("x.log", 10)
	look := func() {
		w.asNobody(func() { w.c.discover(); w.read() })
		w.c.checkpoint()
		w.deliver()
	}
	look()
	w.expect(10)
	if e := w.fileError("a.log"); !strings.Contains(e, "permission denied") {
		t.Errorf("error %q", e)
	}
	w.must(os.Chmod(w.path("a.log"), 0o644))
	look()
	w.expect(15)
	if e := w.fileError("a.log"); e != "" {
		t.Errorf("error %q", e)
	}
}

// A line without end must neither grow memory nor stop what follows, also over
// a crash in its middle.
func TestEndlessLine(t *testing.T) {
	w := newWorld(t)
	w.write("x.log", 3)
	w.start()
	start := w.lines(1)
	w.append("x.log", start[:len(start)-1])
	for range 10 {
		w.append("x.log", string(bytes.Repeat([]byte("x"), 300<<10)))
		w.look()
	}
	if len(w.c.buf) > blockSize {
		t.Errorf("the buffer has grown to %d bytes", len(w.c.buf))
	}
	w.crash()
	w.start()
	w.append("x.log", "\n")
	w.write("x.log", 3)
	w.look()
	if o := w.expect(7); o.lines.Cut != 1 || o.lines.Read != 7 {
		t.Errorf("counters %v", o.lines)
	}
}

func TestCRLFAndLinesWithoutTime(t *testing.T) {
	w := newWorld(t)
	w.append("x.log", "no time yet\r\n"+strings.ReplaceAll(w.lines(2), "\n", "\r\n")+"\tat a continuation\r\n")
	w.start()
	if o := w.expect(2); o.lines.Bad != 1 || o.lines.Unmatched != 1 || o.lines.Read != 4 {
		t.Errorf("counters %v", o.lines)
	}
}

func TestFilesThatDisappear(t *testing.T) {
	w := newWorld(t, all)
	w.start()
	for range 20 {
		w.write("y.log", 3)
		w.c.discover()
		for _, p := range w.c.paths {
			w.c.look(p)
		}
		w.remove("y.log") // found, and gone before it is read
		w.look()
	}
	w.settle()
	w.expect(60)
	if n := len(w.c.paths); n > 1 {
		t.Errorf("%d logs are still followed", n)
	}
	if w.c.open > 1 {
		t.Errorf("%d files are still open", w.c.open)
	}
}

func TestBadRuleStopsNoOther(t *testing.T) {
	w := newWorld(t)
	bad := w.task("m2")
	bad.GetLog().SpecJson = []byte(`{"title":"m2","type":"minute","columns":[{"name":"c","regex":{"pattern":"("}}]}`)
	w.plan.Tasks = append(w.plan.Tasks, bad, &pharosv1.PlanTask{TaskId: "m3-1", MonitorId: "m3", Kind: &pharosv1.PlanTask_Log{Log: &pharosv1.LogTask{SpecJson: []byte("{")}}})
	w.write("x.log", 5)
	w.start()
	w.expect(5)
	for _, id := range []string{"m2-1", "m3-1"} {
		if s := w.status(id); s.Error == "" {
			t.Errorf("task %s has no error", id)
		}
	}
}

// With the disk full, first the spool and then the slots can't grow. Nothing
// is sent that isn't durable, nothing is lost, and it recovers by itself.
func TestDiskFull(t *testing.T) {
	w := newWorld(t)
	if err := unix.Mount("tmpfs", w.data, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("needs a small file system, which only root can mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(w.data, unix.MNT_DETACH) })
	w.write("x.log", 10)
	w.start()
	w.expect(10)
	ballast := filepath.Join(w.data, "ballast")
	fill := func() {
		f, err := os.Create(ballast)
		w.must(err)
		defer f.Close()
		for size := 64 << 10; size > 0; size /= 2 {
			for {
				if _, err := f.Write(make([]byte, size)); err != nil {
					break
				}
			}
		}
	}
	fill()
	// The windows are over, but the spool has no room: they go on in the slots.
	w.appendQuietly("x.log", 10)
	w.now = w.now.Add(3 * time.Minute)
	w.look()
	w.look()
	w.expect(20)
	if _, problems, _ := w.c.Status(); len(problems) != 1 || !strings.Contains(problems[0], "no space") {
		t.Fatalf("problems %q", problems)
	}
	// More keys than a slot has room for: nothing more can be kept.
	w.appendQuietly("x.log", 60_000)
	w.look()
	w.look()
	w.expect(20)
	read := w.status("m1-1").Lines.Read
	w.appendQuietly("x.log", 10)
	w.look()
	w.look()
	if more := w.status("m1-1").Lines.Read - read; more != 0 {
		t.Errorf("%d lines were read that can't be kept", more)
	}
	w.crash()
	w.start()
	w.look()
	w.expect(20)
	w.must(os.Remove(ballast))
	w.look()
	w.look()
	w.look()
	w.expect(60_030)
	if _, problems, _ := w.c.Status(); len(problems) != 0 {
		t.Errorf("problems %q", problems)
	}
}

// appendQuietly is write without files in the agent's directory.
func (w *world) appendQuietly(name string, n int) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_APPEND|os.O_WRONLY, 0o644)
	w.must(err)
	_, err = f.WriteString(w.lines(n))
	w.must(err)
	w.must(f.Close())
}
