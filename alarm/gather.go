package alarm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
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

// windowMs is the length of its windows.
func (m *monitor) windowMs() int64 { return m.spec.Window.D().Milliseconds() }

// figure is a figure by name, the first if name is empty.
func (m *monitor) figure(name string) (logrule.Statistic, error) {
	if name == "" {
		return m.spec.Statistics[0], nil
	}
	i := slices.IndexFunc(m.spec.Statistics, func(s logrule.Statistic) bool { return s.Name == name })
	if i < 0 {
		return logrule.Statistic{}, fmt.Errorf("monitor %q has no figure %q", m.key, name)
	}
	return m.spec.Statistics[i], nil
}

// data is what one check of a rule is judged on.
type data struct {
	inputs []Input
	// labels of every object that has a value in some input, by object key.
	labels map[string]map[string]string
	// single is set if no input tells objects apart: then there is the empty one, with or without a value.
	single bool
}

// gatherer reads what checks are judged on: now, or of the past.
type gatherer struct {
	query    pharosv1.QueryServiceClient
	monitors *monitorIndex
	history  *history
	parser   parser.Parser
	words    words
}

func newGatherer(query pharosv1.QueryServiceClient, monitors *monitorIndex, language string) *gatherer {
	return &gatherer{query: query, monitors: monitors, history: newHistory(), parser: parser.NewParser(parser.Options{}), words: wordsOf(language)}
}

// patience says what is done about a window that may still change.
type patience int

const (
	asItIs  patience = iota // it is judged by its completeness
	settled                 // errNotSettled
	proofs                  // it counts as incomplete: only what more data can't undo is proven
)

// gather reads the numbers for the check of rule that ends at checkMs.
func (g *gatherer) gather(ctx context.Context, r *rule, checkMs int64, p patience) (data, error) {
	d := data{labels: map[string]map[string]string{}, single: true}
	for i, c := range r.spec.Conditions {
		var in Input
		var err error
		if c.Monitor != "" {
			in, err = g.gatherMonitor(ctx, r, c, checkMs, p)
		} else {
			in, err = g.gatherExpr(ctx, r, c, checkMs, p)
		}
		if errors.Is(err, errNotSettled) {
			return data{}, err
		}
		if err != nil {
			return data{}, fmt.Errorf("cannot read condition %d: %w", i+1, err)
		}
		for key := range in.Values {
			d.labels[key] = in.labels[key]
			d.single = d.single && key == ""
		}
		d.single = d.single && !in.keyed
		d.inputs = append(d.inputs, in)
	}
	// The empty object stands for itself only where no condition has named ones.
	if !d.single {
		delete(d.labels, "")
	}
	maps.DeleteFunc(d.labels, func(_ string, labels map[string]string) bool { return r.leavesOut(labels) })
	return d, nil
}

func (g *gatherer) gatherMonitor(ctx context.Context, r *rule, c alarmrule.Condition, checkMs int64, p patience) (Input, error) {
	m := g.monitors.get(r.workspace, c.Monitor)
	if m == nil {
		return Input{}, fmt.Errorf("monitor %q does not exist or is disabled", c.Monitor)
	}
	window := m.windowMs()
	start := checkMs/window*window - window
	switch {
	case m.spec.Type == logrule.Match:
		limit, _ := c.Limit("")
		return g.gatherMatch(ctx, r.workspace, m, start, limit, p)
	case c.Method == alarmrule.Items:
		return g.gatherItems(ctx, r.workspace, m, start, c.Above, p)
	case c.Method == alarmrule.Silence:
		return g.gatherSilence(ctx, r.workspace, m, start, c, p)
	case c.Figure == alarmrule.Completeness:
		return g.gatherCompleteness(ctx, r.workspace, m, start, c, p)
	}
	stat, err := m.figure(c.Figure)
	if err != nil {
		return Input{}, err
	}
	return g.gatherFigure(ctx, r, m, stat, c, start, p)
}

// gatherFigure reads the number of a figure, and what it is compared with.
func (g *gatherer) gatherFigure(ctx context.Context, r *rule, m *monitor, stat logrule.Statistic, c alarmrule.Condition, start int64, p patience) (Input, error) {
	f := figureSeries{monitor: m, stat: stat, condition: c}
	in := Input{Source: f.name(), Unit: stat.Unit, Kind: stat.Kind, absent: f.absent(), keyed: len(m.spec.GroupBy) > 0 && !c.Total}
	if len(c.Keys)+len(c.ExcludeKeys) > 0 {
		in.filter = new(newKeyFilter(c))
	}
	first := start
	if c.Method.Spans() {
		first = start - int64(c.N)*minuteMs + m.windowMs()
	}
	now, err := g.covered(ctx, r.workspace, m, first, start, p)
	if err != nil {
		return in, err
	}
	in.Completeness, in.partial = now.least, now.open && p == proofs
	if c.Method == alarmrule.BurnRate { // one bad minute in days says little
		in.Completeness = now.mean
	}
	if in.Values, in.labels, err = g.values(ctx, r.workspace, f.expr(), start, 1, true); err != nil {
		return in, err
	}
	switch {
	case c.Method == alarmrule.BurnRate:
		f.condition.N = c.ShortN
		recent, _, err := g.values(ctx, r.workspace, f.expr(), start, 1, true)
		if err != nil {
			return in, err
		}
		for key := range in.Values {
			in.Values[key] = min(in.Values[key], recent[key])
		}
	case c.Method == alarmrule.Deviation:
		in.Bases, in.Scales, err = g.usual(ctx, r, m, f, start)
		in.BaseCompleteness, in.baseAbsent = 1, nil
		return in, err
	case c.Method.Compares():
		shift := f.shift(r.spec.Location(), start)
		base, err := g.covered(ctx, r.workspace, m, shift(first), shift(start), asItIs)
		if err != nil {
			return in, err
		}
		in.BaseCompleteness, in.baseAbsent = base.least, in.absent
		in.Bases, _, err = g.values(ctx, r.workspace, f.expr(), shift(start), 1, true)
		if err != nil {
			return in, err
		}
	}
	return in, nil
}

// gatherCompleteness reads the share of a monitor's agents that reported.
func (g *gatherer) gatherCompleteness(ctx context.Context, workspace string, m *monitor, start int64, c alarmrule.Condition, p patience) (Input, error) {
	in := Input{Source: m.key + ":" + alarmrule.Completeness, Kind: logrule.Avg, Completeness: 1, labels: noLabels, Values: map[string]float64{}}
	first := start
	if c.Method.Spans() {
		first = start - int64(c.N)*minuteMs + m.windowMs()
	}
	share, err := g.covered(ctx, workspace, m, first, start, p)
	if err != nil || share.windows == 0 {
		return in, err // a monitor without any agent has no share
	}
	in.partial = share.open && p == proofs
	switch c.Method {
	case alarmrule.AvgN:
		in.Values[""] = share.mean
	case alarmrule.MaxN:
		in.Values[""] = share.most
	default:
		in.Values[""] = share.least
	}
	return in, nil
}

func (g *gatherer) gatherExpr(ctx context.Context, r *rule, c alarmrule.Condition, checkMs int64, p patience) (Input, error) {
	in := Input{Source: c.Expr, Completeness: 1, BaseCompleteness: 1, noIsFalse: true}
	tree, err := g.parser.ParseExpr(c.Expr)
	if err != nil {
		return in, fmt.Errorf("cannot parse expression %q: %w", c.Expr, err)
	}
	shift := figureSeries{condition: c}.shift(r.spec.Location(), checkMs)
	// The whole is as complete as the least complete monitor in it.
	seen := map[string]bool{}
	var failed error
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok || failed != nil {
			return nil
		}
		key, _, found := strings.Cut(selector.Name, ":")
		m := g.monitors.get(r.workspace, key)
		if !found || m == nil || seen[key] {
			return nil
		}
		seen[key] = true
		window := m.windowMs()
		last := func(ms int64) int64 { return ms/window*window - window }
		var share coverage
		if share, failed = g.covered(ctx, r.workspace, m, last(checkMs), last(checkMs), p); failed != nil {
			return nil
		}
		in.Completeness, in.partial = min(in.Completeness, share.least), in.partial || share.open && p == proofs
		if c.Method.Compares() && c.Method != alarmrule.Deviation {
			if share, failed = g.covered(ctx, r.workspace, m, last(shift(checkMs)), last(shift(checkMs)), asItIs); failed == nil {
				in.BaseCompleteness = min(in.BaseCompleteness, share.least)
			}
		}
		return nil
	})
	if failed != nil {
		return in, failed
	}
	// The window that ends at the check is stamped with its start: just before
	// the check it is still the newest.
	if in.Values, in.labels, err = g.values(ctx, r.workspace, c.Expr, checkMs-1, 0, false); err != nil || !c.Method.Compares() {
		return in, err
	}
	if c.Method == alarmrule.Deviation {
		in.Bases, in.Scales, err = g.usual(ctx, r, nil, figureSeries{condition: c}, checkMs-1)
		return in, err
	}
	in.Bases, _, err = g.values(ctx, r.workspace, c.Expr, shift(checkMs)-1, 0, false)
	return in, err
}

// coverage is how complete windows are.
type coverage struct {
	least, mean, most float64
	// windows is how many there are anything known of.
	windows int
	// open is set when one may still change.
	open bool
}

// covered tells how complete the monitor's windows are that begin from firstMs to lastMs.
func (g *gatherer) covered(ctx context.Context, workspace string, m *monitor, firstMs, lastMs int64, p patience) (coverage, error) {
	states, settledMs, err := g.windows(ctx, workspace, m, firstMs, lastMs)
	if err != nil {
		return coverage{}, err
	}
	window := m.windowMs()
	open := settledMs < lastMs+window
	if n := len(states); n > 0 && states[n-1].WindowStartMs == lastMs && states[n-1].Settled {
		open = false
	}
	if open && p == settled {
		return coverage{}, errNotSettled
	}
	expected := int((lastMs-firstMs)/window) + 1
	if len(states) < expected {
		// Compute tells of a day; of windows before that the store does.
		c, err := g.stored(ctx, workspace, m, lastMs, expected)
		c.open = open
		return c, err
	}
	c := coverage{least: 1, windows: len(states), open: open}
	for _, w := range states {
		share := w.GetCompleteness()
		c.least, c.most, c.mean = min(c.least, share), max(c.most, share), c.mean+share/float64(expected)
	}
	return c, nil
}

// stored is the coverage of the expected windows up to lastMs by their series. Windows without a value have none.
func (g *gatherer) stored(ctx context.Context, workspace string, m *monitor, lastMs int64, expected int) (coverage, error) {
	series := m.key + ":" + alarmrule.Completeness
	one := func(expr string) (v float64, found bool, err error) {
		values, _, err := g.values(ctx, workspace, expr, lastMs, 1, true)
		v, found = values[""]
		return v, found, err
	}
	if expected == 1 {
		v, found, err := one(series)
		if err != nil || !found {
			return coverage{}, err
		}
		return coverage{least: v, mean: v, most: v, windows: 1}, nil
	}
	over := "(" + series + "[" + promDuration(int64(expected)*m.windowMs()) + "])"
	var c coverage
	count, found, err := one("count_over_time" + over)
	if err != nil || !found {
		return c, err
	}
	c.windows = int(count)
	for name, to := range map[string]*float64{"min_over_time": &c.least, "sum_over_time": &c.mean, "max_over_time": &c.most} {
		if *to, _, err = one(name + over); err != nil {
			return c, err
		}
	}
	c.mean /= float64(expected)
	if c.windows < expected {
		c.least = 0
	}
	return c, nil
}

// windows returns the states that are known of the monitor's windows which
// begin from firstMs to lastMs, and up to when windows have settled.
func (g *gatherer) windows(ctx context.Context, workspace string, m *monitor, firstMs, lastMs int64) ([]*pharosv1.WindowState, int64, error) {
	resp, err := g.query.MonitorWindows(ctx, &pharosv1.MonitorWindowsRequest{
		Scope: &pharosv1.Scope{Workspace: workspace}, MonitorId: m.id, StartMs: firstMs, EndMs: lastMs})
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read completeness of monitor %q: %w", m.key, err)
	}
	states := make([]*pharosv1.WindowState, 0, len(resp.GetWindows()))
	for _, w := range resp.GetWindows() {
		// A monitor whose window was changed has others among them.
		if w.GetWindowStartMs() >= firstMs && w.GetWindowStartMs() <= lastMs && w.GetWindowMs() == m.windowMs() {
			states = append(states, w)
		}
	}
	return states, resp.GetSettledUntilMs(), nil
}

// noLabels are those of the one object of what has no keys.
var noLabels = map[string]map[string]string{"": {}}

// values evaluates expr at one moment, by object. lookbackMs 0 is the default
// of 5 minutes. Of monitors, a value that is no number is none.
func (g *gatherer) values(ctx context.Context, workspace, expr string, atMs, lookbackMs int64, ofMonitor bool) (map[string]float64, map[string]map[string]string, error) {
	resp, err := g.query.Query(ctx, &pharosv1.QueryRequest{Scope: &pharosv1.Scope{Workspace: workspace}, Expr: expr,
		StartMs: atMs, EndMs: atMs, LookbackMs: lookbackMs, TimeoutMs: (20 * time.Second).Milliseconds()})
	if err != nil {
		return nil, nil, fmt.Errorf("cannot evaluate %q: %w", expr, err)
	}
	if resp.Type != pharosv1.ResultType_RESULT_TYPE_VECTOR && resp.Type != pharosv1.ResultType_RESULT_TYPE_SCALAR {
		return nil, nil, fmt.Errorf("expression %q gives %s; give one that yields an instant vector or a number", expr, resp.Type)
	}
	values := make(map[string]float64, len(resp.Series))
	labels := make(map[string]map[string]string, len(resp.Series))
	for _, s := range resp.Series {
		if len(s.Values) == 0 {
			continue
		}
		v := s.Values[len(s.Values)-1]
		if ofMonitor && math.IsNaN(v) {
			continue
		}
		of := objectLabels(s.Labels, ofMonitor)
		key := objectKey(of)
		values[key], labels[key] = v, of
	}
	return values, labels, nil
}

// objectLabels are the labels that tell objects apart. A monitor without keys has app alone.
func objectLabels(labels map[string]string, ofMonitor bool) map[string]string {
	of := maps.Clone(labels)
	delete(of, "__name__")
	if _, app := of["app"]; ofMonitor && app && len(of) == 1 {
		return map[string]string{}
	}
	return of
}

// promDuration writes a duration for PromQL.
func promDuration(ms int64) string {
	if ms%minuteMs == 0 {
		return fmt.Sprintf("%dm", ms/minuteMs)
	}
	return fmt.Sprintf("%dms", ms)
}
