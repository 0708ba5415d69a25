package dashboards

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/pharos-stack/pharos/console/api"
	"github.com/pharos-stack/pharos/console/figures"
	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/logrule"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

// TopState says how far a list of the largest keys is exact.
type TopState struct {
	Keys  uint64 `json:"keys" doc:"Keys that there were; about so many unless exact"`
	Exact bool   `json:"exact"`
	// Missed is absent where the list is exact, and where nothing can be said.
	Missed *float64 `json:"missed,omitempty" doc:"Unless exact, the most that a key which isn't listed may have, of avg its lines; absent: nothing can be said"`
}

// topList shows what windows of a monitor list: the largest records or keys of
// the newest window that has settled, or the largest records of a longer time.
func (r *run) topList(ctx context.Context) error {
	src := r.report.Sources[0]
	m := r.monitors[src.Name]
	unit := m.spec.Window.D().Milliseconds()
	end := r.settledEnd(ctx, unit)
	g := grid{end - unit, unit, 1}
	order := pharosv1.LineOrder_LINE_ORDER_WINDOW
	if own := int64(r.report.SpanS) * 1000; own > unit {
		g.start = end - roundUp(own, unit)
		g.step, order = end-g.start, pharosv1.LineOrder_LINE_ORDER_VALUE
	}
	r.cover(g)
	windows := r.health(ctx, g)
	most := cmp.Or(r.report.Top, m.spec.TopN)
	answer, err := r.query.MonitorLines(ctx, &pharosv1.MonitorLinesRequest{Scope: &pharosv1.Scope{Workspace: r.workspace}, MonitorId: m.id,
		StartMs: g.start, EndMs: g.end() - 1, Order: order, Limit: maxRows})
	if err != nil {
		return fmt.Errorf("cannot read the list of monitor %q: %w", src.Monitor, err)
	}
	name, unitName := m.spec.SortColumn, ""
	if m.spec.Type == logrule.MinuteTop {
		name, unitName = m.spec.Statistics[0].Name, m.spec.Statistics[0].Unit
	}
	column := dashboard.Column{Name: name, Source: src.Name, Function: dashboard.Value}
	if len(r.report.Columns) > 0 {
		column = r.report.Columns[0]
	}
	r.data.Columns = append(r.data.Columns, Head{Column: column, Unit: unitName})
	titles, shown := r.shownGroups(m.spec)
	r.data.Keys = append(r.data.Keys, titles...)
	where := r.where(operand{source: src, monitor: &m.spec}, dashboard.Column{})
	p, refused := api.Caller(ctx)
	readable := refused == nil && p.Check(r.workspace, api.Editor) == nil
	state := windows.row(g.start, g.end())
	for _, l := range answer.GetLines() {
		if !chosen(m.spec, where, l.GetKey()) {
			continue
		}
		r.data.KeysTotal++
		if len(r.data.Rows) == most {
			continue
		}
		value := l.GetValue()
		row := state
		row.StartMs, row.Cells, row.Key = cmp.Or(l.GetTimeMs(), l.GetWindowStartMs()), []Cell{cell(column, value)}, []string{}
		for _, i := range shown {
			row.Key = append(row.Key, l.GetKey()[i])
		}
		if readable {
			row.Text = l.GetText()
		}
		r.data.Rows = append(r.data.Rows, row)
	}
	if m.spec.Type == logrule.MinuteTop && len(answer.GetWindows()) > 0 {
		w := answer.GetWindows()[0]
		r.data.Top = &TopState{Keys: w.GetKeys(), Exact: w.Missed == nil}
		if len(where) == 0 {
			r.data.KeysTotal = int(w.GetKeys())
		}
		if w.Missed != nil && !math.IsInf(w.GetMissed(), 0) {
			r.data.Top.Missed = w.Missed
		}
	}
	return nil
}

// chosen reports whether the chosen variables let a key through. where is by label.
func chosen(spec logrule.Spec, where map[string][]string, key []string) bool {
	for i, g := range spec.GroupBy {
		if values, ok := where[figures.Label(g)]; ok && !slices.Contains(values, key[i]) {
			return false
		}
	}
	return true
}
