// Package clickhouse is the store for many machines: time series and rows in a
// ClickHouse server or cluster.
//
// A series is one row per day in table series: its id (a hash of labels and
// window length), its labels and its window length. Its values are rows of table
// samples: id, time, revision, value. Rollups are in tables of the same form whose
// names end in _5m and _1h. The tables replace rows of one key by
// themselves, sooner or later; readers take the highest revision and so never
// depend on when.
//
// With a cluster the tables are Replicated, with Distributed ones of the same
// names on top, sharded by series. Without one they are plain.
//
// Every insert is written to disk before it returns, so Sync has nothing to do.
package clickhouse

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pharos-stack/pharos/compute/store"
)

// Options of a store. The zero value of a field means its default.
type Options struct {
	// DSN of the server, such as clickhouse://user:password@host:9000/pharos or
	// http://host:8123/pharos. The database is created if missing (default pharos).
	DSN string
	// Cluster is the name of a cluster in the servers' configuration; empty: one server.
	Cluster string
	// Retention of samples or rows (default store.DefaultRetention; at least one day). It is
	// set when the tables are created and again at every start.
	Retention time.Duration
	// Retention5m and Retention1h are how long rollups are kept (default: see store.Retention).
	Retention5m, Retention1h time.Duration
	// Logger for failures that have no caller (default: none).
	Logger *slog.Logger
}

// Store keeps time series and rows. It is a store.Store; Rows gives its other side.
type Store struct {
	conn      clickhouse.Conn
	db        string
	cluster   string
	retention store.Retention
	log       *slog.Logger
	dropped   atomic.Uint64

	// known are series written to the index lately, by id and day.
	knownMu sync.Mutex
	known   map[indexKey]time.Time
}

type seriesID [16]byte

type indexKey struct {
	level store.Level
	id    seriesID
	day   int64
}

// indexAgain is how long a series is trusted to be in the index: another process may have deleted it.
const indexAgain = 10 * time.Minute

// maxKnown bounds the memory of known series.
const maxKnown = 1_000_000

var _ store.Store = (*Store)(nil)

// Open connects and creates what is missing.
func Open(ctx context.Context, o Options) (*Store, error) {
	keep, err := store.Retention{Base: o.Retention, FiveMinutes: o.Retention5m, OneHour: o.Retention1h}.WithDefaults()
	if err != nil {
		return nil, fmt.Errorf("cannot open ClickHouse store: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	options, err := clickhouse.ParseDSN(o.DSN)
	if err != nil {
		return nil, fmt.Errorf("cannot read ClickHouse address: %w", err)
	}
	db := options.Auth.Database
	if db == "" || db == "default" {
		db = "pharos"
	}
	// Statements name the database, which need not exist yet.
	options.Auth.Database = "default"
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, fmt.Errorf("cannot open ClickHouse at %s: %w", strings.Join(options.Addr, ", "), err)
	}
	s := &Store{conn: conn, db: quoteName(db), cluster: o.Cluster, retention: keep, log: o.Logger, known: map[indexKey]time.Time{}}
	for _, statement := range schema(db, o.Cluster, keep) {
		if err := conn.Exec(ctx, statement); err != nil {
			conn.Close()
			return nil, fmt.Errorf("cannot create ClickHouse tables: %s: %w", firstLine(statement), err)
		}
	}
	return s, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// idOf is the hash of a series' labels and window length.
func idOf(labels store.Labels, windowMs int64, buf []byte) (seriesID, []byte) {
	buf = labels.AppendKey(buf[:0])
	buf = strconv.AppendInt(buf, windowMs, 10)
	sum := sha256.Sum256(buf)
	return seriesID(sum[:16]), buf
}

// writer collects samples and the index rows they need.
type writer struct {
	level        store.Level
	minMs, maxMs int64
	now          time.Time
	buf          []byte
	last         store.Labels
	lastWindow   int64
	lastID       seriesID
	dropped      uint64

	index   []indexRow
	indexed map[indexKey]bool
	samples []sampleRow
}

type indexRow struct {
	indexKey
	windowMs int64
	labels   store.Labels
}

type sampleRow struct {
	id       seriesID
	timeMs   int64
	revision uint32
	value    float64
}

// Retention tells how long a level is kept.
func (s *Store) Retention(l store.Level) time.Duration { return s.retention.Of(l) }

func (s *Store) newWriter(l store.Level, n int) *writer {
	now := time.Now()
	return &writer{
		level: l,
		minMs: now.Add(-s.retention.Of(l)).UnixMilli(), maxMs: now.Add(store.FutureLimit).UnixMilli(), now: now,
		indexed: map[indexKey]bool{}, samples: make([]sampleRow, 0, n),
	}
}

func (w *writer) add(labels store.Labels, windowMs, timeMs int64, revision uint32, value float64) error {
	if len(w.last) == 0 || len(labels) != len(w.last) || &labels[0] != &w.last[0] || windowMs != w.lastWindow {
		if err := labels.Validate(); err != nil {
			return err
		}
		w.last, w.lastWindow = labels, windowMs
		w.lastID, w.buf = idOf(labels, windowMs, w.buf)
	}
	if math.IsNaN(value) || timeMs < w.minMs || timeMs > w.maxMs {
		w.dropped++
		return nil
	}
	key := indexKey{w.level, w.lastID, timeMs / dayMs}
	if !w.indexed[key] {
		w.indexed[key] = true
		w.index = append(w.index, indexRow{key, windowMs, labels})
	}
	w.samples = append(w.samples, sampleRow{w.lastID, timeMs, revision, value + 0}) // + 0 makes -0 zero
	return nil
}

const dayMs = 24 * 60 * 60 * 1000

// WriteWindows writes revisions of windows.
func (s *Store) WriteWindows(ctx context.Context, samples []store.WindowSample) error {
	w := s.newWriter(store.Base, len(samples))
	for i := range samples {
		x := &samples[i]
		if err := x.ValidateTime(); err != nil {
			return fmt.Errorf("cannot write window: %w", err)
		}
		if err := w.add(x.Labels, x.WindowMs, x.StartMs, x.Revision, x.Value); err != nil {
			return fmt.Errorf("cannot write window: %w", err)
		}
	}
	return s.write(ctx, w)
}

// WriteRollups writes revisions of buckets.
func (s *Store) WriteRollups(ctx context.Context, l store.Level, samples []store.WindowSample) error {
	w := s.newWriter(l, len(samples))
	for i := range samples {
		x := &samples[i]
		if err := x.ValidateRollup(l); err != nil {
			return fmt.Errorf("cannot write rollups: %w", err)
		}
		if err := w.add(x.Labels, x.WindowMs, x.StartMs, x.Revision, x.Value); err != nil {
			return fmt.Errorf("cannot write rollups: %w", err)
		}
	}
	return s.write(ctx, w)
}

// WriteSamples writes raw samples.
func (s *Store) WriteSamples(ctx context.Context, samples []store.Sample) error {
	w := s.newWriter(store.Base, len(samples))
	for i := range samples {
		if err := w.add(samples[i].Labels, 0, samples[i].TimeMs, 0, samples[i].Value); err != nil {
			return fmt.Errorf("cannot write sample: %w", err)
		}
	}
	return s.write(ctx, w)
}

func (s *Store) write(ctx context.Context, w *writer) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot write samples: %w", err)
	}
	s.dropped.Add(w.dropped)
	if len(w.samples) == 0 {
		return nil
	}
	// The index first: a sample without it could not be found.
	if err := s.writeIndex(ctx, w); err != nil {
		return err
	}
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO "+s.db+".samples"+suffix(w.level)+" (id, time_ms, revision, value)")
	if err != nil {
		return fmt.Errorf("cannot write %d samples: %w", len(w.samples), err)
	}
	defer batch.Close()
	for i := range w.samples {
		x := &w.samples[i]
		if err := batch.Append(x.id[:], x.timeMs, x.revision, x.value); err != nil {
			return fmt.Errorf("cannot write sample: %w", err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("cannot write %d samples: %w", len(w.samples), err)
	}
	return nil
}

func (s *Store) writeIndex(ctx context.Context, w *writer) error {
	missing := w.index[:0:0]
	s.knownMu.Lock()
	for _, row := range w.index {
		if w.now.Sub(s.known[row.indexKey]) > indexAgain {
			missing = append(missing, row)
		}
	}
	s.knownMu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	batch, err := s.conn.PrepareBatch(ctx, "INSERT INTO "+s.db+".series"+suffix(w.level)+" (id, day, name, window_ms, labels)")
	if err != nil {
		return fmt.Errorf("cannot write %d series: %w", len(missing), err)
	}
	defer batch.Close()
	for _, row := range missing {
		if err := batch.Append(row.id[:], time.UnixMilli(row.day*dayMs).UTC(), row.labels.Get(store.MetricName), row.windowMs, row.labels.Map()); err != nil {
			return fmt.Errorf("cannot write series %s: %w", row.labels, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("cannot write %d series: %w", len(missing), err)
	}
	s.knownMu.Lock()
	defer s.knownMu.Unlock()
	if len(s.known)+len(missing) > maxKnown {
		clear(s.known)
	}
	for _, row := range missing {
		s.known[row.indexKey] = w.now
	}
	return nil
}

// Sync has nothing to do: inserts are on disk when they return.
func (s *Store) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot sync store: %w", err)
	}
	return nil
}

// statsTimeout bounds Stats, which has no context.
const statsTimeout = 5 * time.Second

// Stats tells the store's size and losses. Of a cluster it counts this server's part.
func (s *Store) Stats() store.Stats {
	out := store.Stats{Dropped: s.dropped.Load()}
	for _, l := range levels {
		of := s.stats("samples"+suffix(l), "series"+suffix(l), 0)
		out.Rows, out.DiskBytes = out.Rows+of.Rows, out.DiskBytes+of.DiskBytes
	}
	return out
}

func (s *Store) stats(table, index string, dropped uint64) store.Stats {
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	out := store.Stats{Dropped: dropped}
	local := localSuffix(s.cluster)
	query := fmt.Sprintf("SELECT toUInt64(sumIf(rows, table = %s)), toUInt64(sum(bytes_on_disk)) FROM system.parts WHERE active AND database = %s AND table IN (%s, %s)",
		quote(table+local), quote(strings.Trim(s.db, "`")), quote(table+local), quote(index+local))
	if err := s.conn.QueryRow(ctx, query).Scan(&out.Rows, &out.DiskBytes); err != nil {
		s.log.Warn("cannot read the size of ClickHouse tables", "error", err)
	}
	return out
}

// Close closes the connections.
func (s *Store) Close() error { return s.conn.Close() }
