package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pharos-stack/pharos/compute/store"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Query evaluates an expression at one moment or over a range.
func (s *Service) Query(ctx context.Context, req *pharosv1.QueryRequest) (*pharosv1.QueryResponse, error) {
	lookback := s.limits.Lookback
	if req.GetLookbackMs() > 0 {
		lookback = max(time.Duration(req.GetLookbackMs())*time.Millisecond, time.Second)
	}
	timeout := s.limits.Timeout
	if t := time.Duration(req.GetTimeoutMs()) * time.Millisecond; t > 0 {
		timeout = min(timeout, t)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	q, err := s.prepare(ctx, req, lookback)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return nil, s.queryError(ctx, result.Err, timeout)
	}
	return s.response(req.GetExpr(), result)
}

func (s *Service) prepare(ctx context.Context, req *pharosv1.QueryRequest, lookback time.Duration) (promql.Query, error) {
	expr, err := s.parser.ParseExpr(req.GetExpr())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "cannot parse expression: %v", err)
	}
	source := &queryable{service: s, scope: req.GetScope(), lookback: lookback, rollups: !hasSubquery(expr), zeros: !req.GetWithoutZeros()}
	opts := promql.NewPrometheusQueryOpts(false, lookback, nil)
	start, end, step := req.GetStartMs(), req.GetEndMs(), req.GetStepMs()
	var q promql.Query
	switch {
	case step < 0:
		return nil, status.Errorf(codes.InvalidArgument, "step is %d ms, it must be positive", step)
	case end < start:
		return nil, status.Error(codes.InvalidArgument, "the range ends before it starts")
	case step == 0 && start != end:
		return nil, status.Error(codes.InvalidArgument, "a range needs a step")
	case step == 0:
		q, err = s.engine.NewInstantQuery(ctx, source, opts, req.GetExpr(), time.UnixMilli(start))
	default:
		if points := (end-start)/step + 1; points > int64(s.limits.PointsPerSeries) {
			least := (end-start)/int64(s.limits.PointsPerSeries-1) + 1
			return nil, status.Errorf(codes.InvalidArgument, "the range has %d points per series at this step, at most %d are allowed: use a step of at least %s",
				points, s.limits.PointsPerSeries, time.Duration(least)*time.Millisecond)
		}
		q, err = s.engine.NewRangeQuery(ctx, source, opts, req.GetExpr(), time.UnixMilli(start), time.UnixMilli(end), time.Duration(step)*time.Millisecond)
	}
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "cannot use expression: %v", err)
	}
	return q, nil
}

// queryError turns an error of the engine into a status.
func (s *Service) queryError(ctx context.Context, err error, timeout time.Duration) error {
	var (
		timedOut promql.ErrQueryTimeout
		canceled promql.ErrQueryCanceled
		tooMany  promql.ErrTooManySamples
		storage  promql.ErrStorage
	)
	switch {
	case errors.As(err, &timedOut), errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return status.Errorf(codes.DeadlineExceeded, "the query took longer than %s: narrow it, or use a larger step", timeout)
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the query was cancelled")
	case errors.As(err, &tooMany):
		return status.Errorf(codes.ResourceExhausted, "the query needs more than %d samples at a time: narrow it, or use a larger step", s.limits.Samples)
	case errors.As(err, &storage):
		return storeError(storage.Err)
	case errors.Is(err, store.ErrLimit):
		return storeError(err)
	}
	return status.Errorf(codes.FailedPrecondition, "cannot evaluate expression: %v", err)
}

// storeError turns an error of reading into a status.
func storeError(err error) error {
	switch {
	case errors.Is(err, store.ErrLimit):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	}
	return status.Error(codes.Unavailable, err.Error())
}

func (s *Service) response(expr string, result *promql.Result) (*pharosv1.QueryResponse, error) {
	out := &pharosv1.QueryResponse{}
	warnings, infos := result.Warnings.AsStrings(expr, 10, 10)
	out.Warnings, out.Infos = warnings, infos
	switch v := result.Value.(type) {
	case promql.Scalar:
		out.Type = pharosv1.ResultType_RESULT_TYPE_SCALAR
		out.Series = []*pharosv1.QuerySeries{{TimesMs: []int64{v.T}, Values: []float64{v.V}}}
	case promql.String:
		out.Type = pharosv1.ResultType_RESULT_TYPE_STRING
		out.Text = v.V
	case promql.Vector:
		out.Type = pharosv1.ResultType_RESULT_TYPE_VECTOR
		if err := s.checkSeries(len(v)); err != nil {
			return nil, err
		}
		for _, x := range v {
			out.Series = append(out.Series, &pharosv1.QuerySeries{Labels: labelMap(x.Metric), TimesMs: []int64{x.T}, Values: []float64{x.F}})
		}
	case promql.Matrix:
		out.Type = pharosv1.ResultType_RESULT_TYPE_MATRIX
		if err := s.checkSeries(len(v)); err != nil {
			return nil, err
		}
		for _, x := range v {
			series := &pharosv1.QuerySeries{Labels: labelMap(x.Metric), TimesMs: make([]int64, len(x.Floats)), Values: make([]float64, len(x.Floats))}
			for i, p := range x.Floats {
				series.TimesMs[i], series.Values[i] = p.T, p.F
			}
			out.Series = append(out.Series, series)
		}
	default:
		return nil, status.Errorf(codes.Internal, "the engine returned a %s", describe(result.Value))
	}
	return out, nil
}

func (s *Service) checkSeries(n int) error {
	if n > s.limits.ResultSeries {
		return status.Errorf(codes.ResourceExhausted, "the result has %d series, at most %d are allowed: aggregate, use topk, or narrow the selection", n, s.limits.ResultSeries)
	}
	return nil
}

func describe(v parser.Value) string {
	if v == nil {
		return "nothing"
	}
	return fmt.Sprintf("%T", v)
}

// labelMap leaves out hidden labels, which absent() makes of the selector's matchers.
func labelMap(ls labels.Labels) map[string]string {
	out := make(map[string]string, ls.Len())
	ls.Range(func(l labels.Label) {
		if !hidden(l.Name) {
			out[l.Name] = l.Value
		}
	})
	return out
}
