package alarm

import (
	"context"
	"slices"
	"sort"
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
	series        map[seriesKey][]*pastSeries
	windows       map[string][]*pastWindows // by monitor
}

func readAhead(query pharosv1.QueryServiceClient, stepMs, endMs int64) *pastQuery {
	return &pastQuery{QueryServiceClient: query, stepMs: stepMs, endMs: endMs, series: map[seriesKey][]*pastSeries{}, windows: map[string][]*pastWindows{}}
}

// pastKept is how many stretches of time are kept of one question: it may be
// asked of now, of yesterday and of last week at each check.
const pastKept = 4

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
	i := slices.IndexFunc(p.series[key], func(s *pastSeries) bool { return at >= s.fromMs && at <= s.toMs && (at-s.fromMs)%p.stepMs == 0 })
	if i < 0 {
		end := min(at+(pastPoints-1)*p.stepMs, max(at, p.endMs))
		answer, err := p.QueryServiceClient.Query(ctx, &pharosv1.QueryRequest{Scope: req.GetScope(), Expr: req.GetExpr(), StartMs: at, EndMs: end, StepMs: p.stepMs,
			LookbackMs: req.GetLookbackMs(), TimeoutMs: req.GetTimeoutMs()}, opts...)
		if err != nil {
			return nil, err
		}
		read := &pastSeries{fromMs: at, toMs: end, at: map[int64][]*pharosv1.QuerySeries{}, warnings: answer.GetWarnings()}
		for _, s := range answer.GetSeries() {
			for j, ms := range s.GetTimesMs() {
				read.at[ms] = append(read.at[ms], &pharosv1.QuerySeries{Labels: s.GetLabels(), TimesMs: []int64{ms}, Values: s.GetValues()[j : j+1]})
			}
		}
		p.series[key] = keep(p.series[key], read)
		i = len(p.series[key]) - 1
	}
	known := p.series[key][i]
	return &pharosv1.QueryResponse{Type: pharosv1.ResultType_RESULT_TYPE_VECTOR, Series: known.at[at], Warnings: known.warnings}, nil
}

// keep adds what was read to what is kept.
func keep[T any](list []T, read T) []T {
	return append(list[max(0, len(list)-pastKept+1):], read)
}

// MonitorWindows answers for windows that begin from the request's start on.
func (p *pastQuery) MonitorWindows(ctx context.Context, req *pharosv1.MonitorWindowsRequest, opts ...grpc.CallOption) (*pharosv1.MonitorWindowsResponse, error) {
	from, to, id := req.GetStartMs(), req.GetEndMs(), req.GetMonitorId()
	i := slices.IndexFunc(p.windows[id], func(w *pastWindows) bool { return from >= w.fromMs && to <= w.toMs })
	if i < 0 {
		end := max(to, min(to+pastStates*p.stepMs, p.endMs))
		answer, err := p.QueryServiceClient.MonitorWindows(ctx, &pharosv1.MonitorWindowsRequest{Scope: req.GetScope(), MonitorId: id, StartMs: from, EndMs: end}, opts...)
		if err != nil {
			return nil, err
		}
		p.windows[id] = keep(p.windows[id], &pastWindows{fromMs: from, toMs: end, settled: answer.GetSettledUntilMs(), windows: answer.GetWindows()})
		i = len(p.windows[id]) - 1
	}
	known := p.windows[id][i]
	out := &pharosv1.MonitorWindowsResponse{SettledUntilMs: known.settled}
	first := sort.Search(len(known.windows), func(j int) bool { return known.windows[j].GetWindowStartMs() >= from })
	for _, w := range known.windows[first:] {
		if w.GetWindowStartMs() > to {
			break
		}
		out.Windows = append(out.Windows, w)
	}
	return out, nil
}
