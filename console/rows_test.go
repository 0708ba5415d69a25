package console_test

import (
	"strings"
	"testing"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const rowTopBody = `{"name":"fees","spec":{"title":"Fees","type":"row_top","paths":["/var/log/toll.log"],"time":{"format":"normal"},
	"columns":[{"name":"station","split":{"delimiter":",","index":1}},{"name":"fee","split":{"delimiter":",","index":2}}],
	"sort_column":"fee","group_by":["station","host"]}}`

func TestRows(t *testing.T) {
	i := start(t)
	c := i.admin()
	c.want(201, "POST", ws+"/monitors", rowTopBody)
	i.query.set(func(f *fakeQuery) {
		f.lines = &pharosv1.MonitorLinesResponse{Total: 12,
			Windows: []*pharosv1.LineWindow{{WindowStartMs: 120000, WindowMs: 60000, Count: 30, Kept: 10, Live: true, Completeness: 0.5}},
			Lines: []*pharosv1.KeptLine{{WindowStartMs: 120000, Rank: 2, Value: 9.5, TimeMs: 123000, Instance: "h1", File: "/var/log/toll.log",
				Key: []string{"east", "h1"}, Text: "the line", Cut: true}}}
	})
	type rows struct {
		Columns []struct{ Name string }
		Windows []struct {
			Count, Kept  int
			Live         bool
			Completeness float64
		}
		Items []struct {
			Rank      int
			Value     float64
			Key       []string
			File      string
			Instance  string
			Text      string
			Cut, Live bool
		}
		Hidden bool `json:"text_hidden"`
		Total  int
	}
	var got rows
	c.want(200, "GET", ws+"/monitors/fees/rows?start=60000&end=180000&page=2&page_size=10", nil).json(t, &got)
	if len(got.Items) != 1 || len(got.Windows) != 1 || len(got.Columns) != 2 {
		t.Fatalf("%+v", got)
	}
	r, w := got.Items[0], got.Windows[0]
	if r.Rank != 2 || r.Value != 9.5 || r.Key[0] != "east" || r.Text != "the line" || !r.Cut || r.File == "" || r.Instance != "h1" || got.Hidden || got.Total != 12 ||
		w.Count != 30 || w.Kept != 10 || !w.Live || w.Completeness != 0.5 || got.Columns[0].Name != "station" {
		t.Errorf("%+v", got)
	}
	asked := func() *pharosv1.MonitorLinesRequest {
		i.query.mu.Lock()
		defer i.query.mu.Unlock()
		return i.query.asked
	}
	if a := asked(); a.GetOffset() != 10 || a.GetLimit() != 10 || a.GetStartMs() != 60000 || a.GetEndMs() != 179999 ||
		a.GetOrder() != pharosv1.LineOrder_LINE_ORDER_VALUE || a.GetScope().GetWorkspace() != "default" || !strings.HasPrefix(a.GetMonitorId(), "mon_") {
		t.Errorf("asked for %v", a)
	}
	c.want(200, "GET", ws+"/monitors/fees/rows?sort=-window", nil)
	if a := asked(); a.GetOrder() != pharosv1.LineOrder_LINE_ORDER_WINDOW || a.GetEndMs()-a.GetStartMs() != 3599999 {
		t.Errorf("asked for %v", a)
	}

	// A viewer sees numbers, not lines.
	got = rows{}
	c.makeToken("default", "viewer").want(200, "GET", ws+"/monitors/fees/rows", nil).json(t, &got)
	if !got.Hidden || got.Items[0].Text != "" || got.Items[0].Value != 9.5 {
		t.Errorf("a viewer sees %+v", got)
	}

	c.want(201, "POST", ws+"/monitors", monitorBody)
	for _, path := range []string{"trades/rows", "fees/rows?sort=-text", "fees/rows?start=9&end=9", "fees/rows?page=101&page_size=10", "fees/rows?page_size=201", "fees/keys"} {
		c.fails(422, "invalid", "GET", ws+"/monitors/"+path, nil)
	}
	c.fails(404, "not_found", "GET", ws+"/monitors/none/rows", nil)
}

func TestBadLineMonitors(t *testing.T) {
	c := start(t).admin()
	for change, want := range map[string]string{
		`"description":"x"`:                                           `spec.sort_column column_required`,
		`"sort_column":"x"`:                                           `spec.sort_column bad_column`,
		`"sort_column":"fee","top_n":201`:                             `spec.top_n bad_top_n`,
		`"sort_column":"fee","masking":{"without":["phone"]}`:         `spec.masking.without[0] bad_mask`,
		`"sort_column":"fee","masking":{"replace":[{"pattern":"("}]}`: `spec.masking.replace[0].pattern bad_regex`,
		`"sort_column":"fee","statistics":[{"kind":"count"}]`:         `spec.statistics bad_kind`,
		`"sort_column":"fee","match":{"title":"x","level":"P1"}`:      `spec.match not_used`,
		`"sort_column":"fee","result_column":"fee"`:                   `spec.result_column not_used`,
	} {
		f := c.fails(422, "invalid", "POST", ws+"/monitors:validate", strings.Replace(rowTopBody, `"sort_column":"fee"`, change, 1))
		found := false
		for _, d := range f.Details {
			found = found || d.Field+" "+d.Code == want
		}
		if !found {
			t.Errorf("%s: %q is missing in %+v", change, want, f.Details)
		}
	}
}
