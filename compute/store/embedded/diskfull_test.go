package embedded

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharos-stack/pharos/compute/store"
)

// TestDiskFills writes to a small file system until it is refused: the process
// lives on, what was written can be read, and writing works again once there is room.
func TestDiskFills(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("SKIPPED: full disk: cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("cannot unmount: %v", err)
		}
	})
	s, err := Open(Options{Dir: dir + "/data", MemoryBytes: 64 << 20, ReserveBytes: 40 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	now := time.Now().Truncate(time.Hour).UnixMilli()
	random := rand.New(rand.NewPCG(1, 1))
	written := 0
	for full := false; !full; {
		batch := make([]store.Sample, 50_000)
		for i := range batch {
			written++
			batch[i] = store.Sample{Labels: crashLabels, TimeMs: now + int64(written), Value: random.Float64()}
		}
		err := s.WriteSamples(ctx, batch)
		if err == nil {
			err = s.Sync(ctx) // so that the disk shows what was written
		}
		switch {
		case errors.Is(err, store.ErrDiskFull):
			full = true
			written -= len(batch)
		case err != nil:
			t.Fatal(err)
		case written > 20_000_000:
			t.Fatal("never full")
		}
	}
	read := 0
	err = s.Select(ctx, []store.Matcher{{Name: "__name__", Value: "crash:count"}}, now, now+int64(time.Hour/time.Millisecond)*10, store.Limits{}, func(x *store.Series) error {
		read += len(x.Values)
		return nil
	})
	if err != nil || read < written || written == 0 {
		t.Errorf("wrote %d samples, read %d, %v", written, read, err)
	}
	// More room.
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=128m"); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteSamples(ctx, []store.Sample{{Labels: crashLabels, TimeMs: now, Value: 1}}); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := s.Sync(ctx); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Refused == 0 {
		t.Errorf("stats %+v", st)
	}
}
