package console_test

import (
	"strings"
	"testing"
)

type folder struct {
	Name        string
	Version     int64
	Spec        struct{ Title, Parent string }
	Monitors    int
	MonitorsAll int `json:"monitors_all"`
}

func TestFoldersOverHTTP(t *testing.T) {
	i := start(t)
	c := i.admin()
	var f folder
	c.want(201, "POST", ws+"/folders", `{"spec":{"title":"Payment & 支付"}}`).json(t, &f)
	if f.Name != "payment-支付" || f.Version != 1 {
		t.Errorf("%+v", f)
	}
	pay := f.Name
	c.want(201, "POST", ws+"/folders", `{"spec":{"title":"Cards","parent":"payment-支付"}}`)
	c.want(201, "POST", ws+"/folders", `{"spec":{"title":"Cards"}}`).json(t, &f)
	if f.Name != "cards-2" {
		t.Errorf("the second folder of a title is called %q", f.Name)
	}
	if f := c.fails(422, "invalid", "POST", ws+"/folders", `{"spec":{"title":"CARDS"}}`); f.Details[0].Field != "spec.title" {
		t.Errorf("%+v", f.Details)
	}
	if f := c.fails(422, "invalid", "POST", ws+"/folders", `{"spec":{"titel":"x"}}`); len(f.Details) == 0 {
		t.Error("an unknown field passes")
	}

	create := func(name, folder string) {
		t.Helper()
		c.want(201, "POST", ws+"/monitors", strings.Replace(monitorBody, `"name":"trades",`, `"name":"`+name+`","folder":"`+folder+`",`, 1))
	}
	create("trades", "cards")
	create("deals", "")
	create("bills", pay)
	list := func(query string) string {
		t.Helper()
		var page struct {
			Items []struct{ Name, Folder string }
		}
		c.want(200, "GET", ws+"/monitors"+query, nil).json(t, &page)
		text := ""
		for _, m := range page.Items {
			text += m.Name + "@" + m.Folder + " "
		}
		return text
	}
	for query, want := range map[string]string{
		"":                      "bills@payment-支付 deals@ trades@cards ",
		"?folder=cards":         "trades@cards ",
		"?folder=payment-支付":    "bills@payment-支付 trades@cards ",
		"?folder=/":             "deals@ ",
		"?folder=nowhere":       "",
		"?q=支付":                 "bills@payment-支付 trades@cards ",
		"?folder=cards&q=other": "",
		"?sort=-name":           "trades@cards deals@ bills@payment-支付 ",
	} {
		if got := list(query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	var tree struct {
		Items          []folder
		Unfiled, Total int
	}
	c.want(200, "GET", ws+"/folders:tree", nil).json(t, &tree)
	if len(tree.Items) != 3 || tree.Items[0].Name != "cards-2" || tree.Items[1].Name != pay || tree.Items[1].MonitorsAll != 2 || tree.Items[1].Monitors != 1 ||
		tree.Items[2].Name != "cards" || tree.Unfiled != 1 || tree.Total != 3 {
		t.Errorf("%+v", tree)
	}

	var before, after monitor
	c.want(200, "GET", ws+"/monitors/deals", nil).json(t, &before)
	c.want(204, "POST", ws+"/monitors:move", `{"names":["deals","trades"],"folder":"cards-2"}`)
	c.want(200, "GET", ws+"/monitors/deals", nil).json(t, &after)
	if list("?folder=cards-2") != "deals@cards-2 trades@cards-2 " || after.Version != before.Version || after.ID != before.ID {
		t.Errorf("moved to %q, version %d to %d", list(""), before.Version, after.Version)
	}
	c.fails(422, "invalid", "POST", ws+"/monitors:move", `{"names":["deals"],"folder":"nowhere"}`)
	c.fails(404, "not_found", "POST", ws+"/monitors:move", `{"names":["deals","gone"],"folder":"/"}`)
	c.want(201, "POST", ws+"/monitors/deals:copy", `{"name":"more"}`)
	if list("?folder=cards-2") != "deals@cards-2 more@cards-2 trades@cards-2 " {
		t.Errorf("a copy stands elsewhere: %q", list(""))
	}

	if f := c.fails(409, "folder_not_empty", "DELETE", ws+"/folders/cards-2", nil); len(f.Details) != 3 || f.Details[0].Message != "LogMonitor deals" {
		t.Errorf("%+v", f.Details)
	}
	c.fails(422, "invalid", "POST", ws+"/folders/"+"cards-2:merge", `{"into":"cards-2"}`)
	var merged struct{ Moved int }
	c.want(200, "POST", ws+"/folders/cards-2:merge", `{"into":"cards","delete":true}`).json(t, &merged)
	if merged.Moved != 3 || list("?folder=cards") != "deals@cards more@cards trades@cards " {
		t.Errorf("%+v %q", merged, list(""))
	}
	c.fails(404, "not_found", "GET", ws+"/folders/cards-2", nil)

	// Enabling and disabling of several is one step.
	var changed struct{ Changed int }
	c.want(200, "POST", ws+"/monitors:disable", `{"names":["deals","more"]}`).json(t, &changed)
	if changed.Changed != 2 || list("?enabled=false") != "deals@cards more@cards " {
		t.Errorf("%+v %q", changed, list("?enabled=false"))
	}
	c.fails(404, "not_found", "POST", ws+"/monitors:enable", `{"names":["deals","gone"]}`)
	c.fails(422, "invalid", "POST", ws+"/monitors:enable", `{"names":["deals","Deals"]}`)
	c.want(200, "POST", ws+"/monitors:enable", `{"names":["deals","trades"]}`).json(t, &changed)
	if changed.Changed != 1 || list("?enabled=false") != "more@cards " {
		t.Errorf("%+v %q", changed, list("?enabled=false"))
	}
	viewer := c.makeToken("default", "viewer")
	viewer.want(200, "GET", ws+"/folders", nil)
	viewer.fails(403, "forbidden", "POST", ws+"/monitors:move", `{"names":["deals"],"folder":"/"}`)

	// Export knows the folders, and applies anywhere.
	var export struct{ Items []any }
	c.want(200, "GET", ws+"/resources:export", nil).json(t, &export)
	c.want(201, "POST", "/api/v1/workspaces", `{"name":"other","title":"Other"}`)
	c.want(200, "POST", "/api/v1/workspaces/other/resources:apply", map[string]any{"items": export.Items})
	c.want(200, "GET", "/api/v1/workspaces/other/folders:tree", nil).json(t, &tree)
	if len(tree.Items) != 2 || tree.Items[0].MonitorsAll != 4 || tree.Unfiled != 0 {
		t.Errorf("%+v", tree)
	}
}
