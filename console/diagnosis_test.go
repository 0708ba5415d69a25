package console_test

import (
	"context"
	"strings"
	"testing"
	"time"

	pharosv1 "github.com/pharos-stack/pharos/proto/pharos/v1"
)

type check struct {
	Code, State, Cause, Section string
	Values                      map[string]float64
	Evidence                    []struct {
		AgentID          string `json:"agent_id"`
		Host, Path, Text string
		Holds            []string
	}
}

// sick is a monitor on one agent whose parts a test makes ill.
type sick struct {
	agent   *pharosv1.AgentState
	task    *pharosv1.TaskStatus
	file    *pharosv1.FileStatus
	windows *pharosv1.MonitorWindowsResponse
	window  *pharosv1.WindowState
	now     int64
}

// healthy is how everything is when nothing is wrong.
func healthy(monitorID string, version int64, now time.Time) *sick {
	ms := now.UnixMilli()
	s := &sick{now: ms}
	s.file = &pharosv1.FileStatus{Path: "/var/log/trade1.log", SizeBytes: 10, ReadBytes: 10, ModifiedMs: ms - 1000}
	s.task = &pharosv1.TaskStatus{MonitorId: monitorID, DefinitionRevision: uint64(version), Files: []*pharosv1.FileStatus{s.file}, Lines: &pharosv1.LineCounters{Read: 7}}
	s.agent = &pharosv1.AgentState{AgentId: "a1", Connected: true, Host: &pharosv1.HostInfo{Hostname: "h1", Ip: "10.0.0.1"},
		Heartbeat: &pharosv1.AgentHeartbeat{Tasks: []*pharosv1.TaskStatus{s.task}}}
	s.window = &pharosv1.WindowState{WindowStartMs: ms - 90_000, WindowMs: 60_000, Settled: true, Completeness: 1, Lines: 100}
	s.windows = &pharosv1.MonitorWindowsResponse{ExpectedAgents: 1, Keys: 3, KeyLimit: 1000, Windows: []*pharosv1.WindowState{s.window}}
	return s
}

func TestDiagnosis(t *testing.T) {
	i := start(t)
	c := i.admin()
	var m monitor
	c.want(201, "POST", ws+"/monitors", monitorBody).json(t, &m)
	i.pass(time.Hour) // the definition is not new any more
	ask := func(caller *client, s *sick) map[string]check {
		t.Helper()
		i.register.set(func(f *fakeRegister) {
			f.agents = nil
			if s.agent != nil {
				f.agents = []*pharosv1.AgentState{s.agent}
			}
		})
		i.query.set(func(f *fakeQuery) { f.windows = s.windows })
		var d struct{ Checks []check }
		caller.want(200, "GET", ws+"/monitors/trades/diagnosis", nil).json(t, &d)
		byCode := map[string]check{}
		for _, check := range d.Checks {
			byCode[check.Code] = check
		}
		return byCode
	}
	for code, check := range ask(c, healthy(m.ID, m.Version, i.clock())) {
		if check.State != "ok" {
			t.Errorf("all is well, but %s says %+v", code, check)
		}
	}
	sample := func(reason string) func(*sick) {
		return func(s *sick) {
			s.task.BadSamples = []*pharosv1.BadLine{{Path: "/var/log/trade1.log", Reason: reason, Text: "garbage", ReadMs: s.now - 1000}}
		}
	}
	for name, test := range map[string]struct {
		ill  func(*sick)
		want string // code state cause evidence
	}{
		"nobody there":          {func(s *sick) { s.agent = nil }, "scope problem no_agents"},
		"nothing to ask":        {func(s *sick) { s.agent = nil }, "files unknown no_agent"},
		"agent away":            {func(s *sick) { s.agent.Connected, s.agent.Reason = false, "not heard of for 1m" }, "agents problem offline h1 not heard of for 1m"},
		"old definition":        {func(s *sick) { s.task.DefinitionRevision = 0 }, "revision problem revision_old h1"},
		"rule not taken":        {func(s *sick) { s.task.Error, s.task.Lines = "no such zone", nil }, "revision problem rule_refused h1 no such zone"},
		"clock":                 {func(s *sick) { s.agent.ClockOffsetMs = -3500 }, "clock problem clock_offset h1"},
		"no file":               {func(s *sick) { s.task.Files = nil }, "files problem no_match /var/log/trade*.log h1 /var/log no healthy agent is connected"},
		"no file, not readable": {func(s *sick) { s.task.Files = nil }, "readable unknown no_file"},
		"another file":          {func(s *sick) { s.file.Path = "/var/log/deals.log" }, "files problem no_match /var/log/trade*.log h1 /var/log no healthy agent is connected"},
		"denied":                {func(s *sick) { s.file.Error, s.file.Problem = "permission denied", "denied" }, "readable problem denied h1 /var/log/trade1.log permission denied"},
		"old agent, any error":  {func(s *sick) { s.file.Error = "is a directory" }, "readable problem unreadable h1 /var/log/trade1.log is a directory"},
		"link":                  {func(s *sick) { s.file.Error, s.file.Problem = "is a link", "link_undeclared" }, "links problem link_undeclared h1 /var/log/trade1.log is a link"},
		"not known through it":  {func(s *sick) { s.file.Error, s.file.Problem = "is a link", "link_undeclared" }, "readable unknown behind_links"},
		"two links":             {func(s *sick) { s.file.Error, s.file.Problem = "again a link", "link_levels" }, "links problem link_levels h1 /var/log/trade1.log again a link"},
		"quiet": {func(s *sick) { s.file.ModifiedMs, s.windows.Windows = s.now-3_600_000, nil },
			"growth warning quiet h1 /var/log/trade1.log"},
		"behind":        {func(s *sick) { s.file.SizeBytes = 1 << 30 }, "growth warning behind h1 /var/log/trade1.log"},
		"garbled":       {sample("encoding"), "encoding warning undecodable h1 /var/log/trade1.log garbage"},
		"no time":       {func(s *sick) { sample("time")(s); s.window.Lines, s.window.LinesBad = 0, 9 }, "time problem time_unread h1 /var/log/trade1.log garbage"},
		"some no time":  {func(s *sick) { s.window.LinesBad = 1 }, "time warning time_unread"},
		"nothing more":  {func(s *sick) { s.window.Lines, s.window.LinesBad = 0, 9 }, "columns unknown no_usable_lines"},
		"tomorrow":      {func(s *sick) { s.window.LinesLate = 200 }, "lateness problem time_far_off"},
		"columns":       {func(s *sick) { sample("column")(s); s.window.LinesUnmatched = 300 }, "columns problem columns_missing h1 /var/log/trade1.log garbage"},
		"filters":       {func(s *sick) { s.window.Lines, s.window.LinesFiltered = 0, 5 }, "filters problem all_filtered"},
		"some filtered": {func(s *sick) { s.window.LinesFiltered = 5 }, "filters ok some_filtered"},
		"numbers":       {func(s *sick) { sample("number")(s); s.window.BadNumbers = 90 }, "numbers problem not_numbers h1 /var/log/trade1.log garbage"},
		"keys":          {func(s *sick) { s.window.KeysDropped = 2 }, "keys problem keys_overflow"},
		"many keys":     {func(s *sick) { s.windows.Keys = 950 }, "keys warning keys_near_limit"},
		"flow":          {func(s *sick) { s.window.ThrottledBytes = 2000 }, "flow problem throttled"},
		"lost":          {func(s *sick) { s.window.LostBytes = 10 }, "losses problem bytes_lost"},
		"given up":      {func(s *sick) { s.agent.Heartbeat.Load = &pharosv1.AgentLoad{DroppedWindows: 1} }, "losses warning windows_given_up h1"},
		"half":          {func(s *sick) { s.window.Completeness, s.windows.MissingAgents = 0.5, []string{"a1"} }, "completeness problem incomplete h1"},
		"no window":     {func(s *sick) { s.windows.Windows = nil }, "completeness problem no_window"},
		"stopped":       {func(s *sick) { s.window.WindowStartMs -= 600_000 }, "completeness warning windows_stopped"},
	} {
		s := healthy(m.ID, m.Version, i.clock())
		test.ill(s)
		code, _, _ := strings.Cut(test.want, " ")
		got := ask(c, s)[code]
		said := []string{got.Code, got.State, got.Cause}
		for _, e := range got.Evidence {
			said = append(said, e.Host, e.Path, e.Text)
		}
		if text := strings.Join(strings.Fields(strings.Join(said, " ")), " "); text != test.want {
			t.Errorf("%s: got %q, want %q", name, text, test.want)
		}
		sections := map[string]string{"scope": "advanced", "files": "files", "time": "time", "columns": "columns", "filters": "filters", "keys": "advanced"}
		if want, ok := sections[code]; ok && (got.State == "problem" || got.State == "warning") != (got.Section == want) {
			t.Errorf("%s: section %q of state %s", name, got.Section, got.State)
		}
	}
	// Where nothing matches, an agent tells what is there.
	i.register.set(func(f *fakeRegister) {
		f.task = func(r *pharosv1.RunTaskRequest, send func(*pharosv1.TaskEvent) error, _ context.Context) error {
			if r.GetTask().GetBrowse().GetPath() != "/var/log" || r.GetAgentId() != "a1" {
				return send(&pharosv1.TaskEvent{Done: true, ErrorCode: "failed", Error: "asked for another place"})
			}
			return send(&pharosv1.TaskEvent{Done: true, Result: &pharosv1.TaskEvent_Browse{Browse: &pharosv1.BrowseResult{Entries: []*pharosv1.FileEntry{
				{Name: "old.log", MtimeMs: 1}, {Name: "Trade1.log", MtimeMs: 5}, {Name: "nginx", Dir: true, MtimeMs: 3}}}}})
		}
	})
	lost := healthy(m.ID, m.Version, i.clock())
	lost.task.Files = nil
	if f := ask(c, lost)["files"]; len(f.Evidence) != 2 || strings.Join(f.Evidence[1].Holds, " ") != "Trade1.log nginx/ old.log" || f.Values["n"] != 1 {
		t.Errorf("%+v", f)
	}
	if f := ask(c.makeToken("default", "viewer"), lost)["files"]; len(f.Evidence) != 1 {
		t.Errorf("a viewer sees a directory: %+v", f)
	}
	// A viewer sees the problem and the file, not the lines.
	s := healthy(m.ID, m.Version, i.clock())
	sample("time")(s)
	s.window.LinesBad = 1
	if e := ask(c.makeToken("default", "viewer"), s)["time"].Evidence; len(e) != 1 || e[0].Text != "" || e[0].Path == "" {
		t.Errorf("a viewer sees %+v", e)
	}
	// What can't be asked is unknown, the rest is answered.
	i.register.set(func(f *fakeRegister) { f.down = true })
	if got := ask(c, s); got["scope"].State != "unknown" || got["scope"].Cause != "register_away" || got["completeness"].State != "ok" {
		t.Errorf("%+v", got)
	}
	i.register.set(func(f *fakeRegister) { f.down = false })

	c.want(201, "POST", ws+"/alarm_rules", `{"name":"few","spec":{"title":"Few","conditions":[{"monitor":"trades","op":"lt","threshold":5}]}}`)
	if got := ask(c, healthy(m.ID, m.Version, i.clock()))["alarms"]; got.Cause != "rules_without_channel" || got.State != "warning" {
		t.Errorf("%+v", got)
	}
	c.want(200, "POST", ws+"/monitors/trades:disable", nil)
	if got := ask(c, healthy(m.ID, m.Version, i.clock()))["enabled"]; got.Cause != "disabled" {
		t.Errorf("%+v", got)
	}
	c.fails(404, "not_found", "GET", ws+"/monitors/nobody/diagnosis", nil)
}
