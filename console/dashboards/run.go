package dashboards

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/console/figures"
	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// Limits of what one report shows.
const (
	// maxRows is how many keys a table shows at most.
	maxRows = 1000
	// maxPoints is how many points a line has at most, but for those of its own step.
	maxPoints = 720
	// maxAcross is how many columns times or keys make at most.
	maxAcross = 60
	// maxWindows is of how many windows it is told how complete they are.
	maxWindows = 3000
	// recentWindows is how many windows back a settled one is looked for.
	recentWindows = 10
)

// run answers one report of a question.
type run struct {
	query     pharosv1.QueryServiceClient
	workspace string
	question  *Question
	asked     *asked
	report    dashboard.Report
	monitors  map[string]monitor // by source name
	data      *Data
}

type monitor struct {
	id   string
	spec logrule.Spec
}

// answer shows one report.
func (d *Dashboards) answer(ctx context.Context, workspace string, q *Question, shared *asked, report dashboard.Report) (*Data, error) {
	spec := dashboard.Spec{Title: "-", Variables: q.Variables, Reports: []dashboard.Report{report}}.WithDefaults()
	if err := spec.Validate("spec"); err != nil {
		return nil, err
	}
	r := &run{query: d.Query, workspace: workspace, question: q, asked: shared, report: spec.Reports[0], monitors: map[string]monitor{},
		data: &Data{Keys: []string{}, Columns: []Head{}, Rows: []Row{}, Lines: []Line{}, Sources: []SourceState{}, Incomplete: []Stretch{}, Unfiltered: []string{}, Warnings: []string{}}}
	byName := map[string]monitor{}
	for _, src := range r.report.Sources {
		if src.Monitor == "" {
			continue
		}
		o, err := d.Resources.Get(ctx, resource.KindLogMonitor, workspace, src.Monitor)
		if err != nil {
			return nil, err
		}
		m, err := resource.SpecOf[logrule.Spec](o)
		if err != nil {
			return nil, err
		}
		byName[src.Monitor] = monitor{o.Metadata.ID, m}
		r.monitors[src.Name] = byName[src.Monitor]
	}
	if err := spec.CheckMonitors("spec", func(name string) (logrule.Spec, error) { return byName[name].spec, nil }); err != nil {
		return nil, err
	}
	if r.report.Type == dashboard.AppErrorTop {
		if err := d.services(ctx, r); err != nil {
			return nil, err
		}
	}
	return r.data, r.show(ctx)
}

func (r *run) show(ctx context.Context) error {
	r.defaultColumns()
	switch r.report.Type {
	case dashboard.Text:
		return nil
	case dashboard.Trend, dashboard.PromQL:
		return r.trend(ctx)
	case dashboard.Table10m, dashboard.TableSecond, dashboard.SPMTable:
		return r.timeTable(ctx)
	case dashboard.ArchiveTable:
		return r.archive(ctx)
	case dashboard.AppErrorTop:
		return r.appErrors(ctx)
	case dashboard.AppReport:
		return r.appReport(ctx)
	case dashboard.TopList:
		return r.topList(ctx)
	case dashboard.KeysMinutes:
		return r.timesAcross(ctx)
	case dashboard.MinutesKeys:
		return r.keysAcross(ctx)
	case dashboard.Pie, dashboard.Bar:
		return r.shares(ctx)
	}
	return r.latest(ctx)
}

// defaultColumns are those of a report that has none of its own: every figure
// of a single monitor in tables, otherwise one per source.
func (r *run) defaultColumns() {
	if len(r.report.Columns) > 0 || r.report.Type == dashboard.TopList {
		return
	}
	var columns []dashboard.Column
	switch r.report.Type {
	case dashboard.Table10m, dashboard.TableSecond, dashboard.SPMTable, dashboard.ArchiveTable:
		columns = append(columns, dashboard.Column{Name: "time", Function: dashboard.Time})
	}
	table := r.report.Type != dashboard.Trend && r.report.Type != dashboard.Pie && r.report.Type != dashboard.Bar && r.report.Type != dashboard.SingleValue
	for _, src := range r.report.Sources {
		m, ok := r.monitors[src.Name]
		if !ok || src.Figure != "" || !table {
			name := cmp.Or(m.spec.Title, src.Expr)
			if src.Figure != "" {
				name = src.Figure
			}
			columns = append(columns, dashboard.Column{Name: name, Source: src.Name, Function: dashboard.Value})
			continue
		}
		for _, st := range m.spec.Statistics {
			columns = append(columns, dashboard.Column{Name: st.Name, Source: src.Name, Figure: st.Name, Function: dashboard.Value})
		}
	}
	r.report.Columns = columns
}

// operand finds what a column reads.
func (r *run) operand(source, figure string) (operand, error) {
	i := slices.IndexFunc(r.report.Sources, func(s dashboard.Source) bool { return s.Name == source })
	if i < 0 {
		return operand{}, api.BadField("spec.reports[0].columns", "bad_source", "the report has no source %q; name one of its sources", source)
	}
	o := operand{source: r.report.Sources[i]}
	m, ok := r.monitors[source]
	if !ok {
		return o, nil
	}
	o.monitor, o.figure = &m.spec, m.spec.Statistics[0]
	for _, name := range []string{figure, o.source.Figure} {
		for _, st := range m.spec.Statistics {
			if name != "" && st.Name == name {
				o.figure = st
				return o, nil
			}
		}
	}
	return o, nil
}

// head describes a column.
func (r *run) head(c dashboard.Column) Head {
	h := Head{Column: c}
	if c.Function == dashboard.Time {
		return h
	}
	o, err := r.operand(c.Source, c.Figure)
	if err != nil || o.monitor == nil {
		return h
	}
	switch c.Function {
	case dashboard.RingPct, dashboard.DayPct, dashboard.WeekPct:
		h.Unit = "%"
	case dashboard.ATimesB, dashboard.ADivB:
	default:
		h.Unit = o.figure.Unit
	}
	h.Largest = figures.Largest(o.figure) && (r.data.StepMs > o.monitor.Window.D().Milliseconds() || r.merges(o))
	return h
}

// merges reports whether keys of a monitor are merged: hidden, or chosen by a column.
func (r *run) merges(o operand) bool {
	return len(o.monitor.GroupBy) > 0 && len(r.report.HiddenKeys) > 0
}

// keyed are the groups that make the report's key columns: those of its first
// monitor with keys, without the hidden ones.
func (r *run) keyed() (titles, labels []string) {
	for _, src := range r.report.Sources {
		m, ok := r.monitors[src.Name]
		if !ok || len(m.spec.GroupBy) == 0 {
			continue
		}
		titles, shown := r.shownGroups(m.spec)
		for _, i := range shown {
			labels = append(labels, figures.Label(m.spec.GroupBy[i]))
		}
		return titles, labels
	}
	return nil, nil
}

// shownGroups are the headings of a monitor's groups that are not hidden, and which these are.
func (r *run) shownGroups(spec logrule.Spec) (titles []string, shown []int) {
	for i, g := range spec.GroupBy {
		if slices.Contains(r.report.HiddenKeys, i) {
			continue
		}
		title := g
		if i < len(r.report.KeyTitles) && r.report.KeyTitles[i] != "" {
			title = r.report.KeyTitles[i]
		}
		titles, shown = append(titles, title), append(shown, i)
	}
	return titles, shown
}

// where narrows an operand by the chosen variables and a column's keys.
func (r *run) where(o operand, c dashboard.Column) map[string][]string {
	where := map[string][]string{}
	for i, part := range strings.Split(c.KeySupplement, ",") {
		if part = strings.TrimSpace(part); part != "" && part != "." && i < len(o.monitor.GroupBy) {
			where[figures.Label(o.monitor.GroupBy[i])] = []string{part}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.question.Chosen)) {
		values := r.question.Chosen[name]
		if len(values) == 0 {
			continue
		}
		wanted := r.labelOf(name)
		at := slices.IndexFunc(o.monitor.GroupBy, func(g string) bool { return g == wanted || figures.Label(g) == wanted })
		switch {
		case at < 0 && wanted == "app" && slices.Contains(values, o.monitor.App):
		case at < 0:
			if !slices.Contains(r.data.Unfiltered, name) {
				r.data.Unfiltered = append(r.data.Unfiltered, name)
			}
		default:
			where[figures.Label(o.monitor.GroupBy[at])] = values
		}
	}
	return where
}

// labelOf is the label or key column that a variable narrows.
func (r *run) labelOf(variable string) string {
	for _, v := range r.question.Variables {
		if v.Name == variable && v.Label != "" {
			return v.Label
		}
	}
	return variable
}

// totals selects all keys merged.
func (r *run) totals(c dashboard.Column) func(operand) selection {
	return func(o operand) selection {
		if o.monitor == nil {
			return selection{}
		}
		return selection{total: true, where: r.where(o, c)}
	}
}

// byKey selects keys made of labels.
func (r *run) byKey(c dashboard.Column, labels []string) func(operand) selection {
	return func(o operand) selection {
		if o.monitor == nil {
			return selection{}
		}
		return selection{labels: labels, where: r.where(o, c)}
	}
}

// windowMs is the longest window of the report's monitors; 0 without any.
func (r *run) windowMs() int64 {
	longest := int64(0)
	for _, m := range r.monitors {
		longest = max(longest, m.spec.Window.D().Milliseconds())
	}
	return longest
}

func (r *run) warn(texts ...string) {
	for _, text := range texts {
		if !slices.Contains(r.data.Warnings, text) {
			r.data.Warnings = append(r.data.Warnings, text)
		}
	}
}

// cover notes what time the data is of.
func (r *run) cover(g grid) {
	r.data.StartMs, r.data.EndMs, r.data.StepMs = g.start, g.end(), g.step
}

// stepIn returns the report's own step, or the shortest multiple of unit that
// makes at most most points of a range.
func (r *run) stepIn(rangeMs, unit int64, most int) int64 {
	if own := int64(r.report.StepS) * 1000; own > 0 {
		return max(roundUp(own, unit), roundUp(rangeMs/maxWindows, unit))
	}
	for _, n := range []int64{1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1440, 10080} {
		if rangeMs/(n*unit) <= int64(most) {
			return n * unit
		}
	}
	return roundUp(rangeMs/int64(most), unit)
}

func roundUp(v, unit int64) int64   { return (v + unit - 1) / unit * unit }
func roundDown(v, unit int64) int64 { return v - v%unit }
