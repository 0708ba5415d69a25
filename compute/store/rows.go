package store

import "context"

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
