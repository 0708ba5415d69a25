package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

const (
	ws          = "/api/v1/workspaces/default"
	monitorBody = `{"name":"trades","spec":{"title":"Trades","type":"minute_multi","paths":["/var/log/trade*.log"],"time":{"format":"normal"},
		"columns":[{"name":"city","split":{"delimiter":",","index":2}},{"name":"ms","split":{"delimiter":",","index":3}}],
		"group_by":["city"],"statistics":[{"kind":"count"},{"kind":"avg","column":"ms","unit":"ms"}]}}`
)

type monitor struct {
	ID, Name string
	Version  int64
	Spec     map[string]any
	Status   struct {
		AgentsExpected int `json:"agents_expected"`
		AgentsActive   int `json:"agents_active"`
		Errors         []struct{ Host, Error string }
		LastWindowMs   *int64 `json:"last_window_ms"`
		Completeness   *float64
		Unknown        string
	}
}

func TestMonitorsOverHTTP(t *testing.T) {
	i := start(t)
	c := i.admin()
	var m monitor
	c.want(201, "POST", ws+"/monitors", monitorBody).json(t, &m)
	if m.Version != 1 || m.Spec["app"] != "default" {
		t.Errorf("%+v", m)
	}
	c.fails(409, "name_taken", "POST", ws+"/monitors", monitorBody)
	update := strings.Replace(monitorBody, `"name":"trades",`, `"version":1,`, 1)
	c.want(200, "PUT", ws+"/monitors/trades", strings.Replace(update, "Trades", "All trades", 1)).json(t, &m)
	if m.Version != 2 || m.Spec["title"] != "All trades" {
		t.Errorf("%+v", m)
	}
	c.fails(409, "version_conflict", "PUT", ws+"/monitors/trades", update)
	if f := c.fails(422, "invalid", "PUT", ws+"/monitors/trades", strings.Replace(monitorBody, "trades", "deals", 1)); len(f.Details) != 2 {
		t.Errorf("want version and name, got %+v", f.Details)
	}
	c.want(200, "POST", ws+"/monitors/trades:disable", nil).json(t, &m)
	if m.Version != 3 || m.Spec["disabled"] != true {
		t.Errorf("%+v", m)
	}
	var page struct {
		Items []monitor
		Total int
	}
	for query, want := range map[string]int{"": 1, "?enabled=true": 0, "?enabled=false": 1, "?type=minute": 0, "?q=ALL": 1, "?q=nothing": 0, "?sort=-title&page=2": 0} {
		page.Items = nil
		c.want(200, "GET", ws+"/monitors"+query, nil).json(t, &page)
		if len(page.Items) != want {
			t.Errorf("%s: %d items, want %d", query, len(page.Items), want)
		}
	}
	for query, code := range map[string]string{"?colour=red": "unknown_parameter", "?sort=colour": "bad_sort", "?page_size=101": "bad_value", "?page=0": "bad_value"} {
		if f := c.fails(422, "invalid", "GET", ws+"/monitors"+query, nil); f.Details[0].Code != code {
			t.Errorf("%s: %+v", query, f.Details)
		}
	}
	c.want(200, "POST", ws+"/monitors/trades:enable", nil)
	c.want(201, "POST", ws+"/monitors/trades:copy", `{"name":"deals","title":"Deals"}`).json(t, &m)
	if m.Name != "deals" || m.Spec["title"] != "Deals" || m.Version != 1 {
		t.Errorf("%+v", m)
	}
	c.want(204, "DELETE", ws+"/monitors/deals?version=1", nil)
	c.fails(404, "not_found", "GET", ws+"/monitors/deals", nil)
	c.fails(404, "not_found", "POST", ws+"/monitors/deals:enable", nil)
	c.fails(404, "route_not_found", "POST", ws+"/monitors/trades:explode", nil)
	c.fails(405, "method_not_allowed", "PATCH", ws+"/monitors/trades", "{}")
}

func TestBadInputNamesEveryFieldInTheCallersLanguage(t *testing.T) {
	i := start(t)
	c := i.admin()
	bad := `{"name":"Bad Name","colour":1,"spec":{"title":"","type":"minute","paths":["var/log"],"time":{"format":"normal"},"group_by":["x"]}}`
	f := c.fails(422, "invalid", "POST", ws+"/monitors", bad)
	if len(f.Details) != 1 || f.Details[0].Field != "colour" {
		t.Errorf("%+v", f.Details)
	}
	f = c.fails(422, "invalid", "POST", ws+"/monitors", strings.Replace(bad, `"colour":1,`, "", 1), "Accept-Language", "zh-CN,zh;q=0.9")
	got := map[string]bool{}
	for _, d := range f.Details {
		got[d.Field+" "+d.Code] = true
	}
	for _, want := range []string{"metadata.name bad_name", "spec.title bad_title", "spec.paths[0] bad_path", "spec.group_by group_not_allowed", "spec.group_by[0] bad_column"} {
		if !got[want] {
			t.Errorf("%q is missing in %v", want, got)
		}
	}
	if !strings.Contains(f.Message, "字段") {
		t.Errorf("message %q is not Chinese", f.Message)
	}
	c.want(204, "POST", ws+"/monitors:validate", monitorBody)
	c.fails(422, "invalid", "POST", ws+"/monitors:validate", strings.Replace(monitorBody, "minute_multi", "hourly", 1))
	c.want(404, "GET", ws+"/monitors/trades", nil)
	c.fails(400, "bad_request", "POST", ws+"/monitors", "{not json")
	c.want(204, "POST", ws+"/monitors:validate", monitorBody, "Content-Type", "application/x-www-form-urlencoded") // as curl -d does
	c.fails(413, "too_large", "POST", ws+"/monitors", `{"spec":"`+strings.Repeat("x", 1<<20)+`"}`)
}

func TestIdempotencyKeyRepeatsTheAnswer(t *testing.T) {
	i := start(t)
	c := i.admin()
	first := c.want(201, "POST", ws+"/monitors", monitorBody, "Idempotency-Key", "k1")
	again := c.want(201, "POST", ws+"/monitors", monitorBody, "Idempotency-Key", "k1")
	if string(first.body) != string(again.body) || again.header.Get("Idempotent-Replay") != "true" || again.header.Get("Content-Type") != first.header.Get("Content-Type") {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	c.fails(422, "invalid", "POST", ws+"/monitors", strings.Replace(monitorBody, "trades", "deals", 1), "Idempotency-Key", "k1")
	// Another caller's key is another key; a refusal is kept, too.
	c.makeToken("default", "editor").fails(409, "name_taken", "POST", ws+"/monitors", monitorBody, "Idempotency-Key", "k1")
	token := map[string]string{"name": "t", "workspace": "default", "role": "viewer"}
	one := c.want(201, "POST", "/api/v1/tokens", token, "Idempotency-Key", "k2")
	two := c.want(201, "POST", "/api/v1/tokens", token, "Idempotency-Key", "k2")
	if string(one.body) != string(two.body) {
		t.Error("a second token was made")
	}
}

func TestMonitorStatusComesFromRegisterAndCompute(t *testing.T) {
	i := start(t)
	c := i.admin()
	var m monitor
	c.want(201, "POST", ws+"/monitors", monitorBody).json(t, &m)
	task := func(revision uint64, err string) *pharosv1.AgentHeartbeat {
		return &pharosv1.AgentHeartbeat{Tasks: []*pharosv1.TaskStatus{{MonitorId: m.ID, DefinitionRevision: revision, Error: err,
			Files:      []*pharosv1.FileStatus{{Path: "/var/log/trade1.log", SizeBytes: 10, ReadBytes: 8}},
			BadSamples: []*pharosv1.BadLine{{Reason: "time", Text: "garbage"}}}}}
	}
	i.register.set(func(f *fakeRegister) {
		f.agents = []*pharosv1.AgentState{
			{AgentId: "a1", Connected: true, Heartbeat: task(1, ""), Host: &pharosv1.HostInfo{Hostname: "h1"}},
			{AgentId: "a2", Connected: true, Heartbeat: task(1, "cannot open"), Host: &pharosv1.HostInfo{Hostname: "h2"}},
			{AgentId: "a3", Connected: false, Heartbeat: task(1, "")},
		}
	})
	i.query.set(func(f *fakeQuery) {
		f.windows = &pharosv1.MonitorWindowsResponse{ExpectedAgents: 3, MissingAgents: []string{"a3"}, SettledUntilMs: 120000, Windows: []*pharosv1.WindowState{
			{WindowStartMs: 60000, WindowMs: 60000, Settled: true, Completeness: 0.5, Lines: 7}, {WindowStartMs: 120000, WindowMs: 60000, Completeness: 0.1}}}
	})
	c.want(200, "GET", ws+"/monitors/trades", nil).json(t, &m)
	s := m.Status
	if s.AgentsExpected != 3 || s.AgentsActive != 1 || len(s.Errors) != 1 || s.Errors[0].Host != "h2" || *s.LastWindowMs != 60000 || *s.Completeness != 0.5 {
		t.Errorf("%+v", s)
	}
	var windows struct {
		Windows       []struct{ Lines int }
		MissingAgents []string `json:"missing_agents"`
	}
	c.want(200, "GET", ws+"/monitors/trades/windows?start=0&end=180000", nil).json(t, &windows)
	if len(windows.Windows) != 2 || windows.Windows[0].Lines != 7 || windows.MissingAgents[0] != "a3" {
		t.Errorf("%+v", windows)
	}
	c.fails(422, "invalid", "GET", ws+"/monitors/trades/windows?start=5&end=5", nil)
	type agents struct {
		Items []struct {
			AgentID    string `json:"agent_id"`
			Active     bool
			Files      []struct{ Path string }
			BadSamples []struct{ Text string } `json:"bad_samples"`
		}
	}
	var a agents
	c.want(200, "GET", ws+"/monitors/trades/agents", nil).json(t, &a)
	if len(a.Items) != 3 || !a.Items[0].Active || a.Items[1].Active || a.Items[2].Active || a.Items[0].BadSamples[0].Text != "garbage" {
		t.Errorf("%+v", a)
	}
	var seen agents
	c.makeToken("default", "viewer").want(200, "GET", ws+"/monitors/trades/agents", nil).json(t, &seen)
	if len(seen.Items[0].BadSamples) != 0 {
		t.Error("a viewer sees lines of the log")
	}
	// The definitions are shown also when register is away.
	i.register.set(func(f *fakeRegister) { f.down = true })
	c.want(200, "GET", ws+"/monitors/trades", nil).json(t, &m)
	if m.Status.Unknown == "" {
		t.Error("the status does not say that register is away")
	}
	c.fails(503, "unavailable", "GET", "/api/v1/agents", nil)
}

func vector(rows ...any) *pharosv1.QueryResponse {
	r := &pharosv1.QueryResponse{Type: pharosv1.ResultType_RESULT_TYPE_VECTOR}
	for i := 0; i+1 < len(rows); i += 2 {
		labels := map[string]string{}
		if city := rows[i].(string); city != "" {
			labels["city"] = city
		}
		r.Series = append(r.Series, &pharosv1.QuerySeries{Labels: labels, TimesMs: []int64{1}, Values: []float64{rows[i+1].(float64)}})
	}
	return r
}

func TestKeysTable(t *testing.T) {
	i := start(t)
	c := i.admin()
	c.want(201, "POST", ws+"/monitors", monitorBody)
	i.query.set(func(f *fakeQuery) {
		f.results = map[string]*pharosv1.QueryResponse{
			"sum by (city) (sum_over_time(trades:count[3600000ms]))":                                                                                 vector("Hangzhou", 5.0, "Beijing", 7.0),
			"sum by () (sum_over_time(trades:count:total[3600000ms]))":                                                                               vector("", 20.0),
			"sum by (city) (sum_over_time(trades:avg_ms_sum[3600000ms])) / (sum by (city) (sum_over_time(trades:avg_ms_count[3600000ms])) != 0)":     vector("Hangzhou", 12.5, "Beijing", math.NaN()),
			"sum by () (sum_over_time(trades:avg_ms_sum:total[3600000ms])) / (sum by () (sum_over_time(trades:avg_ms_count:total[3600000ms])) != 0)": vector("", 11.0),
		}
	})
	var table struct {
		TotalRow struct {
			Key     []string
			Figures []*float64
		} `json:"total_row"`
		Items []struct {
			Key     []string
			Figures []*float64
		}
		Total int
	}
	c.want(200, "GET", ws+"/monitors/trades/keys?start=1000&end=3601000", nil).json(t, &table)
	if table.Total != 2 || table.Items[0].Key[0] != "Beijing" || table.Items[0].Figures[1] != nil || *table.Items[1].Figures[1] != 12.5 ||
		table.TotalRow.Key[0] != "__total__" || *table.TotalRow.Figures[0] != 20 || *table.TotalRow.Figures[1] != 11 {
		t.Errorf("%+v", table)
	}
	// Windows that begin in [start, end): the moment of the question is one millisecond before the end.
	if i.query.last.GetStartMs() != 3600999 || i.query.last.GetScope().GetWorkspace() != "default" {
		t.Errorf("%v", i.query.last)
	}
	c.want(200, "GET", ws+"/monitors/trades/keys?start=1000&end=3601000&sort=key&q=hang", nil).json(t, &table)
	if table.Total != 1 || table.Items[0].Key[0] != "Hangzhou" {
		t.Errorf("%+v", table)
	}
}

func TestTranslationsConvert(t *testing.T) {
	i := start(t)
	c := i.admin()
	var forms struct {
		Script      string
		Translation struct {
			Entries []struct{ Match, Value, To string }
			Default string
		}
	}
	c.want(200, "POST", ws+"/translations:convert", `{"script":"200 => Y\n// the rest\n* => N"}`).json(t, &forms)
	if forms.Script != "200 => Y\n* => N\n" || len(forms.Translation.Entries) != 1 || forms.Translation.Entries[0].Match != "exact" || forms.Translation.Default != "constant" {
		t.Errorf("%+v", forms)
	}
	c.want(200, "POST", ws+"/translations:convert", `{"entries":[{"match":"regex","value":"^5","to":"bad"}],"default":"drop_line"}`).json(t, &forms)
	if forms.Script != "^5 ~> bad\n* => !drop_line\n" {
		t.Errorf("%+v", forms)
	}
	if f := c.fails(422, "invalid", "POST", ws+"/translations:convert", `{"script":"200 Y"}`); f.Details[0].Field != "translation.script" {
		t.Errorf("%+v", f)
	}
}

func TestTasksOnAgents(t *testing.T) {
	i := start(t)
	c := i.admin()
	c.fails(409, "agent_offline", "POST", ws+"/log_files:browse", `{"path":"/var/log"}`)
	i.register.set(func(f *fakeRegister) {
		f.task = func(r *pharosv1.RunTaskRequest, send func(*pharosv1.TaskEvent) error, ctx context.Context) error {
			switch k := r.GetTask().GetKind().(type) {
			case *pharosv1.AgentTask_Browse:
				if k.Browse.GetPath() == "/root" {
					return send(&pharosv1.TaskEvent{Done: true, ErrorCode: "path_forbidden", Error: "/root is outside of the roots"})
				}
				return send(&pharosv1.TaskEvent{Done: true, Result: &pharosv1.TaskEvent_Browse{Browse: &pharosv1.BrowseResult{Path: k.Browse.GetPath(),
					Entries: []*pharosv1.FileEntry{{Name: "a.log", Size: 3, Readable: true}}}}})
			case *pharosv1.AgentTask_Preview:
				if k.Preview.GetPath() == "/var/log/access.log" {
					return send(&pharosv1.TaskEvent{Done: true, Result: &pharosv1.TaskEvent_Preview{Preview: &pharosv1.PreviewResult{
						Lines: []string{`10.0.0.1 - - [08/May/2017:01:13:52 +0800] "GET / HTTP/1.1" 200`}, Delimiter: " "}}})
				}
				return send(&pharosv1.TaskEvent{Done: true, Result: &pharosv1.TaskEvent_Preview{Preview: &pharosv1.PreviewResult{Path: k.Preview.GetPath(),
					Lines: []string{fmt.Sprint(k.Preview.GetLines())}, TimeFormat: "normal", Delimiter: ","}}})
			case *pharosv1.AgentTask_DryRun:
				var spec map[string]any
				if err := json.Unmarshal(k.DryRun.GetSpecJson(), &spec); err != nil {
					return err
				}
				return send(&pharosv1.TaskEvent{Done: true, Result: &pharosv1.TaskEvent_DryRun{DryRun: &pharosv1.DryRunResult{Path: spec["app"].(string),
					Lines:  []*pharosv1.DryRunLine{{Text: k.DryRun.GetLines()[0], Outcome: "matched"}},
					Totals: []*pharosv1.DryRunTotal{{Key: []string{"x"}, Figures: []float64{1, math.NaN()}}}, Counters: &pharosv1.LineCounters{Read: 1}}}})
			case *pharosv1.AgentTask_Tail:
				for _, line := range []string{"one", "two"} {
					if err := send(&pharosv1.TaskEvent{Result: &pharosv1.TaskEvent_Tail{Tail: &pharosv1.TailLines{Lines: []string{line}}}}); err != nil {
						return err
					}
				}
				if k.Tail.GetContains() == "fail" {
					return send(&pharosv1.TaskEvent{Done: true, ErrorCode: "file_gone", Error: "the file is gone"})
				}
				<-ctx.Done() // a tail runs until the caller goes
				return ctx.Err()
			}
			return fmt.Errorf("unexpected task %v", r)
		}
	})
	if a := c.want(200, "POST", ws+"/log_files:browse", `{"path":"/var/log"}`); !strings.Contains(string(a.body), `"agent_id":"agent-1"`) || !strings.Contains(string(a.body), "a.log") {
		t.Errorf("%s", a.body)
	}
	c.fails(422, "path_forbidden", "POST", ws+"/log_files:browse", `{"path":"/root"}`)
	if a := c.want(200, "POST", ws+"/log_files:preview", `{"path":"/var/log/a.log"}`); !strings.Contains(string(a.body), `"lines":["50"]`) {
		t.Errorf("%s", a.body)
	}
	if a := c.want(200, "POST", ws+"/log_files:preview", `{"path":"/var/log/access.log"}`); !strings.Contains(string(a.body), `"time_format":"apache","time_between":{"left":"[","left_index":1,"right":"]"}`) {
		t.Errorf("the time within brackets: %s", a.body)
	}
	spec := monitorBody[strings.Index(monitorBody, `"spec"`):]
	a := c.want(200, "POST", ws+"/monitors:debug", `{"lines":["a,b,c"],`+spec)
	if !strings.Contains(string(a.body), `"figures":[1,null]`) || !strings.Contains(string(a.body), `"path":"default"`) {
		t.Errorf("%s", a.body)
	}
	f := c.fails(422, "invalid", "POST", ws+"/monitors:debug", `{"lines":["x"],`+strings.Replace(spec, `"kind":"avg"`, `"kind":"median"`, 1))
	if f.Details[0].Field != "spec.statistics[1].kind" {
		t.Errorf("%+v", f.Details)
	}

	a = c.want(200, "GET", ws+"/log_files:tail?path=/var/log/a.log&contains=fail", nil)
	if want := "event: lines\ndata: {\"lines\":[\"one\"],\"skipped\":0}\n\nevent: lines\ndata: {\"lines\":[\"two\"],\"skipped\":0}\n\nevent: error\n"; !strings.Contains(string(a.body), want) ||
		!strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream") {
		t.Errorf("%s %s", a.header.Get("Content-Type"), a.body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", c.url+ws+"/log_files:tail?path=/var/log/a.log", nil)
	req.AddCookie(&http.Cookie{Name: "pharos_session", Value: c.cookie})
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "two") {
	} // the lines are here while the tail goes on
	if lines.Err() != nil {
		t.Error(lines.Err())
	}
}
