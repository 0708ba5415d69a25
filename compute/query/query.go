// Package query answers PromQL over the store and over windows that have not
// settled yet. It is the QueryService of compute.
//
// # What a query sees
//
// Series of the store, of this compute's unsettled windows and of its peers'
// unsettled windows, merged; an unsettled window wins over the store's value of
// the same window. Every selector is narrowed to the caller's workspace and to
// series without workspace (those of hosts and of Pharos itself). The labels
// tenant and workspace are not part of any result.
//
// # Windows in PromQL
//
// A window's value stands at the window's start and holds until its end, not
// longer: an instant vector shows it in [start, start+window) and, if the next
// window has no value, nothing after that. Raw samples (host metrics) hold for
// the usual lookback of five minutes. Range selectors see each window once.
//
// A count or sum of a monitor with groups reads as zero in a complete window in
// which a key had no lines, for 24 h after the key was seen. The selector must name
// the metric; the price is reading one day more.
//
// # Rollups
//
// Where it makes no difference, windows of long ago are read from rollups of five minutes or an
// hour: under sum_over_time, min_over_time and max_over_time of figures that are sums, minima and maxima, when step and
// range are multiples of the bucket and ranges end with a bucket. Where windows are no longer kept, rollups are all there is; then
// a sum reads as its mean per window. See docs/decisions/rollups.md.
//
// # Errors
//
// They are gRPC status errors: InvalidArgument for a wrong expression or range,
// FailedPrecondition when the expression can't be evaluated on this data (such as
// a many-to-many match), ResourceExhausted beyond a limit, DeadlineExceeded and
// Canceled, Unavailable when the store fails.
package query

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Live is the part of compute that holds windows not yet settled.
type Live interface {
	// SelectLive calls fn with every live series that matches all matchers and has a value in
	// [startMs, endMs], and stops at fn's first error. A window must stay live until the store has it.
	SelectLive(matchers []store.Matcher, startMs, endMs int64, fn func(*store.Series) error) error
	// MonitorWindows tells of a monitor's recent windows that this compute owns.
	MonitorWindows(ctx context.Context, req *pharosv1.MonitorWindowsRequest) (*pharosv1.MonitorWindowsResponse, error)
	// LiveLines returns the windows of a monitor, with the lines they keep, that the store does not
	// have as they are now.
	LiveLines(monitorID string, startMs, endMs int64) ([]store.LineWindow, error)
	// PendingRollup returns the start of a monitor's earliest bucket of rollups that the store does not
	// have as it should be; math.MaxInt64 if there is none.
	PendingRollup(monitorID string) int64
	// Status tells how this compute is doing.
	Status() *pharosv1.StatusResponse
	// Monitors lists the monitors this compute knows.
	Monitors() []*pharosv1.MonitorInfo
}

// Options of the service.
type Options struct {
	Store store.Store
	// Rows has the lines of settled windows (default: none).
	Rows store.Rows
	Live Live
	// Peers returns clients of the other computes (default: none).
	Peers func() []pharosv1.QueryServiceClient
	// Logger for failures that a caller can't be told in full (default: none).
	Logger *slog.Logger
	Limits Limits
	// Now is the clock (default time.Now).
	Now func() time.Time
}

// Limits of one query. Zero means the default.
type Limits struct {
	// PointsPerSeries of a range query (default 11,000, as Prometheus).
	PointsPerSeries int
	// ResultSeries is the most series a result may have (default 10,000).
	ResultSeries int
	// ReadSeries is the most series one selector may read (default store.DefaultMaxSeries).
	ReadSeries int
	// Samples is the most samples in memory at a time (default store.DefaultMaxSamples).
	Samples int
	// Timeout of a query (default 30 s).
	Timeout time.Duration
	// Lookback of raw samples (default 5 min).
	Lookback time.Duration
	// MaxWindow is the longest window there is (default 1 h): how far before a query's start a
	// window may have begun that still holds.
	MaxWindow time.Duration
	// LateBy is how long after its start a window may still change (default 27 h, an hour more
	// than compute takes late parts): what is younger is never read from rollups.
	LateBy time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.PointsPerSeries <= 0 {
		l.PointsPerSeries = 11_000
	}
	if l.ResultSeries <= 0 {
		l.ResultSeries = 10_000
	}
	if l.ReadSeries <= 0 {
		l.ReadSeries = store.DefaultMaxSeries
	}
	if l.Samples <= 0 {
		l.Samples = store.DefaultMaxSamples
	}
	if l.Timeout <= 0 {
		l.Timeout = 30 * time.Second
	}
	if l.Lookback <= 0 {
		l.Lookback = 5 * time.Minute
	}
	if l.MaxWindow <= 0 {
		l.MaxWindow = time.Hour
	}
	if l.LateBy <= 0 {
		l.LateBy = 27 * time.Hour
	}
	return l
}

// Service is the QueryService.
type Service struct {
	pharosv1.UnimplementedQueryServiceServer

	store  store.Store
	rows   store.Rows
	live   Live
	peers  func() []pharosv1.QueryServiceClient
	log    *slog.Logger
	limits Limits
	now    func() time.Time
	engine *promql.Engine
	parser parser.Parser
}

var _ pharosv1.QueryServiceServer = (*Service)(nil)

// New returns a service. Options.Store and Options.Live are required.
func New(o Options) *Service {
	s := &Service{store: o.Store, rows: o.Rows, live: o.Live, peers: o.Peers, log: o.Logger, limits: o.Limits.withDefaults(), now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	if s.peers == nil {
		s.peers = func() []pharosv1.QueryServiceClient { return nil }
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.parser = parser.NewParser(parser.Options{})
	s.engine = promql.NewEngine(promql.EngineOpts{
		Logger:                   s.log,
		MaxSamples:               s.limits.Samples,
		Timeout:                  s.limits.Timeout,
		LookbackDelta:            s.limits.Lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   s.parser,
	})
	return s
}
