// Package compute merges what agents say about windows, settles windows and
// writes them to the store. It is the ComputeService, and what the queries of
// compute/query see of windows that have not settled.
//
// # What it promises
//
// A revision is acknowledged when it is on this machine's disk. Of each part of
// a window the highest revision counts, however often and in whatever order
// they come, so a window's value is exactly the merge of all parts of all agents.
//
// A window settles when all expected agents have reported it, or at its
// deadline; then its value and its completeness go to the store. Whatever comes
// later, for a day, settles it again with a greater revision. A window that the
// store might not have on disk yet is written again after a crash.
//
// Memory is bounded: payloads stay in the journal until they are merged, and a
// window that has settled leaves memory soon. Then its sealed parts are folded
// into one base, which knows what is inside, so that the journal stays small.
package compute

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/pharos-stack/pharos/compute/journal"
	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/compute/window"
	"github.com/pharos-stack/pharos/internal/ring"
	"github.com/pharos-stack/pharos/internal/rpc"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// failedGrace is how long Run waits for its goroutines when the journal has failed.
const failedGrace = 3 * time.Second

// Options of a compute. The zero value of a field means its default.
type Options struct {
	// ID names this compute in the cluster. Required.
	ID string
	// Dir holds the journal. Required.
	Dir string
	// Store takes settled windows and samples. Required; the caller closes it after Run.
	Store store.Store
	// Rows takes the lines that settled windows keep; the caller closes it after Run. Without it
	// only windows that have not settled have lines, and monitors that keep lines are settled without.
	Rows store.Rows
	// Register is the connection to register; without one, SetState tells the state of the cluster.
	Register grpc.ClientConnInterface
	// Address is where vessels and other computes reach this one; told to register.
	Address string
	// Version of the program; told to register.
	Version string
	// Journal sets details of the journal; its directory is Dir/journal.
	Journal journal.Options
	// CreditBytes is what each vessel may send before it is acknowledged (default 16 MB).
	CreditBytes int64
	// CommitEvery is the least time between two commits of the journal (default 20 ms).
	CommitEvery time.Duration
	// Tick is how often windows are looked at (default 250 ms).
	Tick time.Duration
	// Debounce is how long a window that has settled waits for more before it
	// settles again; five times that if more keeps coming (default 1 s).
	Debounce time.Duration
	// SyncEvery is how often the store is made durable (default 12 s).
	SyncEvery time.Duration
	// Keep is how long after its start a window is remembered (default 26 h).
	Keep time.Duration
	// Idle is how long a settled window stays in memory (default 2 min).
	Idle time.Duration
	// RollupWait is how long a bucket of five minutes waits for more before it is rolled up, at most
	// five times that; one of an hour waits twelve times as long (default 30 s).
	RollupWait time.Duration
	// ForgetEvery is how often windows are looked at that are to leave memory; before they do, their
	// parts are folded (default 1 min).
	ForgetEvery time.Duration
	// SelfEvery is how often metrics of compute itself are written (default 10 s).
	SelfEvery time.Duration
	// Logger (default: none).
	Logger *slog.Logger
	// Now is the clock (default time.Now).
	Now func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	if o.ID == "" || o.Dir == "" || o.Store == nil {
		return o, errors.New("cannot make a compute without an id, a directory and a store")
	}
	o.Journal.Dir = filepath.Join(o.Dir, "journal")
	if o.CreditBytes <= 0 {
		o.CreditBytes = 16 << 20
	}
	for _, d := range []struct {
		at *time.Duration
		to time.Duration
	}{
		{&o.CommitEvery, 20 * time.Millisecond}, {&o.Tick, 250 * time.Millisecond}, {&o.Debounce, time.Second},
		{&o.SyncEvery, 12 * time.Second}, {&o.Keep, 26 * time.Hour}, {&o.Idle, 2 * time.Minute}, {&o.SelfEvery, 10 * time.Second},
		{&o.RollupWait, 30 * time.Second}, {&o.ForgetEvery, time.Minute},
	} {
		if *d.at <= 0 {
			*d.at = d.to
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Journal.Logger == nil {
		o.Journal.Logger = o.Logger
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// Compute is safe for concurrent use.
type Compute struct {
	pharosv1.UnimplementedComputeServiceServer

	opts      Options
	log       *slog.Logger
	journal   *journal.Journal
	startedMs int64
	in        chan intake
	running   atomic.Pointer[context.Context] // of Run
	samples   chan struct{}                   // holds one when samples wait

	// commit orders decisions about the journal with their commits: whoever
	// decides by the state in memory what to put holds it until that is done.
	// It is taken before mu.
	commit sync.Mutex

	mu       sync.Mutex
	known    *pharosv1.ClusterState
	ring     *ring.Ring // nil while no computes are known
	meta     *metadata
	monitors map[string]*monitor
	windows  map[journal.WindowID]*win
	// unsynced are settled windows that the store may lose, with their revision.
	unsynced map[journal.WindowID]uint64
	// rollups are buckets that the store doesn't have on disk as they should be.
	rollups map[journal.WindowID]*rollup
	// samplesPut, samplesWritten and samplesSynced number the samples that are
	// in the journal, in the store, and durable there.
	samplesPut, samplesWritten, samplesSynced uint64

	// expiredMs is when old windows were removed last.
	expiredMs int64
	// settleAfter is when the store is tried again; only settle looks at it.
	settleAfter int64
	// unfolded is set when windows were looked for that a process before this one did not fold.
	unfolded atomic.Bool
	// rollUpAfter is the same for rollups.
	rollUpAfter int64

	stats stats
}

// metadata is replaced as a whole, so that whoever has it needs no lock.
type metadata struct {
	tasks  map[string]*window.Plan
	agents map[string]map[string]string // labels
}

// monitor is what compute knows of a monitor.
type monitor struct {
	info     *pharosv1.MonitorInfo
	plan     *window.Plan // nil if its definition can't be read
	disabled bool
	expected []string
	marks    map[string]mark
	// blocker is the index of the expected agent that was behind last.
	blocker int
	// cursor is the start of the next window to settle in the order of time.
	cursor int64
	keys   *window.Keys
	// incomplete windows have settled without all agents.
	incomplete map[journal.WindowID]bool
	// first and last are the earliest and latest end of those; recheck is set when
	// an agent has reported one of them.
	first, last int64
	recheck     bool
}

// mark is an agent's watermark.
type mark struct {
	task string
	ms   int64
}

// New opens the journal and takes up what was left. The store must be open.
func New(o Options) (*Compute, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(o.Journal)
	if err != nil {
		return nil, err
	}
	c := &Compute{
		opts: o, log: o.Logger, journal: j, startedMs: o.Now().UnixMilli(),
		in: make(chan intake, 256), samples: make(chan struct{}, 1),
		meta:     &metadata{tasks: map[string]*window.Plan{}, agents: map[string]map[string]string{}},
		monitors: map[string]*monitor{}, windows: map[journal.WindowID]*win{}, unsynced: map[journal.WindowID]uint64{},
		rollups: map[journal.WindowID]*rollup{},
	}
	if err := c.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot take up compute's state: %w", err), j.Close())
	}
	return c, nil
}

// RegisterServices adds the ComputeService to a server.
func (c *Compute) RegisterServices(r grpc.ServiceRegistrar) {
	pharosv1.RegisterComputeServiceServer(r, c)
}

// Close closes the journal, for a compute whose Run isn't called. Run does it itself.
func (c *Compute) Close() error { return c.journal.Close() }

// Run serves until ctx ends, or until the journal fails, and then closes the
// journal. Streams of vessels end with it. It is called once.
func (c *Compute) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	c.running.Store(&ctx)
	g.Go(func() error { return c.runIntake(ctx) })
	g.Go(func() error { return c.every(ctx, c.opts.Tick, c.settle) })
	g.Go(func() error { return c.runSamples(ctx) })
	g.Go(func() error { return c.every(ctx, c.opts.SyncEvery, c.sync) })
	g.Go(func() error { return c.every(ctx, c.opts.Tick, c.rollUp) })
	g.Go(func() error { return c.every(ctx, c.opts.SelfEvery, c.writeSelf) })
	g.Go(func() error { return c.every(ctx, c.opts.ForgetEvery, c.forget) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.journal.Failed():
			return c.journal.Err()
		}
	})
	if c.opts.Register != nil {
		session := rpc.ServerSession{
			Client: pharosv1.NewRegisterServiceClient(c.opts.Register),
			Hello: &pharosv1.ServerHello{ServerId: c.opts.ID, Role: pharosv1.ServerRole_SERVER_ROLE_COMPUTE,
				Address: c.opts.Address, Version: c.opts.Version},
			Load: func() *pharosv1.ServerHeartbeat {
				return &pharosv1.ServerHeartbeat{RevisionsTotal: c.stats.revisions.Load(), BytesTotal: c.stats.bytes.Load()}
			},
			OnState: c.SetState,
			Logger:  c.log,
		}
		g.Go(func() error { return session.Run(ctx) })
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-c.journal.Failed():
		// The engine may hold those forever who wait for it. The process has to end.
		select {
		case err = <-ended:
		case <-time.After(failedGrace):
			return c.journal.Err()
		}
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	// What the store has now needn't be written again at the next start. ctx is over.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err == nil {
		err = c.sync(last)
	}
	return errors.Join(err, c.journal.Close())
}

// every calls fn again and again, each time after a pause, until it fails or ctx ends.
func (c *Compute) every(ctx context.Context, pause time.Duration, fn func(context.Context) error) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		if err := fn(ctx); err != nil {
			return err
		}
		t.Reset(pause)
	}
}

func (c *Compute) nowMs() int64 { return c.opts.Now().UnixMilli() }

// owns tells whether this compute settles a window also when nobody sent anything. c.mu is held.
func (c *Compute) owns(monitorID string, startMs int64) bool {
	return c.ring == nil || c.ring.Owner(monitorID, startMs) == c.opts.ID
}
