// Package journal keeps on disk what compute must not forget: the parts of
// every window of the last day, which windows still have to be settled or
// written to the store again, and the keys that monitors know.
//
// It promises that what Commit took is there after any crash, that a batch is
// taken whole or not at all, and that batches survive in their order: if one is
// there, so are all before it. It does not decide anything: of two revisions of
// a part the one put last stays, so the caller puts only higher ones.
//
// The keys and values are described in docs/formats/journal.md.
//
// # Full disk
//
// Room says whether enough of the disk is free to go on; callers ask before
// they put. If the disk fills up in spite of that (somebody else took the rest),
// a ballast file gives way, so that what has begun can end in good order. Pebble
// has no way back from a failed write of its log: then Failed is closed, every
// Commit fails, and the process has to begin again. Nothing that Commit took is lost.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a journal. The zero value of a field means its default.
type Options struct {
	// Dir holds the data; it is created if missing. One process may open it.
	Dir string
	// CacheBytes bounds the block cache (default 32 MB).
	CacheBytes int64
	// MemTableBytes is how much is collected in memory before it goes to a table (default 32 MB).
	MemTableBytes uint64
	// ReserveBytes of free disk space below which Room refuses (default 256 MB).
	ReserveBytes uint64
	// BallastBytes is the size of the file that gives way when the disk is full (default 32 MB).
	BallastBytes int64
	// Free returns the free bytes of the disk of a directory (default: ask the file system).
	Free func(dir string) (uint64, error)
	// FS is the file system (default: the machine's).
	FS vfs.FS
	// Logger for the engine's warnings (default: none).
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.CacheBytes <= 0 {
		o.CacheBytes = 32 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 32 << 20
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = 256 << 20
	}
	if o.BallastBytes <= 0 {
		o.BallastBytes = 32 << 20
	}
	if o.Free == nil {
		o.Free = freeBytes
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// ErrNoRoom is wrapped by Room's error when the disk is too full.
var ErrNoRoom = errors.New("too little free disk space")

// Journal is safe for concurrent use.
type Journal struct {
	db      *pebble.DB
	opts    Options
	failed  chan struct{}
	failure atomic.Pointer[error] // why failed is closed
	once    sync.Once
	// trouble is what went wrong in the background and is tried again.
	trouble atomic.Pointer[error]
}

// Open opens or creates the journal in a directory.
func Open(o Options) (*Journal, error) {
	o = o.withDefaults()
	if err := o.FS.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot create journal directory %q: %w", o.Dir, err)
	}
	// The engine makes durable what is in the directory, not the directory itself.
	for dir, last := o.FS.PathDir(o.Dir), o.Dir; dir != last; dir, last = o.FS.PathDir(dir), dir {
		d, err := o.FS.OpenDir(dir)
		if err != nil {
			break // one that we may not read is older than we are
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return nil, fmt.Errorf("cannot make journal directory %q durable: %w", o.Dir, err)
		}
	}
	j := &Journal{opts: o, failed: make(chan struct{})}
	cache := pebble.NewCache(o.CacheBytes)
	defer cache.Unref()
	db, err := pebble.Open(o.Dir, &pebble.Options{
		Cache:                       cache,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		FormatMajorVersion:          pebble.FormatVirtualSSTables,
		FS:                          vfs.OnDiskFull(o.FS, j.dropBallast),
		Logger:                      engineLog{j},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { j.trouble.Store(&err) },
			FlushEnd: func(i pebble.FlushInfo) {
				if i.Err == nil {
					j.trouble.Store(nil)
				}
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open journal %q: %w", o.Dir, err)
	}
	j.db = db
	if err := j.checkFormat(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	j.makeBallast()
	return j, nil
}

// Close closes the journal. All calls must have returned.
func (j *Journal) Close() error {
	select {
	case <-j.failed:
		return nil // the engine is stuck in its failure; the process is about to end
	default:
	}
	if err := j.db.Close(); err != nil {
		return fmt.Errorf("cannot close journal %q: %w", j.opts.Dir, err)
	}
	return nil
}

// Failed is closed when the journal can't go on in this process.
func (j *Journal) Failed() <-chan struct{} { return j.failed }

// Err says what is wrong: the failure, or trouble in the background that is
// tried again. It is nil when all is well.
func (j *Journal) Err() error {
	for _, p := range []*error{j.failure.Load(), j.trouble.Load()} {
		if p != nil {
			return fmt.Errorf("journal %q: %w", j.opts.Dir, *p)
		}
	}
	return nil
}

// Room says why nothing should be put now, nil if there is room. The error
// wraps ErrNoRoom if it is for want of space.
func (j *Journal) Room() error {
	if err := j.failure.Load(); err != nil {
		return j.Err()
	}
	free, err := j.opts.Free(j.opts.Dir)
	if err != nil {
		return fmt.Errorf("cannot ask for the free space of %q: %w", j.opts.Dir, err)
	}
	if free < j.opts.ReserveBytes {
		return fmt.Errorf("%w: %d MB are free for %q, %d MB are the reserve", ErrNoRoom, free>>20, j.opts.Dir, j.opts.ReserveBytes>>20)
	}
	if free > j.opts.ReserveBytes+2*uint64(j.opts.BallastBytes) {
		j.makeBallast()
	}
	return nil
}

// DiskBytes is what the journal occupies.
func (j *Journal) DiskBytes() uint64 {
	if j.failure.Load() != nil {
		return 0 // the engine may never answer
	}
	return j.db.Metrics().DiskSpaceUsage()
}

// Commit takes a batch. When it returns nil, the batch is on disk.
func (j *Journal) Commit(b *Batch) error {
	if b.err != nil {
		return b.err
	}
	done := make(chan error, 1)
	go func() { done <- j.db.Apply(b.b, pebble.Sync) }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("cannot write journal %q: %w", j.opts.Dir, err)
		}
		return b.b.Close()
	case <-j.failed: // the goroutine above is parked for good
		return j.Err()
	}
}

// fail is called by the engine from any of its goroutines, with its locks
// held, and expects not to return.
func (j *Journal) fail(err error) {
	j.once.Do(func() {
		j.failure.Store(&err)
		j.opts.Logger.Error("the journal failed; this process must begin again", "dir", j.opts.Dir, "err", err)
		close(j.failed)
	})
	select {}
}

func (j *Journal) ballast() string { return filepath.Join(j.opts.Dir, "ballast") }

func (j *Journal) dropBallast() {
	_ = os.Remove(j.ballast()) // when it is gone already, there is nothing to be done
}

// makeBallast makes the file if it isn't there and there is room for it.
func (j *Journal) makeBallast() {
	if j.opts.FS != vfs.Default {
		return
	}
	if _, err := os.Stat(j.ballast()); err == nil {
		return
	}
	free, err := j.opts.Free(j.opts.Dir)
	if err != nil || free < j.opts.ReserveBytes+2*uint64(j.opts.BallastBytes) {
		return
	}
	f, err := os.Create(j.ballast())
	if err != nil {
		return
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, j.opts.BallastBytes); err != nil {
		j.opts.Logger.Warn("no ballast file; a disk that is suddenly full ends this process", "err", err)
		j.dropBallast()
	}
	_ = f.Close() // nothing was written
}

func freeBytes(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// engineLog passes the engine's messages on.
type engineLog struct{ j *Journal }

func (l engineLog) Infof(format string, args ...any) {}

func (l engineLog) Errorf(format string, args ...any) {
	l.j.opts.Logger.Warn(fmt.Sprintf(format, args...), "part", "journal")
}

func (l engineLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			err = failure{err.Error(), cause}
		}
	}
	l.j.fail(err)
}

// failure is the engine's message with its cause.
type failure struct {
	message string
	cause   error
}

func (f failure) Error() string { return f.message }

func (f failure) Unwrap() error { return f.cause }

func (l engineLog) Eventf(ctx context.Context, format string, args ...any) {}

func (l engineLog) IsTracingEnabled(ctx context.Context) bool { return false }
