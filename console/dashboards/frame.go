package dashboards

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pharos-stack/pharos/console/figures"
	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// grid are n moments; a value at one covers what begins from it up to the next.
type grid struct {
	start, step int64 // ms
	n           int
}

func (g grid) at(i int) int64 { return g.start + int64(i)*g.step }
func (g grid) end() int64     { return g.at(g.n) }

// earlier returns g with one more moment before.
func (g grid) earlier() grid { return grid{g.start - g.step, g.step, g.n + 1} }

// frame holds values of keys on a grid; NaN where there is none.
type frame struct {
	rows map[string]*values
	// alone is set for a frame of one row without a key, which goes with any key.
	alone bool
}

type values struct {
	key []string
	at  []float64
}

func nones(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// of returns the values of a key, or those of the only row.
func (f *frame) of(id string) []float64 {
	if v := f.rows[id]; v != nil {
		return v.at
	}
	if f.alone {
		for _, v := range f.rows {
			return v.at
		}
	}
	return nil
}

func idOf(key []string) string { return strings.Join(key, "\x00") }

// operand is what a column reads: a figure of a monitor, or an expression.
type operand struct {
	source  dashboard.Source
	monitor *logrule.Spec // nil for an expression
	figure  logrule.Statistic
}

// selection says which keys of an operand are read, and what makes a key.
type selection struct {
	// total merges all keys.
	total bool
	// labels make the key, in the order of the report's key columns.
	labels []string
	where  map[string][]string
}

// fetch reads an operand on g, moved shiftMs into the past.
func (r *run) fetch(ctx context.Context, o operand, s selection, g grid, shiftMs int64) (*frame, error) {
	if o.monitor == nil {
		return r.fetchExpr(ctx, o, g, shiftMs)
	}
	grouped := len(o.monitor.GroupBy) > 0
	f := figures.Figure{Monitor: o.source.Monitor, Statistic: o.figure, RangeMs: g.step, Where: s.where}
	switch {
	case !grouped:
	case s.total && len(s.where) == 0:
		f.Total = true
	case s.total:
		f.By = []string{}
	case len(s.labels) < len(o.monitor.GroupBy):
		f.By = append([]string{}, s.labels...)
	}
	// A range selector sees the windows that begin after its left end and up to its moment.
	first := g.start + g.step - o.monitor.Window.D().Milliseconds() - shiftMs
	series, err := r.ask(ctx, f.Expr(), first, g)
	if err != nil {
		return nil, err
	}
	out := &frame{rows: make(map[string]*values, len(series)), alone: !grouped}
	for _, one := range series {
		var key []string
		if grouped && !s.total {
			key = make([]string, len(s.labels))
			for i, label := range s.labels {
				key[i] = one.GetLabels()[label]
			}
		}
		out.put(key, one, first, g)
	}
	return out, nil
}

// fetchExpr reads an expression. Several moments stand for themselves, as in
// other tools; a single one is the last that is shown.
func (r *run) fetchExpr(ctx context.Context, o operand, g grid, shiftMs int64) (*frame, error) {
	chosen := map[string]string{}
	for name, v := range r.question.Chosen {
		if len(v) > 0 {
			chosen[name] = figures.Quoted(figures.AnyOf(v))
		}
	}
	expr := dashboard.Expression(o.source.Expr, r.question.Variables, chosen, g.step, g.end()-g.start)
	first := g.start - shiftMs
	if g.n == 1 {
		first += g.step - 1
	}
	series, err := r.ask(ctx, expr, first, g)
	if err != nil {
		return nil, err
	}
	out := &frame{rows: make(map[string]*values, len(series)), alone: len(series) == 1}
	common := commonLabels(series)
	for _, one := range series {
		var key []string
		if len(series) > 1 {
			key = []string{labelText(one.GetLabels(), common)}
		}
		out.put(key, one, first, g)
	}
	return out, nil
}

// commonLabels are the labels that are the same in all series: they tell nothing apart.
func commonLabels(series []*pharosv1.QuerySeries) map[string]string {
	if len(series) == 0 {
		return nil
	}
	common := maps.Clone(series[0].GetLabels())
	for _, one := range series[1:] {
		maps.DeleteFunc(common, func(name, value string) bool { return one.GetLabels()[name] != value })
	}
	return common
}

// ask evaluates an expression once for all reports of a question: their
// columns often need the same, and their ranking does.
func (r *run) ask(ctx context.Context, expr string, first int64, g grid) ([]*pharosv1.QuerySeries, error) {
	req := &pharosv1.QueryRequest{Scope: &pharosv1.Scope{Workspace: r.workspace}, Expr: expr, StartMs: first, EndMs: first + int64(g.n-1)*g.step}
	if g.n > 1 {
		req.StepMs = g.step
	} else {
		// Over long times a key without a line is not worth a row.
		req.WithoutZeros = g.step >= time.Hour.Milliseconds()
	}
	answer, err := r.asked.once(req, func() (*pharosv1.QueryResponse, error) { return r.query.Query(ctx, req) })
	if err != nil {
		return nil, err
	}
	r.warn(answer.GetWarnings()...)
	return answer.GetSeries(), nil
}

// asked are the answers that the reports of a question share.
type asked struct {
	mu      sync.Mutex
	answers map[askedFor]func() (*pharosv1.QueryResponse, error)
}

type askedFor struct {
	expr             string
	start, end, step int64
}

func (a *asked) once(req *pharosv1.QueryRequest, do func() (*pharosv1.QueryResponse, error)) (*pharosv1.QueryResponse, error) {
	key := askedFor{req.GetExpr(), req.GetStartMs(), req.GetEndMs(), req.GetStepMs()}
	a.mu.Lock()
	get := a.answers[key]
	if get == nil {
		get = sync.OnceValues(do)
		a.answers[key] = get
	}
	a.mu.Unlock()
	return get()
}

// put adds a series. What JSON can't carry is no value.
func (f *frame) put(key []string, series *pharosv1.QuerySeries, first int64, g grid) {
	v := &values{key, nones(g.n)}
	for i, at := range series.GetTimesMs() {
		if x := series.GetValues()[i]; !math.IsInf(x, 0) {
			v.at[(at-first)/g.step] = x
		}
	}
	f.rows[idOf(key)] = v
}

// labelText writes a label set as people read it, without what is common.
func labelText(labels, common map[string]string) string {
	var parts []string
	for name, value := range labels {
		if _, same := common[name]; !same {
			parts = append(parts, name+"="+value)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
