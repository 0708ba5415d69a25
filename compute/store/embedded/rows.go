package embedded

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/pharos-stack/pharos/compute/store"
)

// Rows keeps rows in VictoriaLogs' lib/logstorage. It is a store.Rows.
type Rows struct {
	engine    *logstorage.Storage
	disk      disk
	retention time.Duration

	written   atomic.Uint64
	visibleMu sync.Mutex
	visible   uint64

	syncMu sync.Mutex
	// writing is held for reading by writes and for writing by the end of a Sync.
	writing sync.RWMutex
	dropped atomic.Uint64
	closed  sync.Once
}

var _ store.Rows = (*Rows)(nil)

// The engine has names of its own (_time, _msg, _stream), so ours carry a
// prefix that also tells stream labels from fields.
const (
	streamPrefix = "s."
	fieldPrefix  = "f."
)

// OpenRows opens or creates the rows in a directory, which must not be that of a Store.
func OpenRows(o Options) (r *Rows, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	defer recoverOpen(o.Dir, &err)
	r = &Rows{disk: disk{dir: o.Dir, reserve: o.ReserveBytes}, retention: o.Retention}
	r.engine = logstorage.MustOpenStorage(o.Dir, &logstorage.StorageConfig{
		Retention:       o.Retention,
		FutureRetention: store.FutureLimit,
		FlushInterval:   flushInterval,
		// Below this the engine itself only reads.
		MinFreeDiskSpaceBytes: int64(min(o.ReserveBytes/4, math.MaxInt64)),
	})
	if err := r.deleteSnapshots(); err != nil {
		r.engine.MustClose()
		return nil, err
	}
	return r, nil
}

// WriteRows writes rows.
func (r *Rows) WriteRows(ctx context.Context, rows []store.Row) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot write rows: %w", err)
	}
	for i := range rows {
		if err := rows[i].Validate(); err != nil {
			return fmt.Errorf("cannot write rows: %w", err)
		}
	}
	if err := r.disk.require(r.disk.reserve, store.ErrDiskFull); err != nil {
		return err
	}
	r.writing.RLock()
	defer r.writing.RUnlock()
	now := time.Now()
	minNs, maxNs := now.Add(-r.retention).UnixNano(), now.Add(store.FutureLimit).UnixNano()
	batch := logstorage.GetLogRows(nil, nil, nil, nil, "")
	defer logstorage.PutLogRows(batch)
	var fields []logstorage.Field
	for i := range rows {
		row := &rows[i]
		if row.TimeNs < minNs || row.TimeNs > maxNs {
			r.dropped.Add(1)
			continue
		}
		fields = fields[:0]
		for _, l := range row.Stream {
			fields = append(fields, logstorage.Field{Name: streamPrefix + l.Name, Value: l.Value})
		}
		for _, f := range row.Fields {
			fields = append(fields, logstorage.Field{Name: fieldPrefix + f.Name, Value: f.Value})
		}
		batch.MustAdd(logstorage.TenantID{}, row.TimeNs, fields, len(row.Stream))
		if batch.NeedFlush() {
			r.engine.MustAddRows(batch)
			batch.ResetKeepSettings()
		}
	}
	if batch.RowsCount() > 0 {
		r.engine.MustAddRows(batch)
	}
	r.written.Add(1)
	return nil
}

// show makes finished writes visible to readers.
func (r *Rows) show() {
	if r.written.Load() == 0 {
		return
	}
	r.visibleMu.Lock()
	defer r.visibleMu.Unlock()
	if n := r.written.Load(); n > r.visible {
		r.engine.DebugFlush()
		r.visible = n
	}
}

// QueryRows calls fn with the newest rows that match, newest first.
func (r *Rows) QueryRows(ctx context.Context, q store.RowQuery, fn func(*store.Row) error) error {
	if q.Limit <= 0 {
		q.Limit = store.DefaultMaxRows
	}
	text, err := logsQL(q)
	if err != nil {
		return fmt.Errorf("cannot query rows: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot query rows: %w", err)
	}
	if q.EndNs < q.StartNs {
		return nil
	}
	query, err := logstorage.ParseQuery(text)
	if err != nil {
		return fmt.Errorf("cannot query rows by %s: %w", text, err)
	}
	query.AddTimeFilter(q.StartNs, q.EndNs)
	r.show()

	var mu sync.Mutex
	var rows []store.Row
	var broken error
	qctx := logstorage.NewQueryContext(ctx, &logstorage.QueryStats{}, []logstorage.TenantID{{}}, query, false, nil)
	err = r.engine.RunQuery(qctx, func(_ uint, block *logstorage.DataBlock) {
		times, ok := block.GetTimestamps(nil)
		mu.Lock()
		defer mu.Unlock()
		if !ok {
			broken = fmt.Errorf("cannot query rows: the engine returned rows without time")
			return
		}
		rows = appendRows(rows, times, block.GetColumns(true))
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("cannot query rows: %w", err)
	}
	if broken != nil {
		return broken
	}
	slices.SortStableFunc(rows, func(a, b store.Row) int { return cmp.Compare(b.TimeNs, a.TimeNs) })
	for i := range rows {
		if err := fn(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// appendRows reads a block, whose columns are sorted by name and must be copied.
func appendRows(rows []store.Row, times []int64, columns []logstorage.BlockColumn) []store.Row {
	first := len(rows)
	for _, t := range times {
		rows = append(rows, store.Row{TimeNs: t})
	}
	for _, c := range columns {
		name, isField := strings.CutPrefix(c.Name, fieldPrefix)
		isStream := false
		if !isField {
			name, isStream = strings.CutPrefix(c.Name, streamPrefix)
		}
		if !isField && !isStream {
			continue // the engine's own
		}
		name = strings.Clone(name)
		for i, value := range c.Values {
			if value == "" {
				continue
			}
			row := &rows[first+i]
			label := store.Label{Name: name, Value: strings.Clone(value)}
			if isField {
				row.Fields = append(row.Fields, label)
			} else {
				row.Stream = append(row.Stream, label)
			}
		}
	}
	return rows
}

// logsQL writes a query in the engine's language.
func logsQL(q store.RowQuery) (string, error) {
	var b strings.Builder
	b.WriteByte('*')
	for _, part := range []struct {
		prefix   string
		matchers []store.Matcher
	}{{streamPrefix, q.Stream}, {fieldPrefix, q.Fields}} {
		if _, err := store.NewFilter(part.matchers); err != nil {
			return "", err
		}
		for _, m := range part.matchers {
			name := strconv.Quote(part.prefix + m.Name)
			if part.prefix == streamPrefix && m.Type == store.MatchEqual && m.Value != "" {
				// The index of streams finds these without looking at rows.
				fmt.Fprintf(&b, " {%s=%s}", name, strconv.Quote(m.Value))
				continue
			}
			if m.Type == store.MatchNotEqual || m.Type == store.MatchNotRegex {
				b.WriteString(" !")
			} else {
				b.WriteByte(' ')
			}
			if m.Type == store.MatchEqual || m.Type == store.MatchNotEqual {
				fmt.Fprintf(&b, "%s:=%s", name, strconv.Quote(m.Value))
			} else {
				fmt.Fprintf(&b, "%s:~%s", name, strconv.Quote(store.AnchoredRegex(m.Value)))
			}
		}
	}
	fmt.Fprintf(&b, " | sort by (_time desc) limit %d", q.Limit)
	return b.String(), nil
}

// Sync makes every write that returned before it durable.
func (r *Rows) Sync(ctx context.Context) error {
	r.syncMu.Lock()
	defer r.syncMu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot sync rows: %w", err)
	}
	if err := r.disk.require(r.disk.reserve/4, store.ErrDiskFull); err != nil {
		return err
	}
	if err := makeDurable(ctx, r, &r.writing); err != nil {
		return fmt.Errorf("cannot sync rows: %w", err)
	}
	return nil
}

func (r *Rows) flush() { r.engine.DebugFlush() }

func (r *Rows) snapshot() error {
	r.engine.PartitionSnapshotMustCreate("")
	return r.deleteSnapshots()
}

// inMemory also counts the merges of the index, of which the engine tells nothing else.
func (r *Rows) inMemory() uint64 {
	var st logstorage.StorageStats
	r.engine.UpdateStats(&st)
	return st.PendingRows + st.InmemoryParts + st.IndexdbPendingItems + st.IndexdbActiveInmemoryMerges + st.IndexdbActiveFileMerges
}

func (r *Rows) deleteSnapshots() error {
	for _, path := range r.engine.PartitionSnapshotList() {
		if err := r.engine.PartitionSnapshotDelete(path); err != nil {
			return fmt.Errorf("cannot delete snapshot %q: %w", path, err)
		}
	}
	return nil
}

// Stats tells the size and losses of the rows.
func (r *Rows) Stats() store.Stats {
	var st logstorage.StorageStats
	r.engine.UpdateStats(&st)
	free, err := r.disk.free()
	if err != nil {
		free = 0
	}
	return store.Stats{
		DiskBytes: st.CompressedSmallPartSize + st.CompressedBigPartSize + st.IndexdbSizeBytes,
		Rows:      st.PendingRows + st.InmemoryRowsCount + st.SmallPartRowsCount + st.BigPartRowsCount,
		Dropped:   r.dropped.Load() + st.RowsDroppedTooSmallTimestamp + st.RowsDroppedTooBigTimestamp,
		Refused:   r.disk.refused.Load(),
		FreeBytes: free,
	}
}

// Close writes out what is pending and closes the rows.
func (r *Rows) Close() error {
	r.closed.Do(r.engine.MustClose)
	return nil
}
