// Package window holds what compute decides and calculates about windows,
// without any state of its own: when a window settles (Decide), how the partial
// tables of agents become rows with labels (Merge), which keys a monitor may
// keep (Keys), and which series a window has (Plan.Samples).
package window

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/compute/store"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/partial"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Plan is a monitor's definition as compute needs it. It is immutable.
type Plan struct {
	Monitor, Task  string
	Key            string
	LengthMs       int64
	DeadlineMs     int64
	KeyLimit       int
	Multi          bool
	Disabled       bool
	layout         partial.Layout
	inputs         []logrule.Input // in the order of a row's cells
	groups         []group
	figures        []figure
	fixed          store.Labels // workspace and app
	names          []string     // of all series the monitor has
	rollups        map[string]store.Rollup
	fromLabelsOnly bool // keys come from agents' labels alone
	// Match is set for monitors that have no figures: their lines are counted.
	Match bool
	// TopN is how many keys the list of a monitor of type minute_top has; else 0.
	TopN int
	// sort is the column that kept lines are ordered by.
	sort string
}

// HasList reports whether windows carry a list: lines, or the largest keys.
func (p *Plan) HasList() bool { return p.layout.Keep > 0 || p.Match || p.TopN > 0 }

// group is one entry of group_by.
type group struct {
	label string // of the series
	agent string // the agent's label that gives the value; empty: a column of the key
	at    int    // the column's place in a partial's key
}

type figure struct {
	name  string // of the series
	stat  logrule.Statistic
	cells []int // of its inputs
}

// Companions of every monitor's figures; the values stand in WindowState.
var companions = []struct {
	suffix string
	rollup store.RollupKind
	value  func(*pharosv1.WindowState) float64
}{
	{"completeness", store.RollupMin, func(w *pharosv1.WindowState) float64 { return w.GetCompleteness() }},
	{"keys_dropped", store.RollupMax, func(w *pharosv1.WindowState) float64 { return float64(w.GetKeysDropped()) }},
	{"throttled_bytes", store.RollupSum, func(w *pharosv1.WindowState) float64 { return float64(w.GetThrottledBytes()) }},
	{"lines_late", store.RollupSum, func(w *pharosv1.WindowState) float64 { return float64(w.GetLinesLate()) }},
	{"lines_bad", store.RollupSum, func(w *pharosv1.WindowState) float64 { return float64(w.GetLinesBad()) }},
	{"lines_unmatched", store.RollupSum, func(w *pharosv1.WindowState) float64 { return float64(w.GetLinesUnmatched()) }},
	{"bad_numbers", store.RollupSum, func(w *pharosv1.WindowState) float64 { return float64(w.GetBadNumbers()) }},
	{"lost_bytes", store.RollupSum, func(w *pharosv1.WindowState) float64 { return float64(w.GetLostBytes()) }},
}

// NewPlan reads a monitor's definition.
func NewPlan(m *pharosv1.MonitorInfo) (*Plan, error) {
	var spec logrule.Spec
	if err := json.Unmarshal(m.GetSpecJson(), &spec); err != nil {
		return nil, fmt.Errorf("cannot read definition of monitor %q: %w", m.GetMonitorId(), err)
	}
	spec = spec.WithDefaults()
	p := &Plan{
		Monitor: m.GetMonitorId(), Task: m.GetTaskId(), Key: m.GetKey(),
		LengthMs:   spec.Window.D().Milliseconds(),
		DeadlineMs: int64(spec.DeadlineS) * 1000,
		KeyLimit:   spec.KeyLimit,
		Multi:      len(spec.GroupBy) > 0 && !spec.Type.HasList(),
		Match:      spec.Type == logrule.Match,
		sort:       spec.SortColumn,
		Disabled:   spec.Disabled,
		fixed:      store.FromStrings("app", m.GetApp(), "workspace", m.GetWorkspace()),
		rollups:    map[string]store.Rollup{},
	}
	if spec.Type == logrule.MinuteTop {
		p.TopN = spec.TopN
	}
	if p.LengthMs <= 0 {
		return nil, fmt.Errorf("cannot use definition of monitor %q: its window is %s", m.GetMonitorId(), spec.Window)
	}
	p.group(spec.GroupBy)
	p.inputs = spec.Inputs()
	for _, s := range spec.Statistics {
		f := figure{name: p.Key + ":" + s.Name, stat: s}
		for _, in := range s.Inputs() {
			f.cells = append(f.cells, slices.Index(p.inputs, in))
		}
		p.figures = append(p.figures, f)
		p.names = append(p.names, f.name)
		if over, under, _, ok := s.Parts(); ok {
			p.names = append(p.names, f.name+over, f.name+under)
		}
	}
	p.layout = partial.LayoutOf(spec)
	if p.Multi {
		for _, n := range p.names {
			p.names = append(p.names, n+":total")
		}
	}
	for _, c := range companions {
		p.names = append(p.names, p.Key+":"+c.suffix)
	}
	p.rollUp()
	return p, nil
}

func (p *Plan) group(by []string) {
	taken := map[string]bool{store.MetricName: true, "app": true, "workspace": true}
	columns := 0
	for _, name := range by {
		g := group{label: name}
		if slices.Contains(logrule.GroupLabels, name) {
			g.agent = name
		} else {
			g.label, g.at = logrule.SeriesLabel(name), columns
			columns++
		}
		for taken[g.label] { // two columns may become the same label
			g.label += "_"
		}
		taken[g.label] = true
		p.groups = append(p.groups, g)
	}
	p.fromLabelsOnly = (p.Multi || p.TopN > 0) && columns == 0
}

// Workspace of the monitor.
func (p *Plan) Workspace() string { return p.fixed.Get("workspace") }

// Names of all series that the monitor may have.
func (p *Plan) Names() []string { return p.names }

// Floor is the start of the window that a time lies in.
func (p *Plan) Floor(ms int64) int64 { return ms - ms%p.LengthMs }

// place returns the key's labels, and its unambiguous form. agent are the labels of the agent.
func (p *Plan) place(key []string, agent map[string]string) (store.Labels, string) {
	ls := make(store.Labels, 0, len(p.groups)+len(p.fixed)+1)
	joined := make([]byte, 0, 64)
	for _, g := range p.groups {
		value := ""
		if g.agent != "" {
			value = agent[g.agent]
		} else {
			value = strings.ToValidUTF8(key[g.at], "\uFFFD")
		}
		joined = partial.JoinKey(joined, []string{g.label, value})
		if value != "" {
			ls = append(ls, store.Label{Name: g.label, Value: value})
		}
	}
	return ls, string(joined)
}

// series returns the labels of a series: sorted, with its name.
func (p *Plan) series(name string, key store.Labels) store.Labels {
	ls := make(store.Labels, 0, 1+len(p.fixed)+len(key))
	ls = append(ls, store.Label{Name: store.MetricName, Value: name})
	ls = append(append(ls, p.fixed...), key...)
	ls.Sort()
	return ls
}
