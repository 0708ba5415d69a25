package console_test

import (
	"strings"
	"testing"

	"github.com/pharos-stack/pharos/internal/alarmstate"
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

func TestLinesOfAlertsAreForEditors(t *testing.T) {
	i := start(t)
	c := i.admin()
	conditions := []alarmstate.Condition{{Source: "plates", Op: "ge", Threshold: 1, Result: "true", Completeness: 1, Lines: []alarmstate.Line{{Instance: "h1", File: "/x", Text: "the line"}}}}
	insert(t, i.db, &alarmstate.Alert{ID: "alt_1", Workspace: "default", RuleID: "mon_1", Rule: "match:plates", Level: "P1", State: "firing", Labels: map[string]string{}, Conditions: conditions},
		&alarmstate.Event{ID: "evt_1", Workspace: "default", RuleID: "mon_1", Rule: "match:plates", Type: "firing", Labels: map[string]string{}, Conditions: conditions, TimeMs: 5})
	viewer := c.makeToken("default", "viewer")
	for _, path := range []string{"/alerts", "/alarm_events?start=1&end=9"} {
		if got := c.want(200, "GET", ws+path, nil); !strings.Contains(string(got.body), "the line") {
			t.Errorf("an editor sees %s", got.body)
		}
		if got := viewer.want(200, "GET", ws+path, nil); strings.Contains(string(got.body), "the line") || !strings.Contains(string(got.body), "plates") {
			t.Errorf("a viewer sees %s", got.body)
		}
	}
}

func TestBadMatchMonitors(t *testing.T) {
	c := start(t).admin()
	const good = `"title":"Seen","level":"P2","min_lines_chat":2`
	body := func(match string) string {
		return `{"name":"plates","spec":{"title":"Plates","type":"match","paths":["/x.log"],"time":{"format":"normal"},` + match + `}}`
	}
	c.want(204, "POST", ws+"/monitors:validate", body(`"match":{`+good+`,"text_mode":"custom","text_pattern":"(?P<n>\\d+)","custom_text":"${n} $x"}`))
	for match, want := range map[string]string{
		`"description":"x"`: `spec.match match_required`,
		`"match":{"title":"Seen","level":"P3","min_lines_chat":2}`:                                   `spec.match.level bad_match_level`,
		`"match":{"title":"","level":"P0","min_lines_chat":2}`:                                       `spec.match.title bad_alarm_title`,
		`"match":{"title":"Seen","level":"P0"}`:                                                      `spec.match.min_lines_chat min_lines_required`,
		`"match":{"title":"Seen","level":"P0","min_lines_sms":-1}`:                                   `spec.match.min_lines_sms bad_min_lines`,
		`"match":{` + good + `,"max_lines":21}`:                                                      `spec.match.max_lines bad_max_lines`,
		`"match":{` + good + `,"sms_channels":["x"]}`:                                                `spec.match.sms_channels not_used`,
		`"match":{` + good + `,"channels":["nobody"]}`:                                               `spec.match.channels[0] not_found`,
		`"match":{` + good + `,"custom_text":"x"}`:                                                   `spec.match.custom_text not_used`,
		`"match":{` + good + `,"text_mode":"short"}`:                                                 `spec.match.text_mode bad_text_mode`,
		`"match":{` + good + `,"text_mode":"custom","text_pattern":"(","custom_text":"x"}`:           `spec.match.text_pattern bad_regex`,
		`"match":{` + good + `,"text_mode":"custom","text_pattern":"x"}`:                             `spec.match.custom_text bad_custom_text`,
		`"match":{` + good + `,"text_mode":"custom","text_pattern":"(?P<a>x)","custom_text":"${b}"}`: `spec.match.custom_text bad_custom_text`,
		`"match":{` + good + `,"emergency_link":"ftp://x"}`:                                          `spec.match.emergency_link bad_url`,
		`"match":{` + good + `},"group_by":["host"]`:                                                 `spec.group_by group_not_allowed`,
		`"match":{` + good + `},"statistics":[{"kind":"count"}]`:                                     `spec.statistics bad_kind`,
		`"match":{` + good + `},"window":"5m"`:                                                       `spec.window bad_window`,
	} {
		f := c.fails(422, "invalid", "POST", ws+"/monitors:validate", body(match))
		found := false
		for _, d := range f.Details {
			found = found || d.Field+" "+d.Code == want
		}
		if !found {
			t.Errorf("%s: %q is missing in %+v", match, want, f.Details)
		}
	}
	// Its alarm is its own.
	c.want(201, "POST", ws+"/monitors", body(`"match":{`+good+`}`))
	f := c.fails(422, "invalid", "POST", ws+"/alarm_rules", `{"name":"r","spec":{"title":"r","conditions":[{"monitor":"plates","op":"gt","threshold":1}]}}`)
	if len(f.Details) != 1 || f.Details[0].Code != "alarm_of_its_own" {
		t.Errorf("%+v", f.Details)
	}
}
