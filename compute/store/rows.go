package store

import (
	"context"
	"fmt"
)

// Row is one span, sampled line or event.
type Row struct {
	// Stream says what the row belongs to (kind, workspace, app, …): few distinct
	// sets, found fast. Sorted by name, no empty values; needs no __name__.
	Stream Labels
	// TimeNs is the row's time in Unix nanoseconds.
	TimeNs int64
	// Fields are the row's contents, many distinct values. Order is not kept; a field of
	// empty value is the same as none. Names differ from those of Stream.
	Fields []Label
}

// RowQuery selects rows. Both ends of the time range are included.
type RowQuery struct {
	// Stream must match the stream's labels.
	Stream []Matcher
	// Fields must match the row's fields; a missing field has the empty value.
	Fields []Matcher
	// StartNs and EndNs bound the time.
	StartNs, EndNs int64
	// Limit of rows returned, the newest ones first (0: 1,000).
	Limit int
}

// DefaultMaxRows is the limit of a RowQuery that sets none.
const DefaultMaxRows = 1000

// Rows keeps rows. All methods may be called from many goroutines. A read sees
// every write that returned before it began. Rows outside the retention are left out
// of a write without error and counted in Stats. A row written twice is there twice.
type Rows interface {
	// WriteRows writes rows.
	WriteRows(ctx context.Context, rows []Row) error
	// QueryRows calls fn with the newest rows that match, newest first, and stops at fn's first error.
	QueryRows(ctx context.Context, q RowQuery, fn func(*Row) error) error
	// Sync makes every write that returned before it durable.
	Sync(ctx context.Context) error
	// Stats tells the store's size and losses.
	Stats() Stats
	// Close writes out what is pending and closes the store.
	Close() error
}

// Bounds of one row.
const (
	// MaxRowBytes is the most that the names and values of a row may take together.
	MaxRowBytes = 1 << 20
	// MaxRowFields is the most fields a row may have.
	MaxRowFields = 1000
	// MaxFieldNameBytes is the longest name of a field or stream label.
	MaxFieldNameBytes = 100
)

// Validate says why r can't be stored: a stream that is unsorted, has a name
// other than letters, digits, _ . and -, or an empty value; a field without name,
// or named twice; more than the bounds of a row.
func (r *Row) Validate() error {
	size := 0
	for i, l := range r.Stream {
		switch {
		case !isStreamName(l.Name):
			return fmt.Errorf("row of stream %s: %q can't be the name of a stream label", r.Stream, l.Name)
		case i > 0 && r.Stream[i-1].Name >= l.Name:
			return fmt.Errorf("row of stream %s: label %q is not in order", r.Stream, l.Name)
		case l.Value == "":
			return fmt.Errorf("row of stream %s: label %q is empty", r.Stream, l.Name)
		}
		size += len(l.Name) + len(l.Value)
	}
	seen := make(map[string]bool, len(r.Fields))
	for _, f := range r.Fields {
		switch {
		case f.Name == "" || len(f.Name) > MaxFieldNameBytes:
			return fmt.Errorf("row of stream %s: a field name of %d bytes, 1 to %d are allowed", r.Stream, len(f.Name), MaxFieldNameBytes)
		case seen[f.Name]:
			return fmt.Errorf("row of stream %s: two fields %q", r.Stream, f.Name)
		}
		seen[f.Name] = true
		size += len(f.Name) + len(f.Value)
	}
	if len(r.Fields) > MaxRowFields || size > MaxRowBytes {
		return fmt.Errorf("row of stream %s: %d fields of %d bytes, %d and %d are allowed", r.Stream, len(r.Fields), size, MaxRowFields, MaxRowBytes)
	}
	return nil
}

func isStreamName(name string) bool {
	if name == "" || len(name) > MaxFieldNameBytes {
		return false
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return true
}
