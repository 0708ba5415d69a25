package dashboard_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/dashboard"
)

const grafanaText = `{
 "title": "Payments", "description": "d",
 "annotations": {"list": [{"name": "Annotations & Alerts", "builtIn": 1}, {"name": "releases"}]},
 "templating": {"list": [
  {"name": "ds", "type": "datasource", "query": "prometheus"},
  {"name": "az", "type": "query", "label": "Zone", "query": {"query": "label_values(up{job=\"x\"}, az)"}},
  {"name": "machine", "type": "query", "query": "label_values(instance)"},
  {"name": "step", "type": "interval", "query": "1m,5m"}]},
 "panels": [
  {"type": "timeseries", "title": "Rate", "gridPos": {"h": 8, "w": 13, "x": 0, "y": 0}, "links": [{"url": "https://example.com/x"}],
   "targets": [{"expr": "sum(rate(http_requests_total{az=~\"$az\"}[$__rate_interval])) by (code)", "legendFormat": "{{code}}"}, {"expr": "sum(up{instance=~\"${machine}\"})", "legendFormat": "up"}, {"expr": "x", "hide": true}],
   "fieldConfig": {"defaults": {"unit": "reqps", "decimals": 1, "thresholds": {"mode": "absolute", "steps": [{"color": "green", "value": null}, {"color": "orange", "value": 5}, {"color": "dark-red", "value": 9}]}}}},
  {"type": "row", "title": "folded", "panels": [{"type": "stat", "title": "Up", "gridPos": {"w": 4, "h": 4}, "targets": [{"expr": "up"}], "transformations": [{}]}]},
  {"type": "text", "title": "", "options": {"content": "Call 123"}},
  {"type": "heatmap", "title": "Heat", "targets": [{"expr": "up"}]},
  {"type": "gauge", "title": "Broken", "targets": [{"expr": "sum("}, {"expr": "rate(x[$step])"}]}
 ]}`

func TestFromGrafana(t *testing.T) {
	got, err := dashboard.FromGrafana([]byte(grafanaText))
	if err != nil {
		t.Fatal(err)
	}
	spec := got.Spec.WithDefaults()
	if err := spec.Validate("spec"); err != nil {
		t.Errorf("what was imported is not valid: %v", err)
	}
	var told []string
	for _, p := range got.Panels {
		told = append(told, fmt.Sprintf("%s %s %s %d", p.Title, p.Result, p.Report, len(p.Notes)))
	}
	if want := []string{"Rate partly trend 1", "Up partly single_value 1", " taken text 0", "Heat left_out  1", "Broken left_out  3"}; !slices.Equal(told, want) {
		t.Errorf("panels %q, want %q", told, want)
	}
	if notes := strings.Join(got.Notes, "; "); len(got.Notes) != 2 || !strings.Contains(notes, "step") || !strings.Contains(notes, "releases") {
		t.Errorf("notes %q", got.Notes)
	}
	if v := got.Spec.Variables; len(v) != 2 || v[0] != (dashboard.Variable{Name: "az", Title: "Zone"}) || v[1] != (dashboard.Variable{Name: "machine", Label: "instance"}) {
		t.Errorf("variables %+v", v)
	}
	r := spec.Reports[0]
	if r.Width != 7 || r.Link != "https://example.com/x" || len(r.Columns) != 2 || r.Columns[0].Name != "Rate" || r.Columns[1].Name != "up" || *r.Columns[0].Red != 9 || *r.Columns[0].Orange != 5 ||
		r.Columns[0].Format.Unit != "/s" || *r.Columns[0].Format.Decimals != 1 {
		t.Errorf("%+v", r)
	}
	if wrapped, err := dashboard.FromGrafana([]byte(`{"dashboard":` + grafanaText + `,"meta":{}}`)); err != nil || len(wrapped.Spec.Reports) != 3 {
		t.Errorf("as the HTTP API of Grafana gives it: %v", err)
	}
	for _, bad := range []string{"", "[]", "{}", `{"panels": 3}`} {
		if _, err := dashboard.FromGrafana([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestExpression(t *testing.T) {
	v := []dashboard.Variable{{Name: "az"}, {Name: "app"}}
	got := dashboard.Expression(`sum(rate(x{az=~"$az",app=~"${app}",y="$other"}[$__interval])) + y[$__rate_interval] + z[$__range]`, v, map[string]string{"az": "A|B"}, 30_000, 3_600_000)
	if want := `sum(rate(x{az=~"A|B",app=~".*",y="$other"}[30000ms])) + y[120000ms] + z[3600000ms]`; got != want {
		t.Errorf("got %s", got)
	}
}
