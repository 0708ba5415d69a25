package embedded

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/store/storetest"
)

func open(t *testing.T, dir string, retention time.Duration) *Store {
	t.Helper()
	s, err := Open(Options{Dir: dir, Retention: retention, MemoryBytes: 64 << 20, ReserveBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, retention time.Duration) store.Store {
		return open(t, t.TempDir(), retention)
	})
}

var crashLabels = store.FromStrings("__name__", "crash:count", "goods", "food")

// TestKill runs a process that writes, syncs, writes on and is killed with
// SIGKILL. All that was written before the Sync is there; no left-over snapshot is.
func TestKill(t *testing.T) {
	if dir := os.Getenv("PHAROS_TEST_CRASH_DIR"); dir != "" {
		writeAndWait(t, dir)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "PHAROS_TEST_CRASH_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf, got := make([]byte, 100), ""
	for !strings.Contains(got, "synced\n") {
		n, err := out.Read(buf)
		if err != nil {
			t.Fatalf("the process said %q, then %v", got, err)
		}
		got += string(buf[:n])
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	s := open(t, dir, 0)
	start := time.Now().Truncate(time.Hour).UnixMilli()
	var values []float64
	err = s.Select(context.Background(), []store.Matcher{{Name: "__name__", Value: "crash:count"}}, start-3_600_000, start+3_600_000, store.Limits{}, func(x *store.Series) error {
		values = append(values, x.Values...)
		return nil
	})
	if err != nil || len(values) < 30 {
		t.Fatalf("read %v, %v", values, err)
	}
	for i := range 30 {
		if values[i] != float64(i)-0.5 {
			t.Errorf("window %d is %v", i, values[i])
		}
	}
	if left := s.engine.MustListSnapshots(); len(left) != 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

func writeAndWait(t *testing.T, dir string) {
	s := open(t, dir, 0)
	start := time.Now().Truncate(time.Hour).UnixMilli()
	write := func(from, to int64) {
		for i := from; i < to; i++ {
			for revision := range uint32(3) {
				err := s.WriteWindows(context.Background(), []store.WindowSample{{
					Labels: crashLabels, StartMs: start + i*60_000, WindowMs: 60_000, Revision: revision, Value: float64(i) - float64(revision)/4}})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// A snapshot as of a Sync that was cut off, before the writes, which it would make durable.
	s.engine.MustCreateSnapshot()
	write(0, 30)
	if err := s.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("synced\n")
	write(30, 40)
	select {} // to be killed
}

func TestDiskFull(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir(), ReserveBytes: math.MaxUint64})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now().Truncate(time.Minute).UnixMilli()
	if err := s.WriteSamples(context.Background(), []store.Sample{{Labels: crashLabels, TimeMs: now, Value: 1}}); !errors.Is(err, store.ErrDiskFull) {
		t.Errorf("write: %v", err)
	}
	if err := s.Sync(context.Background()); !errors.Is(err, store.ErrDiskFull) {
		t.Errorf("sync: %v", err)
	}
	if st := s.Stats(); st.Refused != 2 || st.FreeBytes == 0 {
		t.Errorf("stats: %+v", st)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(Options{}); err == nil {
		t.Error("opened without a directory")
	}
	if _, err := Open(Options{Dir: t.TempDir(), Retention: time.Hour}); err == nil {
		t.Error("opened with a retention of an hour")
	}
	dir := t.TempDir()
	open(t, dir, 0)
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("opened a directory in use: %v", err)
	}
}

func TestRows(t *testing.T) {
	storetest.RunRows(t, func(t *testing.T, retention time.Duration) store.Rows {
		r, err := OpenRows(Options{Dir: t.TempDir(), Retention: retention, MemoryBytes: 64 << 20, ReserveBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r
	})
}
