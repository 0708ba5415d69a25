package console_test

import (
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
	if a := c.want(200, "GET", ws+"/audit?kind=Dashboard", nil); strings.Count(string(a.body), `"shop"`) < 2 {
		t.Errorf("the audit log does not tell of the dashboard: %s", a.body)
	}
	if a := c.want(200, "GET", "/api/schemas/Dashboard.json", nil); !strings.Contains(string(a.body), "key_supplement") {
		t.Errorf("%s", a.body)
	}
	c.want(204, "DELETE", ws+"/monitors/trades", nil)
	c.want(204, "DELETE", ws+"/dashboards/shop", nil)
	c.fails(404, "not_found", "GET", ws+"/dashboards/shop", nil)
}
