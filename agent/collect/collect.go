// Package collect reads log files by the plan and turns their lines into
// windows. One goroutine reads, aggregates and writes checkpoints; what is
// durable goes into the outbox.
//
// It promises that no line that can still be read is lost or counted twice,
// whatever is rotated, truncated, replaced or killed (docs/torture.md); that a
// bad rule or file stops no other; that memory is bounded; and that idle files
// cost next to nothing.
package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/pharos-stack/pharos/agent/checkpoint"
	"github.com/pharos-stack/pharos/agent/files"
	"github.com/pharos-stack/pharos/agent/outbox"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Options of a Collector. DataDir and Logger are required.
type Options struct {
	DataDir string
	Logger  *slog.Logger
	// Location is the zone of times in logs that name none. Default time.Local.
	Location *time.Location
	// CheckpointInterval is the least time between checkpoints. Default 500 ms.
	CheckpointInterval time.Duration
	// SweepInterval is how often all files are looked at without being told to. Default 5 s.
	SweepInterval time.Duration
	// MaxMemory bounds the open windows, in bytes; beyond it the oldest are sealed early. Default 128 MiB.
	MaxMemory int64
	// MaxUnacked bounds what waits for acknowledgement, in bytes. Default outbox.DefaultMaxBytes.
	MaxUnacked int64
	// AllowedRoots are the directories that may be read. Default /.
	AllowedRoots []string
	// Grace is how far the watermark stays behind the clock. Default 1 s.
	Grace time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Collector collects. Create it with New; Run must follow.
type Collector struct {
	o     Options
	log   *slog.Logger
	box   *outbox.Outbox
	slots *checkpoint.Slots
	spool *checkpoint.Spool
	watch *fsnotify.Watcher

	plan chan *pharosv1.Plan // holds the newest

	// The rest belongs to the goroutine of Run.
	tasks    map[string]*task
	paths    map[string]*path
	known    map[files.Inode]knownFile
	restored state
	watched  map[string]bool // directories
	// postponed are files that may be copies in the making; events of theirs are looked at.
	postponed map[string]bool
	open      int           // files
	dirty     bool          // something has changed since the checkpoint
	took      time.Duration // of the last checkpoint
	last      time.Time     // checkpoint
	buf       []byte
	problem   string
	stalled   bool      // the last state could not be kept: nothing more is read
	reported  time.Time // the status

	handlesMu sync.Mutex
	handles   map[outbox.PartKey][]checkpoint.Handle
	done      []checkpoint.Handle

	statusMu sync.Mutex
	status   []*pharosv1.TaskStatus
	problems []string
	load     *pharosv1.AgentLoad
}

// New opens the state in DataDir and takes up what is not acknowledged.
func New(o Options) (*Collector, error) {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.CheckpointInterval <= 0 {
		o.CheckpointInterval = 500 * time.Millisecond
	}
	if o.SweepInterval <= 0 {
		o.SweepInterval = 5 * time.Second
	}
	if o.MaxMemory <= 0 {
		o.MaxMemory = 128 << 20
	}
	if len(o.AllowedRoots) == 0 {
		o.AllowedRoots = []string{"/"}
	}
	if o.Grace <= 0 {
		o.Grace = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := os.MkdirAll(o.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("cannot make data directory: %w", err)
	}
	c := &Collector{o: o, log: o.Logger, plan: make(chan *pharosv1.Plan, 1), tasks: map[string]*task{}, paths: map[string]*path{},
		known: map[files.Inode]knownFile{}, watched: map[string]bool{}, postponed: map[string]bool{},
		handles: map[outbox.PartKey][]checkpoint.Handle{},
		load:    &pharosv1.AgentLoad{}}
	c.box = outbox.New(outbox.Options{MaxBytes: o.MaxUnacked, Done: c.forgetPart})
	var err error
	var body []byte
	if c.slots, body, err = checkpoint.OpenSlots(o.DataDir); err != nil {
		return nil, err
	}
	if c.restored, err = decodeState(body); err != nil {
		return nil, errors.Join(err, c.slots.Close())
	}
	for _, k := range c.restored.Known {
		c.known[k.Inode] = k
	}
	var waiting []*pharosv1.Revision
	c.spool, err = checkpoint.OpenSpool(filepath.Join(o.DataDir, "spool"), c.slots.Sequence(), func(h checkpoint.Handle, record []byte) error {
		r, err := decodeRevision(record)
		if err != nil {
			return err
		}
		k := outbox.KeyOf(r)
		c.handles[k] = append(c.handles[k], h)
		waiting = append(waiting, r)
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, c.slots.Close())
	}
	for _, t := range c.restored.Tasks {
		for _, w := range t.Windows {
			r, err := decodeRevision(w.Revision)
			if err != nil {
				return nil, errors.Join(err, c.slots.Close(), c.spool.Close())
			}
			waiting = append(waiting, r)
		}
	}
	for _, o := range c.restored.Orphans {
		r, err := decodeRevision(o.Revision)
		if err != nil {
			return nil, errors.Join(err, c.slots.Close(), c.spool.Close())
		}
		waiting = append(waiting, r)
	}
	c.box.Put(waiting, nil)
	return c, nil
}

// Outbox holds what is to be delivered.
func (c *Collector) Outbox() *outbox.Outbox { return c.box }

// SetPlan replaces the plan. Only its log tasks matter here.
func (c *Collector) SetPlan(p *pharosv1.Plan) {
	for {
		select {
		case c.plan <- p:
			return
		case <-c.plan: // an older one that was not taken yet
		}
	}
}

// Run collects until ctx ends, and then writes a last checkpoint.
func (c *Collector) Run(ctx context.Context) error {
	defer c.close()
	sweepEvery := c.o.SweepInterval
	var events chan fsnotify.Event
	var failed chan error
	if w, err := fsnotify.NewBufferedWatcher(4096); err != nil {
		sweepEvery = min(sweepEvery, time.Second)
		c.log.Warn("cannot watch files; they are looked at every second", "err", err)
	} else {
		defer w.Close()
		c.watch, events, failed = w, w.Events, w.Errors
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	sweep := time.Time{}
	backlog := false
	for {
		if !backlog {
			select {
			case <-ctx.Done():
				c.checkpoint()
				return nil
			case p := <-c.plan:
				c.apply(p)
				sweep = time.Time{}
			case e := <-events:
				c.event(e)
				c.drainEvents()
			case err := <-failed:
				c.log.Warn("file events were lost; all files are looked at", "err", err)
				sweep = time.Time{}
			case <-tick.C:
			}
		} else if ctx.Err() != nil {
			c.checkpoint()
			return nil
		} else {
			c.drainEvents()
		}
		now := c.o.Now()
		if now.Sub(sweep) >= sweepEvery || now.Before(sweep) {
			c.discover()
			sweep = now
		}
		backlog = c.readAll(now)
		c.maybeCheckpoint(c.o.Now())
	}
}

// drainEvents takes the events that wait, so that many changes of a file cost one look.
func (c *Collector) drainEvents() {
	if c.watch == nil {
		return
	}
	for {
		select {
		case e := <-c.watch.Events:
			c.event(e)
		default:
			return
		}
	}
}

// event marks what an event is about. A name that is not followed may be a new
// file or a rotated one.
func (c *Collector) event(e fsnotify.Event) {
	if p := c.paths[e.Name]; p != nil {
		p.changed, p.rescan = true, true
		return
	}
	if c.watched[e.Name] && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) {
		delete(c.watched, e.Name) // should the directory come again, it is watched anew
		return
	}
	if !e.Has(fsnotify.Create) && !c.postponed[e.Name] {
		return
	}
	delete(c.postponed, e.Name)
	for _, t := range c.tasks {
		if t.lines != nil && t.matches(e.Name) && files.Within(e.Name, c.o.AllowedRoots) {
			c.follow(t, e.Name)
		}
	}
}

func (c *Collector) close() {
	for _, p := range c.paths {
		for _, g := range p.generations {
			g.file.Close()
		}
	}
	if err := errors.Join(c.slots.Close(), c.spool.Close()); err != nil {
		c.log.Warn("cannot close collector's files", "err", err)
	}
}

// Status tells how the tasks are doing, as of the last two seconds.
func (c *Collector) Status() ([]*pharosv1.TaskStatus, []string, *pharosv1.AgentLoad) {
	c.statusMu.Lock()
	status, problems := c.status, c.problems
	load := &pharosv1.AgentLoad{LinesTotal: c.load.LinesTotal, BytesTotal: c.load.BytesTotal, FilesOpen: c.load.FilesOpen}
	c.statusMu.Unlock()
	s := c.box.Stats()
	load.UnackedRevisions, load.UnackedBytes, load.DroppedWindows = s.Unacked, s.UnackedBytes, s.Dropped
	return status, problems, load
}
