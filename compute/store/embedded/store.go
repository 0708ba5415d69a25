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
// # Rollups
//
// Each level of rollups is an engine of its own in a directory of the store's,
// written in the same way.
//
// # Durability
//
// The engine keeps the last seconds in memory only. Sync makes everything
// durable by taking a snapshot and deleting it again, until nothing is left in
// memory (sync.go).
//
// # Full disk
//
// The engine ends the process when it can't write. So writes are refused with
// store.ErrDiskFull while Options.Reserve is still free, and Sync while a quarter
// of it is.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
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
	// Retention5m and Retention1h are how long rollups are kept (default: see store.Retention).
	Retention5m, Retention1h time.Duration
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
	keep, err := store.Retention{Base: o.Retention, FiveMinutes: o.Retention5m, OneHour: o.Retention1h}.WithDefaults()
	if err != nil {
		return o, fmt.Errorf("cannot open store %q: %w", o.Dir, err)
	}
	o.Retention, o.Retention5m, o.Retention1h = keep.Base, keep.FiveMinutes, keep.OneHour
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
	*level                       // Base
	rollups [store.Levels]*level // nil for Base
	disk    disk

	syncMu  sync.Mutex
	dropped atomic.Uint64
	closed  sync.Once
}

// level is what is kept for one retention: an engine of its own, since the
// engine has one retention for all.
type level struct {
	engine    *storage.Storage
	retention time.Duration

	// written counts finished writes; visible says how many of them readers see.
	written   atomic.Uint64
	visibleMu sync.Mutex
	visible   uint64
	synced    uint64 // guarded by Store.syncMu
	// writing is held for reading by writes and for writing by the end of a Sync.
	writing sync.RWMutex
}

// The rollups lie in these directories of the store's.
const (
	dir5m = "rollup_5m"
	dir1h = "rollup_1h"
)

var _ store.Store = (*Store)(nil)

// Open opens or creates the store in a directory.
func Open(o Options) (s *Store, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	defer recoverOpen(o.Dir, &err)
	s = &Store{disk: disk{dir: o.Dir, reserve: o.ReserveBytes}}
	for _, l := range []struct {
		at   **level
		dir  string
		keep time.Duration
	}{
		{&s.level, o.Dir, o.Retention},
		{&s.rollups[store.FiveMinutes], filepath.Join(o.Dir, dir5m), o.Retention5m},
		{&s.rollups[store.OneHour], filepath.Join(o.Dir, dir1h), o.Retention1h},
	} {
		opened, err := openLevel(l.dir, l.keep)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		*l.at = opened
	}
	return s, nil
}

func openLevel(dir string, retention time.Duration) (*level, error) {
	l := &level{retention: retention}
	l.engine = storage.MustOpenStorage(dir, storage.OpenOptions{
		Retention:       retention,
		FutureRetention: store.FutureLimit,
	})
	// A crash in the middle of Sync leaves its snapshot behind.
	for _, name := range l.engine.MustListSnapshots() {
		if err := l.engine.DeleteSnapshot(name); err != nil {
			l.engine.MustClose()
			return nil, fmt.Errorf("cannot delete left-over snapshot %q of store %q: %w", name, dir, err)
		}
	}
	return l, nil
}

// all returns the levels that are open.
func (s *Store) all() []*level {
	out := make([]*level, 0, store.Levels)
	for _, l := range append([]*level{s.level}, s.rollups[:]...) {
		if l != nil {
			out = append(out, l)
		}
	}
	return out
}

// at returns a level.
func (s *Store) at(l store.Level) (*level, error) {
	switch {
	case l == store.Base:
		return s.level, nil
	case int(l) < len(s.rollups):
		return s.rollups[l], nil
	}
	return nil, fmt.Errorf("there is no level %d", l)
}

// Retention tells how long a level is kept.
func (s *Store) Retention(l store.Level) time.Duration {
	at, err := s.at(l)
	if err != nil {
		return 0
	}
	return at.retention
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
	return s.write(ctx, s.level, b)
}

// WriteRollups writes revisions of buckets.
func (s *Store) WriteRollups(ctx context.Context, l store.Level, samples []store.WindowSample) error {
	at, err := s.at(l)
	if err != nil {
		return fmt.Errorf("cannot write rollups: %w", err)
	}
	b := at.newBatch(len(samples))
	for i := range samples {
		w := &samples[i]
		if err := w.ValidateRollup(l); err != nil {
			return fmt.Errorf("cannot write rollups: %w", err)
		}
		if err := b.setSeries(w.Labels, w.WindowMs, int64(w.Revision)); err != nil {
			return fmt.Errorf("cannot write rollups: %w", err)
		}
		b.add(w.StartMs+int64(w.Revision)%revisionGridMs(w.WindowMs), w.Value)
	}
	return s.write(ctx, at, b)
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
	return s.write(ctx, s.level, b)
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

func (s *level) newBatch(n int) *batch {
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

func (s *Store) write(ctx context.Context, to *level, b *batch) error {
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
	to.writing.RLock()
	defer to.writing.RUnlock()
	to.engine.AddRows(b.rows, 64)
	to.written.Add(1)
	return nil
}

// show makes finished writes visible to readers.
func (s *level) show() {
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
	for _, l := range s.all() {
		written := l.written.Load()
		if l != s.level && written == l.synced {
			continue // rollups are written now and then only
		}
		if err := makeDurable(ctx, l, &l.writing); err != nil {
			return fmt.Errorf("cannot sync store: %w", err)
		}
		l.synced = written
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
	for _, l := range s.all() {
		l.show()
		if _, err := l.engine.DeleteSeries(nil, sel.engine, math.MaxInt32); err != nil {
			return fmt.Errorf("cannot delete series that match %v: %w", matchers, err)
		}
	}
	return nil
}

// Stats tells the store's size and losses.
func (s *Store) Stats() store.Stats {
	free, err := s.disk.free()
	if err != nil {
		free = 0
	}
	out := store.Stats{Dropped: s.dropped.Load(), Refused: s.disk.refused.Load(), FreeBytes: free}
	for _, l := range s.all() {
		var m storage.Metrics
		l.engine.UpdateMetrics(&m)
		t := &m.TableMetrics
		out.DiskBytes += t.SmallSizeBytes + t.BigSizeBytes + t.IndexDBMetrics.FileSizeBytes
		out.Rows += t.TotalRowsCount()
		out.Dropped += m.TooSmallTimestampRows + m.TooBigTimestampRows
	}
	return out
}

// Close writes out what is pending and closes the store.
func (s *Store) Close() error {
	s.closed.Do(func() {
		for _, l := range s.all() {
			l.engine.MustClose()
		}
	})
	return nil
}

func revisionGridMs(windowMs int64) int64 {
	return min(store.WindowGridMs(windowMs), maxRevisionGridMs)
}
