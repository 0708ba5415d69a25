package prom

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// point is a time and a value, as Prometheus writes them: [1435781430.781, "1"].
type point struct {
	ms    int64
	value float64
}

// MarshalJSON writes seconds and the value as text.
func (p point) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%s,%q]", seconds(p.ms), number(p.value)), nil
}

func seconds(ms int64) string {
	sign := ""
	if ms < 0 {
		sign, ms = "-", -ms
	}
	if ms%1000 == 0 {
		return sign + strconv.FormatInt(ms/1000, 10)
	}
	return fmt.Sprintf("%s%d.%03d", sign, ms/1000, ms%1000)
}

// number writes very large and very small values with an exponent, as Prometheus does.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsInf(v, 1):
		return "+Inf"
	case abs != 0 && (abs < 1e-6 || abs >= 1e21):
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

type text struct {
	ms   int64
	text string
}

// MarshalJSON writes a string result.
func (t text) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%s,%s]", seconds(t.ms), strconv.Quote(t.text)), nil
}

type sample struct {
	Metric map[string]string `json:"metric"`
	Value  point             `json:"value"`
}

type series struct {
	Metric map[string]string `json:"metric"`
	Values []point           `json:"values"`
}

type queryData struct {
	ResultType string `json:"resultType"`
	Result     any    `json:"result"`
}

func metric(s *pharosv1.QuerySeries) map[string]string {
	if s.GetLabels() == nil {
		return map[string]string{}
	}
	return s.GetLabels()
}

func (p *Prom) run(r *http.Request, q *pharosv1.QueryRequest) (any, []string, []string, error) {
	timeout, err := duration(r, "timeout")
	if err != nil {
		return nil, nil, nil, err
	}
	if timeout <= 0 || timeout > DefaultTimeout {
		timeout = DefaultTimeout
	}
	lookback, err := duration(r, "lookback_delta")
	if err != nil {
		return nil, nil, nil, err
	}
	max, err := limit(r)
	if err != nil {
		return nil, nil, nil, err
	}
	q.TimeoutMs, q.LookbackMs = timeout.Milliseconds(), lookback.Milliseconds()
	ctx, cancel := context.WithTimeout(r.Context(), timeout+time.Second)
	defer cancel()
	answer, err := p.Query.Query(ctx, q)
	if err != nil {
		return nil, nil, nil, err
	}
	data, cut := dataOf(answer, q.GetEndMs(), max)
	warnings := answer.GetWarnings()
	if cut {
		warnings = append(warnings, "results truncated due to limit")
	}
	return data, warnings, answer.GetInfos(), nil
}

// dataOf gives the answer Prometheus' form; max series, 0 for all.
func dataOf(answer *pharosv1.QueryResponse, endMs int64, max int) (data queryData, cut bool) {
	found := answer.GetSeries()
	if max > 0 && len(found) > max {
		found, cut = found[:max], true
	}
	switch answer.GetType() {
	case pharosv1.ResultType_RESULT_TYPE_SCALAR:
		v := point{ms: endMs, value: math.NaN()}
		if len(found) > 0 && len(found[0].GetValues()) > 0 {
			v = point{found[0].GetTimesMs()[0], found[0].GetValues()[0]}
		}
		return queryData{"scalar", v}, false
	case pharosv1.ResultType_RESULT_TYPE_STRING:
		return queryData{"string", text{endMs, answer.GetText()}}, false
	case pharosv1.ResultType_RESULT_TYPE_VECTOR:
		out := []sample{}
		for _, s := range found {
			if len(s.GetValues()) > 0 {
				out = append(out, sample{metric(s), point{s.GetTimesMs()[0], s.GetValues()[0]}})
			}
		}
		return queryData{"vector", out}, cut
	}
	out := []series{}
	for _, s := range found {
		row := series{Metric: metric(s), Values: make([]point, len(s.GetValues()))}
		for i, v := range s.GetValues() {
			row.Values[i] = point{s.GetTimesMs()[i], v}
		}
		out = append(out, row)
	}
	return queryData{"matrix", out}, cut
}

func (p *Prom) query(r *http.Request, scope *pharosv1.Scope) (any, []string, []string, error) {
	at, err := p.moment(r, "time", p.Clock().UnixMilli())
	if err != nil {
		return nil, nil, nil, err
	}
	if r.Form.Get("query") == "" {
		return nil, nil, nil, badData(`invalid parameter "query": it is missing`)
	}
	return p.run(r, &pharosv1.QueryRequest{Scope: scope, Expr: r.Form.Get("query"), StartMs: at, EndMs: at})
}

func (p *Prom) queryRange(r *http.Request, scope *pharosv1.Scope) (any, []string, []string, error) {
	for _, name := range []string{"query", "start", "end", "step"} {
		if r.Form.Get(name) == "" {
			return nil, nil, nil, badData(fmt.Sprintf("invalid parameter %q: it is missing", name))
		}
	}
	start, err := p.moment(r, "start", 0)
	if err != nil {
		return nil, nil, nil, err
	}
	end, err := p.moment(r, "end", 0)
	if err != nil {
		return nil, nil, nil, err
	}
	step, err := duration(r, "step")
	if err != nil {
		return nil, nil, nil, err
	}
	switch {
	case end < start:
		return nil, nil, nil, badData(`invalid parameter "end": end timestamp must not be before start time`)
	case step < time.Millisecond:
		return nil, nil, nil, badData(`invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer`)
	case (end-start)/step.Milliseconds() > MaxPoints:
		return nil, nil, nil, badData("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
	}
	return p.run(r, &pharosv1.QueryRequest{Scope: scope, Expr: r.Form.Get("query"), StartMs: start, EndMs: end, StepMs: step.Milliseconds()})
}

// span reads start and end; without them it is the last day.
func (p *Prom) span(r *http.Request) (start, end int64, err error) {
	now := p.Clock()
	if end, err = p.moment(r, "end", now.UnixMilli()); err != nil {
		return 0, 0, err
	}
	start, err = p.moment(r, "start", min(end, now.UnixMilli())-24*time.Hour.Milliseconds())
	return start, end, err
}

func (p *Prom) series(r *http.Request, scope *pharosv1.Scope) (any, []string, []string, error) {
	selectors := r.Form["match[]"]
	if len(selectors) == 0 {
		return nil, nil, nil, badData("no match[] parameter provided")
	}
	start, end, err := p.span(r)
	if err != nil {
		return nil, nil, nil, err
	}
	max, err := limit(r)
	if err != nil {
		return nil, nil, nil, err
	}
	answer, err := p.Query.Series(r.Context(), &pharosv1.SeriesRequest{Scope: scope, Selectors: selectors, StartMs: start, EndMs: end, Limit: int32(min(max, math.MaxInt32))})
	if err != nil {
		return nil, nil, nil, err
	}
	out := []map[string]string{}
	for _, s := range answer.GetSeries() {
		out = append(out, s.GetLabels())
	}
	var warnings []string
	if answer.GetTruncated() {
		warnings = append(warnings, "results truncated due to limit")
	}
	return out, warnings, nil, nil
}

// cut shortens a list to the request's limit.
func cut(r *http.Request, values []string) (any, []string, []string, error) {
	max, err := limit(r)
	if err != nil {
		return nil, nil, nil, err
	}
	out := append([]string{}, values...)
	if max > 0 && len(out) > max {
		return out[:max], []string{"results truncated due to limit"}, nil, nil
	}
	return out, nil, nil, nil
}

func (p *Prom) labels(r *http.Request, scope *pharosv1.Scope) (any, []string, []string, error) {
	start, end, err := p.span(r)
	if err != nil {
		return nil, nil, nil, err
	}
	answer, err := p.Query.LabelNames(r.Context(), &pharosv1.LabelNamesRequest{Scope: scope, Selectors: r.Form["match[]"], StartMs: start, EndMs: end})
	if err != nil {
		return nil, nil, nil, err
	}
	return cut(r, answer.GetNames())
}

func (p *Prom) labelValues(r *http.Request, scope *pharosv1.Scope) (any, []string, []string, error) {
	name := r.PathValue("name")
	if !model.UTF8Validation.IsValidLabelName(name) {
		return nil, nil, nil, badData(fmt.Sprintf("invalid label name: %q", name))
	}
	start, end, err := p.span(r)
	if err != nil {
		return nil, nil, nil, err
	}
	answer, err := p.Query.LabelValues(r.Context(), &pharosv1.LabelValuesRequest{Scope: scope, Name: name, Selectors: r.Form["match[]"], StartMs: start, EndMs: end})
	if err != nil {
		return nil, nil, nil, err
	}
	return cut(r, answer.GetValues())
}

type metricMetadata struct {
	Type string `json:"type"`
	Help string `json:"help"`
	Unit string `json:"unit"`
}

func (p *Prom) metadata(r *http.Request, scope *pharosv1.Scope) (any, []string, []string, error) {
	max, err := limit(r)
	if err != nil {
		return nil, nil, nil, err
	}
	answer, err := p.Query.Metadata(r.Context(), &pharosv1.MetadataRequest{Scope: scope, Metric: r.Form.Get("metric")})
	if err != nil {
		return nil, nil, nil, err
	}
	out := map[string][]metricMetadata{}
	for _, m := range answer.GetMetrics() {
		if _, known := out[m.GetMetric()]; !known && max > 0 && len(out) >= max {
			break
		}
		out[m.GetMetric()] = append(out[m.GetMetric()], metricMetadata{m.GetType(), m.GetHelp(), m.GetUnit()})
	}
	return out, nil, nil, nil
}

// nothing answers with an empty result.
func (p *Prom) nothing(data any) func(*http.Request, *pharosv1.Scope) (any, []string, []string, error) {
	return func(*http.Request, *pharosv1.Scope) (any, []string, []string, error) { return data, nil, nil, nil }
}

// buildInfo lets Grafana see what the API can do: it takes the version for
// that of Prometheus.
func (p *Prom) buildInfo(_ *http.Request, _ *pharosv1.Scope) (any, []string, []string, error) {
	return map[string]string{"version": "3.0.0", "application": "pharos", "revision": p.Version, "branch": "", "buildUser": "", "buildDate": "",
		"goVersion": runtime.Version()}, nil, nil, nil
}
