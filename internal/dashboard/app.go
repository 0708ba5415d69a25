package dashboard

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/pharos-stack/pharos/internal/fielderr"
	"github.com/pharos-stack/pharos/internal/logrule"
)

// Set is a set of an app's metrics.
type Set string

// SetSystem are the figures of the hosts that an app runs on.
const SetSystem Set = "system"

// View is what the metrics of an app are told by.
type View string

// The views.
const (
	ViewApp      View = "app"
	ViewAZ       View = "az"
	ViewCell     View = "cell"
	ViewInstance View = "instance"
)

// systemFigure is what a figure of the system set is called.
var systemFigure = regexp.MustCompile(`^[a-z]+_[A-Za-z0-9_]{1,60}$`)

// summed are figures that add up over hosts, devices and interfaces; others are averaged.
var summed = regexp.MustCompile(`^(traffic_|tcp_(active|pasive|AtmpFail|CurrEstab|lisove)|udp_|io_(rio|wio|rbytes|wbytes)$|mem_(total|used|oom_kills)$|partition_(b|i)(free|used|totl)$|cpu_total_cores$|proc_count$|fd_used$)`)

func (r Report) validateApp(es *fielderr.Errors, at string) {
	if r.Type != AppReport {
		for field, value := range map[string]string{"app": r.App, "set": string(r.Set), "figure": r.Figure, "view": string(r.View)} {
			if value != "" {
				es.Add(at+"."+field, "not_used", "only app_report has it; remove %q", value)
			}
		}
		return
	}
	if r.App == "" || len(r.App) > 63 {
		es.Add(at+".app", "app_required", "%q; name the app, or default for all hosts", r.App)
	}
	if r.Set != SetSystem {
		es.Add(at+".set", "bad_set", "%q; use system", r.Set)
	}
	if !systemFigure.MatchString(r.Figure) {
		es.Add(at+".figure", "bad_figure", "%q; name a system figure, such as cpu_util", r.Figure)
	}
	if !slices.Contains([]View{ViewApp, ViewAZ, ViewCell, ViewInstance}, r.View) {
		es.Add(at+".view", "bad_view", "%q; use app, az, cell or instance", r.View)
	}
}

// AppExpr is the PromQL of a valid app_report. A host is of an app if its label
// app names it, alone or in a comma-separated list.
func AppExpr(r Report) string {
	name, selector := "sys_"+r.Figure, ""
	if r.App != logrule.DefaultApp {
		selector = fmt.Sprintf(`{app=~%q}`, `(.*,)?\s*`+regexp.QuoteMeta(r.App)+`\s*(,.*)?`)
	}
	outer := "avg"
	if summed.MatchString(r.Figure) {
		outer = "sum"
	}
	by := ""
	if r.View != ViewApp {
		by = fmt.Sprintf(" by (%s)", r.View)
	}
	return fmt.Sprintf("%s%s (%s%s)", outer, by, name, selector)
}
