package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pharos-stack/pharos/compute/store"
)

// Rows keeps rows in the table of that name. It is a store.Rows.
type Rows struct {
	*Store
	droppedRows atomic.Uint64
}

var _ store.Rows = (*Rows)(nil)

// OpenRows connects and creates what is missing, as Open does.
func OpenRows(ctx context.Context, o Options) (*Rows, error) {
	s, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Rows{Store: s}, nil
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
	now := time.Now()
	minNs, maxNs := now.Add(-r.retention.Base).UnixNano(), now.Add(store.FutureLimit).UnixNano()
	batch, err := r.conn.PrepareBatch(ctx, "INSERT INTO "+r.db+".rows (stream_id, stream, time_ns, fields)")
	if err != nil {
		return fmt.Errorf("cannot write rows: %w", err)
	}
	defer batch.Close()
	var buf []byte
	kept := 0
	for i := range rows {
		row := &rows[i]
		if row.TimeNs < minNs || row.TimeNs > maxNs {
			r.droppedRows.Add(1)
			continue
		}
		var id seriesID
		id, buf = idOf(row.Stream, 0, buf)
		fields := make(map[string]string, len(row.Fields))
		for _, f := range row.Fields {
			if f.Value != "" {
				fields[f.Name] = f.Value
			}
		}
		if err := batch.Append(id[:], row.Stream.Map(), row.TimeNs, fields); err != nil {
			return fmt.Errorf("cannot write row of stream %s: %w", row.Stream, err)
		}
		kept++
	}
	if kept == 0 {
		return nil
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("cannot write %d rows: %w", kept, err)
	}
	return nil
}

// QueryRows calls fn with the newest rows that match, newest first.
func (r *Rows) QueryRows(ctx context.Context, q store.RowQuery, fn func(*store.Row) error) error {
	if q.Limit <= 0 {
		q.Limit = store.DefaultMaxRows
	}
	var terms []string
	for _, part := range []struct {
		column   string
		matchers []store.Matcher
	}{{"stream", q.Stream}, {"fields", q.Fields}} {
		if _, err := store.NewFilter(part.matchers); err != nil {
			return fmt.Errorf("cannot query rows: %w", err)
		}
		for _, m := range part.matchers {
			terms = append(terms, " AND "+matchTerm(part.column+"["+quote(m.Name)+"]", m))
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot query rows: %w", err)
	}
	rows, err := r.conn.Query(ctx, fmt.Sprintf("SELECT stream, time_ns, fields FROM %s.rows WHERE time_ns BETWEEN %d AND %d%s ORDER BY time_ns DESC LIMIT %d",
		r.db, q.StartNs, q.EndNs, strings.Join(terms, ""), q.Limit))
	if err != nil {
		return fmt.Errorf("cannot query rows: %w", failure(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		var row store.Row
		var stream, fields map[string]string
		if err := rows.Scan(&stream, &row.TimeNs, &fields); err != nil {
			return fmt.Errorf("cannot query rows: %w", err)
		}
		row.Stream, row.Fields = store.FromMap(stream), store.FromMap(fields)
		if err := fn(&row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot query rows: %w", failure(ctx, err))
	}
	return nil
}

// Stats tells the size and losses of the rows.
func (r *Rows) Stats() store.Stats { return r.stats("rows", "rows", r.droppedRows.Load()) }
