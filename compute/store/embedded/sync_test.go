package embedded

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
)

const (
	loadWriters = 4
	// loadSyncs is how many times the process syncs before it is killed.
	loadSyncs = 12
)

// TestKillUnderLoad kills, with SIGKILL, a process that writes with several
// writers and syncs all the time. All that a writer had written when a Sync
// began is there, also what was being merged in memory just then.
func TestKillUnderLoad(t *testing.T) {
	if dir := os.Getenv("PHAROS_TEST_LOAD_DIR"); dir != "" {
		writeAndSync(t, dir)
		return
	}
	for round := range 3 {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^TestKillUnderLoad$")
		cmd.Env = append(os.Environ(), "PHAROS_TEST_LOAD_DIR="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var started int64
		var synced [loadWriters]int64
		lines := bufio.NewScanner(out)
		for n := 0; n < loadSyncs && lines.Scan(); n++ {
			if _, err := fmt.Sscan(lines.Text(), &started, &synced[0], &synced[1], &synced[2], &synced[3]); err != nil {
				t.Fatalf("the process said %q: %v", lines.Text(), err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if synced == [loadWriters]int64{} {
			t.Fatal("nothing was synced")
		}
		s, r := openBoth(t, dir)
		for w, want := range synced {
			if n := countSamples(t, s, w, started); n < want {
				t.Errorf("round %d: writer %d has %d samples after the crash, synced were %d", round, w, n, want)
			}
			if n := countRows(t, r, w, started); n < want {
				t.Errorf("round %d: writer %d has %d rows after the crash, synced were %d", round, w, n, want)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func openBoth(t *testing.T, dir string) (*Store, *Rows) {
	s := open(t, filepath.Join(dir, "series"), 0)
	r, err := OpenRows(Options{Dir: filepath.Join(dir, "rows"), ReserveBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func loadLabels(writer int) store.Labels {
	return store.FromStrings(store.MetricName, "load", "writer", strconv.Itoa(writer))
}

// writeAndSync prints, after each Sync, how much of each writer was written before it.
func writeAndSync(t *testing.T, dir string) {
	s, r := openBoth(t, dir)
	ctx, started := context.Background(), time.Now().Truncate(time.Hour).UnixMilli()
	var wrote [loadWriters]atomic.Int64
	for w := range loadWriters {
		go func() {
			for i := int64(0); ; i++ {
				at := started + i
				if err := s.WriteSamples(ctx, []store.Sample{{Labels: loadLabels(w), TimeMs: at, Value: 1}}); err != nil {
					t.Error(err)
				}
				if err := r.WriteRows(ctx, []store.Row{{Stream: store.FromStrings("writer", strconv.Itoa(w)), TimeNs: at * 1e6,
					Fields: store.FromStrings("n", strconv.FormatInt(i, 10))}}); err != nil {
					t.Error(err)
				}
				wrote[w].Store(i + 1)
			}
		}()
	}
	for {
		var before [loadWriters]int64
		for w := range before {
			before[w] = wrote[w].Load()
		}
		var both sync.WaitGroup
		for _, sync := range []func(context.Context) error{s.Sync, r.Sync} {
			both.Go(func() {
				if err := sync(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		fmt.Println(started, before[0], before[1], before[2], before[3])
	}
}

func countSamples(t *testing.T, s *Store, writer int, started int64) (n int64) {
	matchers := []store.Matcher{{Name: store.MetricName, Value: "load"}, {Name: "writer", Value: strconv.Itoa(writer)}}
	if err := s.Select(context.Background(), matchers, started, started+2*time.Hour.Milliseconds(), store.Limits{}, func(x *store.Series) error {
		n += int64(len(x.Values))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func countRows(t *testing.T, r *Rows, writer int, started int64) (n int64) {
	q := store.RowQuery{Stream: []store.Matcher{{Name: "writer", Value: strconv.Itoa(writer)}}, StartNs: started * 1e6,
		EndNs: (started + 2*time.Hour.Milliseconds()) * 1e6, Limit: 10_000_000}
	if err := r.QueryRows(context.Background(), q, func(*store.Row) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}
