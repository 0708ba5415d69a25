package alarm

import (
	"context"
	"strings"

	"google.golang.org/grpc"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	// pastPoints is how many checks' values are read with one query.
	pastPoints = 720
	// pastStates is how many windows' states are read with one question.
	pastStates = 3000
)

// pastQuery answers the questions of one check after another from what it has
// read for many at once. A range query gives at each step what an instant query
// there would, so nothing changes but the time it takes.
type pastQuery struct {
	pharosv1.QueryServiceClient
	stepMs, endMs int64
	series        map[seriesKey]*pastSeries
	windows       map[string]*pastWindows // by monitor
}

type seriesKey struct {
	expr       string
	lookbackMs int64
}

// pastSeries are the values of an expression at fromMs and every step after, up to toMs.
type pastSeries struct {
	fromMs, toMs int64
	at           map[int64][]*pharosv1.QuerySeries
	warnings     []string
}

type pastWindows struct {
	fromMs, toMs int64
	settled      int64
	windows      []*pharosv1.WindowState
}

// Query answers an instant query.
func (p *pastQuery) Query(ctx context.Context, req *pharosv1.QueryRequest, opts ...grpc.CallOption) (*pharosv1.QueryResponse, error) {
	if req.GetStartMs() != req.GetEndMs() || strings.Contains(req.GetExpr(), "@") {
		return p.QueryServiceClient.Query(ctx, req, opts...)
	}
	at, key := req.GetStartMs(), seriesKey{req.GetExpr(), req.GetLookbackMs()}
	known := p.series[key]
	if known == nil || at < known.fromMs || at > known.toMs || (at-known.fromMs)%p.stepMs != 0 {
		end := min(at+(pastPoints-1)*p.stepMs, max(at, p.endMs))
		answer, err := p.QueryServiceClient.Query(ctx, &pharosv1.QueryRequest{Scope: req.GetScope(), Expr: req.GetExpr(), StartMs: at, EndMs: end, StepMs: p.stepMs,
			LookbackMs: req.GetLookbackMs(), TimeoutMs: req.GetTimeoutMs()}, opts...)
		if err != nil {
			return nil, err
		}
		known = &pastSeries{fromMs: at, toMs: end, at: map[int64][]*pharosv1.QuerySeries{}, warnings: answer.GetWarnings()}
		for _, s := range answer.GetSeries() {
			for i, ms := range s.GetTimesMs() {
				known.at[ms] = append(known.at[ms], &pharosv1.QuerySeries{Labels: s.GetLabels(), TimesMs: []int64{ms}, Values: s.GetValues()[i : i+1]})
			}
		}
		p.series[key] = known
	}
	return &pharosv1.QueryResponse{Type: pharosv1.ResultType_RESULT_TYPE_VECTOR, Series: known.at[at], Warnings: known.warnings}, nil
}

// MonitorWindows answers for windows that begin from the request's start on.
func (p *pastQuery) MonitorWindows(ctx context.Context, req *pharosv1.MonitorWindowsRequest, opts ...grpc.CallOption) (*pharosv1.MonitorWindowsResponse, error) {
	known := p.windows[req.GetMonitorId()]
	if known == nil || req.GetStartMs() < known.fromMs || req.GetEndMs() > known.toMs {
		end := max(req.GetEndMs(), min(req.GetStartMs()+pastStates*(req.GetEndMs()-req.GetStartMs()), p.endMs))
		answer, err := p.QueryServiceClient.MonitorWindows(ctx, &pharosv1.MonitorWindowsRequest{Scope: req.GetScope(), MonitorId: req.GetMonitorId(), StartMs: req.GetStartMs(), EndMs: end}, opts...)
		if err != nil {
			return nil, err
		}
		known = &pastWindows{fromMs: req.GetStartMs(), toMs: end, settled: answer.GetSettledUntilMs(), windows: answer.GetWindows()}
		p.windows[req.GetMonitorId()] = known
	}
	out := &pharosv1.MonitorWindowsResponse{SettledUntilMs: known.settled}
	for _, w := range known.windows {
		if s := w.GetWindowStartMs(); s >= req.GetStartMs() && s <= req.GetEndMs() {
			out.Windows = append(out.Windows, w)
		}
	}
	return out, nil
}
