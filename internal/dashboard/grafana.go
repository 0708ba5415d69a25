package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// Imported is a dashboard made from one of Grafana, with what became of each panel.
type Imported struct {
	Spec   Spec            `json:"spec"`
	Panels []ImportedPanel `json:"panels" doc:"What became of each panel, in their order"`
	Notes  []string        `json:"notes" doc:"What else could not be taken over"`
}

// ImportedPanel tells what became of a panel.
type ImportedPanel struct {
	Title string `json:"title"`
	Type  string `json:"type" doc:"Type of the panel in Grafana"`
	// Result is taken, partly or left_out.
	Result string `json:"result" enum:"taken,partly,left_out"`
	// Report is the type of the report that it became.
	Report Type     `json:"report,omitempty"`
	Notes  []string `json:"notes" doc:"What was not taken over, and why"`
}

// grafana is the part of Grafana's dashboard model that is read. Source:
// grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model.
type grafana struct {
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Panels      []grafanaPanel `json:"panels"`
	Rows        []struct {
		Panels []grafanaPanel `json:"panels"`
	} `json:"rows"`
	Templating struct {
		List []grafanaVariable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct {
			Name    string `json:"name"`
			BuiltIn int    `json:"builtIn"`
		} `json:"list"`
	} `json:"annotations"`
}

type grafanaVariable struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	Type  string `json:"type"`
	// Query is a text, or an object with a text, by the version.
	Query json.RawMessage `json:"query"`
}

type grafanaPanel struct {
	Title   string         `json:"title"`
	Type    string         `json:"type"`
	Panels  []grafanaPanel `json:"panels"` // of a row that is folded
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Hide         bool   `json:"hide"`
	} `json:"targets"`
	GridPos *struct {
		H, W int
	} `json:"gridPos"`
	Span    int    `json:"span"`    // of 12, before Grafana 5
	Content string `json:"content"` // of a text panel, before Grafana 7
	Options struct {
		Content string `json:"content"`
	} `json:"options"`
	Links []struct {
		URL string `json:"url"`
	} `json:"links"`
	Transformations []json.RawMessage `json:"transformations"`
	FieldConfig     struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Decimals   *int   `json:"decimals"`
			Thresholds struct {
				Mode  string `json:"mode"`
				Steps []struct {
					Color string   `json:"color"`
					Value *float64 `json:"value"`
				} `json:"steps"`
			} `json:"thresholds"`
		} `json:"defaults"`
		Overrides []json.RawMessage `json:"overrides"`
	} `json:"fieldConfig"`
}

var grafanaTypes = map[string]Type{
	"timeseries": Trend, "graph": Trend, "stat": SingleValue, "singlestat": SingleValue, "gauge": SingleValue, "bargauge": Bar, "barchart": Bar, "piechart": Pie, "text": Text,
}

// labelValues finds the label of a variable's query.
var labelValues = regexp.MustCompile(`^\s*label_values\(\s*(?:.*,)?\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*\)\s*$`)

// FromGrafana turns the common panels of a Grafana dashboard into reports:
// time series, single numbers, gauges, bars, pies and texts over PromQL. What
// can't be taken over is said, panel by panel.
func FromGrafana(text []byte) (Imported, error) {
	out := Imported{Spec: Spec{Reports: []Report{}}, Panels: []ImportedPanel{}, Notes: []string{}}
	var g grafana
	if err := json.Unmarshal(text, &g); err != nil {
		return out, fmt.Errorf("cannot read it: %w; give the JSON model of a Grafana dashboard", err)
	}
	// An export for others wraps nothing; the HTTP API wraps it.
	if len(g.Panels) == 0 && len(g.Rows) == 0 {
		var wrapped struct {
			Dashboard *grafana `json:"dashboard"`
		}
		if err := json.Unmarshal(text, &wrapped); err != nil || wrapped.Dashboard == nil {
			return out, errors.New("it has no panels; give the JSON model of a Grafana dashboard")
		}
		g = *wrapped.Dashboard
	}
	out.Spec.Title, out.Spec.Description = cut(g.Title, 64), cut(g.Description, 500)
	if out.Spec.Title == "" {
		out.Spec.Title = "Grafana"
	}
	for _, v := range g.Templating.List {
		out.variable(v)
	}
	for _, a := range g.Annotations.List {
		if a.BuiltIn == 0 {
			out.Notes = append(out.Notes, fmt.Sprintf("annotation %q is left out", a.Name))
		}
	}
	panels := g.Panels
	for _, row := range g.Rows {
		panels = append(panels, row.Panels...)
	}
	for _, p := range panels {
		if p.Type != "row" {
			out.panel(p)
		}
		for _, inner := range p.Panels {
			out.panel(inner)
		}
	}
	return out, nil
}

func (i *Imported) variable(v grafanaVariable) {
	var query string
	if json.Unmarshal(v.Query, &query) != nil {
		var inner struct {
			Query string `json:"query"`
		}
		json.Unmarshal(v.Query, &inner) // a query of another form has no label
		query = inner.Query
	}
	label := labelValues.FindStringSubmatch(query)
	switch {
	case v.Type == "datasource":
		return // there is one: Pharos
	case v.Type != "query" || label == nil:
		i.Notes = append(i.Notes, fmt.Sprintf("variable %q of type %s is left out; expressions that use it need a value", v.Name, v.Type))
	case len(i.Spec.Variables) == MaxVariables:
		i.Notes = append(i.Notes, fmt.Sprintf("variable %q is left out: at most %d are kept", v.Name, MaxVariables))
	default:
		made := Variable{Name: v.Name, Title: cut(v.Label, 64)}
		if label[1] != v.Name {
			made.Label = label[1]
		}
		i.Spec.Variables = append(i.Spec.Variables, made)
	}
}

func (i *Imported) panel(p grafanaPanel) {
	told := ImportedPanel{Title: p.Title, Type: p.Type, Result: "taken", Notes: []string{}}
	note := func(format string, args ...any) {
		told.Notes = append(told.Notes, fmt.Sprintf(format, args...))
		told.Result = "partly"
	}
	leave := func(format string, args ...any) {
		note(format, args...)
		told.Result, told.Report = "left_out", ""
		i.Panels = append(i.Panels, told)
	}
	kind, known := grafanaTypes[p.Type]
	if !known {
		leave("panels of type %q have no counterpart", p.Type)
		return
	}
	if len(i.Spec.Reports) == MaxReports {
		leave("a dashboard has at most %d reports", MaxReports)
		return
	}
	told.Report = kind
	r := Report{Name: cut(p.Title, 64), Type: kind, Width: GridColumns}
	if r.Name == "" {
		r.Name = "-"
	}
	if p.GridPos != nil {
		r.Width = min(max((p.GridPos.W+1)/2, 1), GridColumns)
	} else if p.Span > 0 {
		r.Width = min(p.Span, GridColumns)
	}
	if kind == Text {
		if r.Text = cut(p.Content+p.Options.Content, 4000); r.Text == "" {
			leave("the text is empty")
			return
		}
		i.add(r, told)
		return
	}
	for _, target := range p.Targets {
		if target.Hide || target.Expr == "" {
			note("a query that is hidden or is no PromQL is left out")
			continue
		}
		if _, err := parser.NewParser(parser.Options{}).ParseExpr(Expression(target.Expr, i.Spec.Variables, nil, 60_000, 3_600_000)); err != nil {
			note("query %q is left out: %v", target.Expr, err)
			continue
		}
		if len(r.Sources) == MaxSources {
			note("a report has at most %d queries", MaxSources)
			break
		}
		src := Source{Name: fmt.Sprintf("q%d", len(r.Sources)+1), Expr: target.Expr}
		name := cut(strings.TrimSpace(target.LegendFormat), 64)
		if name == "" || name == "__auto" || strings.Contains(name, "{{") {
			name = cut(p.Title, 64)
		}
		if name == "" {
			name = src.Name
		}
		c := Column{Name: name, Source: src.Name, Format: formatOf(p.FieldConfig.Defaults.Unit)}
		if p.FieldConfig.Defaults.Unit == "percentunit" {
			note("the unit percentunit is left out: 0.5 is shown as 0.5")
		}
		if d := p.FieldConfig.Defaults.Decimals; d != nil && *d >= 0 && *d <= 6 {
			c.Format.Decimals = d
		}
		if t := p.FieldConfig.Defaults.Thresholds; t.Mode != "percentage" {
			for _, step := range t.Steps {
				switch {
				case step.Value == nil:
				case strings.Contains(step.Color, "red"):
					c.Red = step.Value
				case strings.Contains(step.Color, "orange") || strings.Contains(step.Color, "yellow"):
					c.Orange = step.Value
				}
			}
		}
		r.Sources, r.Columns = append(r.Sources, src), append(r.Columns, c)
	}
	if len(r.Sources) == 0 {
		leave("it has no PromQL query that can be taken over")
		return
	}
	if len(p.Transformations) > 0 {
		note("its transformations are left out")
	}
	if len(p.FieldConfig.Overrides) > 0 {
		note("its overrides of single fields are left out")
	}
	for _, l := range p.Links {
		if r.Link == "" && isWeb(l.URL) && len(l.URL) <= 500 {
			r.Link = l.URL
		}
	}
	i.add(r, told)
}

func (i *Imported) add(r Report, told ImportedPanel) {
	i.Spec.Reports = append(i.Spec.Reports, r)
	i.Panels = append(i.Panels, told)
}

// formatOf reads Grafana's units that have a counterpart; others stand behind the number.
func formatOf(unit string) Format {
	switch unit {
	case "", "none", "short", "percentunit":
		return Format{}
	case "percent":
		return Format{Style: "percent"}
	case "bytes", "decbytes":
		return Format{Style: "bytes"}
	case "ms":
		return Format{Style: "ms"}
	case "s":
		return Format{Unit: "s"}
	case "reqps", "ops", "cps":
		return Format{Unit: "/s"}
	}
	return Format{Unit: cut(unit, 16)}
}

func cut(s string, most int) string {
	runes := []rune(s)
	return string(runes[:min(len(runes), most)])
}
