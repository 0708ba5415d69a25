package dashboards

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/pharos-stack/pharos/internal/dashboard"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
)

const (
	// errorApps is how many apps app_error_top shows unless the report says.
	errorApps = 10
	// errorSpanMs is the time that it covers unless the report says.
	errorSpanMs = 600_000
	// healthOf is of how many of its monitors it is told how complete they are.
	healthOf = 50
)

// services finds the workspace's monitors of common service indicators: what
// they count as failures are the errors of their app.
func (d *Dashboards) services(ctx context.Context, r *run) error {
	objects, err := d.Resources.List(ctx, resource.KindLogMonitor, r.workspace)
	if err != nil {
		return err
	}
	for _, o := range objects {
		spec, err := resource.SpecOf[logrule.Spec](o)
		if err != nil {
			return err
		}
		if spec.Type != logrule.Service || spec.Disabled {
			continue
		}
		r.report.Sources = append(r.report.Sources, dashboard.Source{Name: o.Metadata.Name, Monitor: o.Metadata.Name, Figure: "fail"})
		r.monitors[o.Metadata.Name] = monitor{o.Metadata.ID, spec}
	}
	return nil
}

// appErrors has a row per app, by the failures that its service monitors counted.
func (r *run) appErrors(ctx context.Context) error {
	r.data.Columns = append(r.data.Columns, Head{Column: dashboard.Column{Name: "fail", Figure: "fail", Function: dashboard.Value}})
	r.data.Keys = append(r.data.Keys, "app")
	if len(r.report.Sources) == 0 {
		return nil
	}
	unit := r.windowMs()
	end := roundDown(r.question.End, unit)
	span := int64(errorSpanMs)
	if own := int64(r.report.SpanS) * 1000; own > 0 {
		span = own
	}
	start := end - roundUp(span, unit)
	g := grid{start, end - start, 1}
	r.cover(g)
	fails := map[string]float64{}
	for _, src := range r.report.Sources {
		o, err := r.operand(src.Name, src.Figure)
		if err != nil {
			return err
		}
		f, err := r.fetch(ctx, o, selection{total: true}, g, 0)
		if err != nil {
			return err
		}
		if v := at(f.only(), 0); v > 0 {
			fails[o.monitor.App] += v
		}
	}
	if len(r.report.Sources) > healthOf {
		r.report.Sources = r.report.Sources[:healthOf]
	}
	state := r.health(ctx, g).row(g.start, g.end())
	type app struct {
		name  string
		fails float64
	}
	var apps []app
	for name, v := range fails {
		apps = append(apps, app{name, v})
	}
	slices.SortFunc(apps, func(a, b app) int { return cmp.Or(cmp.Compare(b.fails, a.fails), strings.Compare(a.name, b.name)) })
	r.data.KeysTotal = len(apps)
	for _, a := range apps[:min(len(apps), cmp.Or(r.report.Top, errorApps))] {
		row := state
		row.Key, row.Cells = []string{a.name}, []Cell{{Value: &a.fails}}
		r.data.Rows = append(r.data.Rows, row)
	}
	return nil
}

// appReport shows a system figure of the hosts of an app over time: each host,
// or their cells, AZs or the whole app.
func (r *run) appReport(ctx context.Context) error {
	name := r.report.Figure
	r.report.Sources = []dashboard.Source{{Name: name, Expr: dashboard.AppExpr(r.report)}}
	column := dashboard.Column{Name: name, Source: name, Function: dashboard.Value, Format: dashboard.Format{Unit: unitOf(name)}}
	if len(r.report.Columns) > 0 {
		column = r.report.Columns[0]
		column.Source, column.Function = name, dashboard.Value
	}
	r.report.Columns = []dashboard.Column{column}
	return r.trend(ctx)
}

// unitOf is the unit of a system figure (spec 05 §S8.5).
func unitOf(figure string) string {
	switch {
	case strings.HasSuffix(figure, "util") || strings.HasSuffix(figure, "tcp_retran"):
		return "%"
	case figure == "cpu_total_cores":
		return ""
	case strings.HasPrefix(figure, "cpu_"):
		return "%"
	case figure == "mem_total" || figure == "mem_used" || strings.HasPrefix(figure, "partition_b"):
		return "bytes"
	case strings.HasPrefix(figure, "traffic_byt") || strings.HasSuffix(figure, "bytes"):
		return "bytes/s"
	}
	return ""
}
