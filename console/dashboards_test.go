package console_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDashboards(t *testing.T) {
	i := start(t)
	c := i.admin()
	const board = `{"name":"shop","spec":{"title":"Shop","reports":[{"name":"Trades","type":"trend","width":6,"sources":[{"monitor":"trades"}]}]}}`
	if f := c.fails(422, "invalid", "POST", ws+"/dashboards", board); len(f.Details) != 1 || f.Details[0].Field != "spec.reports[0].sources[0].monitor" {
		t.Errorf("a dashboard of a monitor that is not there: %+v", f.Details)
	}
	c.want(201, "POST", ws+"/monitors", monitorBody)
	f := c.fails(422, "invalid", "POST", ws+"/dashboards", strings.Replace(board, `"trend"`, `"table_second"`, 1))
	if len(f.Details) != 1 || f.Details[0].Code != "source_type_mismatch" {
		t.Errorf("%+v", f.Details)
	}
	f = c.fails(422, "invalid", "POST", ws+"/dashboards", strings.Replace(board, `{"monitor":"trades"}`, `{"expr":"sum("}`, 1))
	if len(f.Details) != 1 || f.Details[0].Code != "bad_expr" {
		t.Errorf("%+v", f.Details)
	}
	c.want(201, "POST", ws+"/dashboards", board)
	f = c.fails(409, "in_use", "DELETE", ws+"/monitors/trades", nil)
	if len(f.Details) != 1 || f.Details[0].Message != "Dashboard shop" {
		t.Errorf("%+v", f.Details)
	}
	c.want(200, "PUT", ws+"/dashboards/shop", `{"version":1,"spec":{"title":"Wall","reports":[{"name":"Note","type":"text","text":"hello"}]}}`)
	var list struct {
		Items []struct {
			Name string
			Spec struct {
				Title   string
				Reports []struct{ Width int }
			}
		}
	}
	c.want(200, "GET", ws+"/dashboards?sort=title", nil).json(t, &list)
	if len(list.Items) != 1 || list.Items[0].Spec.Title != "Wall" || list.Items[0].Spec.Reports[0].Width != 12 {
		t.Errorf("%+v", list)
	}
	if a := c.want(200, "GET", "/api/v1/audit_log?workspace=default&kind=Dashboard", nil); strings.Count(string(a.body), `"shop"`) < 2 {
		t.Errorf("the audit log does not tell of the dashboard: %s", a.body)
	}
	if a := c.want(200, "GET", "/api/schemas/Dashboard.json", nil); !strings.Contains(string(a.body), "key_supplement") {
		t.Errorf("%s", a.body)
	}
	c.want(204, "DELETE", ws+"/monitors/trades", nil)
	c.want(204, "DELETE", ws+"/dashboards/shop", nil)
	c.fails(404, "not_found", "GET", ws+"/dashboards/shop", nil)
}

func TestDashboardsOfOnesOwn(t *testing.T) {
	i := start(t)
	c := i.admin()
	for _, name := range []string{"alpha", "beta", "gamma"} {
		c.want(201, "POST", ws+"/dashboards", `{"name":"`+name+`","spec":{"title":"`+name+`","key":`+map[bool]string{true: "true", false: "false"}[name == "beta"]+`}}`)
	}
	c.want(204, "PUT", ws+"/favourites/dashboard/gamma", nil)
	c.fails(404, "not_found", "PUT", ws+"/favourites/dashboard/nobody", nil)
	names := func(c *client, query string) string {
		var list struct{ Items []struct{ Name string } }
		c.want(200, "GET", ws+"/dashboards"+query, nil).json(t, &list)
		text := ""
		for _, d := range list.Items {
			text += d.Name + " "
		}
		return text
	}
	other := i.user(c, "viewer", map[string]string{"default": "viewer"})
	for _, w := range []struct {
		as          *client
		query, want string
	}{{c, "", "beta alpha gamma "}, {c, "?which=key", "beta "}, {c, "?which=mine", "gamma "}, {other, "?which=mine", ""}, {c, "?sort=-name", "gamma beta alpha "}} {
		if got := names(w.as, w.query); got != w.want {
			t.Errorf("%s: %q, want %q", w.query, got, w.want)
		}
	}
	other.fails(403, "forbidden", "POST", ws+"/dashboards", `{"name":"x","spec":{"title":"x"}}`)
	other.fails(403, "forbidden", "POST", ws+"/dashboards:import_grafana", `{"dashboard":{}}`)
	// A question is no change: viewers may ask.
	var answers struct {
		Reports []struct {
			Data  map[string]any
			Error *struct{ Code string }
		}
	}
	other.want(200, "POST", ws+"/dashboards:query", `{"start":1,"end":2,"reports":[{"name":"t","type":"text","text":"x"},{"name":"k","type":"keys_now","sources":[{"monitor":"gone"}]}]}`).json(t, &answers)
	if len(answers.Reports) != 2 || answers.Reports[0].Data == nil || answers.Reports[1].Error == nil || answers.Reports[1].Error.Code != "not_found" {
		t.Errorf("%+v", answers)
	}
	if f := c.fails(422, "invalid", "POST", ws+"/dashboards:query", `{"start":2,"end":2,"reports":[{"name":"t","type":"text","text":"x"}]}`); f.Details[0].Code != "range_invalid" {
		t.Errorf("%+v", f.Details)
	}
	var made struct {
		Spec   map[string]any
		Panels []struct{ Result string }
	}
	c.want(200, "POST", ws+"/dashboards:import_grafana", `{"dashboard":{"title":"G","panels":[{"type":"stat","title":"Up","targets":[{"expr":"up"}]}]}}`).json(t, &made)
	if len(made.Panels) != 1 || made.Panels[0].Result != "taken" || made.Spec["title"] != "G" {
		t.Errorf("%+v", made)
	}
	if f := c.fails(422, "invalid", "POST", ws+"/dashboards:import_grafana", `{"dashboard":{"title":"no panels"}}`); f.Details[0].Code != "bad_json" {
		t.Errorf("%+v", f.Details)
	}
}

func TestDashboardsInTemplates(t *testing.T) {
	i := start(t)
	c := i.admin()
	c.want(201, "POST", ws+"/monitors", monitorBody)
	c.want(201, "POST", ws+"/monitors", strings.NewReplacer(`"name":"trades"`, `"name":"deals"`).Replace(monitorBody))
	board := func(name, sources string) {
		c.want(201, "POST", ws+"/dashboards", `{"name":"`+name+`","spec":{"title":"`+name+`","reports":[{"name":"r","type":"trend","sources":[`+sources+`]}]}}`)
	}
	board("one", `{"monitor":"trades"},{"expr":"up"}`)
	board("both", `{"monitor":"trades"},{"monitor":"deals"}`)
	board("other", `{"monitor":"deals"}`)
	var out struct {
		Items []struct {
			Kind     string
			Metadata struct{ Name string }
		}
		LeftOut []string `json:"left_out"`
	}
	answer := c.want(200, "POST", ws+"/templates:export", `{"monitors":["trades"]}`)
	answer.json(t, &out)
	if len(out.Items) != 2 || out.Items[1].Kind != "Dashboard" || out.Items[1].Metadata.Name != "one" || len(out.LeftOut) != 1 || out.LeftOut[0] != "both" {
		t.Errorf("%+v", out)
	}
	// A copy of the dashboard shows the copy of the monitor.
	text, err := json.Marshal(map[string]any{"text": string(answer.body), "on_conflict": "copy"})
	if err != nil {
		t.Fatal(err)
	}
	var took imported
	c.want(200, "POST", ws+"/templates:import", string(text)).json(t, &took)
	if want := "trades created as trades_2; one created as one_2; "; took.String() != want {
		t.Errorf("%s, want %s", took, want)
	}
	if got := string(c.want(200, "GET", ws+"/dashboards/one_2", nil).body); !strings.Contains(got, `"monitor":"trades_2"`) {
		t.Errorf("the copy shows %s", got)
	}
}
