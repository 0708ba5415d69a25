package console_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

type imported struct {
	Items []struct {
		Kind, Name, As, Outcome string
		Changes                 []string
		PendingApp              string `json:"pending_app"`
	}
	MissingChannels []string `json:"missing_channels"`
}

func (r imported) String() string {
	var b strings.Builder
	for _, i := range r.Items {
		fmt.Fprintf(&b, "%s %s", i.Name, i.Outcome)
		if i.As != i.Name {
			fmt.Fprintf(&b, " as %s", i.As)
		}
		if len(i.Changes) > 0 {
			fmt.Fprint(&b, " ", i.Changes)
		}
		b.WriteString("; ")
	}
	return b.String()
}

func TestTemplates(t *testing.T) {
	i := start(t)
	c := i.admin()
	i.register.set(func(f *fakeRegister) {
		f.agents = []*pharosv1.AgentState{{AgentId: "a1", Host: &pharosv1.HostInfo{Hostname: "h1", Labels: map[string]string{"app": "shop"}}}}
	})
	c.want(201, "POST", ws+"/folders", `{"name":"pay","spec":{"title":"Payment"}}`)
	c.want(201, "POST", ws+"/folders", `{"name":"cards","spec":{"title":"Cards","parent":"pay"}}`)
	c.want(201, "POST", ws+"/folders", `{"name":"empty","spec":{"title":"Empty"}}`)
	c.want(201, "POST", ws+"/monitors", strings.Replace(monitorBody, `"name":"trades",`, `"name":"trades","folder":"cards",`, 1))
	c.want(201, "POST", ws+"/monitors", strings.NewReplacer(`"name":"trades"`, `"name":"deals"`, `"title":"Trades"`, `"title":"Deals","app":"bank"`).Replace(monitorBody))
	c.want(201, "POST", ws+"/channels", `{"name":"ops","spec":{"title":"Ops","type":"webhook","webhook":{"url":"https://example.com/hook"}}}`)
	c.want(201, "POST", ws+"/alarm_rules", `{"name":"few","spec":{"title":"Few","conditions":[{"monitor":"trades","op":"lt","threshold":5}],"channels":["ops"]}}`)
	c.want(201, "POST", ws+"/alarm_rules", `{"name":"both","spec":{"title":"Both","conditions":[{"monitor":"trades","op":"lt","threshold":5},{"monitor":"deals","op":"lt","threshold":5}]}}`)

	type template struct {
		Items    []map[string]any
		Channels []string
		LeftOut  []string `json:"left_out"`
	}
	names := func(x template) string {
		text := ""
		for _, item := range x.Items {
			text += item["metadata"].(map[string]any)["name"].(string) + " "
		}
		return text
	}
	var one, byFolder template
	first := c.want(200, "POST", ws+"/templates:export", `{"monitors":["trades"]}`)
	first.json(t, &one)
	if names(one) != "cards pay trades few " || len(one.LeftOut) != 1 || one.LeftOut[0] != "both" || one.Channels[0] != "ops" {
		t.Errorf("%s %+v", names(one), one)
	}
	c.want(200, "POST", ws+"/templates:export", `{"folder":"pay","monitors":["deals"]}`).json(t, &byFolder)
	if names(byFolder) != "cards pay deals trades both few " {
		t.Errorf("%s", names(byFolder))
	}
	c.fails(422, "invalid", "POST", ws+"/templates:export", `{"monitors":["gone"]}`)
	c.fails(422, "invalid", "POST", ws+"/templates:export", `{"folder":"gone"}`)

	c.want(201, "POST", "/api/v1/workspaces", `{"name":"other","title":"Other"}`)
	const other = "/api/v1/workspaces/other"
	take := func(where string, status int, body map[string]any) imported {
		t.Helper()
		if body["text"] == nil {
			body["text"] = string(first.body)
		}
		var r imported
		a := c.want(status, "POST", where+"/templates:import", body)
		if status == 200 {
			a.json(t, &r)
		}
		return r
	}
	// The channel is not in the other workspace: refused, unless it may be left out.
	take(other, 422, map[string]any{})
	preview := take(other, 200, map[string]any{"without_missing_channels": true, "dry_run": true})
	if preview.String() != "cards created; pay created; trades created; few created; " || preview.MissingChannels[0] != "ops" {
		t.Errorf("%s %+v", preview, preview)
	}
	c.fails(404, "not_found", "GET", other+"/monitors/trades", nil) // it was a preview
	if r := take(other, 200, map[string]any{"without_missing_channels": true}); r.String() != preview.String() {
		t.Errorf("%s", r)
	}
	// With the channel the rule gets it, and what goes out again is the same to the byte.
	c.want(201, "POST", other+"/channels", `{"name":"ops","spec":{"title":"Ops","type":"webhook","webhook":{"url":"https://example.com/hook"}}}`)
	if r := take(other, 200, map[string]any{"on_conflict": "overwrite"}); r.String() != "cards unchanged; pay unchanged; trades unchanged; few updated [spec.channels]; " {
		t.Errorf("%s", r)
	}
	second := c.want(200, "POST", other+"/templates:export", `{"monitors":["trades"]}`)
	if string(second.body) != strings.Replace(string(first.body), `"left_out":["both"]`, `"left_out":[]`, 1) {
		t.Errorf("out again:\n%s\n%s", first.body, second.body)
	}

	changed := strings.Replace(string(first.body), `"title":"Trades"`, `"title":"All trades"`, 1)
	for way, want := range map[string]string{
		"skip":      "cards skipped; pay skipped; trades skipped; few skipped; ",
		"overwrite": "cards unchanged; pay unchanged; trades updated [spec.title]; few unchanged; ",
		"copy":      "cards skipped; pay skipped; trades created as trades_2; few created as few_2; ",
	} {
		if r := take(ws, 200, map[string]any{"text": changed, "on_conflict": way, "dry_run": true}); r.String() != want {
			t.Errorf("%s: %s", way, r)
		}
	}
	take(ws, 200, map[string]any{"on_conflict": "copy"})
	if r := take(ws, 200, map[string]any{"on_conflict": "copy"}); r.Items[3].As != "few_3" {
		t.Errorf("the second copy: %s", r)
	}
	if a := c.want(200, "GET", ws+"/alarm_rules/few_2", nil); !strings.Contains(string(a.body), `"monitor":"trades_2"`) {
		t.Errorf("the copied rule looks at %s", a.body)
	}
	var m struct{ Folder string }
	if c.want(200, "GET", ws+"/monitors/trades_2", nil).json(t, &m); m.Folder != "cards" {
		t.Errorf("the copy stands in %q", m.Folder)
	}

	// YAML is as good, and an app without agents is told of.
	yaml := "apiVersion: pharos/v1\nkind: LogMonitor\nmetadata: {name: bills}\nspec: {title: Bills, type: minute, app: bank, paths: [/var/log/bills.log], time: {format: normal}}\n"
	if r := take(ws, 200, map[string]any{"text": yaml, "dry_run": true}); r.Items[0].PendingApp != "bank" {
		t.Errorf("%+v", r)
	}
	if r := take(ws, 200, map[string]any{"text": strings.Replace(yaml, "bank", "shop", 1), "dry_run": true}); r.Items[0].PendingApp != "" {
		t.Errorf("%+v", r)
	}
	for name, text := range map[string]string{"no YAML": "[", "nothing": "---\n", "a bad field": strings.Replace(yaml, "title", "titel", 1), "a bad value": strings.Replace(yaml, "/var", "var", 1)} {
		if f := c.fails(422, "invalid", "POST", ws+"/templates:import", map[string]any{"text": text}); len(f.Details) == 0 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	c.makeToken("default", "viewer").fails(403, "forbidden", "POST", ws+"/templates:import", map[string]any{"text": yaml})
}

func TestFavourites(t *testing.T) {
	i := start(t)
	c := i.admin()
	ann := i.user(c, "ann", map[string]string{"default": "viewer"})
	c.want(201, "POST", ws+"/monitors", monitorBody)
	i.register.set(func(f *fakeRegister) {
		f.agents = []*pharosv1.AgentState{{AgentId: "a1", Host: &pharosv1.HostInfo{Hostname: "h1"}}}
	})
	list := func(who *client) string {
		t.Helper()
		var got struct {
			Items []struct {
				Kind, Name, Title string
				Gone              bool
			}
		}
		who.want(200, "GET", ws+"/favourites", nil).json(t, &got)
		text := ""
		for _, f := range got.Items {
			text += fmt.Sprintf("%s %s %q %v; ", f.Kind, f.Name, f.Title, f.Gone)
		}
		return text
	}
	ann.want(204, "PUT", ws+"/favourites/host/h1", nil)
	ann.want(204, "PUT", ws+"/favourites/agent/a1", nil)
	ann.want(204, "PUT", ws+"/favourites/monitor/trades", nil)
	ann.want(204, "PUT", ws+"/favourites/monitor/trades", nil) // twice is once
	const all = `monitor trades "Trades" false; agent a1 "h1" false; host h1 "h1" false; `
	if got := list(ann); got != all {
		t.Errorf("got %s", got)
	}
	if got := list(c); got != "" {
		t.Errorf("somebody else sees %s", got)
	}
	ann.fails(404, "not_found", "PUT", ws+"/favourites/monitor/gone", nil)
	ann.fails(422, "invalid", "PUT", ws+"/favourites/secret/x", nil)
	c.fails(404, "not_found", "GET", "/api/v1/workspaces/nowhere/favourites", nil)
	i.register.set(func(f *fakeRegister) { f.down = true })
	if got := list(ann); got != `monitor trades "Trades" false; agent a1 "a1" false; host h1 "h1" false; ` {
		t.Errorf("while register is away: %s", got)
	}
	ann.fails(503, "unavailable", "PUT", ws+"/favourites/host/h1", nil)
	i.register.set(func(f *fakeRegister) { f.down = false })
	c.want(204, "DELETE", ws+"/monitors/trades", nil)
	ann.want(204, "DELETE", ws+"/favourites/host/h1", nil)
	ann.want(204, "DELETE", ws+"/favourites/host/h1", nil)
	if got := list(ann); got != `monitor trades "trades" true; agent a1 "h1" false; ` {
		t.Errorf("got %s", got)
	}
	// Who is gone leaves nothing behind.
	var users struct {
		Items []struct{ ID, Username string }
	}
	c.want(200, "GET", "/api/v1/users", nil).json(t, &users)
	for _, u := range users.Items {
		if u.Username == "ann" {
			c.want(204, "DELETE", "/api/v1/users/"+u.ID, nil)
		}
	}
	count := func() int64 {
		n, err := i.db.NewSelect().Table("favourites").Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if count() == 0 {
		t.Error("no favourites to remove")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- i.console.Run(ctx) }()
	for count() > 0 && t.Context().Err() == nil {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
