package register

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharos-stack/pharos/internal/enroll"
	"github.com/pharos-stack/pharos/internal/logrule"
	"github.com/pharos-stack/pharos/internal/resource"
)

func spec(change func(*logrule.Spec)) logrule.Spec {
	s := logrule.Spec{Title: "t", Type: logrule.Minute, Paths: []string{"/var/log/x.log"}, Time: logrule.TimeRule{Format: logrule.TimeNormal}}
	if change != nil {
		change(&s)
	}
	return s.WithDefaults()
}

func target(id, ip string, labels map[string]string) Target {
	return Target{ID: id, Host: enroll.Host{Hostname: "host-" + id, IP: ip, Labels: labels}, Expected: true}
}

func TestCompileScope(t *testing.T) {
	agents := []Target{
		target("a", "10.0.0.1", map[string]string{"az": "az1", "cell": "c1", "app": "shop, pay"}),
		target("b", "10.0.0.2", map[string]string{"az": "az1", "cell": "c2", "app": "pay"}),
		target("c", "10.0.0.3", map[string]string{"az": "az2"}),
		target("d", "", nil),
		target("e", "", map[string]string{"env": "gray"}),
		target("f", "", map[string]string{"env": "prod", "az": "az3"}),
	}
	for _, c := range []struct {
		name   string
		change func(*logrule.Spec)
		want   string
	}{
		{"default app", nil, "a b c d f"},
		{"other environments", func(s *logrule.Spec) { s.Scope.Envs = []string{"gray", "pre"} }, "e"},
		{"environments", func(s *logrule.Spec) { s.Scope.Envs = []string{"prod", "gray"}; s.Scope.AZs = []string{"az3"} }, "f"},
		{"app", func(s *logrule.Spec) { s.App = "shop" }, "a"},
		{"app in list", func(s *logrule.Spec) { s.App = "pay" }, "a b"},
		{"unknown app", func(s *logrule.Spec) { s.App = "sho" }, ""},
		{"disabled", func(s *logrule.Spec) { s.Disabled = true }, ""},
		{"azs", func(s *logrule.Spec) { s.Scope.AZs = []string{"az1", "az9"} }, "a b"},
		{"no pattern", func(s *logrule.Spec) { s.Scope.AZs = []string{"az*", ".*"} }, ""},
		{"empty name is nobody", func(s *logrule.Spec) { s.Scope.AZs = []string{""} }, ""},
		{"intersection", func(s *logrule.Spec) { s.Scope.AZs, s.Scope.Cells = []string{"az1"}, []string{"c2"} }, "b"},
		{"host name or ip", func(s *logrule.Spec) { s.Scope.Instances = []string{"host-c", "10.0.0.1"} }, "a c"},
		{"all three", func(s *logrule.Spec) {
			s.Scope = logrule.Scope{AZs: []string{"az1"}, Cells: []string{"c1"}, Instances: []string{"10.0.0.2"}}
		}, ""},
	} {
		p, err := Compile([]Monitor{{ID: "m1", Key: "k", Revision: 3, Spec: spec(c.change)}}, agents, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, id := range slices.Sorted(maps.Keys(p.Tasks)) {
			tasks := p.Tasks[id]
			if tasks[0].GetHost().GetIntervalMs() != 10_000 {
				t.Errorf("%s: agent %s has no host task", c.name, id)
			}
			if len(tasks) == 2 && tasks[1].GetMonitorId() == "m1" && tasks[1].GetDefinitionRevision() == 3 {
				got = append(got, id)
			}
		}
		if strings.Join(got, " ") != c.want || strings.Join(p.Monitors[0].GetAgentIds(), " ") != c.want {
			t.Errorf("%s: tasks for %v, expected agents %v, want %q", c.name, got, p.Monitors[0].GetAgentIds(), c.want)
		}
	}
}

func TestCompileSpecFlowAndHashes(t *testing.T) {
	limited := Monitor{ID: "m1", Key: "trade", Workspace: "w", Revision: 1, Spec: spec(func(s *logrule.Spec) { s.FlowLimitKBMin = 900 })}
	agents := []Target{target("a", "", nil), target("b", "", nil), target("c", "", nil), target("gone", "", nil)}
	agents[3].Expected = false
	p, err := Compile([]Monitor{limited}, agents, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	task := p.Tasks["a"][1]
	if task.GetLog().GetFlowLimitBytesMin() != 300_000 {
		t.Fatalf("share %d of 900 KB over three agents", task.GetLog().GetFlowLimitBytesMin())
	}
	if task.GetTaskId() != logrule.TaskID("m1", limited.Spec) || p.Monitors[0].GetTaskId() != task.GetTaskId() {
		t.Fatal("task ids differ")
	}
	var back logrule.Spec
	if err := json.Unmarshal(task.GetLog().GetSpecJson(), &back); err != nil || back.KeyLimit != logrule.DefaultKeyLimit || back.App != "default" {
		t.Fatal("the plan's spec lacks defaults", err)
	}
	if m := p.Monitors[0]; m.GetKey() != "trade" || m.GetWorkspace() != "w" || strings.Join(m.GetAgentIds(), " ") != "a b c" {
		t.Fatal(m)
	}

	hash := func(monitors []Monitor, agents []Target) any {
		p, err := Compile(monitors, agents, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return p.Hashes["a"]
	}
	other := Monitor{ID: "m2", Key: "x", Revision: 1, Spec: spec(func(s *logrule.Spec) { s.Scope.Instances = []string{"host-b"} })}
	base := hash([]Monitor{limited}, agents)
	if hash([]Monitor{other, limited}, []Target{agents[3], agents[2], agents[0], agents[1]}) != base {
		t.Error("the plan differs by order or by another agent's monitor")
	}
	if hash([]Monitor{limited}, agents[:2]) == base {
		t.Error("another share of the flow limit is not another plan")
	}
	changed := limited
	changed.Revision++
	if hash([]Monitor{changed}, agents) == base {
		t.Error("another definition is not another plan")
	}
}

func TestMonitorOfRefusesBadSpecs(t *testing.T) {
	for _, raw := range []string{`{`, `{"title":"x"}`, `{"window":"7s"}`} {
		if _, err := MonitorOf(resource.Object{Spec: json.RawMessage(raw), Metadata: resource.Metadata{Name: "k"}}); err == nil || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestSeriesLabels(t *testing.T) {
	got := seriesLabels("a1", enroll.Host{Hostname: "h", IP: "1.2.3.4", Labels: map[string]string{"az": "z", "team": "x", "app": "shop", "env": ""}})
	want := map[string]string{"agent": "a1", "host": "h", "instance": "h", "ip": "1.2.3.4", "az": "z"}
	if !maps.Equal(got, want) {
		t.Fatal(got)
	}
}
