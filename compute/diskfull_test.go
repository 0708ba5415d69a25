package compute

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// smallDisk mounts a file system of so many MB and returns its directory and a way to give it another size.
func smallDisk(t *testing.T, size string) (dir string, resize func(size string)) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("SKIPPED: full disk: cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("cannot unmount: %v", err)
		}
	})
	return dir, func(size string) {
		t.Helper()
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
}

// big is a part of one line that takes 64 KB on disk.
func big(m *pharosv1.MonitorInfo, part uint64) *pharosv1.Revision {
	r := revision(m, t0, part, 1, true, table(0, map[string]int{"": 1}, 0))
	rng := rand.New(rand.NewPCG(part, 1))
	path := make([]byte, 64<<10)
	for i := range path {
		path[i] = byte('0' + rng.IntN(64))
	}
	r.Receipts = []*pharosv1.Receipt{{Path: string(path)}}
	return r
}

func (r *rig) acks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.acked)
}

// TestJournalDiskFills sends parts to a compute on a small disk: from the
// reserve on nothing is acknowledged and the reason is told, and with more room all goes
// on and nothing is lost.
func TestJournalDiskFills(t *testing.T) {
	dir, resize := smallDisk(t, "64m")
	r := newRig(t, func(o *Options) {
		o.Dir = filepath.Join(dir, "data")
		o.Journal.ReserveBytes, o.Journal.BallastBytes, o.Journal.MemTableBytes = 32<<20, 4<<20, 2<<20
	})
	m := plain(t, "a")
	r.c.SetState(cluster([]*pharosv1.MonitorInfo{m}, "a"))
	sent := 0
	send := func() {
		sent++
		r.part("a", big(m, uint64(sent)))
	}
	for r.c.Status().GetDiskError() == "" {
		if sent > 2000 {
			t.Fatal("the disk is never full")
		}
		send()
		r.until("acknowledged or refused", func() bool { return r.acks() == sent || r.c.Status().GetDiskError() != "" })
	}
	before := r.acks()
	for range 10 {
		send()
	}
	r.until("time has passed", func() bool { return r.now.Load() > t0+1000 || r.acks() > before }) // a thousand looks
	if n := r.acks(); n != before || before == 0 {
		t.Errorf("%d acknowledged, %d more without room", before, n-before)
	}
	resize("256m")
	r.until("all are acknowledged", func() bool { return r.acks() == sent })
	r.until("no longer told", func() bool { return r.c.Status().GetDiskError() == "" })
	r.mark("a", m, t0+minute)
	r.now.Store(t0 + minute)
	r.is(linesCount, t0, float64(sent))
}

// TestDiskIsFullAtOnce fills the disk faster than a process looks at it: it
// ends, and the next one has all that was acknowledged.
func TestDiskIsFullAtOnce(t *testing.T) {
	dir, _ := smallDisk(t, "96m")
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "store")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	acked := map[string]uint64{}
	t.Setenv(blindEnv, "1")
	ch := startChild(t, dir, &mu, acked)
	m, base, sent := second(t), crashBase(), uint64(0)
	send := func(part uint64) error {
		r := big(m, part)
		r.WindowStartMs, r.WindowMs, r.Payload = base, 1000, &pharosv1.Revision_Table{Table: table(1, map[string]int{"k": 1}, 7)}
		return ch.stream.Send(&pharosv1.IngestRequest{Message: &pharosv1.IngestRequest_Revision{Revision: &pharosv1.AgentRevision{AgentId: "a", Revision: r}}})
	}
	has := func(part uint64) bool {
		mu.Lock()
		defer mu.Unlock()
		return acked[partKey("a", m.GetTaskId(), base, part)] > 0
	}
	waitFor := func(part uint64) {
		t.Helper()
		for n := 0; !has(part); n++ {
			if n > 10_000 {
				t.Fatalf("part %d is not acknowledged", part)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	for sent < 20 {
		sent++
		if err := send(sent); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(sent)
	fill(t, filepath.Join(dir, "theirs"))
	for alive := true; alive; {
		if sent++; sent > 5000 {
			t.Fatal("the disk is never full")
		}
		alive = send(sent) == nil
		select {
		case <-ch.gone:
			alive = false
		default:
		}
	}
	ch.kill()
	if err := os.Remove(filepath.Join(dir, "theirs")); err != nil {
		t.Fatal(err)
	}
	t.Setenv(blindEnv, "")
	ch = startChild(t, dir, &mu, acked)
	defer func() { ch.kill() }()
	// As agents do: again what was not acknowledged, and only that.
	again := 0
	for part := uint64(1); part <= sent; part++ {
		if has(part) {
			continue
		}
		again++
		if err := send(part); err != nil {
			t.Fatal(err)
		}
		waitFor(part)
	}
	t.Logf("%d of %d parts were not acknowledged when the disk was full", again, sent)
	if again == 0 {
		t.Error("everything was acknowledged in spite of the full disk")
	}
	ch.mark(m, base+60_000)
	compareWithStore(t, ch, map[string]float64{fmt.Sprintf(`second:count:total{app="shop",workspace="w"}@%d`, base): float64(sent)})
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(chunk)
	}
	for err = nil; err == nil; {
		_, err = f.Write(chunk[:1024])
	}
	_ = f.Close() // it is full, as it should be
}
