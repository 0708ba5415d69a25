package console_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/pharos-stack/pharos/console"
	"github.com/pharos-stack/pharos/internal/alarmstate"
	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	channelBody = `{"name":"ops","spec":{"title":"Ops","type":"dingtalk","dingtalk":{"url":"https://robot.example/send?access_token=tok123","secret":"SECabc"}}}`
	ruleBody    = `{"name":"few","spec":{"title":"Few trades","conditions":[{"monitor":"trades","op":"lt","threshold":5}],"channels":["ops"]}}`
)

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	want, err := console.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("web/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Error("web/openapi.json is not what the server does; run: go generate ./console")
	}
}

func TestAlarmRulesAndChannels(t *testing.T) {
	i := start(t)
	c := i.admin()
	f := c.fails(422, "invalid", "POST", ws+"/alarm_rules", ruleBody)
	if len(f.Details) != 2 {
		t.Errorf("%+v", f.Details)
	}
	c.want(201, "POST", ws+"/monitors", monitorBody)
	a := c.want(201, "POST", ws+"/channels", channelBody)
	for _, word := range []string{"tok123", "SECabc"} {
		if strings.Contains(string(a.body), word) {
			t.Errorf("the answer holds %s", word)
		}
	}
	if !strings.Contains(string(a.body), `"secrets":["dingtalk.secret","dingtalk.url"]`) {
		t.Errorf("%s", a.body)
	}
	c.want(200, "PUT", ws+"/channels/ops", `{"version":1,"spec":{"title":"Operations","type":"dingtalk","dingtalk":{"url":""}}}`)
	c.want(201, "POST", ws+"/alarm_rules", ruleBody)
	f = c.fails(409, "in_use", "DELETE", ws+"/monitors/trades", nil)
	if len(f.Details) != 1 || f.Details[0].Message != "AlarmRule few" {
		t.Errorf("%+v", f.Details)
	}

	var rule struct {
		ID     string
		Status struct {
			State  string
			Alerts int
		}
	}
	c.want(200, "GET", ws+"/alarm_rules/few", nil).json(t, &rule)
	if rule.Status.State != "unknown" {
		t.Errorf("%+v", rule)
	}
	insert(t, i.db, &alarmstate.Alert{ID: "alt_1", Workspace: "default", RuleID: rule.ID, Rule: "few", Level: "P1", State: "firing", Labels: map[string]string{}, Conditions: []alarmstate.Condition{}},
		&alarmstate.Alert{ID: "alt_2", Workspace: "other", RuleID: "rul_2", Rule: "few", Level: "P0", State: "firing", Labels: map[string]string{}, Conditions: []alarmstate.Condition{}},
		&alarmstate.Event{ID: "evt_1", AlertID: "alt_1", Workspace: "default", Rule: "few", Type: "firing", Level: "P1", TimeMs: 5, Labels: map[string]string{}, Conditions: []alarmstate.Condition{}},
		&alarmstate.Delivery{ID: "dlv_1", EventID: "evt_1", Workspace: "default", Channel: "ops", State: "failed", Error: "refused", More: []string{}})
	c.want(200, "GET", ws+"/alarm_rules/few", nil).json(t, &rule)
	if rule.Status.State != "firing" || rule.Status.Alerts != 1 {
		t.Errorf("%+v", rule)
	}
	for path, want := range map[string]string{
		"/alerts?state=firing&sort=-started_ms": `"total":1`, "/alerts?level=P0": `"total":0`, "/alarm_events?rule=few&start=5&end=5": `"total":1`,
		"/alarm_events?start=6": `"items":[]`, "/deliveries?state=failed": `"error":"refused"`, "/alarm_rules?state=firing&monitor=trades": `"total":1`,
	} {
		if a := c.want(200, "GET", ws+path, nil); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	c.want(201, "POST", ws+"/channels", `{"name":"pd","spec":{"title":"On call","type":"pagerduty","pagerduty":{"routing_key":"0123456789abcdef0123456789abcdef"}}}`)
	insert(t, i.db, &alarmstate.Delivery{ID: "dlv_2", EventID: "evt_1", AlertID: "alt_1", Workspace: "default", Channel: "pd", State: "sent", More: []string{}},
		&alarmstate.Delivery{ID: "dlv_3", EventID: "evt_1", AlertID: "alt_1", Workspace: "default", Channel: "ops", State: "sent", More: []string{}})
	c.want(204, "POST", ws+"/alerts/alt_1:acknowledge", `{"note":"on it"}`)
	// Only who was told of the alert and wants to hear of this is told.
	if a := c.want(200, "GET", ws+"/deliveries?state=queued", nil); !strings.Contains(string(a.body), `"total":1`) || !strings.Contains(string(a.body), `"channel":"pd"`) {
		t.Errorf("%s", a.body)
	}
	if a := c.want(200, "GET", ws+"/alarm_events?type=acknowledged", nil); !strings.Contains(string(a.body), `"total":1`) || !strings.Contains(string(a.body), "on it") {
		t.Errorf("%s", a.body)
	}
	c.want(204, "POST", ws+"/deliveries/dlv_1:again", nil)
	c.fails(404, "not_found", "POST", ws+"/deliveries/dlv_1:again", nil) // it waits already
	c.fails(404, "not_found", "POST", ws+"/deliveries/dlv_2:again", nil)
	if a := c.want(200, "GET", ws+"/deliveries?state=queued&channel=ops", nil); !strings.Contains(string(a.body), `"total":1`) || !strings.Contains(string(a.body), `"attempts":0`) {
		t.Errorf("%s", a.body)
	}
	// A kept key does not follow the channel to another place.
	c.fails(422, "invalid", "PUT", ws+"/channels/pd", `{"version":1,"spec":{"title":"On call","type":"pagerduty","pagerduty":{"url":"https://elsewhere.example/"}}}`)
	c.want(200, "PUT", ws+"/channels/pd", `{"version":1,"spec":{"title":"On call now","type":"pagerduty","pagerduty":{}}}`)
	c.fails(404, "not_found", "POST", ws+"/alerts/alt_2:acknowledge", `{}`)
	if a := c.want(200, "GET", ws+"/alerts", nil); !strings.Contains(string(a.body), `"acknowledged_by":"admin"`) {
		t.Errorf("%s", a.body)
	}
	if a := c.want(200, "GET", "/api/v1/overview?workspace=default", nil); !strings.Contains(string(a.body), `"p1":1`) || !strings.Contains(string(a.body), "disk_error") ||
		!strings.Contains(string(a.body), "server_away") || !strings.Contains(string(a.body), `"lines_per_second":12.5`) {
		t.Errorf("%s", a.body)
	}
	if a := c.want(200, "GET", "/api/v1/audit_log?workspace=default&kind=Channel", nil); !strings.Contains(string(a.body), `"total":4`) || strings.Contains(string(a.body), "tok123") {
		t.Errorf("%s", a.body)
	}
	i.user(c, "editor", map[string]string{"default": "editor"}).fails(403, "forbidden", "GET", "/api/v1/audit_log?workspace=default", nil)
}

func insert(t *testing.T, db *bun.DB, rows ...any) {
	t.Helper()
	for _, r := range rows {
		if _, err := db.NewInsert().Model(r).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTestNoticeWaitsForTheAlarmTier plays the alarm tier, which takes the
// delivery from the outbox.
func TestTestNoticeWaitsForTheAlarmTier(t *testing.T) {
	i := start(t)
	c := i.admin()
	c.want(201, "POST", ws+"/channels", channelBody)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for t.Context().Err() == nil {
			res, err := i.db.NewUpdate().Model((*alarmstate.Delivery)(nil)).Set("state = 'sent', attempts = 1, answer = 'ok'").Where("state = 'queued'").Exec(t.Context())
			if err != nil {
				return
			}
			if n, _ := res.RowsAffected(); n > 0 {
				return
			}
		}
	}()
	a := c.want(200, "POST", ws+"/channels/ops:test", nil)
	<-done
	if !strings.Contains(string(a.body), `"state":"sent"`) || !strings.Contains(string(a.body), `"answer":"ok"`) {
		t.Errorf("%s", a.body)
	}
	c.fails(404, "not_found", "POST", ws+"/channels/none:test", nil)
}

func TestApplyAndExport(t *testing.T) {
	i := start(t)
	c := i.admin().makeToken("default", "editor")
	item := func(kind, body string) string {
		name, spec, _ := strings.Cut(strings.TrimPrefix(body, `{"name":`), `,"spec":`)
		return `{"apiVersion":"pharos/v1","kind":"` + kind + `","metadata":{"name":` + name + `},"spec":` + spec
	}
	all := `{"items":[` + item("AlarmRule", ruleBody) + "," + item("LogMonitor", monitorBody) + "," + item("Channel", channelBody) + `]}`
	for n, want := range []string{"created", "created", "unchanged"} {
		path := ws + "/resources:apply"
		if n == 0 {
			path += "?dry_run=true"
		}
		if a := c.want(200, "POST", path, all); strings.Count(string(a.body), want) != 3 {
			t.Errorf("round %d: %s", n, a.body)
		}
	}
	exported := c.want(200, "GET", ws+"/resources:export", nil)
	if a := c.want(200, "POST", ws+"/resources:apply", string(exported.body)); strings.Count(string(a.body), "unchanged") != 3 {
		t.Errorf("what was exported does not apply unchanged: %s", a.body)
	}
	f := c.fails(422, "invalid", "POST", ws+"/resources:apply", strings.Replace(all, `"group_by"`, `"groupby"`, 1))
	if len(f.Details) != 1 || f.Details[0].Field != "items[1].spec.groupby" {
		t.Errorf("%+v", f.Details)
	}
	if a := i.anonymous().want(200, "GET", "/api/schemas/LogMonitor.json", nil); !strings.Contains(string(a.body), `"$defs"`) || a.header.Get("Content-Type") != "application/schema+json" {
		t.Errorf("%s", a.body)
	}
	i.anonymous().fails(404, "not_found", "GET", "/api/schemas/Nothing.json", nil)
}

func TestJoinTokensAndAgents(t *testing.T) {
	i := start(t)
	c := i.admin()
	a := c.want(201, "POST", "/api/v1/join_tokens", `{"label":"rack 1"}`)
	var made struct{ ID, Secret string }
	a.json(t, &made)
	if made.Secret == "" {
		t.Fatalf("%s", a.body)
	}
	if a := c.want(200, "GET", "/api/v1/join_tokens", nil); strings.Contains(string(a.body), made.Secret) || !strings.Contains(string(a.body), "rack 1") {
		t.Errorf("%s", a.body)
	}
	c.want(204, "DELETE", "/api/v1/join_tokens/"+made.ID, nil)
	c.fails(404, "not_found", "DELETE", "/api/v1/join_tokens/"+made.ID, nil)
	c.fails(404, "not_found", "GET", "/api/v1/agents/none", nil)
	c.fails(404, "not_found", "DELETE", "/api/v1/agents/none", nil)
	if a := c.want(200, "GET", "/api/v1/servers?role=compute", nil); !strings.Contains(string(a.body), `"server_id":"c1"`) || strings.Contains(string(a.body), `"v1"`) {
		t.Errorf("%s", a.body)
	}
}

func TestAgentsShowOnlyTasksOfTheCallersWorkspaces(t *testing.T) {
	i := start(t)
	admin := i.admin()
	admin.want(201, "POST", "/api/v1/workspaces", map[string]string{"name": "other", "title": "Other"})
	tasks := []*pharosv1.TaskStatus{{TaskId: "host", MonitorId: "host"}}
	for _, workspace := range []string{"default", "other"} {
		var m monitor
		admin.want(201, "POST", "/api/v1/workspaces/"+workspace+"/monitors", monitorBody).json(t, &m)
		tasks = append(tasks, &pharosv1.TaskStatus{TaskId: "task-" + workspace, MonitorId: m.ID})
	}
	i.register.set(func(f *fakeRegister) {
		f.agents = []*pharosv1.AgentState{
			{AgentId: "a1", Health: pharosv1.AgentHealth_AGENT_HEALTH_HEALTHY, Connected: true, Labels: map[string]string{"az": "az1"},
				Host: &pharosv1.HostInfo{Hostname: "web-1"}, Heartbeat: &pharosv1.AgentHeartbeat{Tasks: tasks}},
			{AgentId: "a2", Health: pharosv1.AgentHealth_AGENT_HEALTH_CLOCK_SKEW, Reason: "5 s ahead", Host: &pharosv1.HostInfo{Hostname: "db-1"}}}
	})
	ann := i.user(admin, "ann", map[string]string{"default": "viewer"})
	for query, want := range map[string]string{"": `"total":2`, "?az=az1": `"total":1`, "?health=clock_skew": "5 s ahead", "?q=WEB": `"total":1`, "?connected=false": "db-1"} {
		if a := ann.want(200, "GET", "/api/v1/agents"+query, nil); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	a := ann.want(200, "GET", "/api/v1/agents/a1", nil)
	for task, want := range map[string]bool{`"task_id":"host"`: true, "task-default": true, "task-other": false} {
		if strings.Contains(string(a.body), task) != want {
			t.Errorf("%s shown: %v in %s", task, !want, a.body)
		}
	}
	ann.fails(404, "not_found", "GET", "/api/v1/overview?workspace=other", nil)
	if a := ann.want(200, "GET", "/api/v1/overview", nil); !strings.Contains(string(a.body), `"agents":{"total":2,"healthy":1,"abnormal":0,"clock_skew":1,"connected":1}`) {
		t.Errorf("%s", a.body)
	}
}

func TestWebUI(t *testing.T) {
	i := start(t)
	c := i.anonymous()
	for _, page := range []string{"/", "/monitors/trades", "/a/b/c"} {
		a := c.want(200, "GET", page, nil)
		if !strings.Contains(string(a.body), "<title>Pharos") || a.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %v", page, a.header)
		}
	}
	a := c.want(200, "GET", "/assets/app-1a2b3c.js", nil, "Accept-Encoding", "gzip")
	if a.header.Get("Content-Encoding") != "gzip" || !strings.Contains(a.header.Get("Cache-Control"), "immutable") || len(a.body) > 1000 {
		t.Errorf("%v, %d bytes", a.header, len(a.body))
	}
	for _, missing := range []string{"/assets/app-old.js", "/robots.txt", "/assets/"} {
		c.want(404, "GET", missing, nil)
	}
	c.want(204, "GET", "/healthz", nil)
}
