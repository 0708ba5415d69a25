// Package store is the interface to where Pharos keeps its time series and its
// rows (spans, sampled lines, events), and the types that cross it.
//
// Two stores stand behind it: store/embedded for one machine, store/clickhouse
// for a cluster. Both pass store/storetest, so nothing above this package knows
// which one it talks to. The types are ours: no SQL, and no type of either
// database, is seen here.
//
// There are two kinds of series. A window series holds one value per window of
// event time; a value is written again, with a larger revision, whenever the
// window changes, and the largest revision is the value. A raw series holds
// plain samples, such as host metrics.
//
// Window series are kept at three levels: the windows as they settled, and
// rollups of them to buckets of five minutes and of an hour, which are kept
// longer. RollUp makes rollups from the windows; see docs/decisions/rollups.md.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MetricName is the label that holds a series' name.
const MetricName = "__name__"

// WindowLabel is reserved: no label of a sample may have this name.
// Stores keep the window length under it and never return it.
const WindowLabel = "__window__"

// EpochLabel is reserved like WindowLabel.
const EpochLabel = "__epoch__"

// DefaultRetention is how long samples and rows are kept when nothing is said.
const DefaultRetention = 21 * 24 * time.Hour

// WindowSample is one revision of one window of a series. It replaces lower
// revisions of the same window; a lower one that comes later changes nothing.
// Revisions of a window may come in any order and more than once. The same
// revision written with two values leaves one of them.
type WindowSample struct {
	Labels  Labels
	StartMs int64
	// WindowMs is the window's length. StartMs must be a multiple of
	// the greatest common divisor of WindowMs and one minute.
	WindowMs int64
	Revision uint32
	// Value may be infinite. NaN means that there is no value: it is left out and
	// counted as dropped. A negative zero reads as zero.
	Value float64
}

// Validate says why s can't be stored.
func (s *WindowSample) Validate() error {
	if err := s.Labels.Validate(); err != nil {
		return err
	}
	return s.ValidateTime()
}

// ValidateTime is the part of Validate that differs from window to window of a series.
func (s *WindowSample) ValidateTime() error {
	if s.WindowMs <= 0 {
		return fmt.Errorf("series %s: window of %d ms", s.Labels, s.WindowMs)
	}
	if grid := WindowGridMs(s.WindowMs); s.StartMs%grid != 0 || s.StartMs < 0 {
		return fmt.Errorf("series %s: window of %d ms starts at %d, which is not a multiple of %d ms", s.Labels, s.WindowMs, s.StartMs, grid)
	}
	return nil
}

// WindowGridMs returns the greatest common divisor of a window's length and one
// minute: every start of such a window is a multiple of it, whatever the time zone.
func WindowGridMs(windowMs int64) int64 {
	a, b := windowMs, int64(60_000)
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Sample is one raw sample. Of two samples of a series at the same time, one stays.
type Sample struct {
	Labels Labels
	TimeMs int64
	Value  float64
}

// Series is a series and its values in a time range, in the order of time,
// each time once. It belongs to the receiver.
type Series struct {
	Labels Labels
	// WindowMs is the window's length, and then times are window starts and
	// values are those of the last revisions; 0 means raw samples.
	WindowMs int64
	TimesMs  []int64
	Values   []float64
	// Revisions of the values of windows; nil for raw samples.
	Revisions []uint32
}

// FutureLimit is how far ahead of the clock a sample's time may be.
const FutureLimit = 48 * time.Hour

// Limits bound what one call may read. Zero means the store's default.
type Limits struct {
	// MaxSeries that may match (default 100,000).
	MaxSeries int
	// MaxSamples over all series (default 50 million).
	MaxSamples int
}

// Default bounds of one call.
const (
	DefaultMaxSeries  = 100_000
	DefaultMaxSamples = 50_000_000
)

// WithDefaults returns l with its zero fields set.
func (l Limits) WithDefaults() Limits {
	if l.MaxSeries <= 0 {
		l.MaxSeries = DefaultMaxSeries
	}
	if l.MaxSamples <= 0 {
		l.MaxSamples = DefaultMaxSamples
	}
	return l
}

// ErrLimit is wrapped by errors that tell of a limit that was passed.
var ErrLimit = errors.New("limit exceeded")

// ErrDiskFull is wrapped by errors of writes refused because the store's disk
// has less free space than its reserve. Nothing of such a write is kept.
var ErrDiskFull = errors.New("too little free disk space")

// TooManySeries is the error of a call that matches more than limit series.
func TooManySeries(limit int) error {
	return fmt.Errorf("more than %d series match; narrow the selection: %w", limit, ErrLimit)
}

// TooManySamples is the error of a call that reads more than limit samples.
func TooManySamples(limit int) error {
	return fmt.Errorf("more than %d samples match; narrow the selection or the time range: %w", limit, ErrLimit)
}

// Store keeps time series. All methods may be called from many goroutines.
// Time ranges include both ends. A read sees every write that returned before it began.
//
// Samples older than the retention, or too far in the future (FutureLimit), are
// left out of a write without error and counted in Stats. A sample with wrong
// labels (see Labels.Validate) or a wrong window fails the write as a whole.
//
// Values are kept exactly if they are integers below 2^53 or have at most six
// decimals and 15 digits; others may be rounded to 12 decimals (or to about 12
// digits when smaller than a millionth). A value many orders of magnitude
// smaller than its neighbours in the same series may lose digits beyond the
// 17th counted from the largest one's first.
type Store interface {
	// WriteWindows writes revisions of windows.
	WriteWindows(ctx context.Context, samples []WindowSample) error
	// WriteSamples writes raw samples.
	WriteSamples(ctx context.Context, samples []Sample) error
	// Sync makes every write that returned before it durable: when it has returned, no crash
	// of the process or the machine loses them.
	Sync(ctx context.Context) error
	// Select calls fn with every series that matches all matchers and has a value in the
	// range, ordered by labels and window length. It stops at fn's first error and returns it.
	Select(ctx context.Context, matchers []Matcher, startMs, endMs int64, limits Limits, fn func(*Series) error) error
	// WriteRollups writes revisions of buckets of a level other than Base; they replace each other as
	// windows do. WindowMs of each is the level's length and StartMs a multiple of it.
	WriteRollups(ctx context.Context, level Level, samples []WindowSample) error
	// SelectRollups is Select among the buckets of a level; of Base, among the windows.
	SelectRollups(ctx context.Context, level Level, matchers []Matcher, startMs, endMs int64, limits Limits, fn func(*Series) error) error
	// Retention tells how long a level is kept.
	Retention(level Level) time.Duration
	// SeriesLabels returns the label sets of series that match and that may have a value in
	// the range (stores answer by day), ordered, each once, at most limit (0: DefaultMaxSeries).
	// So do the two below; where the range begins before the retention of Base, series of which
	// only rollups are left count too.
	SeriesLabels(ctx context.Context, matchers []Matcher, startMs, endMs int64, limit int) ([]Labels, error)
	// LabelNames returns the names of the labels of those series, sorted.
	LabelNames(ctx context.Context, matchers []Matcher, startMs, endMs int64) ([]string, error)
	// LabelValues returns the values of one label of those series, sorted.
	LabelValues(ctx context.Context, name string, matchers []Matcher, startMs, endMs int64) ([]string, error)
	// Delete removes every series that matches, for all time and at all levels. Series written later under
	// the same labels start empty. At least one matcher must not match the empty value.
	Delete(ctx context.Context, matchers []Matcher) error
	// Stats tells the store's size and losses.
	Stats() Stats
	// Close writes out what is pending and closes the store.
	Close() error
}

// Stats is the size of a store and what it did not take.
type Stats struct {
	// DiskBytes is what the store occupies on disk.
	DiskBytes uint64
	// Rows counts stored samples (or rows) as the store holds them, superseded revisions included
	// until they are merged away.
	Rows uint64
	// Dropped counts samples left out since start because they were outside the retention.
	Dropped uint64
	// Refused counts writes refused since start for want of disk space.
	Refused uint64
	// FreeBytes is the free space of the store's disk; 0 when the store can't know.
	FreeBytes uint64
}
