// Package embedded is the store for one machine: time series in VictoriaMetrics'
// lib/storage, rows in VictoriaLogs' lib/logstorage, both in this process.
//
// # Revisions of a window
//
// The engine has no notion of replacing a sample, so a revision of a window is
// written as a sample of its own, revision milliseconds after the window's
// start, and a reader takes the last one of each window. The offset stays below
// the window's grid (store.WindowGridMs, at most a minute), so that the window's
// start can be told from a sample's time. A revision too large for that goes to
// a sister series whose hidden label __epoch__ counts how often the offset went
// round; so every revision has its place and none is capped. The window's length is the
// hidden label __window__.
//
// # Durability
//
// The engine keeps the last seconds in memory only. Sync makes everything
// durable by taking a snapshot and deleting it again.
//
// # Full disk
//
// The engine ends the process when it can't write. So writes are refused with
// store.ErrDiskFull while Options.Reserve is still free, and Sync while a quarter
// of it is.
package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/prompb"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/storage"

	"github.com/pharos-stack/pharos/compute/store"
)

// Options of a store. The zero value of a field means its default.
type Options struct {
	// Dir holds the data; it is created if missing. One process may open it.
	Dir string
	// Retention of samples or rows (default store.DefaultRetention; at least one day).
	Retention time.Duration
	// MemoryBytes bounds the engine's caches and buffers for the whole process; the first
	// store that is opened decides (default a quarter of the machine's memory, 64 MB to 4 GB).
	MemoryBytes int64
	// ReserveBytes of free disk space below which writes are refused (default 512 MB).
	ReserveBytes uint64
	// Logger for the engine's messages (default: none).
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("cannot open store: no directory")
	}
	if o.Retention <= 0 {
		o.Retention = store.DefaultRetention
	}
	if o.Retention < 24*time.Hour {
		return o, fmt.Errorf("cannot open store %q: retention %s is less than a day", o.Dir, o.Retention)
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = 512 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return o, fmt.Errorf("cannot create store directory %q: %w", o.Dir, err)
	}
	return o, startEngine(o.MemoryBytes, o.Logger)
}

// maxRevisionGridMs bounds how far after its window a revision's sample lies.
const maxRevisionGridMs = 60_000

// Store keeps time series. It is a store.Store.
type Store struct {
	engine    *storage.Storage
	disk      disk
	retention time.Duration

	// written counts finished writes; visible says how many of them readers see.
	written   atomic.Uint64
	visibleMu sync.Mutex
	visible   uint64

	syncMu  sync.Mutex
	dropped atomic.Uint64
	closed  sync.Once
}

var _ store.Store = (*Store)(nil)

// Open opens or creates the store in a directory.
func Open(o Options) (s *Store, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	defer recoverOpen(o.Dir, &err)
	s = &Store{disk: disk{dir: o.Dir, reserve: o.ReserveBytes}, retention: o.Retention}
	s.engine = storage.MustOpenStorage(o.Dir, storage.OpenOptions{
		Retention:       o.Retention,
		FutureRetention: store.FutureLimit,
	})
	// A crash in the middle of Sync leaves its snapshot behind.
	for _, name := range s.engine.MustListSnapshots() {
		if err := s.engine.DeleteSnapshot(name); err != nil {
			s.engine.MustClose()
			return nil, fmt.Errorf("cannot delete left-over snapshot %q of store %q: %w", name, o.Dir, err)
		}
	}
	return s, nil
}

// recoverOpen makes an error of the engine's panic, such as that of a directory in use.
func recoverOpen(dir string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("cannot open store %q: %v", dir, p)
	}
}

// WriteWindows writes revisions of windows.
func (s *Store) WriteWindows(ctx context.Context, samples []store.WindowSample) error {
	b := s.newBatch(len(samples))
	for i := range samples {
		w := &samples[i]
		if err := w.ValidateTime(); err != nil {
			return fmt.Errorf("cannot write window: %w", err)
		}
		if err := b.setSeries(w.Labels, w.WindowMs, int64(w.Revision)); err != nil {
			return fmt.Errorf("cannot write window: %w", err)
		}
		b.add(w.StartMs+int64(w.Revision)%revisionGridMs(w.WindowMs), w.Value)
	}
	return s.write(ctx, b)
}

// WriteSamples writes raw samples.
func (s *Store) WriteSamples(ctx context.Context, samples []store.Sample) error {
	b := s.newBatch(len(samples))
	for i := range samples {
		if err := b.setSeries(samples[i].Labels, 0, 0); err != nil {
			return fmt.Errorf("cannot write sample: %w", err)
		}
		b.add(samples[i].TimeMs, samples[i].Value)
	}
	return s.write(ctx, b)
}

// batch collects rows for the engine.
type batch struct {
	rows         []storage.MetricRow
	minMs, maxMs int64
	dropped      uint64

	names    []byte // backing of the rows' names, never moved: grown in chunks
	labels   []prompb.Label
	last     store.Labels
	window   int64
	epoch    int64
	lastName []byte
}

func (s *Store) newBatch(n int) *batch {
	now := time.Now()
	return &batch{
		rows:  make([]storage.MetricRow, 0, n),
		minMs: now.Add(-s.retention).UnixMilli(),
		maxMs: now.Add(store.FutureLimit).UnixMilli(),
	}
}

// setSeries makes the following samples belong to a series; windowMs 0 means a raw one.
// It is cheap when called again with the same labels.
func (b *batch) setSeries(labels store.Labels, windowMs, revision int64) error {
	var epoch int64
	if windowMs > 0 {
		epoch = revision / revisionGridMs(windowMs)
	}
	if b.lastName != nil && len(labels) > 0 && len(b.last) == len(labels) && &b.last[0] == &labels[0] && b.window == windowMs && b.epoch == epoch {
		return nil
	}
	if err := labels.Validate(); err != nil {
		return err
	}
	b.last, b.window, b.epoch = labels, windowMs, epoch
	b.labels = b.labels[:0]
	for _, l := range labels {
		b.labels = append(b.labels, prompb.Label{Name: l.Name, Value: l.Value})
	}
	if windowMs > 0 {
		b.labels = append(b.labels, prompb.Label{Name: store.WindowLabel, Value: strconv.FormatInt(windowMs, 10)})
		if epoch > 0 {
			b.labels = append(b.labels, prompb.Label{Name: store.EpochLabel, Value: strconv.FormatInt(epoch, 10)})
		}
	}
	size := 0
	for _, l := range b.labels {
		size += len(l.Name) + len(l.Value) + 4
	}
	if cap(b.names)-len(b.names) < size {
		b.names = make([]byte, 0, max(64<<10, size))
	}
	start := len(b.names)
	b.names = storage.MarshalMetricNameRaw(b.names, b.labels)
	b.lastName = b.names[start:len(b.names):len(b.names)]
	return nil
}

func (b *batch) add(timeMs int64, value float64) {
	if math.IsNaN(value) || timeMs < b.minMs || timeMs > b.maxMs {
		b.dropped++
		return
	}
	b.rows = append(b.rows, storage.MetricRow{MetricNameRaw: b.lastName, Timestamp: timeMs, Value: value})
}

func (s *Store) write(ctx context.Context, b *batch) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot write samples: %w", err)
	}
	if err := s.disk.require(s.disk.reserve, store.ErrDiskFull); err != nil {
		return err
	}
	s.dropped.Add(b.dropped)
	if len(b.rows) == 0 {
		return nil
	}
	s.engine.AddRows(b.rows, 64)
	s.written.Add(1)
	return nil
}

// show makes finished writes visible to readers.
func (s *Store) show() {
	if s.written.Load() == 0 {
		return
	}
	s.visibleMu.Lock()
	defer s.visibleMu.Unlock()
	if n := s.written.Load(); n > s.visible {
		s.engine.DebugFlush()
		s.visible = n
	}
}

// Sync makes every write that returned before it durable.
func (s *Store) Sync(ctx context.Context) error {
	s.syncMu.Lock()
	defer s.syncMu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot sync store: %w", err)
	}
	if err := s.disk.require(s.disk.reserve/4, store.ErrDiskFull); err != nil {
		return err
	}
	name := s.engine.MustCreateSnapshot()
	if err := s.engine.DeleteSnapshot(name); err != nil {
		return fmt.Errorf("cannot delete snapshot %q: %w", name, err)
	}
	return nil
}

// Delete removes every series that matches, for all time.
func (s *Store) Delete(ctx context.Context, matchers []store.Matcher) error {
	sel, err := newSelection(matchers)
	if err != nil {
		return fmt.Errorf("cannot delete series: %w", err)
	}
	if !sel.filter.Selective() {
		return fmt.Errorf("cannot delete series: every matcher of %v accepts series without its label", matchers)
	}
	if sel.nothing {
		return nil
	}
	s.show()
	if _, err := s.engine.DeleteSeries(nil, sel.engine, math.MaxInt32); err != nil {
		return fmt.Errorf("cannot delete series that match %v: %w", matchers, err)
	}
	return nil
}

// Stats tells the store's size and losses.
func (s *Store) Stats() store.Stats {
	var m storage.Metrics
	s.engine.UpdateMetrics(&m)
	free, err := s.disk.free()
	if err != nil {
		free = 0
	}
	t := &m.TableMetrics
	return store.Stats{
		DiskBytes: t.SmallSizeBytes + t.BigSizeBytes + t.IndexDBMetrics.FileSizeBytes,
		Rows:      t.TotalRowsCount(),
		Dropped:   s.dropped.Load() + m.TooSmallTimestampRows + m.TooBigTimestampRows,
		Refused:   s.disk.refused.Load(),
		FreeBytes: free,
	}
}

// Close writes out what is pending and closes the store.
func (s *Store) Close() error {
	s.closed.Do(s.engine.MustClose)
	return nil
}

func revisionGridMs(windowMs int64) int64 {
	return min(store.WindowGridMs(windowMs), maxRevisionGridMs)
}
