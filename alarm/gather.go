package alarm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/pharos-stack/pharos/internal/alarmrule"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// errNotSettled says that a window a rule looks at may still change.
var errNotSettled = errors.New("the window has not settled")

// monitor is a LogMonitor as the alarm tier needs it.
type monitor struct {
	id   string
	key  string
	spec logrule.Spec
}

// data is what one check of a rule is judged on.
type data struct {
	inputs []Input
	// labels of every object that has a value in some input, by object key.
	labels map[string]map[string]string
}

// gatherer reads what checks are judged on: now, or of the past.
type gatherer struct {
	query    pharosv1.QueryServiceClient
	monitors *monitorIndex
	parser   parser.Parser
	words    words
}

func newGatherer(query pharosv1.QueryServiceClient, monitors *monitorIndex, language string) *gatherer {
	return &gatherer{query: query, monitors: monitors, parser: parser.NewParser(parser.Options{}), words: wordsOf(language)}
}

// gather reads the numbers for the check of rule that ends at checkMs. With
// wait set it returns errNotSettled as long as a monitor's window has not settled.
func (g *gatherer) gather(ctx context.Context, r *rule, checkMs int64, wait bool) (data, error) {
	d := data{labels: map[string]map[string]string{}}
	for i, c := range r.spec.Conditions {
		var in Input
		var series []*pharosv1.QuerySeries
		var err error
		if c.Monitor != "" {
			in, series, err = g.gatherMonitor(ctx, r.workspace, c, checkMs, wait)
		} else {
			in, series, err = g.gatherExpr(ctx, r.workspace, c, checkMs, wait)
		}
		if errors.Is(err, errNotSettled) {
			return data{}, err
		}
		if err != nil {
			return data{}, fmt.Errorf("cannot read condition %d: %w", i+1, err)
		}
		in.Values = make(map[string]float64, len(series))
		for _, s := range series {
			labels := maps.Clone(s.Labels)
			delete(labels, "__name__")
			key := objectKey(labels)
			if c.Monitor != "" && len(labels) == 1 { // app alone: a monitor without keys
				if _, only := labels["app"]; only {
					labels, key = map[string]string{}, ""
				}
			}
			in.Values[key] = s.Values[len(s.Values)-1]
			d.labels[key] = labels
		}
		d.inputs = append(d.inputs, in)
	}
	// The empty object stands for itself only where no condition has named ones.
	if len(d.labels) > 1 {
		delete(d.labels, "")
	}
	return d, nil
}

func (g *gatherer) gatherMonitor(ctx context.Context, workspace string, c alarmrule.Condition, checkMs int64, wait bool) (Input, []*pharosv1.QuerySeries, error) {
	m := g.monitors.get(workspace, c.Monitor)
	if m == nil {
		return Input{}, nil, fmt.Errorf("monitor %q does not exist or is disabled", c.Monitor)
	}
	window := m.spec.Window.D().Milliseconds()
	start := checkMs/window*window - window
	if m.spec.Type == logrule.Match {
		return g.gatherMatch(ctx, workspace, m, start, c.Threshold, wait)
	}
	stat := m.spec.Statistics[0]
	if c.Figure != "" {
		i := slices.IndexFunc(m.spec.Statistics, func(s logrule.Statistic) bool { return s.Name == c.Figure })
		if i < 0 {
			return Input{}, nil, fmt.Errorf("monitor %q has no figure %q", c.Monitor, c.Figure)
		}
		stat = m.spec.Statistics[i]
	}
	expr := m.key + ":" + stat.Name
	if c.Total && m.spec.Type == logrule.MinuteMulti {
		expr += ":total"
	}
	if len(c.Keys) > 0 {
		expr += keySelector(c.Keys)
	}
	in := Input{Source: expr, Unit: stat.Unit, Kind: stat.Kind}
	var err error
	if in.Completeness, err = g.completeness(ctx, workspace, m, start, wait); err != nil {
		return in, nil, err
	}
	series, err := g.ask(ctx, workspace, expr, start, 1)
	return in, series, err
}

// keySelector writes exact key filters as PromQL matchers.
func keySelector(keys map[string][]string) string {
	var parts []string
	for _, column := range slices.Sorted(maps.Keys(keys)) {
		quoted := make([]string, len(keys[column]))
		for i, v := range keys[column] {
			quoted[i] = regexp.QuoteMeta(v)
		}
		parts = append(parts, logrule.SeriesLabel(column)+"=~"+strconv.Quote(strings.Join(quoted, "|")))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (g *gatherer) gatherExpr(ctx context.Context, workspace string, c alarmrule.Condition, checkMs int64, wait bool) (Input, []*pharosv1.QuerySeries, error) {
	in := Input{Source: c.Expr, Completeness: 1}
	tree, err := g.parser.ParseExpr(c.Expr)
	if err != nil {
		return in, nil, fmt.Errorf("cannot parse expression %q: %w", c.Expr, err)
	}
	// The whole is as complete as the least complete monitor in it.
	seen := map[string]bool{}
	var failed error
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok || failed != nil {
			return nil
		}
		key, _, found := strings.Cut(selector.Name, ":")
		m := g.monitors.get(workspace, key)
		if !found || m == nil || seen[key] {
			return nil
		}
		seen[key] = true
		window := m.spec.Window.D().Milliseconds()
		var share float64
		if share, failed = g.completeness(ctx, workspace, m, checkMs/window*window-window, wait); failed == nil {
			in.Completeness = min(in.Completeness, share)
		}
		return nil
	})
	if failed != nil {
		return in, nil, failed
	}
	// The window that ends at the check is stamped with its start: just before
	// the check it is still the newest.
	series, err := g.ask(ctx, workspace, c.Expr, checkMs-1, 0)
	return in, series, err
}

// completeness of the monitor's window that begins at startMs.
func (g *gatherer) completeness(ctx context.Context, workspace string, m *monitor, startMs int64, wait bool) (float64, error) {
	w, err := g.window(ctx, workspace, m, startMs, wait)
	if err != nil || w != nil {
		return w.GetCompleteness(), err
	}
	// Compute tells of a day; of windows before that the store does.
	series, err := g.ask(ctx, workspace, m.key+":completeness", startMs, 1)
	if err != nil || len(series) != 1 {
		return 0, err
	}
	return series[0].GetValues()[0], nil
}

// window returns the monitor's window that begins at startMs, nil if nothing is known of it.
func (g *gatherer) window(ctx context.Context, workspace string, m *monitor, startMs int64, wait bool) (*pharosv1.WindowState, error) {
	end := startMs + m.spec.Window.D().Milliseconds()
	resp, err := g.query.MonitorWindows(ctx, &pharosv1.MonitorWindowsRequest{
		Scope: &pharosv1.Scope{Workspace: workspace}, MonitorId: m.id, StartMs: startMs, EndMs: end})
	if err != nil {
		return nil, fmt.Errorf("cannot read completeness of monitor %q: %w", m.key, err)
	}
	var found *pharosv1.WindowState
	settled := resp.SettledUntilMs >= end
	for _, w := range resp.Windows {
		if w.WindowStartMs == startMs {
			found, settled = w, settled || w.Settled
		}
	}
	if !settled && wait {
		return nil, errNotSettled
	}
	return found, nil
}

// ask evaluates expr at one moment. lookbackMs 0 is the default of 5 minutes.
func (g *gatherer) ask(ctx context.Context, workspace, expr string, atMs, lookbackMs int64) ([]*pharosv1.QuerySeries, error) {
	resp, err := g.query.Query(ctx, &pharosv1.QueryRequest{Scope: &pharosv1.Scope{Workspace: workspace}, Expr: expr,
		StartMs: atMs, EndMs: atMs, LookbackMs: lookbackMs, TimeoutMs: (20 * time.Second).Milliseconds()})
	if err != nil {
		return nil, fmt.Errorf("cannot evaluate %q: %w", expr, err)
	}
	if resp.Type != pharosv1.ResultType_RESULT_TYPE_VECTOR && resp.Type != pharosv1.ResultType_RESULT_TYPE_SCALAR {
		return nil, fmt.Errorf("expression %q gives %s; give one that yields an instant vector or a number", expr, resp.Type)
	}
	return slices.DeleteFunc(resp.Series, func(s *pharosv1.QuerySeries) bool { return len(s.Values) == 0 }), nil
}
